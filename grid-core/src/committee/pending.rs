//! Headers that are proven final and wait for their ancestors.
//!
//! One contiguous section, every header the child of the one below; its top was a wanted hash. It
//! grows downwards until it meets the header tree, then moves into it from below. What proofs need of
//! a header is kept, 168 bytes, in chunks of 64 heights: a block writes only the chunks that it changed.

use std::collections::{BTreeMap, BTreeSet};

use alloy_consensus::Header;
use alloy_primitives::B256;

use super::error::StoredError;
use crate::{
    ChainKey, CompatHeader, ethereum::header::SealedEthHeader, header_tree::CHUNK_HEIGHTS,
};

/// The most headers that wait: twenty days of mainnet, 22 MB. Between two finalities that a client can
/// verify lie at most two periods, 16,384 slots; only a restart leaves a wider gap.
pub const MAX_PENDING: u64 = 1 << 17;

/// Time, hash, roots of transactions, receipts, state and index.
const RECORD: usize = 8 + 5 * 32;

/// The index root that a header commits to; zero where its chain has none.
type IndexRoot<'a> = &'a dyn Fn(&Header) -> B256;

/// Where the section lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    low: u64,
    high: u64,
    /// Hash of the header below the lowest.
    parent: B256,
}

/// The section.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pending {
    range: Option<Range>,
    /// Records by ascending height, 64 heights a chunk.
    chunks: BTreeMap<u64, Vec<u8>>,
    dirty: BTreeSet<u64>,
}

impl Pending {
    /// How many wait.
    pub(super) fn len(&self) -> u64 {
        self.range.map_or(0, |range| range.high.saturating_sub(range.low).saturating_add(1))
    }

    /// Hash of the missing header below the lowest.
    pub(super) fn parent(&self) -> Option<B256> {
        self.range.map(|range| range.parent)
    }

    /// Height and hash of the lowest.
    pub(super) fn lowest(&self) -> Option<(u64, B256)> {
        let low = self.range?.low;
        Some((low, self.hash_at(low)?))
    }

    /// Height and hash of the highest.
    pub(super) fn highest(&self) -> Option<(u64, B256)> {
        let high = self.range?.high;
        Some((high, self.hash_at(high)?))
    }

    /// The hash at a height.
    pub(super) fn hash_at(&self, height: u64) -> Option<B256> {
        self.record(height).and_then(|record| record.get(8..40)).map(B256::from_slice)
    }

    /// Whether a hash waits.
    pub(super) fn contains(&self, hash: &B256) -> bool {
        let records = self.chunks.values().flat_map(|chunk| chunk.as_chunks::<RECORD>().0);
        records.into_iter().any(|record| record.get(8..40) == Some(hash.as_slice()))
    }

    fn record(&self, height: u64) -> Option<&[u8; RECORD]> {
        let range = self.range.filter(|range| (range.low..=range.high).contains(&height))?;
        let chunk = chunk_of(height);
        let first = range.low.max(first_of(chunk));
        let at = usize::try_from(height.checked_sub(first)?).ok()?;
        self.chunks.get(&chunk)?.as_chunks::<RECORD>().0.get(at)
    }

    /// Puts a run of headers under the section. The caller has checked that it belongs there.
    pub(super) fn extend_down(&mut self, run: &[SealedEthHeader], index_root: IndexRoot<'_>) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return };
        let high = self.range.map_or(last.header.number, |range| range.high);
        let (low, parent) = (first.header.number, first.header.parent_hash);
        self.range = Some(Range { low, high, parent });
        for (chunk, records) in chunks_of(run, index_root) {
            let above = self.chunks.entry(chunk).or_default();
            above.splice(..0, records);
            self.dirty.insert(chunk);
        }
    }

    /// Puts a run of headers on top of the section, which is not empty.
    pub(super) fn extend_up(&mut self, run: &[SealedEthHeader], index_root: IndexRoot<'_>) {
        let (Some(range), Some(last)) = (&mut self.range, run.last()) else { return };
        range.high = last.header.number;
        for (chunk, records) in chunks_of(run, index_root) {
            self.chunks.entry(chunk).or_default().extend(records);
            self.dirty.insert(chunk);
        }
    }

