//! How much of the work for foreign chains one block takes on.
//!
//! What a submission adds is paid for in gas. Confirming headers and moving waiting ones into a tree also happens later: at
//! a block's start, or in the next submission. That work is bounded here, per chain and per block, and shared between the
//! chains that wait, so that none can delay a block or hold up another.

use std::collections::BTreeMap;

use crate::ChainKey;

/// The most headers of one chain that one block confirms, and as many that it moves into the chain's tree: about 10 ms
/// of hashing each.
pub(crate) const MAX_CHAIN_HEADERS: u64 = 8_192;
/// The most headers of all chains that one block confirms or moves before its first transaction.
pub(crate) const MAX_BEGIN_HEADERS: u64 = 16_384;
/// The most headers of all chains that one block confirms or moves.
pub(crate) const MAX_BLOCK_HEADERS: u64 = 32_768;
/// The most chains that one block looks at before its first transaction: each costs the loading of its headers.
pub(crate) const MAX_BEGIN_CHAINS: usize = 16;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// Appending a confirmed header to the accumulator.
    Index,
    /// Moving a waiting header into the tree.
    Settle,
}

/// What a block has done, and how far it may go.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    done: BTreeMap<(ChainKey, Task), u64>,
    total: u64,
    limit: u64,
}

impl Default for Work {
    fn default() -> Self {
        Self { done: BTreeMap::new(), total: 0, limit: MAX_BLOCK_HEADERS }
    }
}

impl Work {
    /// Lets the next of `chains` waiting chains have an equal share of what is left for a block's start. What it does
    /// not need is left for those after it.
    pub(crate) fn share(&mut self, chains: usize) {
        let chains = u64::try_from(chains).unwrap_or(u64::MAX);
        let left = MAX_BEGIN_HEADERS.saturating_sub(self.total);
        self.limit = self.total.saturating_add(left.checked_div(chains).unwrap_or(0));
    }

    /// The start is over: the rest of the block's limit is open.
    pub(crate) const fn open(&mut self) {
        self.limit = MAX_BLOCK_HEADERS;
    }

    /// How many more headers of a chain may be worked on.
    pub(crate) fn left(&self, chain: ChainKey, task: Task) -> u64 {
        let done = self.done.get(&(chain, task)).copied().unwrap_or(0);
        MAX_CHAIN_HEADERS.saturating_sub(done).min(self.limit.saturating_sub(self.total))
    }

    /// Counts what was done.
    pub(crate) fn did(&mut self, chain: ChainKey, task: Task, headers: u64) {
        let done = self.done.entry((chain, task)).or_default();
        *done = done.saturating_add(headers);
        self.total = self.total.saturating_add(headers);
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;

    fn key(n: u8) -> ChainKey {
        ChainKey(B256::repeat_byte(n))
    }

    #[test]
    fn one_chain_has_its_own_limit_for_each_task() {
        let mut work = Work::default();
        work.share(1);
        for task in [Task::Settle, Task::Index] {
            assert_eq!(work.left(key(1), task), MAX_CHAIN_HEADERS);
            work.did(key(1), task, MAX_CHAIN_HEADERS);
            assert_eq!(work.left(key(1), task), 0);
        }
        work.open();
        assert_eq!(work.left(key(1), Task::Index), 0);
        assert_eq!(work.left(key(2), Task::Index), MAX_CHAIN_HEADERS);
    }

    #[test]
    fn shares_are_equal_and_what_one_leaves_is_for_the_others() {
        assert_eq!(MAX_BEGIN_CHAINS, 16);
        let mut work = Work::default();
        for n in (1..=16).rev() {
            work.share(usize::from(n));
            let chain = key(n);
            assert_eq!(work.left(chain, Task::Index), 1_024);
            work.did(chain, Task::Index, 1_024);
        }
        assert_eq!(work.total, MAX_BEGIN_HEADERS);
        let mut work = Work::default();
        work.share(3);
        work.did(key(1), Task::Index, 1);
        work.share(2);
        assert_eq!(work.left(key(2), Task::Index), (MAX_BEGIN_HEADERS - 1) / 2);
    }

    #[test]
    fn a_block_has_a_limit_for_all_chains() {
        let mut work = Work::default();
        for n in 0..4 {
            work.did(key(n), Task::Index, MAX_CHAIN_HEADERS);
        }
        assert_eq!(work.left(key(9), Task::Index), 0);
    }
}
