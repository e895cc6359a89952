//! The header tree: every known branch of one chain over a trusted base header.
//!
//! Invariants: every header but the base has its parent in the tree, one height below it and with
//! less weight; the tip is the header of most weight, and of several the one seen first; `best`
//! is the branch from the base to the tip. The tree knows nothing of proof of work or signatures:
//! whoever inserts a header has checked it.
//!
//! A header takes about 150 bytes, all included. Ancestors are found through skip pointers, as in
//! Bitcoin Core's `CBlockIndex::GetAncestor`. [`HeaderTree::dirty_chunks`] and
//! [`HeaderTree::from_chunks`] move the tree to and from a key-value store, 64 heights a value.

mod chunk;
mod error;
mod grow;
mod load;
mod nodes;
mod prune;
#[cfg(test)]
mod tests;
mod types;
mod view;

use core::hash::BuildHasher as _;
use std::collections::BTreeSet;

use alloy_primitives::{B256, U256};
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::{
    ChainKey,
    bitcoin::{
        Header,
        rules::{BranchContext, MEDIAN_TIME_SPAN, PeriodStart},
    },
};
use grow::{bitcoin_body, ethereum_body};
use nodes::{Bodies, Body, NONE, Node, Segments};

pub use chunk::{CHUNK_HEIGHTS, ChunkError, TreeKind, TreeMeta};
pub use error::TreeError;
pub use types::{RawHeader, Reorg, TipChange, TrackedHeader};
pub use view::{HeaderRef, SideHeader};

/// The most headers that one tree holds, some 40 MB. A chain whose confirmed headers are pruned
/// stays far below; the bound is there so that no chain can take all memory.
pub const MAX_HEADERS: usize = 1 << 18;

/// All tracked branches over one base header. See the module's introduction.
#[derive(Debug, Clone)]
pub struct HeaderTree {
    chain: ChainKey,
    base_height: u64,
    base_weight: U256,
    base_seq: u64,
    base_parent: B256,
    /// Node 0 is the base. Parents precede their children.
    nodes: Segments<Node>,
    bodies: Bodies,
    /// Nodes by hash, which lies in the node only.
    index: HashTable<u32>,
    /// Its key is random, because on a network of little work anybody can choose hashes.
    hasher: RandomState,
    /// Best branch: entry `i` has height `base + i`.
    best: Segments<u32>,
    /// The greatest height of any branch, above the base.
    top: u32,
    next_seq: u64,
    /// Nodes from here on are not stored yet.
    clean: usize,
    /// Stored chunks that lost nodes since.
    pruned: BTreeSet<u64>,
    /// [`MAX_HEADERS`], less in a test.
    most: usize,
}

impl HeaderTree {
    /// A tree of one trusted header.
    #[must_use]
    pub fn new(base: TrackedHeader) -> Self {
        let mut tree = Self::with_base(base, 0, 0);
        tree.next_seq = 1;
        tree.clean = 0;
        tree
    }

    fn with_base(base: TrackedHeader, seq: u64, capacity: usize) -> Self {
        let TrackedHeader { header, weight, seen, raw } = base;
        let (bodies, body) = match raw {
            RawHeader::Bitcoin { bytes, context } => {
                let body = bitcoin_body(&Header::parse(&bytes), context.last_real_bits(), NONE);
                (Bodies::Bitcoin { base: context, all: Segments::new() }, Body::Bitcoin(body))
            }
            RawHeader::Ethereum => {
                (Bodies::Ethereum(Segments::new()), Body::Ethereum(ethereum_body(&header)))
            }
        };
        let mut tree = Self {
            chain: ChainKey(header.chain),
            base_height: header.height,
            base_weight: weight,
            base_seq: seq,
            base_parent: header.parentHash,
            nodes: Segments::new(),
            bodies,
            index: HashTable::with_capacity(capacity),
            hasher: RandomState::default(),
            best: Segments::new(),
            top: 0,
            next_seq: 0,
            clean: 1,
            pruned: BTreeSet::new(),
            most: MAX_HEADERS,
        };
        tree.place(0, Node::base(header.blockHash, seen), body);
        tree.best.push(0);
        tree
    }

    /// The chain's key.
    #[must_use]
    pub const fn chain(&self) -> ChainKey {
        self.chain
    }

