//! What goes into a tree and what comes out of an insertion.

use alloy_primitives::{B256, U256};

use crate::{CompatHeader, bitcoin::rules::BranchContext};

/// A header to track, of any family; its caller has checked it.
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
