//! A chain's accumulator as the state keeps it.

use alloy_primitives::B256;

use super::{Overlay, StateRead, StorageError, codec::Fields, keys};
use crate::{ChainKey, mmr::Mmr};

/// The range over a chain's confirmed headers, with a copy that trails at the light client's base.
///
/// A reorganisation below the confirmed tip starts again from the copy and appends the leaves of the
/// headers that the light client still holds: the state needs no inner nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accumulator {
    /// Height of the first leaf.
    pub first_height: u64,
    /// Hash of the last confirmed header; zero if there is none.
    pub tip_hash: B256,
    /// The range.
    pub range: Mmr,
    /// The range over the heights below the light client's base.
    pub checkpoint: Mmr,
}

impl Accumulator {
    /// An empty one.
    #[must_use]
    pub const fn new(first_height: u64) -> Self {
        Self { first_height, tip_hash: B256::ZERO, range: Mmr::new(), checkpoint: Mmr::new() }
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

    /// The lowest height that a cut-back can reach: that of the light client's base.
    #[must_use]
    pub const fn checkpoint_height(&self) -> u64 {
        self.first_height.saturating_add(self.checkpoint.count())
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
        let checkpoint = fields.range()?;
        fields.end()?;
        Ok(Some(Self { first_height, tip_hash, range, checkpoint }))
    }

    pub(crate) fn store(&self, overlay: &mut Overlay<'_>, chain: ChainKey) {
        let mut value = self.first_height.to_be_bytes().to_vec();
        value.extend_from_slice(self.tip_hash.as_slice());
        for range in [&self.range, &self.checkpoint] {
            value.extend_from_slice(&range.encode());
        }
        overlay.set(keys::accumulator(chain), value);
    }
}
