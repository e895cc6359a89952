//! Reading the text forms that vectors use.

use std::path::Path;

use alloy_primitives::{B256, U256, hex};
use serde_json::Value;

/// A file's bytes.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}

/// A file's text.
pub(super) fn text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

/// A file's JSON.
pub(super) fn json(path: &Path) -> Result<Value, String> {
    serde_json::from_slice(&bytes(path)?).map_err(|error| format!("is not JSON: {error}"))
}

/// The rows of a file of comma-separated values, each a list of (column, value), without quoting.
pub(super) fn rows(path: &Path) -> Result<Vec<Row>, String> {
    let text = text(path)?;
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let names: Vec<String> =
        lines.next().ok_or("is empty")?.split(',').map(|name| name.trim().to_owned()).collect();
    Ok(lines
        .map(|line| {
            let values = line.split(',').map(|value| value.trim().to_owned());
            Row(names.iter().cloned().zip(values).collect())
        })
        .collect())
}

/// A row with named columns.
#[derive(Debug)]
pub(super) struct Row(Vec<(String, String)>);

impl Row {
    /// A column's text.
    pub(super) fn get(&self, name: &str) -> Result<&str, String> {
        self.0
            .iter()
            .find(|(column, _)| column == name)
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| format!("has no column {name}"))
    }

    /// A column with a decimal number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, String> {
        let value = self.get(name)?;
        value.parse().map_err(|_| format!("column {name} is not a number: {value}"))
    }

    /// A column with eight hexadecimal digits, `0x` allowed.
    pub(super) fn bits(&self, name: &str) -> Result<u32, String> {
        let value = self.get(name)?;
        u32::from_str_radix(value.trim_start_matches("0x"), 16)
            .map_err(|_| format!("column {name} is not a compact target: {value}"))
    }

    /// A column with a 256-bit number in hexadecimal.
    pub(super) fn big(&self, name: &str) -> Result<U256, String> {
        let value = self.get(name)?;
        U256::from_str_radix(value.trim_start_matches("0x"), 16)
            .map_err(|_| format!("column {name} is not a 256-bit number: {value}"))
    }

    /// A column with an 80-byte header.
    pub(super) fn header(&self) -> Result<[u8; 80], String> {
        let bytes = data(self.get("header")?)?;
        bytes.try_into().map_err(|_| String::from("column header is not 80 bytes"))
    }

    /// A column with a block hash as displayed, in internal byte order.
    pub(super) fn hash(&self) -> Result<B256, String> {
        displayed(self.get("hash")?)
    }
}

/// Bytes in hexadecimal, `0x` allowed.
pub(super) fn data(text: &str) -> Result<Vec<u8>, String> {
    hex::decode(text).map_err(|error| format!("is not hexadecimal: {error}"))
}

/// A Bitcoin hash as displayed, in internal byte order.
pub(super) fn displayed(text: &str) -> Result<B256, String> {
    let mut bytes: [u8; 32] =
        data(text)?.try_into().map_err(|_| format!("is not a hash: {text}"))?;
    bytes.reverse();
    Ok(B256::new(bytes))
}
