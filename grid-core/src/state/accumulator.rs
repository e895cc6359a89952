//! A chain's accumulator as the state keeps it.

use alloy_primitives::B256;

use super::{Overlay, StateRead, StorageError, codec::Fields, keys};
use crate::{ChainKey, mmr::Mmr};

/// The range over a chain's confirmed headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accumulator {
    /// Height of the first leaf.
    pub first_height: u64,
    /// Hash of the last confirmed header; zero if there is none.
    pub tip_hash: B256,
    /// The range.
    pub range: Mmr,
}

impl Accumulator {
    /// An empty one.
    #[must_use]
    pub const fn new(first_height: u64) -> Self {
        Self { first_height, tip_hash: B256::ZERO, range: Mmr::new() }
    }

    /// Height of the next leaf.
    #[must_use]
    pub const fn next_height(&self) -> u64 {
        self.first_height.saturating_add(self.range.count())
    }

    /// Height of the last confirmed header.
    #[must_use]
    pub const fn tip_height(&self) -> Option<u64> {
        match self.range.count() {
            0 => None,
            _ => Some(self.next_height().saturating_sub(1)),
        }
    }

    /// Reads a chain's accumulator.
    ///
    /// # Errors
    /// [`StorageError`] where the storage fails.
    pub fn read(state: &dyn StateRead, chain: ChainKey) -> Result<Option<Self>, StorageError> {
        let Some(bytes) = state.read(&keys::accumulator(chain))? else { return Ok(None) };
        let mut fields = Fields::new(&bytes, "accumulator");
        let (first_height, tip_hash) = (fields.u64()?, fields.b256()?);
        let range = fields.range()?;
        fields.end()?;
        Ok(Some(Self { first_height, tip_hash, range }))
    }

    pub(crate) fn store(&self, overlay: &mut Overlay<'_>, chain: ChainKey) {
        let mut value = self.first_height.to_be_bytes().to_vec();
        value.extend_from_slice(self.tip_hash.as_slice());
        value.extend_from_slice(&self.range.encode());
        overlay.set(keys::accumulator(chain), value);
    }
}

/// A chain's range as it was at every chunk boundary of the light client's window, oldest first.
///
/// A reorganisation below the confirmed tip starts again from one of them and appends the leaves of
/// headers that the light client still holds, fewer than a chunk: the state needs no inner nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Checkpoints(Vec<Mmr>);

impl Checkpoints {
    pub(crate) fn read(state: &dyn StateRead, chain: ChainKey) -> Result<Self, StorageError> {
        let Some(bytes) = state.read(&keys::checkpoints(chain))? else {
            return Ok(Self::default());
        };
        let mut fields = Fields::new(&bytes, "accumulator checkpoints");
        let mut list = Vec::new();
        while !fields.is_empty() {
            list.push(fields.range()?);
        }
        Ok(Self(list))
    }

    pub(crate) fn store(&self, overlay: &mut Overlay<'_>, chain: ChainKey) {
        let value = self.0.iter().flat_map(Mmr::encode).collect();
        overlay.set(keys::checkpoints(chain), value);
    }

    /// Notes the range before the leaf of a boundary is appended.
    pub(crate) fn note(&mut self, range: &Mmr) {
        if self.0.last() != Some(range) {
            self.0.push(range.clone());
        }
    }

    /// Forgets ranges with fewer leaves.
    pub(crate) fn forget_below(&mut self, count: u64) {
        self.0.retain(|range| range.count() >= count);
    }

    /// The last range with at most this many leaves; later ones are forgotten.
    pub(crate) fn back_to(&mut self, count: u64) -> Option<&Mmr> {
        self.0.retain(|range| range.count() <= count);
        self.0.last()
    }
}
