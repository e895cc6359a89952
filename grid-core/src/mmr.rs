//! Merkle mountain ranges: the accumulator of a chain's confirmed headers.
//!
//! `count` leaves form one perfect binary tree ("mountain") for every bit of `count`, largest first.
//! The roots of the mountains are the *peaks*; the root of the range bags them from the right:
//! `node(p0, node(p1, … node(p(n-2), p(n-1))))`. The root of the empty range is zero. Leaves are already hashed
//! ([`hash::leaf`]), nodes are [`hash::node`].
//!
//! Consensus needs [`Mmr`] only: the count and at most 64 peaks. A prover keeps all nodes at their
//! *positions*, the order in which appending creates them. Positions never change, so cutting a range back
//! after a reorganisation is forgetting the positions from [`size`] of the smaller count upwards.
//!
//! The root does not commit to the count. Whoever verifies a proof must know the count from the
//! same commitment as the root: a [`ChainEntry`](crate::index::ChainEntry) holds both. In Solidity:
//!
//! ```text
//! function root(bytes32 leaf, uint64 index, uint64 count, bytes32[] siblings, bytes32[] peaks) returns (bytes32 h) {
//!     require(index < count);
//!     // the mountain that holds the leaf, and its place among the mountains
//!     uint bit = 63; uint64 first = 0; uint place = 0;
//!     while (true) {
//!         if ((count >> bit) & 1 == 1) { if (index - first < 1 << bit) break; first += 1 << bit; place++; }
//!         bit--;
//!     }
//!     require(siblings.length == bit && peaks.length + 1 == popcount(count));
//!     h = leaf; index -= first;
//!     for (uint i = 0; i < bit; i++)
//!         h = (index >> i) & 1 == 1 ? node(siblings[i], h) : node(h, siblings[i]);
//!     // peaks[0..place] lie to the left of this mountain, the others to the right
//!     if (place < peaks.length) {
//!         bytes32 right = peaks[peaks.length - 1];
//!         for (uint i = peaks.length - 1; i > place; i--) right = node(peaks[i - 1], right);
//!         h = node(h, right);
//!     }
//!     for (uint i = place; i > 0; i--) h = node(peaks[i - 1], h);
//! }
//! ```

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::hash;

/// The most leaves of a range: positions stay below 2^63.
pub const MAX_COUNT: u64 = 1 << 62;

/// Why a range or a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MmrError {
    /// The index is not that of a leaf.
    #[error("accumulator proof is for leaf {index} of a range with {count} leaves")]
    Index {
        /// Stated index.
        index: u64,
        /// Stated number of leaves.
        count: u64,
    },
    /// Too few or too many siblings.
    #[error(
        "accumulator proof of leaf {index} of {count} needs {expected} siblings, found {found}"
    )]
    Siblings {
        /// Stated index.
        index: u64,
        /// Stated number of leaves.
        count: u64,
        /// Siblings that index and count call for.
        expected: usize,
        /// Siblings in the proof.
        found: usize,
    },
    /// Too few or too many peaks.
    #[error("a range of {count} leaves needs {expected} peaks here, found {found}")]
    Peaks {
        /// Stated number of leaves.
        count: u64,
        /// Peaks that the count calls for.
        expected: usize,
        /// Peaks found.
        found: usize,
    },
    /// More leaves than a range can have.
    #[error("a range holds at most 2^62 leaves, not {0}")]
    TooLarge(u64),
    /// Stored bytes are not a range.
    #[error("{0} bytes are not an encoded range (8 bytes of count, 32 per peak)")]
    Encoding(usize),
    /// The prover's store lacks a node.
    #[error("node {position} of the range is missing from the store")]
    MissingNode {
        /// Its position.
        position: u64,
    },
}

/// A range in its consensus form: what is needed to append and to state the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mmr {
    count: u64,
    peaks: Vec<B256>,
}

/// Number of peaks of a range.
fn peak_count(count: u64) -> usize {
    usize::try_from(count.count_ones()).unwrap_or(usize::MAX)
}

impl Mmr {
    /// The empty range.
    #[must_use]
    pub const fn new() -> Self {
        Self { count: 0, peaks: Vec::new() }
    }

