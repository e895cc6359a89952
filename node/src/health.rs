//! How a node stands: for its health pages, its metrics and the methods that operators ask.

use std::{convert::Infallible, sync::Arc, time::Duration};

use alloy_primitives::Address;
use grid_consensus::{Chain as _, EngineStatus, Head};
use grid_core::api::{NodePeer, NodePeers, NodeStatus};
use tokio::sync::watch;

use crate::{chain::GridChain, gossip::GossipHandle, metrics::gauge};

/// How often metrics are brought up to date that change without a block.
const REFRESH: Duration = Duration::from_secs(1);
/// What is added to the time that empty blocks may take: rounds that fail while a validator is away.
const PATIENCE: Duration = Duration::from_secs(15);
/// So many blocks a node may be behind what its peers say and still be in step: they say it every second, and blocks may
/// come faster.
const MOST_BEHIND: u64 = 10;

/// Judges a running node.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) chain: Arc<GridChain>,
    pub(crate) engine: watch::Receiver<EngineStatus>,
    /// Address of the node's key; `None` for a full node.
    pub(crate) validator: Option<Address>,
    /// The exchange of transactions; `None` where the node has no peers.
    pub(crate) gossip: Option<GossipHandle>,
    /// The pace without transactions.
    pub(crate) empty_block_interval: Duration,
}

impl Health {
    /// Why the node is not ready, one reason a line; empty where it is.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let head = self.chain.head();
        let age = age(&head, self.chain.now_ms());
        if age > self.empty_block_interval.saturating_mul(3).saturating_add(PATIENCE) {
            problems.push(format!(
                "block {} is {} s old: consensus stands still, or this node has not caught up",
                head.height,
                age.as_secs()
            ));
        }
        let behind = self.peer_height().unwrap_or_default().saturating_sub(head.height);
        if behind > MOST_BEHIND {
            problems.push(format!("{behind} blocks behind its peers: the node is catching up"));
        }
        problems
    }

    /// `grid_status`.
    pub(crate) fn status(&self) -> NodeStatus {
        let head = self.chain.head();
        let (round, peers) = {
            let engine = self.engine.borrow();
            (engine.round, engine.peers.len())
        };
        NodeStatus {
            chain_id: self.chain.id(),
            in_set: self.in_set(&head),
            height: head.height,
            block_hash: head.hash,
            time_ms: head.time_ms,
            role: if self.validator.is_some() { "validator" } else { "full" }.into(),
            validator: self.validator,
            round,
            peers: count(peers),
            gossip_peers: count(self.gossip.as_ref().map_or(0, |gossip| gossip.peers().len())),
            peer_height: self.peer_height(),
            mempool: count(self.chain.mempool().size().count),
            problems: self.problems(),
        }
    }

    /// `grid_peers`.
    pub(crate) fn peers(&self) -> NodePeers {
        let engine = self.engine.borrow();
        let consensus = engine.peers.iter().map(|peer| NodePeer {
            peer_id: peer.peer_id.clone(),
            address: peer.address.clone(),
            moniker: Some(peer.moniker.clone()),
            validator: peer.validator,
            height: peer.height,
        });
        let gossip = self.gossip.iter().flat_map(GossipHandle::peers).map(|peer| NodePeer {
            peer_id: peer.peer_id,
            address: peer.address,
            moniker: None,
            validator: None,
            height: None,
        });
        NodePeers { consensus: consensus.collect(), gossip: gossip.collect() }
    }

    /// Keeps the metrics up to date; never ends.
    pub(crate) async fn watch(&self) -> Infallible {
        let mut beat = tokio::time::interval(REFRESH);
        let mut known = 0;
        loop {
            beat.tick().await;
            self.refresh();
            let peers = self.engine.borrow().peers.len();
            if peers != known {
                tracing::info!(peers, before = known, "connections of the consensus network");
                known = peers;
            }
        }
    }

    /// Brings the metrics up to date that change without a block.
    pub(crate) fn refresh(&self) {
        let metrics = self.chain.metrics();
        let head = self.chain.head();
        metrics.head_age_seconds.set(gauge(age(&head, self.chain.now_ms()).as_secs()));
        metrics.ready.set(i64::from(self.problems().is_empty()));
        metrics.validators.set(gauge(head.next_validators.as_slice().len()));
        metrics.in_validator_set.set(i64::from(self.in_set(&head)));
        for validator in head.next_validators.as_slice() {
            // The series exists before the first turn is missed.
            let label = validator.account.to_string();
            metrics.missed_proposals_total.with_label_values(&[label.as_str()]).inc_by(0);
        }
        let engine = self.engine.borrow();
        metrics.peers.set(gauge(engine.peers.len()));
        metrics.round.set(i64::from(engine.round));
    }

    fn in_set(&self, head: &Head) -> bool {
        self.validator.is_some_and(|address| head.next_validators.power(&address).is_some())
    }

    /// The newest block that a peer says it has.
    fn peer_height(&self) -> Option<u64> {
        self.engine.borrow().peers.iter().filter_map(|peer| peer.height).max()
    }
}

/// Age of a block by this node's clock.
fn age(head: &Head, now_ms: u64) -> Duration {
    Duration::from_millis(now_ms.saturating_sub(head.time_ms))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
