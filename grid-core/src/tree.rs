//! Static Merkle trees over ordered leaves: the form of the index over all chains.
//!
//! Leaves are already hashed ([`hash::leaf`]). Level by level, neighbours are hashed
//! with [`hash::node`]; a node without a right neighbour is *promoted* unchanged. A proof
//! states the leaf's index and the number of leaves; together they fix the shape of the branch, so
//! the number of siblings must be exact. Whoever verifies must also bind the count: the index does so
//! with [`hash::root`].
//!
//! `rs_merkle` builds trees; its verifier is not used, because it accepts trailing hashes,
//! duplicate and out-of-range indices. The verifier here is ours, in Solidity:
//!
//! ```text
//! function root(bytes32 leaf, uint64 index, uint64 count, bytes32[] siblings) returns (bytes32 h) {
//!     require(index < count);
//!     h = leaf; uint used = 0;
//!     for (uint64 width = count; width > 1; width = (width + 1) / 2) {
//!         if (index % 2 == 1)             h = keccak256(abi.encodePacked(0x01, siblings[used++], h));
//!         else if (index + 1 < width)     h = keccak256(abi.encodePacked(0x01, h, siblings[used++]));
//!         /* else: promoted */
//!         index /= 2;
//!     }
//!     require(used == siblings.length);
//! }
//! ```

use alloy_primitives::B256;
use rs_merkle::{Hasher, MerkleTree};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hash;

/// Grid's tagged keccak256 for `rs_merkle`.
#[derive(Debug, Clone, Copy)]
pub struct TaggedKeccak;

impl Hasher for TaggedKeccak {
    type Hash = [u8; 32];

    fn hash(payload: &[u8]) -> Self::Hash {
        hash::leaf(payload).0
    }

    fn concat_and_hash(left: &Self::Hash, right: Option<&Self::Hash>) -> Self::Hash {
        right.map_or(*left, |right| hash::node(&B256::new(*left), &B256::new(*right)).0)
    }
}

/// A built tree, for proving. Holds all nodes.
#[derive(Clone)]
pub struct Tree {
    count: u64,
    inner: MerkleTree<TaggedKeccak>,
}

impl core::fmt::Debug for Tree {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tree").field("count", &self.count).field("root", &self.root()).finish()
    }
}

/// Builds the tree over already hashed leaves, in their order.
#[must_use]
pub fn build(leaves: &[B256]) -> Tree {
    let leaves: Vec<[u8; 32]> = leaves.iter().map(|leaf| leaf.0).collect();
    Tree {
        count: u64::try_from(leaves.len()).unwrap_or(u64::MAX),
        inner: MerkleTree::from_leaves(&leaves),
    }
}

impl Tree {
    /// Number of leaves.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The root; zero for a tree without leaves.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.inner.root().map_or(B256::ZERO, B256::new)
    }

    /// The proof of leaf `index`, or `None` where there is no such leaf.
    #[must_use]
    pub fn prove(&self, index: u64) -> Option<TreeProof> {
        let at = usize::try_from(index).ok().filter(|_| index < self.count)?;
        let siblings =
            self.inner.proof(&[at]).proof_hashes().iter().map(|hash| B256::new(*hash)).collect();
        Some(TreeProof { index, count: self.count, siblings })
    }
}

/// Why a branch has the wrong shape.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TreeProofError {
    /// The index is not that of a leaf.
    #[error("tree proof is for leaf {index} of a tree with {count} leaves")]
    Index {
        /// Stated index.
        index: u64,
        /// Stated number of leaves.
        count: u64,
    },
    /// Too few or too many siblings.
    #[error("tree proof of leaf {index} of {count} needs {expected} siblings, found {found}")]
    Length {
        /// Stated index.
        index: u64,
        /// Stated number of leaves.
        count: u64,
        /// Siblings that index and count call for.
        expected: usize,
        /// Siblings in the proof.
        found: usize,
    },
}

/// A branch from a leaf to the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TreeProof {
    /// Position of the leaf, from 0.
    pub index: u64,
    /// Number of leaves of the whole tree.
    pub count: u64,
    /// Siblings from the leaf upwards; none where a node is promoted.
    pub siblings: Vec<B256>,
}

/// Where a node stands in its level.
enum Side {
    /// Has a left neighbour.
    Right,
    /// Has a right neighbour.
    Left,
}

/// The sides at which siblings are needed, from the leaf upwards; promotions are skipped.
fn sides(mut index: u64, count: u64) -> impl Iterator<Item = Side> {
    let mut width = count;
    core::iter::from_fn(move || {
        while width > 1 {
            let side = if index % 2 == 1 {
                Some(Side::Right)
            } else if index < width.saturating_sub(1) {
                Some(Side::Left)
            } else {
                None
            };
            index /= 2;
            width = width.div_ceil(2);
            if side.is_some() {
                return side;
            }
        }
        None
    })
}

