//! Light-client data in files of which only the bytes are known.
//!
//! Beacon nodes, explorers and test suites store the same objects in different wrappings: one object
//! or a list, in the API's envelope or bare, several under names of their own, as JSON or as SSZ, alone
//! or in the API's stream. An object is recognised by its fields or, in SSZ, by its lengths. What it
//! claims is not checked here.

use serde_json::Value;

use super::{
    error::DecodeError,
    json,
    network::NetworkConfig,
    ssz,
    types::{Bootstrap, FinalityUpdate, OptimisticUpdate, Update},
    wire::Format,
};

/// The most bytes of a file: 128 updates, the most that the API serves, in JSON with some air.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// How deep objects may be wrapped.
const MOST_WRAPPINGS: usize = 6;

/// A light-client object of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// What a store starts from.
    Bootstrap(Box<Bootstrap>),
    /// An update of a period, with the next committee.
    Update(Box<Update>),
    /// An update of the finalized header alone.
    FinalityUpdate(Box<FinalityUpdate>),
    /// An update of the newest header alone.
    OptimisticUpdate(Box<OptimisticUpdate>),
}

impl Object {
    /// Any of the three updates in the form that a store takes; none for a bootstrap.
    #[must_use]
    pub fn to_update(&self) -> Option<Update> {
        match self {
            Self::Bootstrap(_) => None,
            Self::Update(update) => Some((**update).clone()),
            Self::FinalityUpdate(update) => Some((**update).clone().into()),
            Self::OptimisticUpdate(update) => Some((**update).clone().into()),
        }
    }

    /// Slot of the bootstrap's or of the attested header.
    #[must_use]
    pub const fn slot(&self) -> u64 {
        match self {
            Self::Bootstrap(bootstrap) => bootstrap.header.beacon.slot,
            Self::Update(update) => update.attested_header.beacon.slot,
            Self::FinalityUpdate(update) => update.attested_header.beacon.slot,
            Self::OptimisticUpdate(update) => update.attested_header.beacon.slot,
        }
    }
}

/// The kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `LightClientBootstrap`.
    Bootstrap,
    /// `LightClientUpdate`.
    Update,
    /// `LightClientFinalityUpdate`.
    FinalityUpdate,
    /// `LightClientOptimisticUpdate`.
    OptimisticUpdate,
}

impl Shape {
    const ALL: [Self; 4] =
        [Self::Update, Self::Bootstrap, Self::FinalityUpdate, Self::OptimisticUpdate];

    /// The kind whose fields JSON has, if any.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        let has = |field| value.get(field).is_some();
        if has("header") && has("current_sync_committee") {
            Some(Self::Bootstrap)
        } else if !has("attested_header") || !has("sync_aggregate") {
            None
        } else if has("next_sync_committee") {
            Some(Self::Update)
        } else if has("finalized_header") {
            Some(Self::FinalityUpdate)
        } else {
            Some(Self::OptimisticUpdate)
        }
    }

    /// Decodes JSON.
    ///
    /// # Errors
    /// [`DecodeError`] of the decoder of this kind.
    pub fn read_json(
        self,
        network: &NetworkConfig,
        format: Format,
        value: &Value,
    ) -> Result<Object, DecodeError> {
        Ok(match self {
            Self::Bootstrap => json::bootstrap(network, format, value)?.into(),
            Self::Update => json::update(network, format, value)?.into(),
            Self::FinalityUpdate => json::finality_update(network, format, value)?.into(),
            Self::OptimisticUpdate => json::optimistic_update(network, format, value)?.into(),
        })
    }

    /// Decodes SSZ.
    ///
    /// # Errors
    /// [`DecodeError`] of the decoder of this kind.
    pub fn read_ssz(
        self,
        network: &NetworkConfig,
        format: Format,
        bytes: &[u8],
    ) -> Result<Object, DecodeError> {
        Ok(match self {
            Self::Bootstrap => ssz::bootstrap(network, format, bytes)?.into(),
            Self::Update => ssz::update(network, format, bytes)?.into(),
            Self::FinalityUpdate => ssz::finality_update(network, format, bytes)?.into(),
            Self::OptimisticUpdate => ssz::optimistic_update(network, format, bytes)?.into(),
        })
    }
}

