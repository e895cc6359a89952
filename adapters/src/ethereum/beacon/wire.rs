//! Answers of the beacon API in their two media types, brought to one form.

use grid_core::ethereum::sync::{
    Bootstrap, DecodeError, FinalityUpdate, Format, NetworkConfig, OptimisticUpdate, Update, json,
    ssz,
};
use reqwest::header::CONTENT_TYPE;
use serde_json::value::RawValue;

use super::BeaconError;
use crate::{http::Answer, rpc::Excerpt};

/// What is asked for: SSZ is half as long and faster to read.
pub(super) const ACCEPT_ANY: &str = "application/octet-stream;q=1.0,application/json;q=0.9";
/// What is asked for where a node's SSZ cannot be used.
pub(super) const ACCEPT_JSON: &str = "application/json";

/// Names the fork of an SSZ answer.
const VERSION: &str = "eth-consensus-version";

/// The media type of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    Ssz,
}

/// Where an answer comes from, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) endpoint: &'a str,
    pub(super) path: &'a str,
}

impl Origin<'_> {
    pub(super) fn unreadable(&self, source: DecodeError) -> BeaconError {
        let (endpoint, path) = (self.endpoint.into(), self.path.into());
        BeaconError::Unreadable { endpoint, path, source }
    }

    pub(super) fn unusable(&self, reason: String) -> BeaconError {
        BeaconError::Answer { endpoint: self.endpoint.into(), path: self.path.into(), reason }
    }

    /// The answer's media type.
    pub(super) fn media(&self, answer: &Answer) -> Result<Media, BeaconError> {
        let value = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = value.and_then(|value| value.split(';').next()).unwrap_or("").trim();
        if essence.eq_ignore_ascii_case("application/octet-stream") {
            Ok(Media::Ssz)
        } else if essence.eq_ignore_ascii_case("application/json") {
            Ok(Media::Json)
        } else {
            let found = Excerpt::of(value.unwrap_or("none").as_bytes()).into_inner();
            let (endpoint, path) = (self.endpoint.into(), self.path.into());
            Err(BeaconError::ContentType { endpoint, path, found })
        }
    }

    fn version(&self, answer: &Answer) -> Result<Format, BeaconError> {
        let version = answer.headers.get(VERSION).and_then(|value| value.to_str().ok());
        let Some(version) = version else {
            let (endpoint, path) = (self.endpoint.into(), self.path.into());
            return Err(BeaconError::NoVersion { endpoint, path });
        };
        Format::by_version(&version.trim().to_ascii_lowercase())
            .map_err(|error| self.unreadable(error))
    }

    /// One object, by the decoder of its media type.
    pub(super) fn object<T: Object>(
        &self,
        network: &NetworkConfig,
        answer: &Answer,
    ) -> Result<T, BeaconError> {
        let decoded = match self.media(answer)? {
            Media::Ssz => T::ssz(network, self.version(answer)?, &answer.body),
            Media::Json => json::envelope(&answer.body)
                .and_then(|(format, value)| T::json(network, format, &value)),
        };
        decoded.map_err(|error| self.unreadable(error))
    }

    /// The updates of several periods, at most `most`.
    pub(super) fn updates(
        &self,
        network: &NetworkConfig,
        answer: &Answer,
        most: usize,
    ) -> Result<Vec<Update>, BeaconError> {
        let too_many =
            || self.unusable(format!("more than the {most} updates that were asked for"));
        let mut updates = Vec::new();
        match self.media(answer)? {
            Media::Ssz => {
                let mut rest = answer.body.as_ref();
                while !rest.is_empty() {
                    let (chunk, after) = cut(rest).ok_or_else(|| {
                        let at = answer.body.len() - rest.len();
                        self.unusable(format!(
                            "no whole update at byte {at} of {}",
                            answer.body.len()
                        ))
                    })?;
                    let update = any_format(network, chunk).map_err(|e| self.unreadable(e))?;
                    updates.push(update);
                    rest = after;
                    if updates.len() > most {
                        return Err(too_many());
                    }
                }
            }
            Media::Json => {
                let list: Vec<&RawValue> = serde_json::from_slice(&answer.body)
                    .map_err(|error| self.unusable(error.to_string()))?;
                if list.len() > most {
                    return Err(too_many());
                }
                for raw in list {
                    let update = json::envelope(raw.get().as_bytes())
                        .and_then(|(format, value)| json::update(network, format, &value))
                        .map_err(|error| self.unreadable(error))?;
                    updates.push(update);
                }
            }
        }
        Ok(updates)
    }
}

/// Splits off one chunk of a list in SSZ: its length as a little-endian 64-bit number, four bytes of
/// context, the object. Returns the object and what follows.
// beacon-APIs: apis/beacon/light_client/updates.yaml
fn cut(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (chunk, after) = rest.split_at_checked(length)?;
    // The context is a digest of the fork's version. From Fulu on it also covers blob limits that no
    // light client knows; the encoding itself tells the format.
    Some((chunk.get(4..)?, after))
}

/// Decodes an update of whichever format it is: no bytes are valid in two, the lengths differ.
fn any_format(network: &NetworkConfig, bytes: &[u8]) -> Result<Update, DecodeError> {
    const OTHERS: [Format; 4] = [Format::Gloas, Format::Deneb, Format::Capella, Format::Altair];
    let usual = ssz::update(network, Format::Electra, bytes);
    if usual.is_ok() {
        return usual;
    }
    OTHERS.into_iter().find_map(|format| ssz::update(network, format, bytes).ok()).map_or(usual, Ok)
}

/// An object that the API serves alone.
pub(super) trait Object: Sized {
    fn ssz(network: &NetworkConfig, format: Format, bytes: &[u8]) -> Result<Self, DecodeError>;
    fn json(
        network: &NetworkConfig,
        format: Format,
        value: &serde_json::Value,
    ) -> Result<Self, DecodeError>;
}

macro_rules! object {
    ($($object:ty: $decode:ident),*) => {$(
        impl Object for $object {
            fn ssz(network: &NetworkConfig, format: Format, bytes: &[u8]) -> Result<Self, DecodeError> {
                ssz::$decode(network, format, bytes)
            }

            fn json(
                network: &NetworkConfig,
                format: Format,
                value: &serde_json::Value,
            ) -> Result<Self, DecodeError> {
                json::$decode(network, format, value)
            }
        }
    )*};
}

object!(
    Bootstrap: bootstrap,
    FinalityUpdate: finality_update,
    OptimisticUpdate: optimistic_update
);
