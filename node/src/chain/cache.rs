//! Executed blocks that wait for a decision.

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::B256;

use super::Executed;

/// Proposals of one height that are kept executed. More rounds than this are rare; an older one is
/// executed again when it is needed.
const CAPACITY: usize = 8;

/// A bounded map from block hash to executed block.
#[derive(Debug, Default)]
pub(super) struct ExecutedCache {
    blocks: BTreeMap<B256, Executed>,
    order: VecDeque<B256>,
}

impl ExecutedCache {
    pub(super) fn insert(&mut self, block: Executed) {
        let hash = block.hash;
        if self.blocks.insert(hash, block).is_some() {
            return;
        }
        self.order.push_back(hash);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.blocks.remove(&oldest);
        }
    }

    pub(super) fn get(&self, hash: &B256) -> Option<Executed> {
        self.blocks.get(hash).cloned()
    }

    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.order.clear();
    }
}