    /// A range from its peaks, largest mountain first.
    ///
    /// # Errors
    /// Unless there is exactly one peak for every bit of `count` and `count` is at most [`MAX_COUNT`].
    pub fn from_peaks(count: u64, peaks: Vec<B256>) -> Result<Self, MmrError> {
        if count > MAX_COUNT {
            return Err(MmrError::TooLarge(count));
        }
        let expected = peak_count(count);
        if peaks.len() != expected {
            return Err(MmrError::Peaks { count, expected, found: peaks.len() });
        }
        Ok(Self { count, peaks })
    }

    /// Number of leaves.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The peaks, largest mountain first.
    #[must_use]
    pub fn peaks(&self) -> &[B256] {
        &self.peaks
    }

    /// Appends a hashed leaf. A full range ([`MAX_COUNT`], beyond any chain) stays as it is.
    pub fn append(&mut self, leaf: B256) {
        drop(append_with_nodes(self, leaf));
    }

    /// The peaks bagged from the right; zero for the empty range.
    #[must_use]
    pub fn root(&self) -> B256 {
        bag(&self.peaks).unwrap_or_default()
    }

    /// The stored form: count (8 bytes, big endian), then the peaks.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.count.to_be_bytes().to_vec();
        bytes.extend(self.peaks.iter().flatten());
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`MmrError`] where the length does not fit the count.
    pub fn decode(bytes: &[u8]) -> Result<Self, MmrError> {
        let malformed = || MmrError::Encoding(bytes.len());
        let (count, rest) = bytes.split_first_chunk::<8>().ok_or_else(malformed)?;
        let (peaks, []) = rest.as_chunks::<32>() else { return Err(malformed()) };
        Self::from_peaks(u64::from_be_bytes(*count), peaks.iter().map(B256::from).collect())
    }
}

/// Bags peaks from the right.
fn bag(peaks: &[B256]) -> Option<B256> {
    peaks.iter().rev().copied().reduce(|right, left| hash::node(&left, &right))
}

/// A branch from a leaf to its peak, and the other peaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MmrProof {
    /// Position among the leaves, from 0.
    pub leaf_index: u64,
    /// Number of leaves of the range.
    pub count: u64,
    /// Siblings from the leaf up to its peak.
    pub siblings: Vec<B256>,
    /// All peaks but the leaf's own, largest mountain first.
    pub peaks: Vec<B256>,
}

/// The mountain that holds a leaf.
struct Mountain {
    /// Its height: it has `2^height` leaves.
    height: u32,
    /// Index of its first leaf.
    first: u64,
    /// Its place among the mountains, from the left.
    place: usize,
}

/// Heights of the mountains of a range, largest first.
fn heights(count: u64) -> impl Iterator<Item = u32> {
    (0..u64::BITS).rev().filter(move |bit| (count >> bit) & 1 == 1)
}

fn mountain(index: u64, count: u64) -> Result<Mountain, MmrError> {
    if index >= count {
        return Err(MmrError::Index { index, count });
    }
    let mut first = 0u64;
    for (place, height) in heights(count).enumerate() {
        let next = first.saturating_add(1 << height);
        if index < next {
            return Ok(Mountain { height, first, place });
        }
        first = next;
    }
    Err(MmrError::Index { index, count })
}

impl MmrProof {
    /// The root that this proof leads to from `leaf`. The caller compares it with a root it trusts and
    /// [`count`](Self::count) with the count committed beside that root.
    ///
    /// # Errors
    /// [`MmrError`] unless the index is below the count and the numbers of siblings and peaks are exact.
    /// Nothing is hashed before that is known.
    pub fn root(&self, leaf: B256) -> Result<B256, MmrError> {
        let Self { leaf_index: index, count, ref siblings, ref peaks } = *self;
        let Mountain { height, first, place } = mountain(index, count)?;
        let expected = usize::try_from(height).unwrap_or(usize::MAX);
        if siblings.len() != expected {
            return Err(MmrError::Siblings { index, count, expected, found: siblings.len() });
        }
        let expected = peak_count(count).saturating_sub(1);
        let (Some((left, right)), true) = (peaks.split_at_checked(place), peaks.len() == expected)
        else {
            return Err(MmrError::Peaks { count, expected, found: peaks.len() });
        };
        let mut path = index.saturating_sub(first);
        let mut node = leaf;
        for sibling in siblings {
            let is_right = path & 1 == 1;
            node = if is_right { hash::node(sibling, &node) } else { hash::node(&node, sibling) };
            path >>= 1;
        }
        if let Some(right) = bag(right) {
            node = hash::node(&node, &right);
        }
        Ok(left.iter().rev().fold(node, |node, peak| hash::node(peak, &node)))
    }
}

