//! Where a tree's headers lie: one small record a header, in segments that are never moved.
//!
//! Nothing is stored that the tree knows otherwise: the parent's hash is the parent's, and heights,
//! weights and order numbers are counted from the base. A Bitcoin header takes 132 bytes here.

use alloy_primitives::{B256, U128};

use crate::bitcoin::rules::BranchContext;

/// No node. Node numbers stay below [`super::MAX_HEADERS`].
pub(super) const NONE: u32 = u32::MAX;

/// Records of one segment: small enough that a nearly empty last one weighs little.
const SEGMENT: usize = 64;
/// How many segments the list of them has room for at a time.
const ROOM: usize = 16;

/// A list that grows by whole segments, so that growing neither doubles the memory nor copies.
#[derive(Debug, Clone)]
pub(super) struct Segments<T> {
    segments: Vec<Vec<T>>,
    len: usize,
}

impl<T: Copy> Segments<T> {
    pub(super) const fn new() -> Self {
        Self { segments: Vec::new(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        let at = at as usize;
        self.segments.get(at / SEGMENT)?.get(at % SEGMENT)
    }

    pub(super) fn push(&mut self, item: T) {
        match self.segments.last_mut().filter(|segment| segment.len() < SEGMENT) {
            Some(segment) => {
                // A cloned segment has no room left; nothing happens for the others.
                segment.reserve_exact(SEGMENT.saturating_sub(segment.len()));
                segment.push(item);
            }
            None => {
                let mut segment = Vec::with_capacity(SEGMENT);
                segment.push(item);
                if self.segments.len() == self.segments.capacity() {
                    self.segments.reserve_exact(ROOM);
                }
                self.segments.push(segment);
            }
        }
        self.len = self.len.saturating_add(1);
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.segments.last()?.last()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.segments.truncate(len.div_ceil(SEGMENT));
        if let (Some(last), true) = (self.segments.last_mut(), !len.is_multiple_of(SEGMENT)) {
            last.truncate(len % SEGMENT);
        }
        self.len = self.len.min(len);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.segments.iter().flatten()
    }
}

impl<T: Copy> FromIterator<T> for Segments<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut segments = Self::new();
        items.into_iter().for_each(|item| segments.push(item));
        segments
    }
}

/// What the tree needs of a header, whatever its family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) hash: B256,
    /// Cumulative weight above the base's.
    pub(super) weight: U128,
    /// Grid time of the insertion, milliseconds since 1970.
    pub(super) seen: u64,
    /// Height above the base's.
    pub(super) above: u32,
    /// Order of insertion, counted from the base's: of equal weights the lower is the tip.
    pub(super) seq: u32,
    pub(super) parent: u32,
    /// An ancestor further down; see [`super::skip_height`].
    pub(super) skip: u32,
}

impl Node {
    /// Stands for a node that does not exist, so that no walk can run on: it has no parent.
    pub(super) const NOWHERE: Self = Self::base(B256::ZERO, 0);

    pub(super) const fn base(hash: B256, seen: u64) -> Self {
        Self { hash, weight: U128::ZERO, seen, above: 0, seq: 0, parent: NONE, skip: 0 }
    }
}

/// What Bitcoin's rules and proofs need of a header beside its [`Node`].
#[derive(Debug, Clone, Copy)]
pub(super) struct BitcoinBody {
    pub(super) merkle_root: B256,
    pub(super) version: i32,
    pub(super) time: u32,
    pub(super) bits: u32,
    pub(super) nonce: u32,
    /// Where Core's walk back over minimum-difficulty blocks ends.
    pub(super) last_real_bits: u32,
    /// The first header of the difficulty period; [`NONE`] where it is the base's.
    pub(super) period: u32,
    /// The latest time from the base up to here; unlike the times themselves it never falls.
    pub(super) max_time: u32,
}

/// What proofs need of an Ethereum header beside its [`Node`].
#[derive(Debug, Clone, Copy)]
pub(super) struct EthereumBody {
    pub(super) tx_root: B256,
    pub(super) receipts_root: B256,
    pub(super) state_root: B256,
    pub(super) index_root: B256,
    pub(super) time: u64,
    /// As [`BitcoinBody::max_time`].
    pub(super) max_time: u64,
}

/// A header's part that depends on the family.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    Bitcoin(BitcoinBody),
    Ethereum(EthereumBody),
}

/// The bodies of all nodes, by number.
#[derive(Debug, Clone)]
pub(super) enum Bodies {
    /// With the base's context, for what lies below it.
    Bitcoin {
        base: BranchContext,
        all: Segments<BitcoinBody>,
    },
    Ethereum(Segments<EthereumBody>),
}

impl Bodies {
    /// Appends a body of the same family, with the latest time on the branch that it extends.
    pub(super) fn push(&mut self, body: Body, parent: u32) {
        match (self, body) {
            (Self::Bitcoin { all, .. }, Body::Bitcoin(mut body)) => {
                let below = all.get(parent).map_or(0, |below| below.max_time);
                body.max_time = body.time.max(below);
                all.push(body);
            }
            (Self::Ethereum(all), Body::Ethereum(mut body)) => {
                let below = all.get(parent).map_or(0, |below| below.max_time);
                body.max_time = body.time.max(below);
                all.push(body);
            }
            // Whoever pushes has compared the families.
            _ => (),
        }
    }

    pub(super) fn get(&self, node: u32) -> Option<Body> {
        match self {
            Self::Bitcoin { all, .. } => all.get(node).copied().map(Body::Bitcoin),
            Self::Ethereum(all) => all.get(node).copied().map(Body::Ethereum),
        }
    }

    pub(super) fn bitcoin(&self, node: u32) -> Option<&BitcoinBody> {
        match self {
            Self::Bitcoin { all, .. } => all.get(node),
            Self::Ethereum(_) => None,
        }
    }

    /// Roots of transactions, receipts, state and index; zero where the family has none.
    pub(super) fn roots(&self, node: u32) -> [B256; 4] {
        match self.get(node) {
            Some(Body::Bitcoin(body)) => [body.merkle_root, B256::ZERO, B256::ZERO, B256::ZERO],
            Some(Body::Ethereum(body)) => {
                [body.tx_root, body.receipts_root, body.state_root, body.index_root]
            }
            None => [B256::ZERO; 4],
        }
    }

    pub(super) fn time(&self, node: u32) -> u64 {
        match self {
            Self::Bitcoin { all, .. } => all.get(node).map_or(0, |body| body.time.into()),
            Self::Ethereum(all) => all.get(node).map_or(0, |body| body.time),
        }
    }

    pub(super) fn max_time(&self, node: u32) -> u64 {
        match self {
            Self::Bitcoin { all, .. } => all.get(node).map_or(0, |body| body.max_time.into()),
            Self::Ethereum(all) => all.get(node).map_or(0, |body| body.max_time),
        }
    }
}
