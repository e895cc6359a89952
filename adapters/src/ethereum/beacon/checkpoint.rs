//! Which block beacon nodes call finalized, for an operator who has to trust one.
//!
//! What several nodes agree on is a proposal, not a proof: that a root is the chain's is what a checkpoint
//! is trusted for.

use alloy_primitives::B256;
use futures::FutureExt as _;
use grid_core::{
    ChainId,
    ethereum::sync::{BeaconBlockHeader, NetworkConfig},
};

use super::{api::BeaconApi, error, nodes::Nodes};
use crate::{AdapterError, Endpoint, member};

/// A finalized block, and who calls it so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The beacon block's root: what `checkpoint` takes.
    pub root: B256,
    /// Its slot.
    pub slot: u64,
    /// Its epoch.
    pub epoch: u64,
    /// When the slot began, Unix time in seconds.
    pub time: u64,
    /// Seconds since then.
    pub age: u64,
    /// Hash of its execution block, where a node serves the bootstrap.
    pub execution: Option<B256>,
    /// Endpoints that have it on their finalized chain.
    pub agreeing: Vec<String>,
    /// What the others said, by endpoint.
    pub others: Vec<(String, String)>,
}

impl Checkpoint {
    /// The age for people.
    #[must_use]
    pub fn age_text(&self) -> String {
        error::for_people(self.age)
    }
}

/// The newest block that `agree` of the endpoints have finalized.
///
/// # Errors
/// [`AdapterError::Disagreement`] naming what each said, or why too few answered.
pub async fn newest_checkpoint(
    chain: &ChainId,
    network: &NetworkConfig,
    endpoints: Vec<Endpoint>,
    agree: usize,
    now: u64,
) -> Result<Checkpoint, AdapterError> {
    let nodes = Nodes::new(chain.clone(), network, endpoints)?;
    if agree == 0 || agree > nodes.len() {
        let count = nodes.len();
        return Err(AdapterError::Invalid(format!("`agree` is {agree}; expected 1 to {count}")));
    }
    let mut heads: Vec<(String, BeaconBlockHeader)> = Vec::new();
    let mut failures = Vec::new();
    for (node, said) in nodes.all(now, |api| api.header("finalized").boxed()).await {
        match said {
            Ok(header) => heads.push((node.source.endpoint().to_owned(), header)),
            Err(error) => failures.push((node, error)),
        }
    }
    if heads.len() < agree {
        return Err(member::all_failed(chain, failures));
    }
    let others: Vec<(String, String)> = failures
        .iter()
        .map(|(node, error)| (node.source.endpoint().to_owned(), error.to_string()))
        .collect();
    heads.sort_by_key(|(_, header)| core::cmp::Reverse(header.slot));
    let mut last = None;
    for (_, candidate) in &heads {
        let (agreeing, differing) = ballot(&nodes, &heads, candidate, now).await;
        if agreeing.len() >= agree {
            let others = others.into_iter().chain(differing).collect();
            return Ok(describe(&nodes, network, candidate, (agreeing, others), now).await);
        }
        last.get_or_insert((candidate.slot, differing));
    }
    let (height, said) = last.unwrap_or_default();
    let votes: Vec<String> = said.iter().map(|(node, said)| format!("{said} by {node}")).collect();
    let (chain, votes) = (chain.clone(), votes.join("; "));
    Err(AdapterError::Disagreement { chain, height, required: agree, votes })
}

/// Who has the candidate on the finalized chain, and what the others have there.
async fn ballot(
    nodes: &Nodes,
    heads: &[(String, BeaconBlockHeader)],
    candidate: &BeaconBlockHeader,
    now: u64,
) -> (Vec<String>, Vec<(String, String)>) {
    let (root, id) = (candidate.root(), candidate.slot.to_string());
    let there = nodes.all(now, |api| {
        let id = id.clone();
        async move { api.header(&id).await }.boxed()
    });
    let mut agreeing = Vec::new();
    let mut differing = Vec::new();
    for (node, found) in there.await {
        let name = node.source.endpoint().to_owned();
        let head = heads.iter().find(|(other, _)| *other == name).map(|(_, head)| head);
        match (head, found) {
            (Some(head), _) if head.slot < candidate.slot => {
                differing.push((name, format!("finality at slot {}", head.slot)));
            }
            (Some(head), _) if head.root() == root => agreeing.push(name),
            (Some(_), Ok(found)) if found.root() == root => agreeing.push(name),
            (_, Ok(found)) => differing.push((name, found.root().to_string())),
            (_, Err(error)) => differing.push((name, error.to_string())),
        }
    }
    (agreeing, differing)
}

async fn describe(
    nodes: &Nodes,
    network: &NetworkConfig,
    header: &BeaconBlockHeader,
    (agreeing, others): (Vec<String>, Vec<(String, String)>),
    now: u64,
) -> Checkpoint {
    let (root, slot) = (header.root(), header.slot);
    let ask = |api| BeaconApi::bootstrap(api, &root).boxed();
    let served = nodes.first(now, ask, |_, bootstrap| Ok(bootstrap)).await;
    let execution = served
        .ok()
        .filter(|bootstrap| {
            bootstrap.header.beacon == *header && bootstrap.header.is_valid(network)
        })
        .map(|bootstrap| bootstrap.header.execution_block_hash);
    let time = network.time_of(slot);
    Checkpoint {
        root,
        slot,
        epoch: network.preset.epoch(slot),
        time,
        age: now.saturating_sub(time),
        execution,
        agreeing,
        others,
    }
}
