//! Bitcoin's merkle tree, built from all its leaves.

use alloy_primitives::B256;
use bitcoin::hashes::{Hash, HashEngine, sha256d};

use super::{MAX_TRANSACTIONS, SpvError};

/// SHA-256d of two nodes.
pub(super) fn node(left: &B256, right: &B256) -> B256 {
    let mut engine = sha256d::Hash::engine();
    engine.input(left.as_slice());
    engine.input(right.as_slice());
    B256::new(sha256d::Hash::from_engine(engine).to_byte_array())
}

/// The tree over the transaction ids of a block, with all its levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxTree {
    /// Transaction ids first, the root's level last.
    levels: Vec<Vec<B256>>,
}

impl TxTree {
    /// Builds the tree.
    ///
    /// # Errors
    /// [`SpvError::Count`] where no block has so many transactions, and [`SpvError::Mutated`] where the list ends
    /// in a repetition, so that a shorter list has the same root.
    pub fn new(txids: Vec<B256>) -> Result<Self, SpvError> {
        let count = u64::try_from(txids.len()).unwrap_or(u64::MAX);
        if count == 0 || count > MAX_TRANSACTIONS {
            return Err(SpvError::Count { index: 0, count });
        }
        let (mut levels, mut level) = (Vec::new(), txids);
        while level.len() > 1 {
            let mut up = Vec::with_capacity(level.len().div_ceil(2));
            for pair in level.chunks(2) {
                up.push(match pair {
                    [left, right] if left == right => return Err(SpvError::Mutated),
                    [left, right] => node(left, right),
                    // An odd node is paired with itself.
                    [odd, ..] => node(odd, odd),
                    [] => continue,
                });
            }
            levels.push(level);
            level = up;
        }
        levels.push(level);
        Ok(Self { levels })
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.levels.last().and_then(|level| level.first()).copied().unwrap_or_default()
    }

    /// The transaction ids.
    #[must_use]
    pub fn txids(&self) -> &[B256] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// The siblings of transaction `index`, from the leaf upwards.
    ///
    /// # Errors
    /// [`SpvError::Count`] where there is no such transaction.
    pub fn branch(&self, index: u64) -> Result<Vec<B256>, SpvError> {
        let count = self.txids().len();
        let missing = || SpvError::Count { index, count: u64::try_from(count).unwrap_or(u64::MAX) };
        let mut at = usize::try_from(index).ok().filter(|at| *at < count).ok_or_else(missing)?;
        let below_root = self.levels.len().saturating_sub(1);
        let mut siblings = Vec::with_capacity(below_root);
        for level in self.levels.iter().take(below_root) {
            let sibling = level.get(at ^ 1).or_else(|| level.get(at)).ok_or_else(missing)?;
            siblings.push(*sibling);
            at /= 2;
        }
        Ok(siblings)
    }
}

/// The root over transaction ids.
///
/// # Errors
/// As [`TxTree::new`].
pub fn merkle_root(txids: &[B256]) -> Result<B256, SpvError> {
    TxTree::new(txids.to_vec()).map(|tree| tree.root())
}