/// All light-client objects of a file, in its order. A file of anything else is refused; what stands
/// beside the objects in JSON is not looked at.
///
/// # Errors
/// [`DecodeError`] where it is too large, holds no object, or one that does not decode.
pub fn read(network: &NetworkConfig, bytes: &[u8]) -> Result<Vec<Object>, DecodeError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(DecodeError::TooLarge { found: bytes.len(), most: MAX_FILE_BYTES });
    }
    let text = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
    if text && let Ok(value) = serde_json::from_slice(bytes) {
        return read_value(network, &value);
    }
    if let Some(object) = any_ssz(network, bytes) {
        return Ok(vec![object]);
    }
    let what = "light-client data";
    stream(network, bytes).ok_or_else(|| DecodeError::Ssz {
        what,
        reason: "neither JSON, nor one object, nor a stream of them in any format".into(),
    })
}

/// All light-client objects of a JSON value, however they are wrapped, in its order.
///
/// # Errors
/// [`DecodeError`] where there is none, or one does not decode.
pub fn read_value(network: &NetworkConfig, value: &Value) -> Result<Vec<Object>, DecodeError> {
    let mut objects = Vec::new();
    collect(network, None, value, MOST_WRAPPINGS, &mut objects)?;
    if objects.is_empty() {
        let reason = "it holds neither a bootstrap nor an update".into();
        return Err(DecodeError::Json { what: "light-client data", reason });
    }
    Ok(objects)
}

/// Goes through lists and wrappings; a `version` holds for everything below it.
fn collect(
    network: &NetworkConfig,
    version: Option<Format>,
    value: &Value,
    wrappings: usize,
    objects: &mut Vec<Object>,
) -> Result<(), DecodeError> {
    let named = value.get("version").and_then(Value::as_str);
    let version = named.and_then(|name| Format::by_version(&name.to_lowercase()).ok()).or(version);
    if let Some(shape) = Shape::of(value) {
        objects.push(any_json(network, version, shape, value)?);
        return Ok(());
    }
    let Some(left) = wrappings.checked_sub(1) else { return Ok(()) };
    let mut below = |value| collect(network, version, value, left, objects);
    match value {
        Value::Array(list) => list.iter().try_for_each(&mut below),
        Value::Object(map) => map.values().try_for_each(&mut below),
        _ => Ok(()),
    }
}

/// Formats, those of today's networks first.
const FORMATS: [Format; 5] =
    [Format::Electra, Format::Gloas, Format::Deneb, Format::Capella, Format::Altair];

/// Decodes an object by its version, and without one in the first format that fits.
fn any_json(
    network: &NetworkConfig,
    version: Option<Format>,
    shape: Shape,
    value: &Value,
) -> Result<Object, DecodeError> {
    if let Some(format) = version {
        return shape.read_json(network, format, value);
    }
    let header = if shape == Shape::Bootstrap { "header" } else { "attested_header" };
    let slot = value.get(header).and_then(|header| header.get("beacon")?.get("slot"));
    let slot = slot.and_then(|slot| slot.as_u64().or_else(|| slot.as_str()?.parse().ok()));
    let expected =
        network.fork_at_slot(slot.unwrap_or_default()).map_or(Format::Altair, Format::of);
    let result = shape.read_json(network, expected, value);
    if result.is_ok() {
        return result;
    }
    let other = FORMATS.into_iter().find_map(|to| shape.read_json(network, to, value).ok());
    other.map_or(result, Ok)
}

/// Decodes SSZ of whichever kind and format it is. Lengths and offsets tell them apart.
#[must_use]
pub fn any_ssz(network: &NetworkConfig, bytes: &[u8]) -> Option<Object> {
    Shape::ALL.into_iter().find_map(|shape| {
        FORMATS.into_iter().find_map(|format| shape.read_ssz(network, format, bytes).ok())
    })
}

/// The API's stream of updates: of each its length, four bytes of context, the object. The context
/// covers, from Fulu on, blob limits that a light client does not know; lengths tell the format.
// beacon-APIs: apis/beacon/light_client/updates.yaml
fn stream(network: &NetworkConfig, mut bytes: &[u8]) -> Option<Vec<Object>> {
    let mut objects = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (chunk, rest) = rest.split_at_checked(length)?;
        objects.push(any_ssz(network, chunk.get(4..)?)?);
        bytes = rest;
    }
    (!objects.is_empty()).then_some(objects)
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
        Self::FinalityUpdate(Box::new(update))
    }
}

impl From<OptimisticUpdate> for Object {
    fn from(update: OptimisticUpdate) -> Self {
        Self::OptimisticUpdate(Box::new(update))
    }
}
