//! The stored form of a [`HeaderTree`]: a small record and chunks of 64 heights.
//!
//! A chunk holds all headers of all branches at its heights, in order of insertion. All numbers
//! are big endian:
//!
//! ```text
//! version u8 = 1 | family u8 | base u8
//! Bitcoin with base = 1: context of the base (57 bytes)
//! each header: height offset u8 | seq u64 | seen u64 | weight: length u8, minimal bytes | hash [32]
//!   Bitcoin:  the 80 header bytes
//!   Ethereum: time u64 | parent [32] | txRoot [32] | receiptsRoot [32] | stateRoot [32] | indexRoot [32]
//! ```
//!
//! Chunks come from this node's own authenticated state: hashes are read, not recomputed, which
//! makes loading some ten times faster. Structure is checked nevertheless, and every fault is an
//! error. One tree has one encoding, so its chunks may be part of a state root.

use core::ops::RangeInclusive;
use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;
use thiserror::Error;

use super::{
    HeaderRef, HeaderTree, TreeError, chunk_of,
    load::Reader,
    nodes::{Bodies, Body},
};
use crate::{
    ChainKey,
    bitcoin::{Header, NetworkParams, rules::BranchContext},
};

/// Heights in a chunk. A chunk is some 9 KB for Bitcoin: one value to rewrite per new block.
pub const CHUNK_HEIGHTS: u64 = 64;

pub(super) const VERSION: u8 = 1;
const FAMILY_BITCOIN: u8 = 1;
const FAMILY_ETHEREUM: u8 = 2;

/// What precedes a chunk's headers, without the base's context.
const CHUNK_BYTES: usize = 3;
/// A header's offset, order number, time of first sight, length of its weight, and hash.
const HEADER_BYTES: usize = 1 + 8 + 8 + 1 + 32;
/// The fields of an Ethereum header: its time and five hashes.
const ETHEREUM_BYTES: usize = 8 + 5 * 32;

/// Why a stored tree cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// An unknown encoding.
    #[error("version {0} is not supported, expected {VERSION}")]
    Version(u8),
    /// The headers of another family.
    #[error("family {found}, expected {expected}")]
    Family {
        /// The code found.
        found: u8,
        /// The code of the tree's family.
        expected: u8,
    },
    /// The data ends inside a field.
    #[error("ends inside {0}")]
    Truncated(&'static str),
    /// More data than the form has.
    #[error("{0} bytes follow the end")]
    Trailing(usize),
    /// A field has a value that the encoder never writes.
    #[error("invalid {0}")]
    Invalid(&'static str),
    /// A header is not in order of insertion.
    #[error("header with order number {seq} follows {previous}")]
    Order {
        /// The number found.
        seq: u64,
        /// The one before it, or the first free one of the tree.
        previous: u64,
    },
    /// A header occurs twice.
    #[error("header {0} occurs twice")]
    Duplicate(B256),
    /// The chunk is not one of the tree's, or comes twice.
    #[error("chunk number {0} does not belong to the tree")]
    Stray(u64),
    /// Chunks are missing.
    #[error("{found} headers found, the record counts {expected}")]
    Count {
        /// Headers read.
        found: u64,
        /// Headers recorded.
        expected: u64,
    },
}

/// What is stored of a tree beside its chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeMeta {
    /// Height of the base.
    pub base_height: u64,
    /// Greatest height of any branch.
    pub top_height: u64,
    /// Headers in the tree.
    pub headers: u64,
    /// Order number of the next header.
    pub next_seq: u64,
}

impl TreeMeta {
    /// Bytes of the stored form.
    pub const SIZE: usize = 33;

    /// The numbers of all chunks of the tree.
    #[must_use]
    pub const fn chunks(&self) -> RangeInclusive<u64> {
        chunk_of(self.base_height)..=chunk_of(self.top_height)
    }

