//! What a transaction asks of the main chain.

use core::fmt;

use alloy_consensus::TxEnvelope;
use alloy_eips::Decodable2718 as _;
use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{SolCall as _, SolValue as _};
use grid_core::{CompatHeader, modules::abi::LightClients};

/// A call, decoded.
pub(super) enum Call {
    Nothing,
    Sync(LightClients::submitFinalityCall),
    Headers(LightClients::submitAttestedHeadersCall, Vec<CompatHeader>),
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("an empty transaction"),
            Self::Sync(call) => {
                let (data, headers) = (call.data.len(), call.headers.len());
                write!(f, "{data} objects and {headers} headers")
            }
            Self::Headers(_, headers) => {
                let height = |one: Option<&CompatHeader>| one.map_or(0, |one| one.height);
                let (first, last) = (height(headers.first()), height(headers.last()));
                write!(f, "headers {first} to {last}")
            }
        }
    }
}

impl Call {
    pub(super) fn of(input: &[u8]) -> Result<Self, String> {
        if input.is_empty() {
            return Ok(Self::Nothing);
        }
        if let Ok(call) = LightClients::submitFinalityCall::abi_decode(input) {
            return Ok(Self::Sync(call));
        }
        let call = LightClients::submitAttestedHeadersCall::abi_decode(input)
            .map_err(|error| error.to_string())?;
        let decode = |raw: &Bytes| CompatHeader::abi_decode(raw).map_err(|error| error.to_string());
        let headers = call.headers.iter().map(decode).collect::<Result<_, _>>()?;
        Ok(Self::Headers(call, headers))
    }

    /// The chain that it is about.
    pub(super) const fn key(&self) -> Option<B256> {
        match self {
            Self::Nothing => None,
            Self::Sync(call) => Some(call.chain),
            Self::Headers(call, _) => Some(call.chain),
        }
    }
}

/// A signed transaction from its bytes.
pub(super) fn decode(raw: &Bytes) -> Result<TxEnvelope, String> {
    TxEnvelope::decode_2718(&mut raw.as_ref()).map_err(|error| error.to_string())
}
