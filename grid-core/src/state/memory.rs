//! A chain's state in memory: for tests, benchmarks and simulations.

use std::collections::BTreeMap;

use super::{ChainState, StateDiff, StateRead, StateTreeRead, StorageError, TreeBatch};
use crate::transition::ExecutedBlock;

/// State and tree in maps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryState {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    nodes: BTreeMap<Vec<u8>, Vec<u8>>,
    version: u64,
}

impl MemoryState {
    /// The state before genesis.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Commits a block.
    pub fn apply(&mut self, executed: &ExecutedBlock) {
        self.apply_parts(&executed.diff, &executed.tree, executed.block.header.number);
    }

    /// Commits a diff and its tree nodes as a version.
    pub fn apply_parts(&mut self, diff: &StateDiff, tree: &TreeBatch, version: u64) {
        for (key, value) in diff {
            match value {
                Some(value) => self.values.insert(key.clone(), value.clone()),
                None => self.values.remove(key),
            };
        }
        for (key, node) in &tree.nodes {
            self.nodes.insert(key.clone(), node.clone());
        }
        for key in &tree.stale {
            self.nodes.remove(key);
        }
        self.version = version;
    }

    /// All values, by key.
    #[must_use]
    pub const fn values(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.values
    }

    /// How many tree nodes are stored.
    #[must_use]
    pub fn tree_nodes(&self) -> usize {
        self.nodes.len()
    }
}

impl StateRead for MemoryState {
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.values.get(key).cloned())
    }
}

impl StateTreeRead for MemoryState {
    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.nodes.get(key).cloned())
    }
}

impl ChainState for MemoryState {
    fn version(&self) -> u64 {
        self.version
    }
}
