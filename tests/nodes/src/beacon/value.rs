//! Values of the beacon API, described once and written as SSZ and as JSON.
//!
//! It shares no code with the decoders of `grid-core`, which it is there to test.

use serde_json::{Map, Value as Json};

/// Bytes of an SSZ offset.
const OFFSET: usize = 4;

/// A value in both encodings.
#[derive(Debug, Clone)]
pub struct Value {
    json: Json,
    ssz: Vec<u8>,
    /// Whether a container holds it behind an offset.
    variable: bool,
}

impl Value {
    /// A number of 64 bits.
    pub fn uint(number: u64) -> Self {
        Self {
            json: number.to_string().into(),
            ssz: number.to_le_bytes().to_vec(),
            variable: false,
        }
    }

    /// A number of 256 bits.
    pub fn uint256(number: alloy_primitives::U256) -> Self {
        let ssz = number.to_le_bytes::<32>().to_vec();
        Self { json: number.to_string().into(), ssz, variable: false }
    }

    /// Bytes of a fixed length.
    pub fn bytes(bytes: &[u8]) -> Self {
        let json = alloy_primitives::hex::encode_prefixed(bytes).into();
        Self { json, ssz: bytes.to_vec(), variable: false }
    }

    /// Bytes of any length.
    pub fn byte_list(bytes: &[u8]) -> Self {
        Self { variable: true, ..Self::bytes(bytes) }
    }

    /// A vector of byte strings of one length.
    pub fn vector<T: AsRef<[u8]>>(items: impl IntoIterator<Item = T>) -> Self {
        let (mut json, mut ssz) = (Vec::new(), Vec::new());
        for item in items {
            json.push(Self::bytes(item.as_ref()).json);
            ssz.extend(item.as_ref());
        }
        Self { json: json.into(), ssz, variable: false }
    }

    /// A container of named fields.
    pub fn container<'a>(fields: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        let (mut json, mut parts) = (Map::new(), Vec::<Self>::new());
        for (name, field) in fields {
            json.insert(name.to_owned(), field.json.clone());
            parts.push(field);
        }
        let variable = parts.iter().any(|part| part.variable);
        let head: usize =
            parts.iter().map(|part| if part.variable { OFFSET } else { part.ssz.len() }).sum();
        let (mut ssz, mut tail) = (Vec::<u8>::new(), Vec::<u8>::new());
        for part in &parts {
            if part.variable {
                let offset = u32::try_from(head + tail.len()).unwrap_or(u32::MAX);
                ssz.extend(offset.to_le_bytes());
                tail.extend(&part.ssz);
            } else {
                ssz.extend(&part.ssz);
            }
        }
        ssz.extend(tail);
        Self { json: json.into(), ssz, variable }
    }

    /// As JSON.
    pub const fn json(&self) -> &Json {
        &self.json
    }

    /// As SSZ.
    pub fn ssz(&self) -> &[u8] {
        &self.ssz
    }
}
