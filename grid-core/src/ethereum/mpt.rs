//! Merkle Patricia proofs: transactions, receipts, accounts, storage slots, and the absence of the latter two.
//!
//! A proof is the list of nodes from the root to the leaf, or to the node where the key's path ends. Each
//! node but the first is the one that its parent names by hash; nodes that a parent holds in itself
//! (shorter than 32 bytes) are not listed; an empty trie has no nodes. So there is one proof per key and
//! root, and none of its bytes is unchecked.
//!
//! `alloy-trie` builds tries. Verifying is ours: its `verify_proof` asserts that paths stay within 64
//! nibbles, which a forged root can break, follows nodes beyond a diverging extension, knows no branch
//! with a value, and must be told the value. The tests compare both.
//!
//! Source: Ethereum Yellow Paper, appendix D; EIP-1186, EIP-2718, EIP-658.

use alloy_consensus::{Eip658Value, Receipt, ReceiptWithBloom};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable;
use alloy_trie::{
    EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieAccount,
    proof::{ProofNodes, ProofRetainer},
    root::adjust_index_for_rlp,
};
use thiserror::Error;

use crate::proof::{AccountState, Outcome, ProvenLog};

/// The most nodes of one proof. A path has at most 64 nibbles.
pub const MAX_NODES: usize = 64;
/// The most bytes of one node.
pub const MAX_NODE_BYTES: usize = 64 << 10;
/// The most bytes of all nodes of one proof.
pub const MAX_TOTAL_BYTES: usize = 4 << 20;

mod node;

use node::{HASH_BYTES, Path, Step};

/// Why a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MptError {
    /// Too many nodes.
    #[error("a trie proof has at most {MAX_NODES} nodes, found {0}")]
    TooManyNodes(usize),
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
    /// The receipt has no such log.
    #[error("the receipt has {count} logs, there is no log {index}")]
    NoLog {
        /// Wanted log.
        index: u64,
        /// Logs of the receipt.
        count: usize,
    },
    /// A log was wanted of a receipt that cannot be read.
    #[error("logs of a receipt of the unknown transaction type {0:#04x} cannot be proven")]
    UnknownType(u8),
    /// There is no value with that index.
    #[error("there is no item {index} among {count}")]
    NoItem {
        /// Wanted item.
        index: u64,
        /// Number of items.
        count: usize,
    },
}

fn check_size(nodes: &[Bytes]) -> Result<(), MptError> {
    if nodes.len() > MAX_NODES {
        return Err(MptError::TooManyNodes(nodes.len()));
    }
    if let Some((index, node)) = nodes.iter().enumerate().find(|(_, n)| n.len() > MAX_NODE_BYTES) {
        return Err(MptError::NodeTooLong { index, length: node.len() });
    }
    let total = nodes.iter().map(|node| node.len()).sum();
    if total > MAX_TOTAL_BYTES { Err(MptError::TooLong(total)) } else { Ok(()) }
}

/// The value under `key` in the trie with `root`, or `None` where the proof shows that there is none. `key` is
/// the trie's own key: RLP of an index, or a keccak256.
///
/// # Errors
/// [`MptError`] unless the nodes are exactly those of the path. Sizes are judged before anything is hashed.
pub fn lookup(root: B256, key: &[u8], nodes: &[Bytes]) -> Result<Option<Vec<u8>>, MptError> {
    check_size(nodes)?;
    if key.len() > HASH_BYTES {
        return Err(MptError::Key(key.len()));
    }
    if nodes.is_empty() {
        return if root == EMPTY_ROOT_HASH {
            Ok(None)
        } else {
            Err(MptError::Root { found: EMPTY_ROOT_HASH, expected: root })
        };
    }
    let mut path = Path::new(key);
    let mut expected = root;
    for (index, bytes) in nodes.iter().enumerate() {
        let hash = keccak256(bytes);
        if hash != expected {
            return Err(match index {
                0 => MptError::Root { found: hash, expected: root },
                _ => MptError::Link { index },
            });
        }
        // Children that stand in their parent are part of the same listed node; each is shorter
        // than its parent.
        let mut node: &[u8] = bytes;
        let end = loop {
            match node::step(node, &mut path)
                .map_err(|error| MptError::Node { index, error: error.to_string() })?
            {
                Step::Hash(child) => {
                    expected = B256::from_slice(child);
                    break None;
                }
                Step::Inner(child) => node = child,
                Step::Value(value) => break Some(Some(value.to_vec())),
                Step::End => break Some(None),
            }
        };
        if let Some(value) = end {
            let used = index.saturating_add(1);
            if used < nodes.len() {
                return Err(MptError::Unused { used, found: nodes.len() });
            }
            return Ok(value);
        }
    }
    Err(MptError::Truncated(nodes.len()))
}

