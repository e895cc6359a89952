//! Merkle Patricia proofs: transactions, receipts, accounts, storage slots, and the absence of the latter two.
//!
//! A proof is the list of nodes from the root to the leaf, or to the node where the key's path ends. Each
//! node but the first is the one that its parent names by hash; nodes that a parent holds in itself
//! (shorter than 32 bytes) are not listed; an empty trie has no nodes. So there is one proof per key and
//! root, and none of its bytes is unchecked. A proof of several keys lists the nodes in the order in which
//! a walk over the sorted keys first comes to them ([`walk`](self::walk)): it is one list per set of keys, too.
//!
//! `alloy-trie` builds tries. Verifying is ours: its `verify_proof` asserts that paths stay within 64
//! nibbles, which a forged root can break, follows nodes beyond a diverging extension, knows no branch
//! with a value, and must be told the value. The tests compare both.
//!
//! Source: Ethereum Yellow Paper, appendix D; EIP-1186, EIP-2718, EIP-658.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::TrieAccount;
use thiserror::Error;

use super::receipt::{Receipt, ReceiptError};
use crate::proof::{AccountState, Outcome, ProvenLog};

/// The most nodes of one proof. A path has at most 64 nibbles.
pub const MAX_NODES: usize = 64;
/// The most bytes of one node.
pub const MAX_NODE_BYTES: usize = 64 << 10;
/// The most bytes of all nodes of one proof.
pub const MAX_TOTAL_BYTES: usize = 4 << 20;

mod build;
mod node;
mod walk;

pub(crate) use build::Recorder;
pub use build::{
    NodePool, OrderedTrie, normalize, ordered_nodes, ordered_trie_root, prove_hashed, prove_ordered,
};
use node::HASH_BYTES;
pub(crate) use walk::{NodeList, Nodes, walk};

/// Why a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MptError {
    /// Too many nodes.
    #[error("such a trie proof has at most {allowed} nodes, found {found}")]
    TooManyNodes {
        /// Nodes of the proof.
        found: usize,
        /// The most that are allowed.
        allowed: usize,
    },
    /// A node is too long.
    #[error(
        "node {index} of the trie proof has {length} bytes, at most {MAX_NODE_BYTES} are allowed"
    )]
    NodeTooLong {
        /// Which node.
        index: usize,
        /// Its length.
        length: usize,
    },
    /// All nodes together are too long.
    #[error("a trie proof has at most {MAX_TOTAL_BYTES} bytes, found {0}")]
    TooLong(usize),
    /// A key longer than 32 bytes.
    #[error("a trie key has at most 32 bytes, found {0}")]
    Key(usize),
    /// The first node is not the root's.
    #[error("the trie proof starts at {found}, the header's root is {expected}")]
    Root {
        /// keccak256 of the first node, or the empty root.
        found: B256,
        /// The wanted root.
        expected: B256,
    },
    /// A node is not the one that its parent names.
    #[error("node {index} of the trie proof is not the one that its parent names")]
    Link {
        /// Which node.
        index: usize,
    },
    /// A node cannot be decoded.
    #[error("node {index} of the trie proof is malformed: {error}")]
    Node {
        /// Which node.
        index: usize,
        /// Why.
        error: String,
    },
    /// The path goes on, the nodes end.
    #[error(
        "the trie proof ends after {0} nodes, but its path goes on: it shows neither presence nor absence"
    )]
    Truncated(usize),
    /// The path ends, the nodes go on.
    #[error("the trie proof has {found} nodes, its path ends after {used}")]
    Unused {
        /// Nodes on the path.
        used: usize,
        /// Nodes in the proof.
        found: usize,
    },
    /// Nothing is stored under the key.
    #[error("the trie holds nothing at {0}")]
    Absent(&'static str),
    /// The value is not what such a trie holds.
    #[error("the trie's value is not {what}: {error}")]
    Value {
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        error: String,
    },
    /// The receipt does not say what is asked.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// There is no value with that index.
    #[error("there is no item {index} among {count}")]
    NoItem {
        /// Wanted item.
        index: u64,
        /// Number of items.
        count: usize,
    },
}

/// The value under `key` in the trie with `root`, or `None` where the proof shows that there is none. `key` is
/// the trie's own key: RLP of an index, or a keccak256.
///
/// # Errors
/// [`MptError`] unless the nodes are exactly those of the path. Sizes are judged before anything is hashed.
pub fn lookup<'a>(
    root: B256,
    key: &[u8],
    nodes: &'a [Bytes],
) -> Result<Option<&'a [u8]>, MptError> {
    if nodes.len() > MAX_NODES {
        return Err(MptError::TooManyNodes { found: nodes.len(), allowed: MAX_NODES });
    }
    let mut list = NodeList::new(nodes)?;
    let value = walk(root, &[key], &mut list)?.pop().flatten();
    list.finish()?;
    Ok(value)
}

/// A transaction's EIP-2718 bytes under a transactions root; their keccak256 is its hash. Types are not
/// looked at, so a type of tomorrow is proven as well.
///
/// # Errors
/// [`MptError`].
pub fn verify_transaction(root: B256, index: u64, nodes: &[Bytes]) -> Result<&[u8], MptError> {
    let key = alloy_rlp::encode_fixed_size(&index);
    lookup(root, &key, nodes)?.ok_or(MptError::Absent("this transaction index"))
}

/// What a receipt under a receipts root says: the outcome, and the log at a position in the receipt.
///
/// # Errors
/// [`MptError`].
pub fn verify_receipt(
    root: B256,
    index: u64,
    nodes: &[Bytes],
    log: Option<u64>,
) -> Result<(Outcome, Option<ProvenLog>), MptError> {
    let key = alloy_rlp::encode_fixed_size(&index);
    let value = lookup(root, &key, nodes)?.ok_or(MptError::Absent("this receipt index"))?;
    let receipt = Receipt::read(value)?;
    let log = log.map(|index| receipt.log(index)).transpose()?;
    Ok((receipt.outcome, log))
}

/// An account under a state root; `None` where the proof shows that there is none.
///
/// # Errors
/// [`MptError`].
pub fn verify_account(
    root: B256,
    address: Address,
    nodes: &[Bytes],
) -> Result<Option<AccountState>, MptError> {
    lookup(root, keccak256(address).as_slice(), nodes)?.map(read_account).transpose()
}

/// Reads an account as the state trie stores it.
pub(crate) fn read_account(value: &[u8]) -> Result<AccountState, MptError> {
    let account = alloy_rlp::decode_exact::<TrieAccount>(value)
        .map_err(|error| MptError::Value { what: "an account", error: error.to_string() })?;
    let TrieAccount { nonce, balance, storage_root, code_hash } = account;
    Ok(AccountState { nonce, balance, storage_root, code_hash })
}

/// A slot under an account's storage root; an absent slot is zero.
///
/// # Errors
/// [`MptError`].
pub fn verify_storage(root: B256, slot: B256, nodes: &[Bytes]) -> Result<U256, MptError> {
    let value = lookup(root, keccak256(slot).as_slice(), nodes)?;
    Ok(value.map(read_slot).transpose()?.unwrap_or_default())
}

/// Reads a slot as a storage trie stores it. Zeros are not stored: a slot that is zero is absent.
pub(crate) fn read_slot(value: &[u8]) -> Result<U256, MptError> {
    let what = "a storage value";
    let value = alloy_rlp::decode_exact::<U256>(value)
        .map_err(|error| MptError::Value { what, error: error.to_string() })?;
    if value.is_zero() {
        return Err(MptError::Value { what, error: "a stored zero".to_owned() });
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
