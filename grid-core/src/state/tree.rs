//! The authenticated tree behind `stateRoot`: a jellyfish Merkle tree (crate `jmt`) with keccak256.
//!
//! A value sits at `keccak256(key)`; a leaf is `keccak256("JMT::LeafNode" ‖ keccak256(key) ‖
//! keccak256(value))`, an inner node `keccak256("JMT::IntrnalNode" ‖ left ‖ right)`, an empty subtree the
//! constant `SPARSE_MERKLE_PLACEHOLDER_HASH__`. A subtree with a single leaf is that leaf, so the root
//! depends on the content alone, not on its history. The tree's version is the block height.

use std::fmt;

use alloy_primitives::{B256, Keccak256, keccak256};
use jmt::{
    JellyfishMerkleTree, KeyHash, OwnedValue, RootHash, SimpleHasher, Version,
    proof::SparseMerkleProof,
    storage::{LeafNode, Node, NodeKey, TreeReader, TreeUpdateBatch},
};
use thiserror::Error;

use super::{ChainState, StateDiff, StateRead, StateTreeRead, StorageError};

/// The most bytes of an encoded state proof: 256 levels of 65 bytes, a leaf and length fields.
pub const MAX_PROOF_BYTES: usize = 256 * 65 + 128;

/// keccak256 for `jmt`.
#[derive(Clone, Default)]
pub struct Keccak(Keccak256);

impl fmt::Debug for Keccak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keccak")
    }
}

impl SimpleHasher for Keccak {
    fn new() -> Self {
        Self(Keccak256::new())
    }

    fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn finalize(self) -> [u8; 32] {
        self.0.finalize().0
    }
}

/// What a block changes in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TreeBatch {
    /// New nodes: opaque key → opaque node. Keys start with the version, big-endian.
    pub nodes: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys of nodes that only earlier versions need. A chain that proves values of its newest
    /// state only removes them at once.
    pub stale: Vec<Vec<u8>>,
}

/// Why a state proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateProofError {
    /// More bytes than any proof can have.
    #[error("a state proof has at most {MAX_PROOF_BYTES} bytes, found {0}")]
    TooLarge(usize),
    /// Not a proof's encoding.
    #[error("state proof does not decode: {0}")]
    Encoding(String),
    /// The proof does not lead from the claimed value to the root.
    #[error("state proof does not verify: {0}")]
    Mismatch(String),
}

struct Reader<'a> {
    nodes: &'a dyn StateTreeRead,
    value: Option<OwnedValue>,
}

impl TreeReader for Reader<'_> {
    fn get_node_option(&self, node_key: &NodeKey) -> anyhow::Result<Option<Node>> {
        let key = node_key_bytes(node_key)?;
        match self.nodes.tree_node(&key)? {
            Some(bytes) => Ok(Some(borsh::from_slice(&bytes)?)),
            None => Ok(None),
        }
    }

    fn get_value_option(&self, _: Version, _: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(self.value.clone())
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}

/// Version big-endian, then the path: new nodes are neighbours in an ordered store.
fn node_key_bytes(key: &NodeKey) -> Result<Vec<u8>, std::io::Error> {
    let mut bytes = Vec::with_capacity(24);
    bytes.extend_from_slice(&key.version().to_be_bytes());
    borsh::to_writer(&mut bytes, key.nibble_path())?;
    Ok(bytes)
}

fn storage(error: impl fmt::Display) -> StorageError {
    StorageError::new(format!("state tree: {error:#}"))
}

fn key_hash(key: &[u8]) -> KeyHash {
    KeyHash(keccak256(key).0)
}

/// Applies a diff on top of version `version - 1` (on nothing where `version` is 0) and returns the new
/// root with what to store.
///
/// # Errors
/// [`StorageError`] where a node cannot be read.
pub fn update(
    reader: &dyn StateTreeRead,
    diff: &StateDiff,
    version: u64,
) -> Result<(B256, TreeBatch), StorageError> {
    let reader = Reader { nodes: reader, value: None };
    let tree = JellyfishMerkleTree::<'_, _, Keccak>::new(&reader);
    // The batch form shares the hashing of common paths but cannot remove; the other form hashes
    // every key's path. Both give the same root.
    let (root, batch) = if diff.is_empty() || diff.values().any(Option::is_none) {
        let set = diff.iter().map(|(key, value)| (key_hash(key), value.clone()));
        tree.put_value_set(set, version).map_err(storage)?
    } else {
        let set = diff
            .iter()
            .filter_map(|(key, value)| Some((key_hash(key), value.clone()?)))
            .collect::<Vec<_>>();
        let (roots, batch) =
            tree.batch_put_value_sets(vec![set], None, version).map_err(storage)?;
        let root = roots.first().copied().ok_or_else(|| storage("no root"))?;
        (root, batch)
    };
    Ok((B256::new(root.0), encode_batch(&batch)?))
}

fn encode_batch(batch: &TreeUpdateBatch) -> Result<TreeBatch, StorageError> {
    let mut encoded = TreeBatch::default();
    for (key, node) in batch.node_batch.nodes() {
        let node = borsh::to_vec(node).map_err(storage)?;
        encoded.nodes.push((node_key_bytes(key).map_err(storage)?, node));
    }
    for index in &batch.stale_node_index_batch {
        encoded.stale.push(node_key_bytes(&index.node_key).map_err(storage)?);
    }
    Ok(encoded)
}

/// Proves a key's value, or its absence, against the root of the committed state.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn prove(
    state: &dyn ChainState,
    key: &[u8],
) -> Result<(Option<Vec<u8>>, Vec<u8>), StorageError> {
    let value = StateRead::read(state, key)?;
    let reader = Reader { nodes: state, value };
    let tree = JellyfishMerkleTree::<'_, _, Keccak>::new(&reader);
    let (value, proof) = tree.get_with_proof(key_hash(key), state.version()).map_err(storage)?;
    Ok((value, borsh::to_vec(&proof).map_err(storage)?))
}

/// Checks that under `root` the key has this value (`None`: no value).
///
/// # Errors
/// [`StateProofError`] where the proof is malformed or says something else.
pub fn verify(
    root: B256,
    key: &[u8],
    value: Option<&[u8]>,
    proof: &[u8],
) -> Result<(), StateProofError> {
    if proof.len() > MAX_PROOF_BYTES {
        return Err(StateProofError::TooLarge(proof.len()));
    }
    let proof: SparseMerkleProof<Keccak> =
        borsh::from_slice(proof).map_err(|error| StateProofError::Encoding(error.to_string()))?;
    proof
        .verify(RootHash(root.0), key_hash(key), value)
        .map_err(|error| StateProofError::Mismatch(error.to_string()))
}