    /// The lowest header, trusted.
    #[must_use]
    pub fn base(&self) -> HeaderRef<'_> {
        HeaderRef::new(self, 0)
    }

    /// The header of most weight; of several, the one seen first.
    #[must_use]
    pub fn tip(&self) -> HeaderRef<'_> {
        HeaderRef::new(self, self.tip_node())
    }

    /// A header by hash, on any branch.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<HeaderRef<'_>> {
        self.find(hash).map(|node| HeaderRef::new(self, node))
    }

    /// How many headers the tree holds, over all branches. Never zero.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always a base")]
    pub const fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The header at a height of the best branch.
    #[must_use]
    pub fn best_at(&self, height: u64) -> Option<HeaderRef<'_>> {
        self.best_node(self.above(height)?).map(|node| HeaderRef::new(self, node))
    }

    /// Whether a header is on the best branch.
    #[must_use]
    pub fn is_best(&self, hash: &B256) -> bool {
        self.find(hash).is_some_and(|node| self.best_node(self.node(node).above) == Some(node))
    }

    /// The ancestor at `height` on the branch that ends in `hash`; the header itself at its own
    /// height. `None` if the header is unknown, or the height above it or below the base.
    #[must_use]
    pub fn ancestor(&self, hash: &B256, height: u64) -> Option<HeaderRef<'_>> {
        let node = self.find(hash)?;
        let above = self.above(height).filter(|above| *above <= self.node(node).above)?;
        Some(HeaderRef::new(self, self.ancestor_node(node, above)))
    }

    /// The latest time of the headers from the base up to `height` of the best branch, seconds.
    pub(crate) fn max_time_at(&self, height: u64) -> Option<u64> {
        self.best_node(self.above(height)?).map(|node| self.bodies.max_time(node))
    }

    /// The way from one header to another, or `None` if one of them is unknown.
    #[must_use]
    pub fn path(&self, from: &B256, to: &B256) -> Option<Reorg> {
        let (mut low, mut high) = (self.find(from)?, self.find(to)?);
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        while low != high {
            let (from, to) = (self.node(low), self.node(high));
            if from.above >= to.above {
                removed.push(from.hash);
                low = from.parent;
            }
            if to.above >= from.above {
                added.push(to.hash);
                high = to.parent;
            }
        }
        added.reverse();
        let common = self.node(low);
        Some(Reorg { common: (self.height_of(common), common.hash), removed, added })
    }

    /// What the rules look up on the branch that ends in a node; see [`HeaderRef::context`].
    fn context(&self, node: u32) -> Option<BranchContext> {
        let Bodies::Bitcoin { base, all } = &self.bodies else { return None };
        let own = all.get(node)?;
        let period_start = match all.get(own.period) {
            Some(first) => PeriodStart { time: first.time, bits: first.bits },
            None => base.period_start(),
        };
        let mut newest_first = Vec::with_capacity(MEDIAN_TIME_SPAN);
        let mut at = self.node(node).parent;
        while newest_first.len() < MEDIAN_TIME_SPAN && at != NONE && at != 0 {
            newest_first.push(all.get(at)?.time);
            at = self.node(at).parent;
        }
        if at == NONE {
            return Some(*base);
        }
        if at == 0 {
            newest_first.extend(base.times().iter().rev());
        }
        newest_first.truncate(MEDIAN_TIME_SPAN);
        newest_first.reverse();
        Some(BranchContext::start(&newest_first, own.time, own.last_real_bits, period_start))
    }

    /// The ancestor of a node at a height above the base that is not above the node's.
    fn ancestor_node(&self, mut node: u32, target: u32) -> u32 {
        let mut at = self.node(node);
        while at.above > target {
            if self.best_node(at.above) == Some(node) {
                return self.best_node(target).unwrap_or(0);
            }
            let skip = skip_height(at.above);
            let parent_skip = skip_height(at.above.saturating_sub(1));
            // Take the skip unless the parent's skip lands clearly nearer without passing `target`.
            let parent_is_better = parent_skip < skip.saturating_sub(2) && parent_skip >= target;
            node = if skip == target || (skip > target && !parent_is_better) {
                at.skip
            } else {
                at.parent
            };
            at = self.node(node);
        }
        node
    }

    /// The node of a hash.
    fn find(&self, hash: &B256) -> Option<u32> {
        let same = |node: &u32| self.nodes.get(*node).is_some_and(|node| node.hash == *hash);
        self.index.find(index_key(&self.hasher, hash), same).copied()
    }

    fn best_node(&self, above: u32) -> Option<u32> {
        self.best.get(above).copied()
    }

    fn tip_node(&self) -> u32 {
        self.best.last().copied().unwrap_or(0)
    }

    fn node(&self, node: u32) -> &Node {
        self.nodes.get(node).unwrap_or(&Node::NOWHERE)
    }

    const fn height_of(&self, node: &Node) -> u64 {
        self.base_height.saturating_add(node.above as u64)
    }

    const fn seq_of(&self, node: &Node) -> u64 {
        self.base_seq.saturating_add(node.seq as u64)
    }

    fn weight_of(&self, node: &Node) -> U256 {
        self.base_weight.saturating_add(U256::from(node.weight))
    }

    fn above(&self, height: u64) -> Option<u32> {
        u32::try_from(height.checked_sub(self.base_height)?).ok()
    }
}

/// Where the index has a block hash. The end that proof of work leaves to chance is enough.
fn index_key(hasher: &RandomState, hash: &B256) -> u64 {
    hasher.hash_one(hash.0.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)))
}

/// The chunk of a height.
const fn chunk_of(height: u64) -> u64 {
    height / CHUNK_HEIGHTS
}

/// Which height above the base a node skips to: Bitcoin Core's choice, which gives logarithmic
/// walks.
const fn skip_height(above: u32) -> u32 {
    const fn clear_lowest_bit(number: u32) -> u32 {
        number & number.wrapping_sub(1)
    }
    if above < 2 {
        0
    } else if above & 1 == 1 {
        clear_lowest_bit(clear_lowest_bit(above.wrapping_sub(1))).saturating_add(1)
    } else {
        clear_lowest_bit(above)
    }
}
