//! Where the indexes of foreign chains were cut back.
//!
//! A proof is of the index of a Grid block, its anchor. It holds still if no cut came after the anchor at or below the height
//! that it is about. A cut at or below an earlier one says all that the earlier one did, so that one is dropped: what stays
//! ascends in time and in height, and the first cut after an anchor is the lowest.

use alloy_primitives::B256;

use super::error::MessageError;
use crate::{
    ChainKey,
    state::{Fields, Overlay, StateRead, StorageError, keys},
};

/// The most cuts of a chain that are remembered.
pub const MAX_CUTS: usize = 256;

/// Confirmed headers were cut off after a reorganisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The Grid block that did it.
    pub at: u64,
    /// The lowest height that was cut off.
    pub from: u64,
    /// How many heights were.
    pub depth: u64,
    /// Hash of the highest header that was, internal byte order.
    pub tip: B256,
}

/// A chain's cuts, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cuts {
    /// Cuts up to this Grid block may be forgotten.
    pub floor: u64,
    /// Those that are remembered.
    pub list: Vec<Cut>,
}

impl Cuts {
    /// Adds the newest cut.
    pub fn push(&mut self, cut: Cut) {
        self.list.retain(|earlier| earlier.from < cut.from);
        self.list.push(cut);
        if self.list.len() > MAX_CUTS {
            self.floor = self.list.remove(0).at;
        }
    }

    /// The cut that took away a height which the index of the Grid block `anchor` had.
    #[must_use]
    pub fn broken(&self, anchor: u64, height: u64) -> Option<&Cut> {
        self.list.iter().find(|cut| cut.at > anchor).filter(|cut| cut.from <= height)
    }

    /// Whether a height of the index of the Grid block `anchor` is still there.
    ///
    /// # Errors
    /// [`MessageError::TooOld`], [`MessageError::Orphaned`].
    pub fn check(&self, anchor: u64, height: u64) -> Result<(), MessageError> {
        if anchor < self.floor {
            return Err(MessageError::TooOld { anchor, floor: self.floor });
        }
        match self.broken(anchor, height) {
            Some(&Cut { at, from, .. }) => Err(MessageError::Orphaned { from, at, anchor }),
            None => Ok(()),
        }
    }
}

/// A chain's cuts.
pub(crate) fn read(state: &dyn StateRead, chain: ChainKey) -> Result<Cuts, StorageError> {
    let Some(bytes) = state.read(&keys::message_cuts(chain))? else { return Ok(Cuts::default()) };
    let mut fields = Fields::new(&bytes, "cuts of an index");
    let mut cuts = Cuts { floor: fields.u64()?, list: Vec::new() };
    while !fields.is_empty() {
        let (at, from, depth) = (fields.u64()?, fields.u64()?, fields.u64()?);
        cuts.list.push(Cut { at, from, depth, tip: fields.b256()? });
    }
    Ok(cuts)
}

/// Remembers a cut.
pub(crate) fn note(
    overlay: &mut Overlay<'_>,
    chain: ChainKey,
    cut: Cut,
) -> Result<(), StorageError> {
    let mut cuts = read(overlay, chain)?;
    cuts.push(cut);
    let mut value = cuts.floor.to_be_bytes().to_vec();
    for Cut { at, from, depth, tip } in &cuts.list {
        for number in [at, from, depth] {
            value.extend(number.to_be_bytes());
        }
        value.extend(tip);
    }
    overlay.set(keys::message_cuts(chain), value);
    Ok(())
}
