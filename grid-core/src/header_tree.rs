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
mod nodes;
#[cfg(test)]
mod tests;
mod types;
mod view;

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
};

use alloy_primitives::{B256, U128, U256};
use hashbrown::HashTable;

use crate::{
    ChainKey, CompatHeader,
    bitcoin::{
        Header,
        rules::{BranchContext, MEDIAN_TIME_SPAN, PeriodStart},
    },
};
use nodes::{BitcoinBody, Bodies, Body, EthereumBody, NONE, Node, Segments};

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
    best: Vec<u32>,
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

/// What a new node has beside its place and its body.
#[derive(Clone, Copy)]
struct Arrival {
    hash: B256,
    weight: U256,
    seen: u64,
    seq: u64,
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
            hasher: RandomState::new(),
            best: Vec::with_capacity(capacity),
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

    /// Adds a header whose validity its caller has checked.
    ///
    /// # Errors
    /// [`TreeError`] if the parent is unknown, height, weight or chain do not fit it, or the tree
    /// is full. The tree is unchanged then.
    pub fn insert(&mut self, header: TrackedHeader) -> Result<TipChange, TreeError> {
        let TrackedHeader { header, weight, seen, raw } = header;
        let CompatHeader { chain, height, blockHash: hash, parentHash: parent, .. } = header;
        if self.find(&hash).is_some() {
            return Ok(TipChange::Known);
        }
        let below = self.parent(&hash, &parent)?;
        if chain != self.chain.0 {
            return Err(TreeError::Chain { hash });
        }
        let expected = self.height_of(self.node(below)).saturating_add(1);
        if height != expected {
            return Err(TreeError::Height { hash, height, expected });
        }
        let body = match (raw, &self.bodies) {
            (RawHeader::Bitcoin { bytes, context }, Bodies::Bitcoin { .. }) => {
                self.bitcoin_child(below, &Header::parse(&bytes), &context)
            }
            (RawHeader::Ethereum, Bodies::Ethereum(_)) => Body::Ethereum(ethereum_body(&header)),
            _ => return Err(TreeError::Chain { hash }),
        };
        self.extend(below, Arrival { hash, weight, seen, seq: self.next_seq }, body)
    }

    /// As [`Self::insert`], for a Bitcoin header of that much work. `context` is the branch's that
    /// ends in the header.
    pub(crate) fn insert_bitcoin(
        &mut self,
        hash: B256,
        header: &Header,
        work: &U256,
        seen: u64,
        context: &BranchContext,
    ) -> Result<TipChange, TreeError> {
        if self.find(&hash).is_some() {
            return Ok(TipChange::Known);
        }
        let below = self.parent(&hash, &header.prev)?;
        if !matches!(self.bodies, Bodies::Bitcoin { .. }) {
            return Err(TreeError::Chain { hash });
        }
        let weight = self.weight_of(self.node(below)).saturating_add(*work);
        let body = self.bitcoin_child(below, header, context);
        self.extend(below, Arrival { hash, weight, seen, seq: self.next_seq }, body)
    }

