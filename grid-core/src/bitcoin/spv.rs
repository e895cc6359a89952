//! Bitcoin transaction proofs: a branch of the SHA-256d tree over transaction ids, with what a plain branch
//! leaves open closed.
//!
//! Bitcoin's tree does not tell leaves from inner nodes and pairs an odd node with itself. Therefore:
//! - the raw transaction is required, not only its id, and 64 bytes are refused: an inner node's
//!   preimage is 64 bytes (CVE-2017-12842);
//! - the coinbase transaction is required with a branch at index 0 of the same depth and to the same
//!   root, which fixes the depth of the tree (CVE-2017-12842 again);
//! - where a right neighbour exists it must differ from the left one (CVE-2012-2459), and a node that is
//!   paired with itself must be the last of its level, all the way up;
//! - where BIP34 is active, the coinbase states the header's height.
//!
//! All hashes are in internal byte order. Sources: Bitcoin Core `merkleblock.cpp`, `consensus/merkle.cpp`,
//! BIP34, BIP37.

use alloy_primitives::{B256, Bytes};
use bitcoin::hashes::{Hash, HashEngine, sha256d};
use thiserror::Error;

use super::tx::{Tx, TxError};
use crate::ChainId;

mod merkle_block;

pub use merkle_block::{MAX_MERKLE_BLOCK, Match, MerkleBlock};

/// The most transactions of a block: a block's 1,000,000 bytes without witness hold at most so many of
/// the least size, 60 bytes.
pub const MAX_TRANSACTIONS: u64 = 16_666;

/// The depth of the tree of [`MAX_TRANSACTIONS`].
pub const MAX_DEPTH: usize = 15;

/// From which height coinbase transactions state their height (BIP34), by the reference of the `bip122` id:
/// mainnet and testnet3 activated it, the others always had it.
const BIP34_HEIGHTS: [(&str, u64); 5] = [
    ("000000000019d6689c085ae165831e93", 227_931),
    ("000000000933ea01ad0ee984209779ba", 21_111),
    ("00000000da84f2bafbbc53dee25a72ae", 1),
    ("00000008819873e925422c1ff0f99f7c", 1),
    ("0f9188f13cb7b2c71f2a335e3a4fc328", 1),
];

/// The height from which a network not known by name must follow BIP34: its first block. Every network
/// started since 2013 does.
pub const DEFAULT_BIP34_HEIGHT: u64 = 1;

/// From which height the coinbase transactions of a chain must state their height.
#[must_use]
pub fn bip34_height(chain: &ChainId) -> u64 {
    let known = BIP34_HEIGHTS.iter().find(|(reference, _)| *reference == chain.reference());
    known.map_or(DEFAULT_BIP34_HEIGHT, |(_, height)| *height)
}

/// Why a transaction proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpvError {
    /// The transaction is unusable.
    #[error("transaction: {0}")]
    Transaction(#[source] TxError),
    /// The coinbase is unusable.
    #[error("coinbase transaction: {0}")]
    Coinbase(#[source] TxError),
    /// The transaction given as coinbase is none.
    #[error("transaction {0} at index 0 is not a coinbase transaction")]
    NotCoinbase(B256),
    /// The branch is deeper than any block's.
    #[error("branch has {0} hashes; a block's tree is at most {MAX_DEPTH} deep")]
    TooDeep(usize),
    /// The two branches differ in depth.
    #[error("branch has {branch} hashes, the coinbase's has {coinbase}; they must be equal")]
    Depth {
        /// Hashes of the transaction's branch.
        branch: usize,
        /// Hashes of the coinbase's branch.
        coinbase: usize,
    },
    /// The index does not fit the depth or no block has so many transactions.
    #[error("index {index} is outside of a tree of depth {depth} (at most 16,666 transactions)")]
    Index {
        /// Stated index.
        index: u64,
        /// Depth of the branch.
        depth: usize,
    },
    /// A right node equals its left neighbour, or a node is paired with itself without being the last.
    #[error(
        "level {level} of the branch pairs equal hashes where a right one exists, or the reverse"
    )]
    Duplicate {
        /// Levels above the leaves.
        level: usize,
    },
    /// A branch ends in another root.
    #[error("the branch of index {index} ends in root {found}, the header has {expected}")]
    Root {
        /// Whose branch.
        index: u64,
        /// Root that the branch leads to.
        found: B256,
        /// Root of the header.
        expected: B256,
    },
    /// The coinbase does not state the header's height.
    #[error(
        "the coinbase transaction does not start with the header's height {0}, as BIP34 demands"
    )]
    Height(u64),
    /// No transaction, too many, or none with that index.
    #[error("there is no transaction {index} among {count} (a block has 1 to 16,666)")]
    Count {
        /// Wanted index.
        index: u64,
        /// Number of transactions.
        count: u64,
    },
    /// The list of transactions ends in a repetition that leaves the root unchanged (CVE-2012-2459).
    #[error("the list of transactions repeats its end: two equal neighbours on one level")]
    Mutated,
    /// Not the bytes of a BIP37 merkle block.
    #[error("malformed merkle block: {0}")]
    MerkleBlock(&'static str),
}