    /// The stored form: a version byte and four big-endian numbers.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::SIZE);
        out.push(VERSION);
        for number in [self.base_height, self.top_height, self.headers, self.next_seq] {
            out.extend(number.to_be_bytes());
        }
        out
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`TreeError::Meta`] for any other bytes than [`Self::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, TreeError> {
        let mut reader = Reader(bytes);
        let read = |reader: &mut Reader<'_>| -> Result<Self, ChunkError> {
            reader.version()?;
            let meta = Self {
                base_height: reader.u64("base height")?,
                top_height: reader.u64("top height")?,
                headers: reader.u64("header count")?,
                next_seq: reader.u64("next order number")?,
            };
            reader.end()?;
            if meta.top_height < meta.base_height || meta.headers == 0 {
                return Err(ChunkError::Invalid("heights or header count"));
            }
            Ok(meta)
        };
        read(&mut reader).map_err(TreeError::Meta)
    }
}

/// Whose headers a stored tree holds.
#[derive(Debug, Clone, Copy)]
pub enum TreeKind<'a> {
    /// A Bitcoin network.
    Bitcoin {
        /// Its key.
        chain: ChainKey,
        /// Its rules.
        params: &'a NetworkParams,
    },
    /// An Ethereum-like chain.
    Ethereum {
        /// Its key.
        chain: ChainKey,
    },
}

impl TreeKind<'_> {
    pub(super) const fn family(&self) -> u8 {
        match self {
            Self::Bitcoin { .. } => FAMILY_BITCOIN,
            Self::Ethereum { .. } => FAMILY_ETHEREUM,
        }
    }
}

impl HeaderTree {
    /// The record that is stored beside the chunks.
    #[must_use]
    pub const fn meta(&self) -> TreeMeta {
        TreeMeta {
            base_height: self.base_height,
            top_height: self.base_height.saturating_add(self.top as u64),
            headers: self.len() as u64,
            next_seq: self.next_seq,
        }
    }

    /// Bytes of all chunks of the stored form.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        let (fixed, base) = match self.bodies {
            Bodies::Bitcoin { .. } => (HEADER_BYTES + Header::SIZE, BranchContext::SIZE),
            Bodies::Ethereum(_) => (HEADER_BYTES + ETHEREUM_BYTES, 0),
        };
        // The heights from the base to the top have a header each, so no chunk is empty.
        let chunks = self.meta().chunks().count().saturating_mul(CHUNK_BYTES);
        let weights = self.nodes.iter().map(|node| self.weight_of(node).byte_len());
        let headers =
            weights.fold(0usize, |sum, weight| sum.saturating_add(fixed).saturating_add(weight));
        chunks.saturating_add(base).saturating_add(headers) as u64
    }

    /// The chunks that changed since the last call, by number: their new content, or `None` for one
    /// that is empty now. Empty if nothing changed; otherwise [`Self::meta`] has changed as well.
    pub fn dirty_chunks(&mut self) -> Vec<(u64, Option<Vec<u8>>)> {
        let dirty = self.dirty();
        self.clean = self.len();
        self.pruned.clear();
        self.encode_chunks(dirty)
    }

    /// The numbers of the chunks that differ from what is stored.
    pub(super) fn dirty(&self) -> BTreeSet<u64> {
        let added = self.nodes.iter().skip(self.clean);
        let mut dirty = self.pruned.clone();
        dirty.extend(added.map(|node| chunk_of(self.height_of(node))));
        dirty
    }

    /// The content of chunks, by number; `None` for one without headers.
    pub(super) fn encode_chunks(
        &self,
        numbers: impl IntoIterator<Item = u64>,
    ) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut chunks: BTreeMap<u64, Vec<u32>> =
            numbers.into_iter().map(|number| (number, Vec::new())).collect();
        if chunks.is_empty() {
            return Vec::new();
        }
        for (number, node) in (0u32..).zip(self.nodes.iter()) {
            if let Some(chunk) = chunks.get_mut(&chunk_of(self.height_of(node))) {
                chunk.push(number);
            }
        }
        let encode = |(number, nodes): (u64, Vec<u32>)| (number, self.encode_chunk(number, nodes));
        chunks.into_iter().map(encode).collect()
    }

    fn encode_chunk(&self, chunk: u64, mut nodes: Vec<u32>) -> Option<Vec<u8>> {
        if nodes.is_empty() {
            return None;
        }
        // A tree that was read has its nodes by chunk; what is written is in order of insertion.
        nodes.sort_unstable_by_key(|node| self.node(*node).seq);
        let has_base = chunk == chunk_of(self.base_height);
        let family = match self.bodies {
            Bodies::Bitcoin { .. } => FAMILY_BITCOIN,
            Bodies::Ethereum(_) => FAMILY_ETHEREUM,
        };
        let mut out = Vec::with_capacity(nodes.len().saturating_mul(160).saturating_add(64));
        out.extend([VERSION, family, u8::from(has_base)]);
        if let (true, Bodies::Bitcoin { base, .. }) = (has_base, &self.bodies) {
            out.extend(base.to_bytes());
        }
        for node in nodes {
            self.encode_header(node, &mut out);
        }
        Some(out)
    }

    fn encode_header(&self, number: u32, out: &mut Vec<u8>) {
        let node = self.node(number);
        let header = HeaderRef::new(self, number);
        let offset = header.height().checked_rem(CHUNK_HEIGHTS).unwrap_or_default();
        out.push(u8::try_from(offset).unwrap_or_default());
        out.extend(self.seq_of(node).to_be_bytes());
        out.extend(node.seen.to_be_bytes());
        let weight = header.weight().to_be_bytes_trimmed_vec();
        out.push(u8::try_from(weight.len()).unwrap_or_default());
        out.extend(weight);
        out.extend(node.hash);
        match self.bodies.get(number) {
            Some(Body::Ethereum(body)) => {
                out.extend(body.time.to_be_bytes());
                out.extend(header.parent_hash());
                out.extend(body.tx_root);
                out.extend(body.receipts_root);
                out.extend(body.state_root);
                out.extend(body.index_root);
            }
            _ => out.extend(header.bytes().unwrap_or([0; 80])),
        }
    }
}
