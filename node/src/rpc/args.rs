//! Positional parameters, with errors that name the parameter.

use alloy_primitives::U64;
use jsonrpsee::types::Params;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::RpcError;

/// The most bytes of a call's parameters: a full transaction in hex, with room.
pub const MAX_PARAMS_BYTES: usize = 2 * 1024 * 1024;

/// The parameters of one call.
#[derive(Debug)]
pub(super) struct Args {
    values: std::vec::IntoIter<Value>,
    position: usize,
}

impl Args {
    /// Takes at most `most` positional parameters.
    pub(super) fn parse(params: &Params<'_>, most: usize) -> Result<Self, RpcError> {
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
        if values.len() > most {
            return Err(RpcError::params(format!(
                "at most {most} parameters are taken, found {}",
                values.len()
            )));
        }
        Ok(Self { values: values.into_iter(), position: 0 })
    }

    /// The next parameter; `None` where it is absent or null.
    pub(super) fn optional<T: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, RpcError> {
        self.position = self.position.saturating_add(1);
        match self.values.next() {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value).map(Some).map_err(|error| {
                RpcError::params(format!("parameter {} ({name}): {error}", self.position))
            }),
        }
    }

    /// The next parameter.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, RpcError> {
        let value = self.optional(name)?;
        value.ok_or_else(|| {
            RpcError::params(format!("parameter {} ({name}) is missing", self.position))
        })
    }

    /// A height, as a JSON number or an Ethereum quantity (`"0x…"`).
    pub(super) fn height(&mut self, name: &str) -> Result<Option<u64>, RpcError> {
        let Some(value) = self.optional::<Value>(name)? else { return Ok(None) };
        number(&value).map(Some).ok_or_else(|| {
            RpcError::params(format!(
                "parameter {} ({name}) must be a height, as a number or as \"0x…\", found {value}",
                self.position
            ))
        })
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