    /// The lowest headers in common form, at most so many.
    pub(super) fn lowest_headers(
        &self,
        chain: ChainKey,
        most: u64,
    ) -> impl Iterator<Item = CompatHeader> {
        let (low, mut parent) =
            self.range.map_or((0, B256::ZERO), |range| (range.low, range.parent));
        let end = low.saturating_add(self.len().min(most));
        (low..end).filter_map(move |height| {
            let (time, hashes) = self.record(height)?.split_first_chunk::<8>()?;
            let [hash, tx, receipts, state, index] = hashes.as_chunks::<32>().0 else {
                return None;
            };
            let header = CompatHeader {
                chain: chain.0,
                height,
                blockHash: hash.into(),
                parentHash: parent,
                time: u64::from_be_bytes(*time),
                txRoot: tx.into(),
                receiptsRoot: receipts.into(),
                stateRoot: state.into(),
                indexRoot: index.into(),
            };
            parent = header.blockHash;
            Some(header)
        })
    }

    /// Forgets the headers up to a height.
    pub(super) fn forget_to(&mut self, height: u64) {
        let Some(range) = self.range.filter(|range| height >= range.low) else { return };
        let Some(parent) = self.hash_at(height.min(range.high)) else { return };
        let low = height.saturating_add(1);
        if low > range.high {
            return self.clear();
        }
        self.dirty.extend(chunk_of(range.low)..=chunk_of(low));
        self.chunks = self.chunks.split_off(&chunk_of(low));
        let first = range.low.max(first_of(chunk_of(low)));
        if let Some(chunk) = self.chunks.get_mut(&chunk_of(low)) {
            let gone = usize::try_from(low.saturating_sub(first)).unwrap_or(usize::MAX);
            chunk.drain(..gone.saturating_mul(RECORD).min(chunk.len()));
        }
        self.range = Some(Range { low, parent, ..range });
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.dirty.extend(self.chunks.keys());
        self.chunks.clear();
        self.range = None;
    }

    /// The chunks that changed since the last call; `None` for one that is gone.
    pub(super) fn dirty_chunks(&mut self) -> Vec<(u64, Option<Vec<u8>>)> {
        let dirty = core::mem::take(&mut self.dirty);
        dirty.into_iter().map(|chunk| (chunk, self.chunks.get(&chunk).cloned())).collect()
    }

    /// Lowest and highest height and the hash below, big endian; empty if nothing waits.
    pub(super) fn encode_range(&self) -> Vec<u8> {
        let Some(Range { low, high, parent }) = self.range else { return Vec::new() };
        [&low.to_be_bytes()[..], &high.to_be_bytes()[..], parent.as_slice()].concat()
    }

    /// Reads the stored form: the range and the chunks that it names.
    pub(super) fn decode<E>(
        range: &[u8],
        mut chunk: impl FnMut(u64) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Self, E>
    where
        E: From<StoredError>,
    {
        let broken = || E::from(StoredError::Part("pending headers"));
        if range.is_empty() {
            return Ok(Self::default());
        }
        let range = decode_range(range).ok_or_else(broken)?;
        let mut chunks = BTreeMap::new();
        for number in chunk_of(range.low)..=chunk_of(range.high) {
            let bytes = chunk(number)?.ok_or_else(broken)?;
            let first = range.low.max(first_of(number));
            let last = range.high.min(first_of(number).saturating_add(CHUNK_HEIGHTS - 1));
            let records = last.saturating_sub(first).saturating_add(1);
            if records.checked_mul(RECORD as u64) != Some(bytes.len() as u64) {
                return Err(broken());
            }
            chunks.insert(number, bytes);
        }
        Ok(Self { range: Some(range), chunks, dirty: BTreeSet::new() })
    }
}

fn decode_range(bytes: &[u8]) -> Option<Range> {
    let (low, rest) = bytes.split_first_chunk::<8>()?;
    let (high, parent) = rest.split_first_chunk::<8>()?;
    let (low, high) = (u64::from_be_bytes(*low), u64::from_be_bytes(*high));
    let parent = B256::try_from(parent).ok()?;
    (high.checked_sub(low)? < MAX_PENDING).then_some(Range { low, high, parent })
}

const fn chunk_of(height: u64) -> u64 {
    height / CHUNK_HEIGHTS
}

const fn first_of(chunk: u64) -> u64 {
    chunk.saturating_mul(CHUNK_HEIGHTS)
}

/// A run's records by chunk.
fn chunks_of(run: &[SealedEthHeader], index_root: IndexRoot<'_>) -> BTreeMap<u64, Vec<u8>> {
    let mut chunks: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for SealedEthHeader { header, hash } in run {
        let chunk = chunks.entry(chunk_of(header.number)).or_default();
        chunk.extend(header.timestamp.to_be_bytes());
        let roots = [header.transactions_root, header.receipts_root, header.state_root];
        for root in [*hash].into_iter().chain(roots).chain([index_root(header)]) {
            chunk.extend(root);
        }
    }
    chunks
}
