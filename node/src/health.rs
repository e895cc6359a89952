//! Whether a node does what it is there for.

use std::{sync::Arc, time::Duration};

use grid_consensus::{Chain as _, EngineStatus};
use tokio::sync::watch;

use crate::{
    chain::{GridChain, now_ms},
    metrics::gauge,
};

/// What is added to the time that empty blocks may take: rounds that fail while a validator is away.
const PATIENCE: Duration = Duration::from_secs(15);

/// So many blocks a node may be behind what its peers say and still be in step: they say it every second, and blocks may
/// come faster.
const MOST_BEHIND: u64 = 10;

/// Judges a running node.
#[derive(Debug)]
pub(crate) struct Health {
    chain: Arc<GridChain>,
    status: watch::Receiver<EngineStatus>,
    /// The oldest that the newest block may be.
    limit: Duration,
}

impl Health {
    pub(crate) fn new(
        chain: Arc<GridChain>,
        status: watch::Receiver<EngineStatus>,
        empty_block_interval: Duration,
    ) -> Self {
        let limit = empty_block_interval.saturating_mul(3).saturating_add(PATIENCE);
        Self { chain, status, limit }
    }

    /// Why the node is not ready, one reason a line; empty where it is.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let (height, age) = self.head_age();
        if age > self.limit {
            problems.push(format!(
                "block {height} is {} s old: consensus stands still, or this node has not caught up",
                age.as_secs()
            ));
        }
        let peers = self.status.borrow().peers.iter().filter_map(|peer| peer.height).max();
        let behind = peers.unwrap_or_default().saturating_sub(height);
        if behind > MOST_BEHIND {
            problems.push(format!("{behind} blocks behind its peers: the node is catching up"));
        }
        problems
    }

    /// Brings the metrics up to date that depend on time.
    pub(crate) fn refresh(&self) {
        let metrics = self.chain.metrics();
        metrics.head_age_seconds.set(gauge(self.head_age().1.as_secs()));
        metrics.ready.set(i64::from(self.problems().is_empty()));
    }

    /// The newest block and its age by this node's clock.
    fn head_age(&self) -> (u64, Duration) {
        let head = self.chain.head();
        (head.height, Duration::from_millis(now_ms().saturating_sub(head.time_ms)))
    }
}