    /// Appends a header to a branch and follows the heaviest.
    fn extend(
        &mut self,
        parent: u32,
        arrival: Arrival,
        body: Body,
    ) -> Result<TipChange, TreeError> {
        let tip = self.tip_node();
        let node = self.push(parent, arrival, body)?;
        self.next_seq = arrival.seq.saturating_add(1);
        if self.node(node).weight <= self.node(tip).weight {
            return Ok(TipChange::Side);
        }
        if parent == tip {
            self.best.push(node);
            return Ok(TipChange::Extended);
        }
        Ok(TipChange::Reorg(self.switch_to(node)))
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

    /// Makes the best branch's header at `new_base_height` the base and drops everything that does
    /// not descend from it. Nothing happens at or below the base, or above the tip.
    ///
    /// Costs time in the number of headers kept; callers prune by whole chunks, not by header.
    pub fn prune(&mut self, new_base_height: u64) {
        let above = self.above(new_base_height);
        let Some(new_base) = above.and_then(|above| self.best_node(above)).filter(|n| *n != 0)
        else {
            return;
        };
        let Some(mut tree) = self.rooted_at(new_base) else { return };
        let mut pruned = self.dirty();
        pruned.extend(chunk_of(self.base_height)..=chunk_of(new_base_height));
        let mut kept = vec![NONE; self.len()];
        for (number, node) in (0u32..).zip(self.nodes.iter()) {
            let place = if number == new_base {
                0
            } else {
                let parent = kept.get(node.parent as usize).copied().unwrap_or(NONE);
                self.copy_into(&mut tree, number, parent, &kept)
            };
            if let Some(slot) = kept.get_mut(number as usize) {
                *slot = place;
            }
            let height = self.height_of(node);
            if place == NONE && height >= new_base_height {
                pruned.insert(chunk_of(height));
            }
        }
        tree.best = self
            .best
            .iter()
            .filter_map(|node| kept.get(*node as usize).copied())
            .filter(|node| *node != NONE)
            .collect();
        tree.next_seq = self.next_seq;
        tree.clean = tree.len();
        tree.pruned = pruned;
        tree.most = self.most;
        *self = tree;
    }

    /// A tree of one of this tree's nodes alone.
    fn rooted_at(&self, node: u32) -> Option<Self> {
        let header = HeaderRef::new(self, node);
        let raw = match self.bodies {
            Bodies::Bitcoin { .. } => {
                RawHeader::Bitcoin { bytes: header.bytes()?, context: header.context()? }
            }
            Bodies::Ethereum(_) => RawHeader::Ethereum,
        };
        let base = TrackedHeader {
            header: header.compat(),
            weight: header.weight(),
            seen: header.seen(),
            raw,
        };
        Some(Self::with_base(base, self.seq_of(self.node(node)), self.len()))
    }

    /// Copies a node of this tree on top of `parent` in another; [`NONE`] where there is no parent.
    /// `kept` has the new numbers of the nodes before it.
    fn copy_into(&self, tree: &mut Self, number: u32, parent: u32, kept: &[u32]) -> u32 {
        let Some(mut body) = self.bodies.get(number).filter(|_| parent != NONE) else {
            return NONE;
        };
        if let Body::Bitcoin(body) = &mut body {
            body.period = if body.period == number {
                tree.next_node()
            } else {
                kept.get(body.period as usize).copied().unwrap_or(NONE)
            };
        }
        let node = self.node(number);
        let Node { hash, seen, .. } = *node;
        let (weight, seq) = (self.weight_of(node), self.seq_of(node));
        tree.push(parent, Arrival { hash, weight, seen, seq }, body).unwrap_or(NONE)
    }

    /// Appends a header after checking that it fits its parent; the best branch is not touched.
    fn push(&mut self, parent: u32, arrival: Arrival, body: Body) -> Result<u32, TreeError> {
        let Arrival { hash, weight, seen, seq } = arrival;
        if self.len() >= self.most {
            return Err(TreeError::Full);
        }
        let below = self.node(parent);
        let parent_weight = self.weight_of(below);
        if weight <= parent_weight {
            return Err(TreeError::Weight { hash, weight, parent: parent_weight });
        }
        let relative = u128::try_from(weight.saturating_sub(self.base_weight));
        let weight = relative.map_err(|_| TreeError::TooHeavy { hash, weight })?;
        // At most MAX_HEADERS are inserted between two prunings, and a base stays one for a few
        // thousand of them at most: the difference of two order numbers is far below 2^32.
        let seq = u32::try_from(seq.saturating_sub(self.base_seq)).map_err(|_| TreeError::Full)?;
        let above = below.above.saturating_add(1);
        let skip = self.ancestor_node(parent, skip_height(above));
        let node = Node { hash, weight: U128::from(weight), seen, above, seq, parent, skip };
        let number = self.next_node();
        self.place(number, node, body);
        Ok(number)
    }

    /// Stores a node and its body under the next number.
    fn place(&mut self, number: u32, node: Node, body: Body) {
        self.bodies.push(body, node.parent);
        self.nodes.push(node);
        self.top = self.top.max(node.above);
        let Self { index, nodes, hasher, .. } = self;
        let key = |hash: &B256| hasher.hash_one(hash_key(hash));
        let rehash = |node: &u32| nodes.get(*node).map_or(0, |node| key(&node.hash));
        index.insert_unique(key(&node.hash), number, rehash);
    }

    fn next_node(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(NONE)
    }

    /// The body of a Bitcoin header on top of `parent`. `context` is the branch's with the header.
    fn bitcoin_child(&self, parent: u32, header: &Header, context: &BranchContext) -> Body {
        let own = PeriodStart { time: header.time, bits: header.bits };
        let starts_period = context.period_start() == own;
        Body::Bitcoin(self.bitcoin_body(parent, header, context.last_real_bits(), starts_period))
    }

    fn bitcoin_body(
        &self,
        parent: u32,
        header: &Header,
        last_real_bits: u32,
        starts_period: bool,
    ) -> BitcoinBody {
        let period = if starts_period {
            self.next_node()
        } else {
            self.bodies.bitcoin(parent).map_or(NONE, |parent| parent.period)
        };
        bitcoin_body(header, last_real_bits, period)
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

    /// Makes `node` the tip. It is on another branch than the old tip.
    fn switch_to(&mut self, node: u32) -> Reorg {
        let mut added = Vec::new();
        let mut fork = node;
        while fork != NONE && self.best_node(self.node(fork).above) != Some(fork) {
            added.push(fork);
            fork = self.node(fork).parent;
        }
        let (above, hash) = (self.node(fork).above, self.node(fork).hash);
        let common = (self.base_height.saturating_add(above.into()), hash);
        let keep = (above as usize).saturating_add(1);
        let hash = |node: &u32| self.node(*node).hash;
        let removed = self.best.iter().skip(keep).rev().map(hash).collect();
        let hashes = added.iter().rev().map(hash).collect();
        self.best.truncate(keep);
        self.best.extend(added.iter().rev());
        Reorg { common, removed, added: hashes }
    }

    /// Recomputes tip and best branch from weights and order of insertion.
    fn rebuild_best(&mut self) {
        let mut tip = 0u32;
        for (number, node) in (0u32..).zip(self.nodes.iter()) {
            let best = self.node(tip);
            if node.weight > best.weight || (node.weight == best.weight && node.seq < best.seq) {
                tip = number;
            }
        }
        self.best.clear();
        while tip != NONE {
            self.best.push(tip);
            tip = self.node(tip).parent;
        }
        self.best.reverse();
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
        self.index.find(self.hasher.hash_one(hash_key(hash)), same).copied()
    }

    /// The node of a new header's parent: mostly the header that came last.
    fn parent(&self, hash: &B256, parent: &B256) -> Result<u32, TreeError> {
        let last = self.next_node().saturating_sub(1);
        if self.node(last).hash == *parent {
            return Ok(last);
        }
        let unknown = TreeError::UnknownParent { hash: *hash, parent: *parent };
        self.find(parent).ok_or(unknown)
    }

    fn best_node(&self, above: u32) -> Option<u32> {
        self.best.get(above as usize).copied()
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

const fn bitcoin_body(header: &Header, last_real_bits: u32, period: u32) -> BitcoinBody {
    let Header { version, merkle_root, time, bits, nonce, .. } = *header;
    BitcoinBody { merkle_root, version, time, bits, nonce, last_real_bits, period, max_time: time }
}

const fn ethereum_body(header: &CompatHeader) -> EthereumBody {
    EthereumBody {
        tx_root: header.txRoot,
        receipts_root: header.receiptsRoot,
        state_root: header.stateRoot,
        index_root: header.indexRoot,
        time: header.time,
        max_time: header.time,
    }
}

/// The part of a block hash that the index hashes: the end that proof of work leaves to chance.
const fn hash_key(hash: &B256) -> u64 {
    match hash.0.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => 0,
    }
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