/// A transaction's EIP-2718 bytes under a transactions root; their keccak256 is its hash. Types are not
/// looked at, so a type of tomorrow is proven as well.
///
/// # Errors
/// [`MptError`].
pub fn verify_transaction(root: B256, index: u64, nodes: &[Bytes]) -> Result<Vec<u8>, MptError> {
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
    read_receipt(&value, log)
}

/// Reads EIP-2718 receipt bytes of types 0 to 4; others have an unknown outcome.
fn read_receipt(value: &[u8], log: Option<u64>) -> Result<(Outcome, Option<ProvenLog>), MptError> {
    let invalid =
        |error: alloy_rlp::Error| MptError::Value { what: "a receipt", error: error.to_string() };
    let mut payload = match value.split_first() {
        None => return Err(invalid(alloy_rlp::Error::InputTooShort)),
        Some((1..=4, payload)) => payload,
        Some((0xc0.., _)) => value,
        Some((&tx_type, _)) if log.is_none() => return Ok((Outcome::Unknown { tx_type }, None)),
        Some((&tx_type, _)) => return Err(MptError::UnknownType(tx_type)),
    };
    let receipt = ReceiptWithBloom::<Receipt>::decode(&mut payload).map_err(invalid)?.receipt;
    if !payload.is_empty() {
        return Err(invalid(alloy_rlp::Error::UnexpectedLength));
    }
    let outcome = match receipt.status {
        Eip658Value::Eip658(true) => Outcome::Success {},
        Eip658Value::Eip658(false) => Outcome::Failure {},
        Eip658Value::PostState(root) => Outcome::PostState { root },
    };
    let Some(index) = log else { return Ok((outcome, None)) };
    let count = receipt.logs.len();
    let found = usize::try_from(index).ok().and_then(|at| receipt.logs.into_iter().nth(at));
    let log = found.ok_or(MptError::NoLog { index, count })?;
    let (topics, data) = log.data.split();
    Ok((outcome, Some(ProvenLog { index, address: log.address, topics, data })))
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
    let Some(value) = lookup(root, keccak256(address).as_slice(), nodes)? else { return Ok(None) };
    let account = alloy_rlp::decode_exact::<TrieAccount>(&value)
        .map_err(|error| MptError::Value { what: "an account", error: error.to_string() })?;
    Ok(Some(AccountState {
        nonce: account.nonce,
        balance: account.balance,
        storage_root: account.storage_root,
        code_hash: account.code_hash,
    }))
}

/// A slot under an account's storage root; an absent slot is zero.
///
/// # Errors
/// [`MptError`].
pub fn verify_storage(root: B256, slot: B256, nodes: &[Bytes]) -> Result<U256, MptError> {
    let Some(value) = lookup(root, keccak256(slot).as_slice(), nodes)? else {
        return Ok(U256::ZERO);
    };
    let what = "a storage value";
    let value = alloy_rlp::decode_exact::<U256>(&value)
        .map_err(|error| MptError::Value { what, error: error.to_string() })?;
    if value.is_zero() {
        return Err(MptError::Value { what, error: "a stored zero".to_owned() });
    }
    Ok(value)
}

