//! The Grid extension: what a Grid header adds to an Ethereum header, ABI-encoded in `extraData`.

use alloy_consensus::Header;
use alloy_sol_types::{SolValue, sol};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The extension version that this crate writes and reads.
pub const EXTENSION_VERSION: u16 = 1;

/// The most bytes of chain-specific header fields.
pub const MAX_EXTRA: usize = 256;

sol! {
    /// Content of a Grid header's `extraData`.
    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Extension {
        /// Always [`EXTENSION_VERSION`].
        uint16 version;
        /// Block time in milliseconds since 1970; the header's `timestamp` is this divided by 1,000.
        uint64 timeMs;
        /// Root of the index over all active chains.
        bytes32 indexRoot;
        /// Hash of the validator set that decides this block.
        bytes32 validatorsHash;
        /// Hash of the validator set that decides the next block.
        bytes32 nextValidatorsHash;
        /// Hash of the contract collection that executed this block.
        bytes32 collectionHash;
        /// Fields of the chain's own, at most [`MAX_EXTRA`] bytes.
        bytes extra;
    }
}

/// Why a header's `extraData` is not a Grid extension.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExtensionError {
    /// Not the ABI encoding of an extension.
    #[error("extraData is not an ABI-encoded Grid extension: {0}")]
    Abi(String),
    /// Decodes, but is not the one canonical encoding.
    #[error("extraData is not the canonical encoding of its Grid extension")]
    NotCanonical,
    /// An unknown version.
    #[error("Grid extension version {0} is not supported, expected {EXTENSION_VERSION}")]
    Version(u16),
    /// Too many chain-specific bytes.
    #[error("Grid extension carries {0} extra bytes, at most {MAX_EXTRA} are allowed")]
    Extra(usize),
    /// The two times of a header disagree.
    #[error("header timestamp {timestamp} s does not match extension time {time_ms} ms")]
    Time {
        /// The header's time in seconds.
        timestamp: u64,
        /// The extension's time in milliseconds.
        time_ms: u64,
    },
}

impl Extension {
    /// Decodes and checks the extension of a Grid header.
    ///
    /// # Errors
    /// An [`ExtensionError`] saying what is wrong.
    pub fn of(header: &Header) -> Result<Self, ExtensionError> {
        let bytes: &[u8] = &header.extra_data;
        let extension = Self::abi_decode_validate(bytes)
            .map_err(|error| ExtensionError::Abi(error.to_string()))?;
        if extension.version != EXTENSION_VERSION {
            return Err(ExtensionError::Version(extension.version));
        }
        if extension.extra.len() > MAX_EXTRA {
            return Err(ExtensionError::Extra(extension.extra.len()));
        }
        if extension.abi_encode() != bytes {
            return Err(ExtensionError::NotCanonical);
        }
        if extension.timeMs.checked_div(1000) != Some(header.timestamp) {
            return Err(ExtensionError::Time {
                timestamp: header.timestamp,
                time_ms: extension.timeMs,
            });
        }
        Ok(extension)
    }
}
