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

use alloy_primitives::{B256, U256};
use thiserror::Error;

use super::{
    Arrival, HeaderRef, HeaderTree, RawHeader, TrackedHeader, TreeError, chunk_of, ethereum_body,
    nodes::{Bodies, Body},
};
use crate::{
    ChainKey, CompatHeader,
    bitcoin::{
        header::Header,
        network::NetworkParams,
        rules::{BranchContext, real_bits},
    },
};

/// Heights in a chunk. A chunk is some 9 KB for Bitcoin: one value to rewrite per new block.
pub const CHUNK_HEIGHTS: u64 = 64;

const VERSION: u8 = 1;
const FAMILY_BITCOIN: u8 = 1;
const FAMILY_ETHEREUM: u8 = 2;

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
    const fn family(&self) -> u8 {
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

    /// Reads a tree from its record and all its chunks, in any order. It is the same tree as the
    /// one that was stored: same tip, same order of first sight, same encoding.
    ///
    /// # Errors
    /// [`TreeError`] naming the chunk and what is wrong with it.
    pub fn from_chunks(
        kind: TreeKind<'_>,
        meta: &TreeMeta,
        chunks: impl IntoIterator<Item = (u64, Vec<u8>)>,
    ) -> Result<Self, TreeError> {
        let mut sorted = BTreeMap::new();
        for (number, bytes) in chunks {
            if !meta.chunks().contains(&number) || sorted.insert(number, bytes).is_some() {
                return Err(TreeError::Meta(ChunkError::Stray(number)));
            }
        }
        let mut loader = Loader { kind, meta, tree: None };
        for (number, bytes) in &sorted {
            loader.chunk(*number, bytes)?;
        }
        let missing = TreeError::Meta(ChunkError::Count { found: 0, expected: meta.headers });
        let mut tree = loader.tree.ok_or(missing)?;
        tree.next_seq = meta.next_seq;
        tree.clean = tree.len();
        if tree.meta() != *meta {
            let found = tree.len() as u64;
            return Err(TreeError::Meta(ChunkError::Count { found, expected: meta.headers }));
        }
        tree.rebuild_best();
        Ok(tree)
    }
}

struct Loader<'a> {
    kind: TreeKind<'a>,
    meta: &'a TreeMeta,
    tree: Option<HeaderTree>,
}

impl Loader<'_> {
    fn chunk(&mut self, number: u64, bytes: &[u8]) -> Result<(), TreeError> {
        let at = |error| TreeError::Chunk { chunk: number, error };
        let mut reader = Reader(bytes);
        let base_context = self.open(number, &mut reader).map_err(at)?;
        if reader.0.is_empty() {
            return Err(at(ChunkError::Truncated("a chunk without headers")));
        }
        let mut previous: Option<u64> = None;
        while !reader.0.is_empty() {
            let (seq, stored) = self.header(number, &mut reader).map_err(at)?;
            if previous.is_some_and(|previous| seq <= previous) || seq >= self.meta.next_seq {
                let previous = previous.unwrap_or(self.meta.next_seq);
                return Err(at(ChunkError::Order { seq, previous }));
            }
            previous = Some(seq);
            match &mut self.tree {
                Some(tree) => tree.restore(&self.kind, seq, &stored, number)?,
                None if stored.height == self.meta.base_height => {
                    let capacity = usize::try_from(self.meta.headers).unwrap_or(usize::MAX);
                    let capacity = capacity.min(super::MAX_HEADERS);
                    let base = stored.base(&self.kind, base_context.as_ref());
                    self.tree = Some(HeaderTree::with_base(base, seq, capacity));
                }
                None => return Err(at(ChunkError::Invalid("height of the base"))),
            }
        }
        Ok(())
    }

    /// Reads what precedes the headers; the base's context where this is a Bitcoin base's chunk.
    fn open(
        &self,
        number: u64,
        reader: &mut Reader<'_>,
    ) -> Result<Option<BranchContext>, ChunkError> {
        reader.version()?;
        let found = reader.u8("family")?;
        let expected = self.kind.family();
        if found != expected {
            return Err(ChunkError::Family { found, expected });
        }
        let has_base = number == chunk_of(self.meta.base_height);
        if reader.u8("base flag")? != u8::from(has_base) {
            return Err(ChunkError::Invalid("base flag"));
        }
        match self.kind {
            TreeKind::Bitcoin { .. } if has_base => {
                let bytes = reader.array::<{ BranchContext::SIZE }>("base context")?;
                let context = BranchContext::from_bytes(&bytes);
                Ok(Some(context.ok_or(ChunkError::Invalid("base context"))?))
            }
            _ => Ok(None),
        }
    }

    fn header(&self, number: u64, reader: &mut Reader<'_>) -> Result<(u64, Stored), ChunkError> {
        let offset = u64::from(reader.u8("height offset")?);
        if offset >= CHUNK_HEIGHTS {
            return Err(ChunkError::Invalid("height offset"));
        }
        let height = number
            .checked_mul(CHUNK_HEIGHTS)
            .and_then(|first| first.checked_add(offset))
            .ok_or(ChunkError::Invalid("height"))?;
        let seq = reader.u64("order number")?;
        let seen = reader.u64("time of first sight")?;
        let weight = reader.weight()?;
        let hash = reader.hash("block hash")?;
        let content = match self.kind {
            TreeKind::Bitcoin { .. } => {
                Content::Bitcoin(Header::parse(&reader.array::<80>("bitcoin header")?))
            }
            TreeKind::Ethereum { chain } => Content::Ethereum(CompatHeader {
                chain: chain.0,
                height,
                blockHash: hash,
                time: reader.u64("time")?,
                parentHash: reader.hash("parent hash")?,
                txRoot: reader.hash("transactions root")?,
                receiptsRoot: reader.hash("receipts root")?,
                stateRoot: reader.hash("state root")?,
                indexRoot: reader.hash("index root")?,
            }),
        };
        Ok((seq, Stored { height, hash, weight, seen, content }))
    }
}

