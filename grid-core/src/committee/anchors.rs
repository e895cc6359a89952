//! Hashes of blocks that are proven final and whose headers are still missing.

use alloy_primitives::B256;

use super::error::StoredError;

/// The most hashes. A year of sync-committee periods are 320.
pub const MAX_ANCHORS: usize = 512;
/// From so many on, hashes that lie close together are thinned out: seven hours of mainnet, so
/// that a run of headers under way does not find its hash gone.
const THINNED_FROM: usize = 64;
/// How close: about as many slots as a submission has headers.
const CLOSE: u64 = 1_024;
/// Bytes of a stored one.
const SIZE: usize = 40;

/// The execution block of a finalized beacon block, or a certified Grid block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Anchor {
    /// The beacon block's slot; the Grid block's height.
    pub(super) slot: u64,
    /// The block's hash.
    pub(super) hash: B256,
}

/// All of them, oldest first. Each is an ancestor of the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Anchors(Vec<Anchor>);

impl Anchors {
    /// None.
    pub(super) const fn empty() -> Self {
        Self(Vec::new())
    }

    /// Adds the newest; `false` where there are too many.
    pub(super) fn push(&mut self, anchor: Anchor) -> bool {
        // The newest leads to all others, so one between two near ones is not missed.
        if self.0.len() >= THINNED_FROM
            && let [.., before, _] = self.0.as_slice()
            && anchor.slot.saturating_sub(before.slot) <= CLOSE
        {
            self.0.pop();
        }
        let fits = self.0.len() < MAX_ANCHORS;
        if fits {
            self.0.push(anchor);
        }
        fits
    }

    /// The place of a hash.
    pub(super) fn position(&self, hash: &B256) -> Option<usize> {
        self.0.iter().position(|anchor| anchor.hash == *hash)
    }

    /// The newest.
    pub(super) fn newest(&self) -> Option<&Anchor> {
        self.0.last()
    }

    /// All hashes, oldest first.
    pub(super) fn hashes(&self) -> impl Iterator<Item = B256> {
        self.0.iter().map(|anchor| anchor.hash)
    }

    /// Removes what is not missing any more.
    pub(super) fn remove_first(&mut self, count: usize) {
        self.0.drain(..count.min(self.0.len()));
    }

    /// Removes all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The stored form: slot, big endian, and hash of each.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len().saturating_mul(SIZE));
        for anchor in &self.0 {
            out.extend(anchor.slot.to_be_bytes());
            out.extend(anchor.hash);
        }
        out
    }

    /// Reads the stored form.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StoredError> {
        let (records, rest) = bytes.as_chunks::<SIZE>();
        if !rest.is_empty() || records.len() > MAX_ANCHORS {
            return Err(StoredError::Part("anchors"));
        }
        let read = |record: &[u8; SIZE]| {
            let (slot, hash) = record.split_first_chunk::<8>()?;
            Some(Anchor { slot: u64::from_be_bytes(*slot), hash: B256::try_from(hash).ok()? })
        };
        let anchors = records.iter().map(read).collect::<Option<_>>();
        anchors.map(Self).ok_or(StoredError::Part("anchors"))
    }
}
