//! The header tree: every known branch of one chain over a trusted base header.
//!
//! Invariants: every header but the base has its parent in the tree, one height below it and with
//! less weight; the tip is the header of most weight, and of several the one seen first; `best`
//! is the branch from the base to the tip. The tree knows nothing of proof of work or signatures:
//! whoever inserts a header has checked it.
//!
//! Ancestors are found through skip pointers, as in Bitcoin Core's `CBlockIndex::GetAncestor`.
//! [`HeaderTree::dirty_chunks`] and [`HeaderTree::from_chunks`] move the tree to and from a
//! key-value store, 64 heights a value.

mod chunk;
mod error;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{B256, U256, map::B256Map};

use crate::{CompatHeader, bitcoin::rules::BranchContext};

pub use chunk::{CHUNK_HEIGHTS, ChunkError, TreeKind, TreeMeta};
pub use error::TreeError;

/// The most headers that one tree holds, some 100 MiB. A chain whose confirmed headers are pruned
/// stays far below; the bound is there so that no chain can take all memory.
pub const MAX_HEADERS: usize = 1 << 18;

/// No node. Node numbers stay below [`MAX_HEADERS`].
const NONE: u32 = u32::MAX;

/// One tracked header, of any family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedHeader {
    /// The header in Grid's common form.
    pub header: CompatHeader,
    /// Cumulative weight. Bitcoin: chain work, genesis included; Ethereum: height.
    pub weight: U256,
    /// Grid time at which it was added, milliseconds since 1970.
    pub seen: u64,
    /// What the family's rules need beside the common form.
    pub raw: RawHeader,
}

/// What a family's rules need of a tracked header beside its [`CompatHeader`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RawHeader {
    /// Bitcoin: the header itself and what the next header's rules look up on its branch.
    Bitcoin {
        /// The 80 bytes that are hashed.
        bytes: [u8; 80],
        /// Times, bits and period start of the branch that ends in this header.
        context: BranchContext,
    },
    /// Ethereum: nothing; the parent hash links, signatures were checked at insertion.
    Ethereum,
}

/// What an insertion did to the best branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TipChange {
    /// The header was in the tree already.
    Known,
    /// The header was stored on a branch that is not the best.
    Side,
    /// The header is the new tip, a child of the old one.
    Extended,
    /// The header is the new tip, on another branch than the old one.
    Reorg(Reorg),
}

/// The way from one header to another: down to their last common ancestor, then up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reorg {
    /// Height and hash of the last common header.
    pub common: (u64, B256),
    /// Headers left behind, highest first.
    pub removed: Vec<B256>,
    /// Headers taken up, lowest first.
    pub added: Vec<B256>,
}

/// The few fields that walks touch, apart from the large headers so that they share cache lines.
#[derive(Debug, Clone, Copy)]
struct Link {
    height: u64,
    /// Order of insertion over the tree's life: of equal weights the lower is the tip.
    seq: u64,
    /// The latest header time from the base up to here; unlike the times themselves it never falls.
    max_time: u64,
    parent: u32,
    skip: u32,
}

/// All tracked branches over one base header. See the module's introduction.
#[derive(Debug, Clone)]
pub struct HeaderTree {
    base: TrackedHeader,
    /// Node `n > 0` is `rest[n - 1]`; node 0 is the base. Parents precede their children.
    rest: Vec<TrackedHeader>,
    links: Vec<Link>,
    index: B256Map<u32>,
    /// Best branch: entry `i` has height `base + i`.
    best: Vec<u32>,
    /// Nodes by chunk, in order of insertion.
    chunks: BTreeMap<u64, Vec<u32>>,
    dirty: BTreeSet<u64>,
    next_seq: u64,
    /// [`MAX_HEADERS`], less in a test.
    most: usize,
}

impl HeaderTree {
    /// A tree of one trusted header.
    #[must_use]
    pub fn new(base: TrackedHeader) -> Self {
        let mut tree = Self::with_base(base, 0, 0);
        tree.next_seq = 1;
        tree.dirty.extend(tree.chunks.keys());
        tree
    }