/// A header as a chunk has it.
struct Stored {
    height: u64,
    hash: B256,
    weight: U256,
    seen: u64,
    content: Content,
}

enum Content {
    Bitcoin(Header),
    Ethereum(CompatHeader),
}

impl Stored {
    fn parent(&self) -> B256 {
        match &self.content {
            Content::Bitcoin(header) => header.prev,
            Content::Ethereum(header) => header.parentHash,
        }
    }

    fn base(self, kind: &TreeKind<'_>, context: Option<&BranchContext>) -> TrackedHeader {
        let Self { height, hash, weight, seen, content } = self;
        let (TreeKind::Bitcoin { chain, .. } | TreeKind::Ethereum { chain }) = kind;
        let (header, raw) = match content {
            Content::Bitcoin(header) => {
                let context = context.copied().unwrap_or_default();
                let raw = RawHeader::Bitcoin { bytes: header.to_bytes(), context };
                (header.compat(*chain, height, hash), raw)
            }
            Content::Ethereum(header) => (header, RawHeader::Ethereum),
        };
        TrackedHeader { header, weight, seen, raw }
    }
}

impl HeaderTree {
    /// Appends a header that was stored; the best branch is not touched.
    fn restore(
        &mut self,
        kind: &TreeKind<'_>,
        seq: u64,
        stored: &Stored,
        chunk: u64,
    ) -> Result<(), TreeError> {
        let Stored { height, hash, weight, seen, .. } = *stored;
        let at = |error| TreeError::Chunk { chunk, error };
        if self.find(&hash).is_some() {
            return Err(at(ChunkError::Duplicate(hash)));
        }
        if seq <= self.base_seq {
            return Err(at(ChunkError::Order { seq, previous: self.base_seq }));
        }
        let parent = self.parent(&hash, &stored.parent())?;
        let expected = self.height_of(self.node(parent)).saturating_add(1);
        if height != expected {
            return Err(TreeError::Height { hash, height, expected });
        }
        let body = match (&stored.content, kind) {
            (Content::Bitcoin(header), TreeKind::Bitcoin { params, .. }) => {
                let below = self.bodies.bitcoin(parent).map_or(0, |below| below.last_real_bits);
                let last_real_bits = real_bits(params, height, header.bits, below);
                let starts_period = params.starts_period(height);
                Body::Bitcoin(self.bitcoin_body(parent, header, last_real_bits, starts_period))
            }
            (Content::Ethereum(header), TreeKind::Ethereum { .. }) => {
                Body::Ethereum(ethereum_body(header))
            }
            _ => return Err(TreeError::Chain { hash }),
        };
        self.push(parent, Arrival { hash, weight, seen, seq }, body).map(drop)
    }
}

/// A cursor over stored bytes; every read names what it reads.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ChunkError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(ChunkError::Truncated(what))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, ChunkError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, ChunkError> {
        self.array(what).map(u64::from_be_bytes)
    }

    fn hash(&mut self, what: &'static str) -> Result<B256, ChunkError> {
        self.array(what).map(B256::new)
    }

    fn version(&mut self) -> Result<(), ChunkError> {
        match self.u8("version")? {
            VERSION => Ok(()),
            other => Err(ChunkError::Version(other)),
        }
    }

    /// A length and the number's bytes without leading zeros: one form per number.
    fn weight(&mut self) -> Result<U256, ChunkError> {
        let length = usize::from(self.u8("weight")?);
        let (bytes, rest) =
            self.0.split_at_checked(length).ok_or(ChunkError::Truncated("weight"))?;
        self.0 = rest;
        if length > 32 || bytes.first() == Some(&0) {
            return Err(ChunkError::Invalid("weight"));
        }
        U256::try_from_be_slice(bytes).ok_or(ChunkError::Invalid("weight"))
    }

    const fn end(&self) -> Result<(), ChunkError> {
        if self.0.is_empty() { Ok(()) } else { Err(ChunkError::Trailing(self.0.len())) }
    }
}
