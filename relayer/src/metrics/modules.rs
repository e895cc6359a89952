//! What modules of the main chain, and the relayer's work for them, look like.

use alloy_primitives::U256;
use grid_core::ChainId;

use super::{Metrics, gauge, grid};
use crate::store::{MessageCount, MessageStage};

impl Metrics {
    /// The numbers of the open messages, of all chains.
    pub fn messages(&self, chains: &[ChainId], counts: &[MessageCount]) {
        for chain in chains {
            for stage in MessageStage::OPEN {
                let mine = |count: &&MessageCount| count.chain == *chain && count.stage == stage;
                let count = counts.iter().find(mine).map_or(0, |count| count.count);
                self.messages
                    .with_label_values(&[chain.as_str(), stage.as_str()])
                    .set(gauge(count));
            }
        }
    }

    /// What the pool of guarantees has, and what it has paid, smallest unit of GRID.
    pub fn pool(&self, free: U256, locked: U256, paid: U256) {
        self.guarantee_pool.with_label_values(&["free"]).set(grid(free));
        self.guarantee_pool.with_label_values(&["locked"]).set(grid(locked));
        self.guarantee_paid.set(grid(paid));
    }

    /// How many guarantees of a chain are open, and can be ended.
    pub fn guarantees(&self, chain: &ChainId, open: usize, due: usize) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.guarantee_open.with_label_values(&[chain.as_str()]).set(count(open));
        self.guarantee_due.with_label_values(&[chain.as_str()]).set(count(due));
    }

    /// What guarantees of a chain cover of what they may, by one limit, smallest unit of GRID.
    pub fn exposure(&self, chain: &ChainId, limit: &str, cover: U256, capacity: U256) {
        let labels = [chain.as_str(), limit];
        self.guarantee_cover.with_label_values(&labels).set(grid(cover));
        self.guarantee_capacity.with_label_values(&labels).set(grid(capacity));
    }
}