/// SHA-256d of two nodes.
fn node(left: &B256, right: &B256) -> B256 {
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

/// The root that a branch leads to.
///
/// # Errors
/// [`SpvError::TooDeep`], [`SpvError::Index`], [`SpvError::Duplicate`].
pub fn climb(leaf: B256, index: u64, branch: &[B256]) -> Result<B256, SpvError> {
    let depth = branch.len();
    if depth > MAX_DEPTH {
        return Err(SpvError::TooDeep(depth));
    }
    if index >= MAX_TRANSACTIONS || index.checked_shr(u32::try_from(depth).unwrap_or(0)) != Some(0)
    {
        return Err(SpvError::Index { index, depth });
    }
    let (mut hash, mut position, mut last) = (leaf, index, false);
    for (level, sibling) in branch.iter().enumerate() {
        let equal = *sibling == hash;
        let is_right = position & 1 == 1;
        // A left node is paired with itself only as the last of its level, and never alone on it; its
        // ancestors are then the last of theirs.
        let allowed = if is_right { !equal } else { equal == last || (equal && position > 0) };
        if !allowed || (position == 0 && last) {
            return Err(SpvError::Duplicate { level });
        }
        last |= equal;
        hash = if is_right { node(sibling, &hash) } else { node(&hash, sibling) };
        position >>= 1;
    }
    Ok(hash)
}

/// A transaction with everything that shows it to be in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxProof {
    /// The transaction without witness.
    pub raw: Bytes,
    /// Its position in the block.
    pub index: u64,
    /// Siblings from its id upwards.
    pub branch: Vec<B256>,
    /// The coinbase transaction without witness.
    pub coinbase: Bytes,
    /// Siblings of the coinbase.
    pub coinbase_branch: Vec<B256>,
}

/// All transactions of a block, for proving any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTxs {
    stripped: Vec<Bytes>,
    tree: TxTree,
}

impl BlockTxs {
    /// Takes the transactions of a block in their order, each with or without witness.
    ///
    /// # Errors
    /// [`SpvError`] where the transactions are not those of a block.
    pub fn new<T: AsRef<[u8]>>(raw_txs: &[T]) -> Result<Self, SpvError> {
        let (mut txids, mut stripped) = (Vec::new(), Vec::new());
        for raw in raw_txs {
            let (id, tx) = Tx::id_and_stripped(raw.as_ref()).map_err(SpvError::Transaction)?;
            txids.push(id);
            stripped.push(tx.into());
        }
        Ok(Self { stripped, tree: TxTree::new(txids)? })
    }

    /// The tree over the transaction ids.
    #[must_use]
    pub const fn tree(&self) -> &TxTree {
        &self.tree
    }

    /// The proof of transaction `index`.
    ///
    /// # Errors
    /// [`SpvError::Count`] where there is no such transaction.
    pub fn prove(&self, index: u64) -> Result<TxProof, SpvError> {
        let (branch, coinbase_branch) = (self.tree.branch(index)?, self.tree.branch(0)?);
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let (Some(raw), Some(coinbase)) = (self.stripped.get(at), self.stripped.first()) else {
            let count = u64::try_from(self.stripped.len()).unwrap_or(u64::MAX);
            return Err(SpvError::Count { index, count });
        };
        let (raw, coinbase) = (raw.clone(), coinbase.clone());
        Ok(TxProof { raw, index, branch, coinbase, coinbase_branch })
    }
}

/// Builds the proof of transaction `index` from all transactions of a block.
///
/// # Errors
/// As [`BlockTxs::new`] and [`BlockTxs::prove`].
pub fn prove<T: AsRef<[u8]>>(raw_txs: &[T], index: u64) -> Result<TxProof, SpvError> {
    BlockTxs::new(raw_txs)?.prove(index)
}

/// A transaction proof, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct TxProofRef<'a> {
    /// The transaction without witness.
    pub raw: &'a [u8],
    /// Its position in the block.
    pub index: u64,
    /// Siblings from its id upwards.
    pub branch: &'a [B256],
    /// The coinbase transaction without witness.
    pub coinbase: &'a [u8],
    /// Siblings of the coinbase.
    pub coinbase_branch: &'a [B256],
}

impl TxProof {
    /// The proof, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> TxProofRef<'_> {
        let Self { raw, index, branch, coinbase, coinbase_branch } = self;
        TxProofRef { raw, index: *index, branch, coinbase, coinbase_branch }
    }
}

/// Checks that the transaction is in the block of this height whose header has root `tx_root`, and returns
/// its id. `bip34_height` is the first height at which coinbase transactions state their height
/// ([`bip34_height`]).
///
/// # Errors
/// The first [`SpvError`] met. Depth and index are judged before anything is hashed.
pub fn verify(
    proof: TxProofRef<'_>,
    tx_root: B256,
    height: u64,
    bip34_height: u64,
) -> Result<B256, SpvError> {
    let (depth, coinbase_depth) = (proof.branch.len(), proof.coinbase_branch.len());
    if depth != coinbase_depth {
        return Err(SpvError::Depth { branch: depth, coinbase: coinbase_depth });
    }
    if depth > MAX_DEPTH {
        return Err(SpvError::TooDeep(depth));
    }
    let tx = Tx::from_stripped(proof.raw).map_err(SpvError::Transaction)?;
    let coinbase = Tx::from_stripped(proof.coinbase).map_err(SpvError::Coinbase)?;
    if !coinbase.is_coinbase() {
        return Err(SpvError::NotCoinbase(coinbase.id()));
    }
    if height >= bip34_height && !coinbase.states_height(height) {
        return Err(SpvError::Height(height));
    }
    let branches =
        [(tx.id(), proof.index, proof.branch), (coinbase.id(), 0, proof.coinbase_branch)];
    for (id, index, branch) in branches {
        let found = climb(id, index, branch)?;
        if found != tx_root {
            return Err(SpvError::Root { index, found, expected: tx_root });
        }
    }
    Ok(tx.id())
}

#[cfg(test)]
mod tests;
