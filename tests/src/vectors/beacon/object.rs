//! One light-client object in a file, as SSZ, as JSON, or as both.

use std::path::Path;

use grid_core::ethereum::sync::{
    Bootstrap, DecodeError, FinalityUpdate, Format, NetworkConfig, OptimisticUpdate, Update, json,
    ssz,
};
use serde_json::Value;

use super::super::hexes;

/// An object of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    /// A bootstrap.
    Bootstrap(Box<Bootstrap>),
    /// A full update, or a smaller one made into it.
    Update(Box<Update>),
}

/// The kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Bootstrap,
    Update,
    Finality,
    Optimistic,
}

impl Shape {
    /// The kind that JSON has the fields of.
    pub(super) fn of(value: &Value) -> Self {
        if value.get("current_sync_committee").is_some() {
            Self::Bootstrap
        } else if value.get("next_sync_committee").is_some() {
            Self::Update
        } else if value.get("finalized_header").is_some() {
            Self::Finality
        } else {
            Self::Optimistic
        }
    }

    pub(super) fn read_json(
        self,
        network: &NetworkConfig,
        format: Format,
        value: &Value,
    ) -> Result<Object, DecodeError> {
        Ok(match self {
            Self::Bootstrap => json::bootstrap(network, format, value)?.into(),
            Self::Update => json::update(network, format, value)?.into(),
            Self::Finality => json::finality_update(network, format, value)?.into(),
            Self::Optimistic => json::optimistic_update(network, format, value)?.into(),
        })
    }

    pub(super) fn read_ssz(
        self,
        network: &NetworkConfig,
        format: Format,
        bytes: &[u8],
    ) -> Result<Object, DecodeError> {
        Ok(match self {
            Self::Bootstrap => ssz::bootstrap(network, format, bytes)?.into(),
            Self::Update => ssz::update(network, format, bytes)?.into(),
            Self::Finality => ssz::finality_update(network, format, bytes)?.into(),
            Self::Optimistic => ssz::optimistic_update(network, format, bytes)?.into(),
        })
    }
}

impl From<Bootstrap> for Object {
    fn from(bootstrap: Bootstrap) -> Self {
        Self::Bootstrap(Box::new(bootstrap))
    }
}

impl From<Update> for Object {
    fn from(update: Update) -> Self {
        Self::Update(Box::new(update))
    }
}

impl From<FinalityUpdate> for Object {
    fn from(update: FinalityUpdate) -> Self {
        Update::from(update).into()
    }
}

impl From<OptimisticUpdate> for Object {
    fn from(update: OptimisticUpdate) -> Self {
        Update::from(update).into()
    }
}

/// Reads `stem.json` and `stem.ssz`, which must say the same, and returns what they say. The outer
/// error is about the files, the inner one is the decoder's.
pub(super) fn read(
    network: &NetworkConfig,
    folder: &Path,
    stem: &str,
) -> Result<Result<Object, DecodeError>, String> {
    let text = hexes::bytes(&folder.join(format!("{stem}.json")))?;
    let (format, value) = match json::envelope(&text) {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let shape = Shape::of(&value);
    let as_json = shape.read_json(network, format, &value);
    let bytes = hexes::bytes(&folder.join(format!("{stem}.ssz")))?;
    let as_ssz = shape.read_ssz(network, format, &bytes);
    match (&as_json, &as_ssz) {
        (Ok(one), Ok(other)) if one != other => Err(format!("{stem}: SSZ and JSON differ")),
        (Ok(_), Err(error)) => Err(format!("{stem}: JSON decodes, SSZ does not: {error}")),
        (Err(error), Ok(_)) => Err(format!("{stem}: SSZ decodes, JSON does not: {error}")),
        _ => {
            // A byte more or less belongs to the last list (extra data) or to nothing.
            let longer = [bytes.as_slice(), &[0]].concat();
            let same = |bytes: &[u8]| shape.read_ssz(network, format, bytes) == as_ssz;
            if as_ssz.is_ok() && (same(&longer) || same(&bytes[..bytes.len().saturating_sub(1)])) {
                return Err(format!("{stem}: SSZ with a byte more or less is the same object"));
            }
            Ok(as_ssz)
        }
    }
}
