//! What readers see of a tracked header.

use core::fmt;
use std::collections::BTreeMap;

use alloy_primitives::{B256, U256};

use super::{HeaderTree, nodes::Node};
use crate::{
    CompatHeader,
    bitcoin::{Header, rules::BranchContext, target},
};

/// A header of a [`HeaderTree`]. It costs nothing to make or to copy; what is not stored as such,
/// like the [common form](Self::compat), is put together when asked for.
#[derive(Clone, Copy)]
pub struct HeaderRef<'a> {
    tree: &'a HeaderTree,
    number: u32,
    node: &'a Node,
}

impl<'a> HeaderRef<'a> {
    pub(super) fn new(tree: &'a HeaderTree, number: u32) -> Self {
        Self { tree, number, node: tree.node(number) }
    }

    /// The block hash, internal byte order.
    #[must_use]
    pub const fn hash(&self) -> B256 {
        self.node.hash
    }

    /// Height in its chain.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.tree.height_of(self.node)
    }

    /// Hash of the parent, internal byte order.
    #[must_use]
    pub fn parent_hash(&self) -> B256 {
        self.parent().map_or(self.tree.base_parent, |parent| parent.hash())
    }

    /// The parent; `None` for the base.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        (self.number != 0).then(|| Self::new(self.tree, self.node.parent))
    }

    /// The header's own time, seconds since 1970.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.tree.bodies.time(self.number)
    }

    /// Cumulative weight. Bitcoin: chain work, genesis included; Ethereum: height.
    #[must_use]
    pub fn weight(&self) -> U256 {
        self.tree.weight_of(self.node)
    }

    /// What it adds to its parent's weight. Bitcoin: the work of its target.
    #[must_use]
    pub fn own_weight(&self) -> U256 {
        match (self.parent(), self.bitcoin()) {
            (Some(parent), _) => self.weight().saturating_sub(parent.weight()),
            (None, Some(header)) => work_of(header.bits),
            (None, None) => U256::ONE,
        }
    }

    /// The work that the branch's difficulty asks for here where no exception for slow blocks applies. Zero for a
    /// family without work.
    #[must_use]
    pub fn real_work(&self) -> U256 {
        let body = self.tree.bodies.bitcoin(self.number);
        body.map_or(U256::ZERO, |body| work_of(body.last_real_bits))
    }

    /// Grid time at which it was added, milliseconds since 1970.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.node.seen
    }

    /// The header in Grid's common form.
    #[must_use]
    pub fn compat(&self) -> CompatHeader {
        let [tx, receipts, state, index] = self.tree.bodies.roots(self.number);
        CompatHeader {
            chain: self.tree.chain.0,
            height: self.height(),
            blockHash: self.hash(),
            parentHash: self.parent_hash(),
            time: self.time(),
            txRoot: tx,
            receiptsRoot: receipts,
            stateRoot: state,
            indexRoot: index,
        }
    }

    /// The Bitcoin header, on a Bitcoin network.
    #[must_use]
    pub fn bitcoin(&self) -> Option<Header> {
        let body = self.tree.bodies.bitcoin(self.number)?;
        Some(Header {
            version: body.version,
            prev: self.parent_hash(),
            merkle_root: body.merkle_root,
            time: body.time,
            bits: body.bits,
            nonce: body.nonce,
        })
    }

    /// The 80 bytes that are hashed, on a Bitcoin network.
    #[must_use]
    pub fn bytes(&self) -> Option<[u8; 80]> {
        self.bitcoin().map(|header| header.to_bytes())
    }

    /// What the rules for a child look up on this branch, on a Bitcoin network. Put together from
    /// the last eleven headers: whoever extends a branch by many carries it along instead.
    #[must_use]
    pub fn context(&self) -> Option<BranchContext> {
        self.tree.context(self.number)
    }
}

fn work_of(bits: u32) -> U256 {
    target::work(&target::decode(bits).target)
}

/// A header that is not on the best branch.
#[derive(Debug, Clone, Copy)]
pub struct SideHeader<'a> {
    /// The header.
    pub header: HeaderRef<'a>,
    /// Its last ancestor on the best branch.
    pub fork: HeaderRef<'a>,
}

impl HeaderTree {
    /// The headers beside the best branch, parents first. Costs a look at every header, or nothing where there is
    /// only one branch.
    pub fn side_headers(&self) -> impl Iterator<Item = SideHeader<'_>> {
        let mut forks = BTreeMap::new();
        (0u32..)
            .zip(self.nodes.iter())
            .filter(|(number, node)| self.best_node(node.above) != Some(*number))
            .take(self.len().saturating_sub(self.best.len()))
            .map(move |(number, node)| {
                let fork = forks.get(&node.parent).copied().unwrap_or(node.parent);
                forks.insert(number, fork);
                let [header, fork] = [number, fork].map(|number| HeaderRef::new(self, number));
                SideHeader { header, fork }
            })
    }
}

/// Equal if they say the same of the same header, in whichever trees.
impl PartialEq for HeaderRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.compat() == other.compat()
            && self.weight() == other.weight()
            && self.seen() == other.seen()
            && self.bitcoin() == other.bitcoin()
    }
}

impl Eq for HeaderRef<'_> {}

impl fmt::Debug for HeaderRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderRef")
            .field("header", &self.compat())
            .field("weight", &self.weight())
            .field("seen", &self.seen())
            .finish_non_exhaustive()
    }
}
