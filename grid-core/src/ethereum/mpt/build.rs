//! Building: tries over lists, and the node list of a proof from whatever order its nodes came in.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::{
    HashBuilder, Nibbles,
    proof::{ProofNodes, ProofRetainer},
    root::adjust_index_for_rlp,
};

use super::{HASH_BYTES, MptError, Nodes};

/// Nodes by their hashes: of the paths to some keys, however they were served.
#[derive(Debug, Clone, Default)]
pub struct NodePool(BTreeMap<B256, Bytes>);

impl Extend<Bytes> for NodePool {
    fn extend<T: IntoIterator<Item = Bytes>>(&mut self, nodes: T) {
        self.0.extend(nodes.into_iter().map(|node| (keccak256(&node), node)));
    }
}

/// Hands out the nodes of a pool, and notes them in the order in which a proof lists them.
#[derive(Debug)]
pub(crate) struct Recorder<'a> {
    pool: &'a NodePool,
    listed: Vec<Bytes>,
}

impl<'a> Recorder<'a> {
    pub(crate) const fn new(pool: &'a NodePool) -> Self {
        Self { pool, listed: Vec::new() }
    }

    /// The list.
    pub(crate) fn into_nodes(self) -> Vec<Bytes> {
        self.listed
    }
}

impl<'a> Nodes<'a> for Recorder<'a> {
    fn take(&mut self, hash: B256, _root: bool) -> Result<(usize, &'a [u8]), MptError> {
        let index = self.listed.len();
        let node = self.pool.0.get(&hash).ok_or(MptError::Truncated(index))?;
        self.listed.push(node.clone());
        Ok((index, node))
    }
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

/// Root of the trie over a list, and the nodes on the paths to some indices, whether there are such items or not.
#[must_use]
pub fn ordered_nodes<T: AsRef<[u8]>>(values: &[T], indices: &[u64]) -> (B256, Vec<Bytes>) {
    let trie = OrderedTrie::keeping(values, indices.iter().map(list_key).collect());
    (trie.root, trie.nodes.into_inner().into_values().collect())
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
