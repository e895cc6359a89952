//! The index over all active chains (white paper 3.2.1), committed in every Grid block header.
//!
//! ```text
//! entryLeaf = keccak256(0x00 ‖ abi.encode(ChainEntry))
//! treeRoot  = tree over the entry leaves, entries in increasing order of their chain key; zero if none
//! indexRoot = keccak256(0x02 ‖ abi.encode(uint64 count, bytes32 treeRoot))
//! ```

use alloy_primitives::B256;
use alloy_sol_types::{SolValue, sol};
use serde::{Deserialize, Serialize};

use crate::{
    hash,
    tree::{self, TreeProof, TreeProofError},
};

sol! {
    /// One chain in the index. ABI: seven static words, 224 bytes.
    #[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct ChainEntry {
        /// `keccak256(utf8(chain id))`.
        bytes32 chain;
        /// Speed level, 0 to 3.
        uint8 level;
        /// What stands behind the chain's headers: [`Security`](crate::Security).
        uint8 security;
        /// Height of the accumulator's first leaf.
        uint64 firstHeight;
        /// Number of confirmed headers, heights `firstHeight` to `firstHeight + count - 1`.
        uint64 count;
        /// Root of the accumulator over them.
        bytes32 accumulatorRoot;
        /// Hash of the last confirmed block; zero if none.
        bytes32 tipHash;
    }
}

impl ChainEntry {
    /// The entry's leaf in the index tree.
    #[must_use]
    pub fn leaf(&self) -> B256 {
        hash::leaf(&self.abi_encode())
    }

    /// Height of the last confirmed header, if there is one.
    #[must_use]
    pub const fn tip_height(&self) -> Option<u64> {
        match self.count {
            0 => None,
            count => self.firstHeight.checked_add(count.saturating_sub(1)),
        }
    }
}

/// Binds the number of chains to the tree's root.
#[must_use]
pub fn bind(count: u64, tree_root: B256) -> B256 {
    hash::root(&(count, tree_root).abi_encode())
}

fn build(entries: &[ChainEntry]) -> tree::Tree {
    let leaves: Vec<B256> = entries.iter().map(ChainEntry::leaf).collect();
    tree::build(&leaves)
}

/// The index root over entries that are sorted by chain key (the state keeps them so).
#[must_use]
pub fn index_root(entries: &[ChainEntry]) -> B256 {
    let tree = build(entries);
    bind(tree.count(), tree.root())
}

/// Proves entry `at` of the sorted entries; `None` where there is no such entry.
#[must_use]
pub fn prove_entry(entries: &[ChainEntry], at: usize) -> Option<TreeProof> {
    build(entries).prove(u64::try_from(at).ok()?)
}

/// The index root that a proof of `entry` leads to.
///
/// # Errors
/// [`TreeProofError`] where the branch has the wrong shape.
pub fn root_of(entry: &ChainEntry, proof: &TreeProof) -> Result<B256, TreeProofError> {
    Ok(bind(proof.count, proof.root(entry.leaf())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: u8) -> Vec<ChainEntry> {
        (0..count)
            .map(|i| ChainEntry {
                chain: B256::repeat_byte(i),
                level: i % 4,
                security: 1,
                firstHeight: 100,
                count: u64::from(i),
                accumulatorRoot: B256::repeat_byte(0xaa),
                tipHash: B256::repeat_byte(0xbb),
            })
            .collect()
    }

    #[test]
    fn every_entry_proves_and_the_count_is_bound() {
        for count in 1..20u8 {
            let entries = entries(count);
            let root = index_root(&entries);
            for (at, entry) in entries.iter().enumerate() {
                let proof = prove_entry(&entries, at).unwrap();
                assert_eq!(root_of(entry, &proof), Ok(root));
                // A count that leaves the shape of the branch as it is still changes the root.
                for other in (0..64).filter(|other| *other != proof.count) {
                    let bad = TreeProof { count: other, ..proof.clone() };
                    assert_ne!(root_of(entry, &bad), Ok(root), "count {other} for {count}");
                }
            }
            assert_eq!(prove_entry(&entries, usize::from(count)), None);
        }
    }

    #[test]
    fn the_empty_index_binds_zero_to_zero() {
        assert_eq!(index_root(&[]), hash::root(&[0u8; 64]));
    }

    #[test]
    fn the_tip_height_is_that_of_the_last_leaf() {
        let entries = entries(3);
        assert_eq!(entries[0].tip_height(), None);
        assert_eq!(entries[2].tip_height(), Some(101));
        let extreme = ChainEntry { firstHeight: u64::MAX, count: u64::MAX, ..entries[0].clone() };
        assert_eq!(extreme.tip_height(), None);
    }
}
