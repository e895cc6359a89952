//! The JSON form: pretty-printed with two spaces, one newline at the end, and no other spelling.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::types::CrossChainProof;

/// The most bytes of a proof in JSON form: hexadecimal digits double the binary form, and names are
/// added.
pub const MAX_JSON_BYTES: usize = 16 << 20;

/// Why bytes are not a proof in JSON form.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Too long.
    #[error("a proof in JSON has at most {MAX_JSON_BYTES} bytes, found {0}")]
    TooLong(usize),
    /// Not JSON, or not that of a proof.
    #[error("not a proof in JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The same content has another, canonical spelling.
    #[error(
        "not canonical at byte {at}: a proof has exactly one spelling, indented by two spaces with one newline at the end"
    )]
    NotCanonical {
        /// The first byte that differs, from 0.
        at: usize,
    },
}

/// The canonical text of a value.
pub(super) fn write<T: Serialize>(value: &T) -> Result<String, JsonError> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(text)
}

/// Reads a value from its canonical text.
pub(super) fn read<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    if bytes.len() > MAX_JSON_BYTES {
        return Err(JsonError::TooLong(bytes.len()));
    }
    let value: T = serde_json::from_slice(bytes)?;
    let text = write(&value)?;
    if text.as_bytes() == bytes {
        return Ok(value);
    }
    let same = text.as_bytes().iter().zip(bytes).take_while(|(ours, theirs)| ours == theirs);
    Err(JsonError::NotCanonical { at: same.count() })
}

impl CrossChainProof {
    /// The canonical JSON text, with its final newline.
    ///
    /// # Errors
    /// None that a proof can cause; the serialiser's, if it has one.
    pub fn to_json(&self) -> Result<String, JsonError> {
        write(self)
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`JsonError`] unless the bytes are the canonical text of a proof.
    pub fn from_json(bytes: &[u8]) -> Result<Self, JsonError> {
        read(bytes)
    }
}