    fn with_base(base: TrackedHeader, seq: u64, capacity: usize) -> Self {
        let mut index = B256Map::default();
        index.reserve(capacity);
        index.insert(base.header.blockHash, 0);
        let mut links = Vec::with_capacity(capacity);
        let CompatHeader { height, time, .. } = base.header;
        links.push(Link { height, seq, max_time: time, parent: NONE, skip: 0 });
        let chunks = BTreeMap::from([(chunk_of(height), vec![0])]);
        let rest = Vec::with_capacity(capacity);
        let dirty = BTreeSet::new();
        Self {
            base,
            rest,
            links,
            index,
            best: vec![0],
            chunks,
            dirty,
            next_seq: 0,
            most: MAX_HEADERS,
        }
    }

    /// The lowest header, trusted.
    #[must_use]
    pub const fn base(&self) -> &TrackedHeader {
        &self.base
    }

    /// The header of most weight; of several, the one seen first.
    #[must_use]
    pub fn tip(&self) -> &TrackedHeader {
        self.node(self.tip_node())
    }

    /// A header by hash, on any branch.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<&TrackedHeader> {
        self.index.get(hash).map(|node| self.node(*node))
    }

    /// How many headers the tree holds, over all branches. Never zero.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always a base")]
    pub const fn len(&self) -> usize {
        self.links.len()
    }

    /// The header at a height of the best branch.
    #[must_use]
    pub fn best_at(&self, height: u64) -> Option<&TrackedHeader> {
        self.best_node(height).map(|node| self.node(node))
    }

    /// Whether a header is on the best branch.
    #[must_use]
    pub fn is_best(&self, hash: &B256) -> bool {
        self.index
            .get(hash)
            .is_some_and(|node| self.best_node(self.link(*node).height) == Some(*node))
    }

    /// The ancestor at `height` on the branch that ends in `hash`; the header itself at its own
    /// height. `None` if the header is unknown, or the height above it or below the base.
    #[must_use]
    pub fn ancestor(&self, hash: &B256, height: u64) -> Option<&TrackedHeader> {
        let node = *self.index.get(hash)?;
        self.ancestor_node(node, height).map(|ancestor| self.node(ancestor))
    }

    /// The latest time of the headers from the base up to `height` of the best branch, seconds.
    pub(crate) fn max_time_at(&self, height: u64) -> Option<u64> {
        self.best_node(height).map(|node| self.link(node).max_time)
    }

    /// Adds a header whose validity its caller has checked.
    ///
    /// # Errors
    /// [`TreeError`] if the parent is unknown, height, weight or chain do not fit it, or the tree
    /// is full. The tree is unchanged then.
    pub fn insert(&mut self, header: TrackedHeader) -> Result<TipChange, TreeError> {
        if self.index.contains_key(&header.header.blockHash) {
            return Ok(TipChange::Known);
        }
        let tip = self.tip_node();
        let heavier = header.weight > self.node(tip).weight;
        let seq = self.next_seq;
        let node = self.push(header, seq)?;
        self.next_seq = seq.saturating_add(1);
        let link = self.link(node);
        self.dirty.insert(chunk_of(link.height));
        if !heavier {
            return Ok(TipChange::Side);
        }
        if link.parent == tip {
            self.best.push(node);
            return Ok(TipChange::Extended);
        }
        Ok(TipChange::Reorg(self.switch_to(node)))
    }

    /// The way from one header to another, or `None` if one of them is unknown.
    #[must_use]
    pub fn path(&self, from: &B256, to: &B256) -> Option<Reorg> {
        let (mut low, mut high) = (*self.index.get(from)?, *self.index.get(to)?);
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        while low != high {
            let (from, to) = (self.link(low), self.link(high));
            if from.height >= to.height {
                removed.push(self.hash(low));
                low = from.parent;
            }
            if to.height >= from.height {
                added.push(self.hash(high));
                high = to.parent;
            }
        }
        added.reverse();
        Some(Reorg { common: (self.link(low).height, self.hash(low)), removed, added })
    }

    /// Makes the best branch's header at `new_base_height` the base and drops everything that does
    /// not descend from it. Nothing happens at or below the base, or above the tip.
    ///
    /// Costs time in the number of headers kept; callers prune by whole chunks, not by header.
    pub fn prune(&mut self, new_base_height: u64) {
        let Some(new_base) = self.best_node(new_base_height).filter(|node| *node != 0) else {
            return;
        };
        self.dirty.extend(self.chunks.keys().take_while(|n| **n <= chunk_of(new_base_height)));
        let old_best = core::mem::take(&mut self.best);
        let old_links = core::mem::take(&mut self.links);
        let old_rest = core::mem::take(&mut self.rest);
        let base = self.base.clone();
        let mut kept = Vec::<u32>::with_capacity(old_links.len());
        let mut next: Option<Self> = None;
        for (node, (link, header)) in
            (0u32..).zip(old_links.iter().zip(core::iter::once(base).chain(old_rest)))
        {
            let place = match &mut next {
                None if node == new_base => {
                    next = Some(Self::with_base(header, link.seq, old_links.len()));
                    0
                }
                Some(tree) => match kept.get(link.parent as usize).copied() {
                    Some(parent) if parent != NONE => tree.push_checked(header, link.seq, parent),
                    _ => NONE,
                },
                None => NONE,
            };
            if place == NONE && link.height >= new_base_height {
                self.dirty.insert(chunk_of(link.height));
            }
            kept.push(place);
        }
        if let Some(mut tree) = next {
            tree.best = old_best
                .iter()
                .filter_map(|node| kept.get(*node as usize).copied())
                .filter(|node| *node != NONE)
                .collect();
            tree.dirty = core::mem::take(&mut self.dirty);
            tree.next_seq = self.next_seq;
            tree.most = self.most;
            *self = tree;
        }
    }

    /// Appends a header after checking that it fits its parent; the best branch is not touched.
    fn push(&mut self, header: TrackedHeader, seq: u64) -> Result<u32, TreeError> {
        let CompatHeader { chain, height, blockHash: hash, parentHash: parent, .. } = header.header;
        let below = *self.index.get(&parent).ok_or(TreeError::UnknownParent { hash, parent })?;
        if chain != self.base.header.chain || !same_family(&header.raw, &self.base.raw) {
            return Err(TreeError::Chain { hash });
        }
        let expected = self.link(below).height.saturating_add(1);
        if height != expected {
            return Err(TreeError::Height { hash, height, expected });
        }
        let parent_weight = self.node(below).weight;
        if header.weight <= parent_weight {
            return Err(TreeError::Weight { hash, weight: header.weight, parent: parent_weight });
        }
        if self.links.len() >= self.most {
            return Err(TreeError::Full);
        }
        Ok(self.push_checked(header, seq, below))
    }

    /// Appends a header known to fit `parent`.
    fn push_checked(&mut self, header: TrackedHeader, seq: u64, parent: u32) -> u32 {
        let CompatHeader { height, blockHash, time, .. } = header.header;
        let node = u32::try_from(self.links.len()).unwrap_or(NONE);
        let above_base = height.saturating_sub(self.base.header.height);
        let skip_height = self.base.header.height.saturating_add(skip_height(above_base));
        let skip = self.ancestor_node(parent, skip_height).unwrap_or(0);
        let max_time = self.link(parent).max_time.max(time);
        self.links.push(Link { height, seq, max_time, parent, skip });
        self.index.insert(blockHash, node);
        self.chunks.entry(chunk_of(height)).or_default().push(node);
        self.rest.push(header);
        node
    }

    /// Makes `node` the tip. It is on another branch than the old tip.
    fn switch_to(&mut self, node: u32) -> Reorg {
        let mut added = Vec::new();
        let mut fork = node;
        while fork != NONE && self.best_node(self.link(fork).height) != Some(fork) {
            added.push(fork);
            fork = self.link(fork).parent;
        }
        let keep = usize::try_from(self.above_base(self.link(fork).height))
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        let removed = self.best.iter().skip(keep).rev().map(|node| self.hash(*node)).collect();
        self.best.truncate(keep);
        self.best.extend(added.iter().rev());
        Reorg {
            common: (self.link(fork).height, self.hash(fork)),
            removed,
            added: added.iter().rev().map(|node| self.hash(*node)).collect(),
        }
    }

    /// Recomputes tip and best branch from weights and order of insertion.
    fn rebuild_best(&mut self) {
        let mut tip = 0u32;
        for node in 1..u32::try_from(self.links.len()).unwrap_or(NONE) {
            let (weight, best) = (self.node(node).weight, self.node(tip).weight);
            if weight > best || (weight == best && self.link(node).seq < self.link(tip).seq) {
                tip = node;
            }
        }
        self.best.clear();
        while tip != NONE {
            self.best.push(tip);
            tip = self.link(tip).parent;
        }
        self.best.reverse();
    }

    fn ancestor_node(&self, mut node: u32, height: u64) -> Option<u32> {
        let mut at = self.link(node);
        if height > at.height || height < self.base.header.height {
            return None;
        }
        let target = self.above_base(height);
        while at.height > height {
            if self.best_node(at.height) == Some(node) {
                return self.best_node(height);
            }
            let above = self.above_base(at.height);
            let skip = skip_height(above);
            let parent_skip = skip_height(above.saturating_sub(1));
            // Take the skip unless the parent's skip lands clearly nearer without passing `height`.
            let parent_is_better = parent_skip < skip.saturating_sub(2) && parent_skip >= target;
            node = if skip == target || (skip > target && !parent_is_better) {
                at.skip
            } else {
                at.parent
            };
            at = self.link(node);
        }
        Some(node)
    }

    fn best_node(&self, height: u64) -> Option<u32> {
        let above = height.checked_sub(self.base.header.height)?;
        self.best.get(usize::try_from(above).ok()?).copied()
    }

    fn tip_node(&self) -> u32 {
        self.best.last().copied().unwrap_or(0)
    }

    fn node(&self, node: u32) -> &TrackedHeader {
        (node as usize).checked_sub(1).and_then(|at| self.rest.get(at)).unwrap_or(&self.base)
    }

    /// The link of a node that exists; the base's for one that does not, so that no walk can run
    /// on: the base has no parent.
    fn link(&self, node: u32) -> Link {
        let base = self.base.header.height;
        self.links.get(node as usize).copied().unwrap_or(Link {
            height: base,
            seq: 0,
            max_time: 0,
            parent: NONE,
            skip: 0,
        })
    }

    fn hash(&self, node: u32) -> B256 {
        self.node(node).header.blockHash
    }

    const fn above_base(&self, height: u64) -> u64 {
        height.saturating_sub(self.base.header.height)
    }
}

const fn same_family(one: &RawHeader, other: &RawHeader) -> bool {
    matches!(
        (one, other),
        (RawHeader::Bitcoin { .. }, RawHeader::Bitcoin { .. })
            | (RawHeader::Ethereum, RawHeader::Ethereum)
    )
}

/// The chunk of a height.
const fn chunk_of(height: u64) -> u64 {
    height / CHUNK_HEIGHTS
}

/// Which height a node at `height` skips to: Bitcoin Core's choice, which gives logarithmic walks.
const fn skip_height(height: u64) -> u64 {
    const fn clear_lowest_bit(number: u64) -> u64 {
        number & number.wrapping_sub(1)
    }
    if height < 2 {
        0
    } else if height & 1 == 1 {
        clear_lowest_bit(clear_lowest_bit(height.wrapping_sub(1))).saturating_add(1)
    } else {
        clear_lowest_bit(height)
    }
}