impl TreeProof {
    /// The root that this branch leads to from `leaf`. The caller compares it with a root it trusts and
    /// binds [`count`](Self::count).
    ///
    /// # Errors
    /// [`TreeProofError`] unless the index is below the count and the number of siblings is exact.
    /// Nothing is hashed before that is known.
    pub fn root(&self, leaf: B256) -> Result<B256, TreeProofError> {
        let Self { index, count, ref siblings } = *self;
        if index >= count {
            return Err(TreeProofError::Index { index, count });
        }
        let expected = sides(index, count).count();
        if siblings.len() != expected {
            return Err(TreeProofError::Length { index, count, expected, found: siblings.len() });
        }
        Ok(sides(index, count).zip(siblings).fold(leaf, |node, (side, sibling)| match side {
            Side::Right => hash::node(sibling, &node),
            Side::Left => hash::node(&node, sibling),
        }))
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;
    use proptest::prelude::*;
    use rs_merkle::MerkleProof;

    use super::*;

    fn leaves(count: usize) -> Vec<B256> {
        (0..count).map(|i| hash::leaf(&i.to_be_bytes())).collect()
    }

    /// The definition, written down directly.
    fn naive_root(mut level: Vec<B256>) -> B256 {
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|pair| if pair.len() == 2 { hash::node(&pair[0], &pair[1]) } else { pair[0] })
                .collect();
        }
        level.first().copied().unwrap_or_default()
    }

    #[test]
    fn every_leaf_of_every_small_tree_proves_and_odd_nodes_are_promoted() {
        for count in 0..70 {
            let leaves = leaves(count);
            let tree = build(&leaves);
            assert_eq!(tree.root(), naive_root(leaves.clone()), "{count} leaves");
            for (index, leaf) in leaves.iter().enumerate() {
                let proof = tree.prove(index as u64).unwrap();
                assert_eq!(proof.root(*leaf), Ok(tree.root()), "leaf {index} of {count}");
            }
            assert_eq!(tree.prove(count as u64), None);
        }
    }

    #[test]
    fn a_leaf_is_not_a_node() {
        let [left, right] = [keccak256(b"a"), keccak256(b"b")];
        let joined = [left.0, right.0].concat();
        assert_ne!(hash::leaf(&joined), hash::node(&left, &right));
    }

    #[test]
    fn shapes_that_rs_merkle_accepts_are_refused() {
        let leaves = leaves(3);
        let tree = build(&leaves);
        let good = tree.prove(2).unwrap();
        let raw: Vec<[u8; 32]> = leaves.iter().map(|leaf| leaf.0).collect();

        // A trailing hash.
        let mut long = good.clone();
        long.siblings.push(B256::repeat_byte(7));
        let theirs = MerkleProof::<TaggedKeccak>::new(long.siblings.iter().map(|h| h.0).collect());
        assert!(theirs.verify(tree.root().0, &[2], &[raw[2]], 3), "known weakness of rs_merkle");
        assert!(matches!(long.root(leaves[2]), Err(TreeProofError::Length { expected: 1, .. })));

        // An index out of range.
        let outside = TreeProof { index: 3, ..good };
        assert_eq!(outside.root(leaves[2]), Err(TreeProofError::Index { index: 3, count: 3 }));
        assert!(TreeProof { index: 0, count: 0, siblings: vec![] }.root(leaves[0]).is_err());

        // The extremes do not overflow.
        let extreme = TreeProof { index: u64::MAX - 1, count: u64::MAX, siblings: vec![] };
        assert!(matches!(extreme.root(leaves[0]), Err(TreeProofError::Length { .. })));
    }

    proptest! {
        #[test]
        fn agrees_with_rs_merkle_on_its_own_proofs(count in 1usize..100, pick in any::<prop::sample::Index>()) {
            let leaves = leaves(count);
            let index = pick.index(count);
            let tree = build(&leaves);
            let proof = tree.prove(index as u64).unwrap();
            let theirs = MerkleProof::<TaggedKeccak>::new(proof.siblings.iter().map(|h| h.0).collect());
            prop_assert!(theirs.verify(tree.root().0, &[index], &[leaves[index].0], count));
            prop_assert_eq!(proof.root(leaves[index]), Ok(tree.root()));
        }

        #[test]
        fn no_other_index_count_or_sibling_reaches_the_root(
            count in 2usize..64,
            pick in any::<prop::sample::Index>(),
            other_index in any::<u64>(),
            other_count in 0u64..1000,
            bit in 0usize..256,
        ) {
            let leaves = leaves(count);
            let index = pick.index(count);
            let tree = build(&leaves);
            let proof = tree.prove(index as u64).unwrap();
            let reaches = |proof: &TreeProof| proof.root(leaves[index]) == Ok(tree.root());

            let moved = other_index % (count as u64 + 2);
            prop_assert_eq!(reaches(&TreeProof { index: moved, ..proof.clone() }), moved == index as u64);
            if !proof.siblings.is_empty() {
                let mut bad = proof.clone();
                let at = bit % bad.siblings.len();
                bad.siblings[at].0[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(!reaches(&bad));
                bad = proof.clone();
                bad.siblings.pop();
                prop_assert!(!reaches(&bad));
            }
            // The count alone is not bound by the branch; the root binding of the index binds it.
            let _shape_only = TreeProof { count: other_count, ..proof }.root(leaves[index]);
        }

        #[test]
        fn arbitrary_proofs_never_panic(index: u64, count: u64, siblings in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
            let siblings = siblings.into_iter().map(B256::new).collect();
            let _either = TreeProof { index, count, siblings }.root(B256::ZERO);
        }
    }
}
