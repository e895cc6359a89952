//! Reading a stored tree; [`super::chunk`] has the form.

use std::collections::BTreeMap;

use alloy_primitives::{B256, U256};

use super::{
    ChunkError, HeaderTree, RawHeader, TrackedHeader, TreeError, TreeKind, TreeMeta,
    chunk::{CHUNK_HEIGHTS, VERSION},
    chunk_of,
    grow::{Arrival, ethereum_body},
    nodes::Body,
};
use crate::{
    CompatHeader,
    bitcoin::{
        Header,
        rules::{BranchContext, real_bits},
    },
};

impl HeaderTree {
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
        self.push(parent, &Arrival { hash, weight, seen, seq }, body).map(drop)
    }
}

/// A cursor over stored bytes; every read names what it reads.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ChunkError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(ChunkError::Truncated(what))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, ChunkError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, ChunkError> {
        self.array(what).map(u64::from_be_bytes)
    }

    fn hash(&mut self, what: &'static str) -> Result<B256, ChunkError> {
        self.array(what).map(B256::new)
    }

    pub(super) fn version(&mut self) -> Result<(), ChunkError> {
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

    pub(super) const fn end(&self) -> Result<(), ChunkError> {
        if self.0.is_empty() { Ok(()) } else { Err(ChunkError::Trailing(self.0.len())) }
    }
}