/// Where a prover keeps the nodes of a range.
pub trait NodeStore {
    /// The node at a position, if the store has it.
    fn node(&self, position: u64) -> Option<B256>;
}

impl NodeStore for [B256] {
    fn node(&self, position: u64) -> Option<B256> {
        usize::try_from(position).ok().and_then(|at| self.get(at)).copied()
    }
}

impl NodeStore for Vec<B256> {
    fn node(&self, position: u64) -> Option<B256> {
        self.as_slice().node(position)
    }
}

impl NodeStore for std::collections::BTreeMap<u64, B256> {
    fn node(&self, position: u64) -> Option<B256> {
        self.get(&position).copied()
    }
}

/// Number of nodes, and so the first free position, of a range with `count` leaves. To cut a range back
/// to `count` leaves is to forget all positions from here.
#[must_use]
pub const fn size(count: u64) -> u64 {
    count.saturating_mul(2).saturating_sub(count.count_ones() as u64)
}

/// Appends a hashed leaf and returns the new nodes with their positions, ascending and contiguous: the
/// leaf and the parents that it completes. Empty where the range is full ([`MAX_COUNT`]).
pub fn append_with_nodes(range: &mut Mmr, leaf: B256) -> Vec<(u64, B256)> {
    if range.count >= MAX_COUNT {
        return Vec::new();
    }
    let mut position = size(range.count);
    let mut nodes = vec![(position, leaf)];
    let mut node = leaf;
    // Every trailing one-bit of the count is a mountain that the new leaf completes to a larger one.
    for _ in 0..range.count.trailing_ones() {
        let Some(left) = range.peaks.pop() else { break };
        node = hash::node(&left, &node);
        position = position.saturating_add(1);
        nodes.push((position, node));
    }
    range.peaks.push(node);
    range.count = range.count.saturating_add(1);
    nodes
}

fn fetch<S: NodeStore + ?Sized>(store: &S, position: u64) -> Result<B256, MmrError> {
    store.node(position).ok_or(MmrError::MissingNode { position })
}

/// Number of nodes of a mountain.
const fn mountain_size(height: u32) -> u64 {
    (2u64 << height).saturating_sub(1)
}

/// The peaks of the range's first `count` leaves, from the prover's store: positions are append-only,
/// so every earlier range is still there.
///
/// # Errors
/// [`MmrError::MissingNode`], or [`MmrError::TooLarge`].
pub fn peaks_at<S: NodeStore + ?Sized>(store: &S, count: u64) -> Result<Vec<B256>, MmrError> {
    if count > MAX_COUNT {
        return Err(MmrError::TooLarge(count));
    }
    let mut end = 0u64;
    heights(count)
        .map(|height| {
            end = end.saturating_add(mountain_size(height));
            fetch(store, end.saturating_sub(1))
        })
        .collect()
}

/// The range as it was with `count` leaves: the cut-back after a reorganisation.
///
/// # Errors
/// As [`peaks_at`].
pub fn cut_back<S: NodeStore + ?Sized>(store: &S, count: u64) -> Result<Mmr, MmrError> {
    Mmr::from_peaks(count, peaks_at(store, count)?)
}

/// Proves leaf `index` in the range of the first `count` leaves.
///
/// # Errors
/// [`MmrError::Index`], [`MmrError::TooLarge`] or [`MmrError::MissingNode`].
pub fn prove<S: NodeStore + ?Sized>(
    store: &S,
    count: u64,
    index: u64,
) -> Result<MmrProof, MmrError> {
    let Mountain { height, first, place } = mountain(index, count)?;
    let mut peaks = peaks_at(store, count)?;
    if place < peaks.len() {
        let _own = peaks.remove(place);
    }
    // From the peak down to the leaf. In every subtree the left child's nodes come first, then the
    // right child's, then the subtree's own root.
    let mut base = size(first);
    let local = index.saturating_sub(first);
    let mut siblings = Vec::new();
    for below in (0..height).rev() {
        let child = mountain_size(below);
        let left_root = base.saturating_add(child).saturating_sub(1);
        let right_root = left_root.saturating_add(child);
        let goes_right = (local >> below) & 1 == 1;
        siblings.push(fetch(store, if goes_right { left_root } else { right_root })?);
        if goes_right {
            base = base.saturating_add(child);
        }
    }
    siblings.reverse();
    Ok(MmrProof { leaf_index: index, count, siblings, peaks })
}

#[cfg(test)]
mod tests;
