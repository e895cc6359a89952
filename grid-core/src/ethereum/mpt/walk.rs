//! Walking from a root to the values of some keys.

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;

use super::{
    MAX_NODE_BYTES, MAX_NODES, MAX_TOTAL_BYTES, MptError,
    node::{self, HASH_BYTES, Path, Step},
};

/// Where a walk takes its nodes from.
pub(crate) trait Nodes<'a> {
    /// The next node, which must have this hash, and its number in the proof.
    fn take(&mut self, hash: B256, root: bool) -> Result<(usize, &'a [u8]), MptError>;
}

/// The nodes of a proof, each to be used once and in its place.
#[derive(Debug)]
pub(crate) struct NodeList<'a> {
    nodes: &'a [Bytes],
    used: usize,
}

impl<'a> NodeList<'a> {
    /// Sizes are judged here, before anything is hashed.
    pub(crate) fn new(nodes: &'a [Bytes]) -> Result<Self, MptError> {
        let too_long = |(_, node): &(usize, &Bytes)| node.len() > MAX_NODE_BYTES;
        if let Some((index, node)) = nodes.iter().enumerate().find(too_long) {
            return Err(MptError::NodeTooLong { index, length: node.len() });
        }
        let total = nodes.iter().map(|node| node.len()).sum();
        if total > MAX_TOTAL_BYTES {
            return Err(MptError::TooLong(total));
        }
        Ok(Self { nodes, used: 0 })
    }

    /// No node may be left.
    pub(crate) const fn finish(self) -> Result<(), MptError> {
        let (used, found) = (self.used, self.nodes.len());
        if used == found { Ok(()) } else { Err(MptError::Unused { used, found }) }
    }
}

impl<'a> Nodes<'a> for NodeList<'a> {
    fn take(&mut self, expected: B256, root: bool) -> Result<(usize, &'a [u8]), MptError> {
        let index = self.used;
        let Some(node) = self.nodes.get(index) else {
            return Err(match root {
                true => MptError::Root { found: EMPTY_ROOT_HASH, expected },
                false => MptError::Truncated(index),
            });
        };
        let found = keccak256(node);
        if found != expected {
            return Err(match root {
                true => MptError::Root { found, expected },
                false => MptError::Link { index },
            });
        }
        self.used = index.saturating_add(1);
        Ok((index, node))
    }
}

/// A listed node on the path of the key that is being walked.
#[derive(Clone, Copy)]
struct Visited<'a> {
    /// Nibbles of the key above the node.
    depth: usize,
    index: usize,
    node: &'a [u8],
}

/// The values under `keys`, which are sorted, in their order; `None` where there is none. What two keys have in
/// common of their paths is walked, and taken from `nodes`, once.
pub(crate) fn walk<'a>(
    root: B256,
    keys: &[&[u8]],
    nodes: &mut impl Nodes<'a>,
) -> Result<Vec<Option<&'a [u8]>>, MptError> {
    if let Some(key) = keys.iter().find(|key| key.len() > HASH_BYTES) {
        return Err(MptError::Key(key.len()));
    }
    if root == EMPTY_ROOT_HASH || keys.is_empty() {
        return Ok(vec![None; keys.len()]);
    }
    let (index, node) = nodes.take(root, true)?;
    let mut path = Vec::with_capacity(8);
    path.push(Visited { depth: 0, index, node });
    let mut previous: &[u8] = &[];
    let mut values = Vec::with_capacity(keys.len());
    for key in keys {
        // Nodes below the point where the two keys part are not on this one's path.
        let shared = shared_nibbles(previous, key);
        path.retain(|visited| visited.depth <= shared);
        values.push(descend(key, &mut path, nodes)?);
        previous = key;
    }
    Ok(values)
}

/// Goes on from the last node of `path`.
fn descend<'a>(
    key: &[u8],
    path: &mut Vec<Visited<'a>>,
    nodes: &mut impl Nodes<'a>,
) -> Result<Option<&'a [u8]>, MptError> {
    loop {
        let Some(Visited { depth, index, node }) = path.last().copied() else {
            return Err(MptError::Truncated(0));
        };
        let mut rest = Path::new(key, depth);
        let Some(step) = listed_step(node, &mut rest)
            .map_err(|error| MptError::Node { index, error: error.to_string() })?
        else {
            return Ok(None);
        };
        let hash = match step {
            Next::Value(value) => return Ok(Some(value)),
            Next::Node(hash) => hash,
        };
        if path.len() >= MAX_NODES {
            let found = path.len().saturating_add(1);
            return Err(MptError::TooManyNodes { found, allowed: MAX_NODES });
        }
        let (index, node) = nodes.take(hash, false)?;
        path.push(Visited { depth: rest.depth(), index, node });
    }
}

/// Where a listed node leads.
enum Next<'a> {
    Node(B256),
    Value(&'a [u8]),
}

/// Children that stand in their parent are part of the same listed node; each is shorter than its parent.
fn listed_step<'a>(
    mut node: &'a [u8],
    path: &mut Path<'_>,
) -> Result<Option<Next<'a>>, alloy_rlp::Error> {
    loop {
        match node::step(node, path)? {
            Step::Hash(child) => return Ok(Some(Next::Node(B256::from_slice(child)))),
            Step::Inner(child) => node = child,
            Step::Value(value) => return Ok(Some(Next::Value(value))),
            Step::End => return Ok(None),
        }
    }
}

/// Nibbles at the start of both keys.
fn shared_nibbles(left: &[u8], right: &[u8]) -> usize {
    let mut pairs = left.iter().zip(right);
    let bytes = pairs.by_ref().take_while(|(left, right)| left == right).count();
    let half = match (left.get(bytes), right.get(bytes)) {
        (Some(left), Some(right)) => usize::from(left >> 4 == right >> 4),
        _ => 0,
    };
    bytes.saturating_mul(2).saturating_add(half)
}
