//! Execution headers below a final block: fetched from nodes that nobody trusts, linked by their hashes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use alloy_primitives::B256;
use futures::{FutureExt as _, future::join_all};
use grid_core::ChainId;

use super::BeaconError;
use crate::{
    AdapterError, Endpoint, Health, Material, ProofRequest, SourceChain as _, SourceHeader,
    SourceKind, SourceTip, Vote,
    ethereum::{EthereumSource, FollowHead},
    member::{self, Member},
    pool,
    source::MAX_HEADERS,
};

/// Headers that are fetched at a time on the way down.
const STEP: u64 = 512;
/// Most headers that one call walks; a longer way is gone in several calls.
const MAX_WALK: u64 = 8 * 1_024;
/// Most hashes that are remembered; from there on one of each [`SPARSE`] heights is kept.
const MAX_KNOWN: usize = 64 * 1_024;
/// Distance of what is kept when there is too much.
const SPARSE: u64 = 256;

/// The execution nodes of a chain, and the part of the final chain that they have shown.
#[derive(Debug)]
pub(super) struct Execution {
    chain: ChainId,
    nodes: Vec<Member<EthereumSource>>,
    /// Hashes that are linked to a final block.
    known: Mutex<BTreeMap<u64, B256>>,
}

/// What the nodes call finalized, against what was proven.
#[derive(Debug)]
pub(super) struct Opinion {
    /// Nodes that have the proven block on their finalized chain.
    pub(super) agreeing: usize,
    /// Who has which block at that height.
    pub(super) votes: Vec<Vote>,
}

impl Execution {
    pub(super) fn new(chain: ChainId, endpoints: Vec<Endpoint>) -> Result<Self, AdapterError> {
        if endpoints.is_empty() || endpoints.len() > member::MAX_MEMBERS {
            return Err(AdapterError::Invalid(format!(
                "{chain} has {} execution endpoints (rpc); expected 1 to {}: headers, transactions and state come from them",
                endpoints.len(),
                member::MAX_MEMBERS
            )));
        }
        let node = |endpoint: Endpoint| {
            let name = endpoint.section().to_owned();
            let follow = FollowHead::Finalized;
            let source = EthereumSource::new(chain.clone(), endpoint.clone(), follow)?;
            Ok(Member::of(name, SourceKind::Rpc, Arc::new(source)).at(&endpoint))
        };
        let nodes: Result<_, AdapterError> = endpoints.into_iter().map(node).collect();
        Ok(Self { nodes: nodes?, chain, known: Mutex::default() })
    }

    pub(super) const fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn health(&self) -> Vec<Health> {
        member::health(&self.nodes)
    }

    /// A header by its hash; `None` where every node says that it does not know it.
    pub(super) async fn by_hash(&self, hash: B256) -> Result<Option<SourceHeader>, AdapterError> {
        let mut failures = Vec::new();
        for node in member::order(&self.nodes) {
            let question = async {
                node.source.ready().await?;
                node.source.by_hash(hash).await
            };
            match node.ask(question.boxed()).await {
                Ok(Some(header)) => return Ok(Some(header)),
                Ok(None) => {}
                Err(error) => failures.push((node, error)),
            }
        }
        if failures.is_empty() { Ok(None) } else { Err(member::all_failed(&self.chain, failures)) }
    }

    /// Height of a final block, which headers may be linked to from then on.
    pub(super) async fn anchor(&self, hash: B256) -> Result<SourceTip, AdapterError> {
        let Some(header) = self.by_hash(hash).await? else {
            return Err(BeaconError::Absent { hash }.into());
        };
        self.remember(core::slice::from_ref(&header));
        Ok(SourceTip { height: header.compat.height, hash })
    }

    /// Headers from a height on, ascending, each an ancestor of the final block `tip` or it.
    pub(super) async fn headers(
        &self,
        tip: &SourceTip,
        from: u64,
        count: usize,
    ) -> Result<Vec<SourceHeader>, AdapterError> {
        let count = count.min(MAX_HEADERS) as u64;
        if from > tip.height || count == 0 {
            return Ok(Vec::new());
        }
        let last = tip.height.min(from.saturating_add(count - 1));
        let mut walked = 0;
        loop {
            let (height, hash) = self.lowest_from(last).unwrap_or((tip.height, tip.hash));
            if height == last {
                return self.span(from, last, hash).await;
            }
            if walked >= MAX_WALK {
                return Err(BeaconError::Linking { reached: height, wanted: last }.into());
            }
            let start = last.max(height.saturating_sub(STEP));
            self.span(start, height, hash).await?;
            walked += height - start;
        }
    }

    /// The lowest known block at or above a height.
    fn lowest_from(&self, height: u64) -> Option<(u64, B256)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.range(height..).next().map(|(height, hash)| (*height, *hash))
    }

    /// A run of headers that ends with a known block.
    async fn span(
        &self,
        from: u64,
        last: u64,
        hash: B256,
    ) -> Result<Vec<SourceHeader>, AdapterError> {
        let (node, headers) = pool::first(&self.chain, &self.nodes, |node| {
            async move {
                node.ready().await?;
                node.final_span(from, last, hash).await
            }
            .boxed()
        })
        .await?;
        node.note_height(last);
        self.remember(&headers);
        Ok(headers)
    }

    fn remember(&self, headers: &[SourceHeader]) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(headers.iter().map(|header| (header.compat.height, header.compat.blockHash)));
        if known.len() > MAX_KNOWN {
            let newest = known.last_key_value().map(|(height, _)| *height);
            known.retain(|height, _| height % SPARSE == 0 || Some(*height) == newest);
        }
    }

    /// What the nodes call finalized at the height of a proven block. A node whose own finalized block
    /// is lower has no opinion.
    pub(super) async fn opinion(&self, tip: &SourceTip) -> Opinion {
        let asked = self.nodes.iter().map(|node| async move {
            let question = async {
                let own = node.source.tip().await?;
                node.note_height(own.height);
                match own.height.cmp(&tip.height) {
                    core::cmp::Ordering::Less => Ok(None),
                    core::cmp::Ordering::Equal => Ok(Some(own.hash)),
                    core::cmp::Ordering::Greater => node.source.hash_at(tip.height).await,
                }
            };
            (node, node.ask(question.boxed()).await)
        });
        let mut votes: Vec<Vote> = Vec::new();
        for (node, said) in join_all(asked).await {
            let Ok(Some(hash)) = said else { continue };
            match votes.iter_mut().find(|vote| vote.hash == hash) {
                Some(vote) => vote.members.push(node.name.clone()),
                None => votes.push(Vote { hash, members: vec![node.name.clone()] }),
            }
        }
        let agreed = votes.iter().find(|vote| vote.hash == tip.hash);
        Opinion { agreeing: agreed.map_or(0, |vote| vote.members.len()), votes }
    }

    /// As [`SourceChain::proof_material`](crate::SourceChain::proof_material), of the first node that has it.
    pub(super) async fn material(&self, request: &ProofRequest) -> Result<Material, AdapterError> {
        let (_, material) =
            pool::first(&self.chain, &self.nodes, |node| node.proof_material(request.clone()))
                .await?;
        Ok(material)
    }
}