/// Brings what nodes serve into the one accepted form: without nodes that stand in their parents, and
/// without the `0x80` that some servers give for an empty trie.
#[must_use]
pub fn normalize(mut nodes: Vec<Bytes>) -> Vec<Bytes> {
    if nodes.first().is_some_and(|root| root.as_ref() == [alloy_rlp::EMPTY_STRING_CODE]) {
        return Vec::new();
    }
    let mut first = true;
    nodes.retain(|node| core::mem::take(&mut first) || node.len() >= HASH_BYTES);
    nodes
}

/// The root of a trie over a list: key RLP(index), value as given (EIP-2718 bytes).
#[must_use]
pub fn ordered_trie_root<T: AsRef<[u8]>>(values: &[T]) -> B256 {
    alloy_trie::root::ordered_trie_root_encoded(values)
}

/// A trie over a list, for proving any of its items.
#[derive(Debug)]
pub struct OrderedTrie {
    root: B256,
    count: usize,
    nodes: ProofNodes,
}

impl OrderedTrie {
    /// Builds the trie over all values, keeping all nodes.
    #[must_use]
    pub fn new<T: AsRef<[u8]>>(values: &[T]) -> Self {
        let keys = (0..values.len()).map(|at| list_key(&at)).collect();
        Self::keeping(values, keys)
    }

    /// Builds the trie, keeping the nodes on the paths to some keys.
    fn keeping<T: AsRef<[u8]>>(values: &[T], keys: Vec<Nibbles>) -> Self {
        let count = values.len();
        // In the order of the keys, which RLP does not keep.
        let leaves = (0..count).filter_map(|position| {
            let at = adjust_index_for_rlp(position, count);
            Some((list_key(&at), values.get(at)?.as_ref()))
        });
        let (root, nodes) = build(leaves, keys);
        Self { root, count, nodes }
    }

    /// The root.
    #[must_use]
    pub const fn root(&self) -> B256 {
        self.root
    }

    /// The proof of item `index`.
    ///
    /// # Errors
    /// [`MptError::NoItem`].
    pub fn prove(&self, index: u64) -> Result<Vec<Bytes>, MptError> {
        let count = self.count;
        if usize::try_from(index).map_or(true, |at| at >= count) {
            return Err(MptError::NoItem { index, count });
        }
        Ok(path_nodes(&self.nodes, &list_key(&index)))
    }
}

/// The proof of item `index` of the trie over a list.
///
/// # Errors
/// [`MptError::NoItem`].
pub fn prove_ordered<T: AsRef<[u8]>>(values: &[T], index: u64) -> Result<Vec<Bytes>, MptError> {
    OrderedTrie::keeping(values, vec![list_key(&index)]).prove(index)
}

/// RLP of an index.
fn list_key<T: alloy_rlp::Encodable>(index: &T) -> Nibbles {
    Nibbles::unpack(alloy_rlp::encode(index))
}

/// Root and proof of `key`, present or not, in a trie over hashed keys: a state or storage trie.
#[must_use]
pub fn prove_hashed(
    entries: &std::collections::BTreeMap<B256, Vec<u8>>,
    key: &B256,
) -> (B256, Vec<Bytes>) {
    let leaves = entries.iter().map(|(key, value)| (Nibbles::unpack(key), value.as_slice()));
    let key = Nibbles::unpack(key);
    let (root, nodes) = build(leaves, vec![key]);
    (root, path_nodes(&nodes, &key))
}

fn build<'a>(
    leaves: impl Iterator<Item = (Nibbles, &'a [u8])>,
    keys: Vec<Nibbles>,
) -> (B256, ProofNodes) {
    let mut builder = HashBuilder::default().with_proof_retainer(ProofRetainer::new(keys));
    for (key, value) in leaves {
        builder.add_leaf(key, value);
    }
    let root = builder.root();
    (root, builder.take_proof_nodes())
}

/// The nodes on the path of a key, from the root.
fn path_nodes(nodes: &ProofNodes, key: &Nibbles) -> Vec<Bytes> {
    normalize(nodes.matching_nodes_sorted(key).into_iter().map(|(_, node)| node).collect())
}

#[cfg(test)]
mod tests;
