//! How a tree grows, and how it follows the branch of most weight.

use alloy_primitives::{B256, U128, U256};

use super::{
    HeaderTree, RawHeader, Reorg, TipChange, TrackedHeader, TreeError, index_key,
    nodes::{BitcoinBody, Bodies, Body, EthereumBody, NONE, Node},
    skip_height,
};
use crate::{
    CompatHeader,
    bitcoin::{
        Header,
        rules::{BranchContext, PeriodStart},
    },
};

/// What a new node has beside its place and its body.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) hash: B256,
    pub(super) weight: U256,
    pub(super) seen: u64,
    pub(super) seq: u64,
}

impl HeaderTree {
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
        self.extend(below, &Arrival { hash, weight, seen, seq: self.next_seq }, body)
    }

    /// As [`Self::insert`], for a Bitcoin header of that much work that the tree does not hold.
    /// `context` is the branch's that ends in the header.
    pub(crate) fn insert_bitcoin(
        &mut self,
        hash: B256,
        header: &Header,
        work: &U256,
        seen: u64,
        context: &BranchContext,
    ) -> Result<TipChange, TreeError> {
        let below = self.parent(&hash, &header.prev)?;
        if !matches!(self.bodies, Bodies::Bitcoin { .. }) {
            return Err(TreeError::Chain { hash });
        }
        let weight = self.weight_of(self.node(below)).saturating_add(*work);
        let body = self.bitcoin_child(below, header, context);
        self.extend(below, &Arrival { hash, weight, seen, seq: self.next_seq }, body)
    }

    /// Makes room in the index for so many headers more.
    pub(crate) fn reserve(&mut self, more: usize) {
        let Self { index, nodes, hasher, .. } = self;
        let rehash = |node: &u32| nodes.get(*node).map_or(0, |node| index_key(hasher, &node.hash));
        index.reserve(more, rehash);
    }

    /// Appends a header to a branch and follows the heaviest.
    fn extend(
        &mut self,
        parent: u32,
        arrival: &Arrival,
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

    /// Appends a header after checking that it fits its parent; the best branch is not touched.
    pub(super) fn push(
        &mut self,
        parent: u32,
        arrival: &Arrival,
        body: Body,
    ) -> Result<u32, TreeError> {
        let Arrival { hash, weight, seen, seq } = *arrival;
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
    pub(super) fn place(&mut self, number: u32, node: Node, body: Body) {
        self.bodies.push(body, node.parent);
        self.nodes.push(node);
        self.top = self.top.max(node.above);
        let Self { index, nodes, hasher, .. } = self;
        let rehash = |node: &u32| nodes.get(*node).map_or(0, |node| index_key(hasher, &node.hash));
        index.insert_unique(index_key(hasher, &node.hash), number, rehash);
    }

    pub(super) fn next_node(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(NONE)
    }

    /// The body of a Bitcoin header on top of `parent`. `context` is the branch's with the header.
    fn bitcoin_child(&self, parent: u32, header: &Header, context: &BranchContext) -> Body {
        let own = PeriodStart { time: header.time, bits: header.bits };
        let starts_period = context.period_start() == own;
        Body::Bitcoin(self.bitcoin_body(parent, header, context.last_real_bits(), starts_period))
    }

    pub(super) fn bitcoin_body(
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

    /// The node of a new header's parent: mostly the header that came last.
    pub(super) fn parent(&self, hash: &B256, parent: &B256) -> Result<u32, TreeError> {
        let last = self.next_node().saturating_sub(1);
        if self.node(last).hash == *parent {
            return Ok(last);
        }
        let unknown = TreeError::UnknownParent { hash: *hash, parent: *parent };
        self.find(parent).ok_or(unknown)
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
        let mut removed: Vec<B256> = self.best.iter().skip(keep).map(hash).collect();
        removed.reverse();
        let hashes = added.iter().rev().map(hash).collect();
        self.best.truncate(keep);
        added.iter().rev().for_each(|node| self.best.push(*node));
        Reorg { common, removed, added: hashes }
    }

    /// Recomputes tip and best branch from weights and order of insertion.
    pub(super) fn rebuild_best(&mut self) {
        let mut tip = 0u32;
        for (number, node) in (0u32..).zip(self.nodes.iter()) {
            let best = self.node(tip);
            if node.weight > best.weight || (node.weight == best.weight && node.seq < best.seq) {
                tip = number;
            }
        }
        let mut best = Vec::new();
        while tip != NONE {
            best.push(tip);
            tip = self.node(tip).parent;
        }
        self.best = best.into_iter().rev().collect();
    }
}

pub(super) const fn bitcoin_body(header: &Header, last_real_bits: u32, period: u32) -> BitcoinBody {
    let Header { version, merkle_root, time, bits, nonce, .. } = *header;
    BitcoinBody { merkle_root, version, time, bits, nonce, last_real_bits, period, max_time: time }
}

pub(super) const fn ethereum_body(header: &CompatHeader) -> EthereumBody {
    EthereumBody {
        tx_root: header.txRoot,
        receipts_root: header.receiptsRoot,
        state_root: header.stateRoot,
        index_root: header.indexRoot,
        time: header.time,
        max_time: header.time,
    }
}
