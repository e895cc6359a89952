//! Positional parameters, with errors that name the parameter.

use std::sync::Arc;

use alloy_primitives::{Bytes, U64};
use jsonrpsee::types::Params;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{RpcError, budget::Deadline, method::Param};

/// The most bytes of a call's parameters: a full transaction in hex, with room.
pub const MAX_PARAMS_BYTES: usize = 2 * 1024 * 1024;

/// The parameters of one call.
#[derive(Debug)]
pub(super) struct Args {
    values: std::vec::IntoIter<Value>,
    described: Arc<[Param]>,
    position: usize,
    deadline: Deadline,
}

impl Args {
    /// Takes at most as many positional parameters as are described.
    pub(super) fn parse(
        params: &Params<'_>,
        described: Arc<[Param]>,
        deadline: Deadline,
    ) -> Result<Self, RpcError> {
        let text = params.as_str().unwrap_or("[]").trim();
        if text.len() > MAX_PARAMS_BYTES {
            return Err(RpcError::limit(format!(
                "parameters of {} bytes are over the limit of {MAX_PARAMS_BYTES}",
                text.len()
            )));
        }
        let values: Vec<Value> = match text {
            "" | "null" => Vec::new(),
            _ if text.starts_with('[') => serde_json::from_str(text)
                .map_err(|error| RpcError::params(format!("parameters: {error}")))?,
            _ => return Err(RpcError::params("parameters must be an array, in order")),
        };
        if values.len() > described.len() {
            return Err(RpcError::params(format!(
                "at most {} parameters are taken, found {}",
                described.len(),
                values.len()
            )));
        }
        Ok(Self { values: values.into_iter(), described, position: 0, deadline })
    }

    /// When the call must end.
    pub(super) const fn deadline(&self) -> Deadline {
        self.deadline
    }

    fn name(&self) -> &'static str {
        let index = self.position.saturating_sub(1);
        self.described.get(index).map_or("", |param| param.name)
    }

    /// The next parameter's value; `None` where it is absent or null.
    fn value(&mut self, required: bool) -> Option<Value> {
        let described = self.described.get(self.position);
        debug_assert_eq!(described.map(|one| one.required), Some(required), "{described:?}");
        self.position = self.position.saturating_add(1);
        self.values.next().filter(|value| !value.is_null())
    }

    fn read<T: DeserializeOwned>(&self, value: Value) -> Result<T, RpcError> {
        serde_json::from_value(value).map_err(|error| {
            RpcError::params(format!("parameter {} ({}): {error}", self.position, self.name()))
        })
    }

    fn given(&self, value: Option<Value>) -> Result<Value, RpcError> {
        value.ok_or_else(|| {
            RpcError::params(format!("parameter {} ({}) is missing", self.position, self.name()))
        })
    }

    /// The next parameter; `None` where it is absent or null.
    pub(super) fn optional<T: DeserializeOwned>(&mut self) -> Result<Option<T>, RpcError> {
        let value = self.value(false);
        value.map(|value| self.read(value)).transpose()
    }

    /// The next parameter.
    pub(super) fn required<T: DeserializeOwned>(&mut self) -> Result<T, RpcError> {
        let value = self.value(true);
        self.given(value).and_then(|value| self.read(value))
    }

    /// The next parameter, a byte string of at most `most` bytes.
    pub(super) fn bytes(&mut self, most: usize) -> Result<Bytes, RpcError> {
        let bytes = self.required::<Bytes>()?;
        if bytes.len() > most {
            return Err(RpcError::params(format!(
                "{} of {} bytes is over the limit of {most}",
                self.name(),
                bytes.len()
            )));
        }
        Ok(bytes)
    }

    fn number(&self, value: &Value) -> Result<u64, RpcError> {
        number(value).ok_or_else(|| {
            RpcError::params(format!(
                "parameter {} ({}) must be a number or \"0x…\", found {value}",
                self.position,
                self.name()
            ))
        })
    }

    /// The next parameter, a JSON number or an Ethereum quantity (`"0x…"`).
    pub(super) fn height(&mut self) -> Result<u64, RpcError> {
        let value = self.value(true);
        self.given(value).and_then(|value| self.number(&value))
    }

    /// As [`Self::height`], for a parameter that may be left out.
    pub(super) fn optional_height(&mut self) -> Result<Option<u64>, RpcError> {
        let value = self.value(false);
        value.map(|value| self.number(&value)).transpose()
    }
}

/// A JSON number or quantity.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => {
            let digits = text.strip_prefix("0x")?;
            (1..=16).contains(&digits.len()).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
        }
        _ => None,
    }
}

/// A number as an Ethereum quantity.
pub(super) fn quantity(value: u64) -> U64 {
    U64::from(value)
}
