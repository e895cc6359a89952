//! Grid headers as bytes from outside: decoded strictly, with their hash and extension.

use alloy_consensus::Header;
use alloy_primitives::{B256, keccak256};
use alloy_rlp::Decodable;
use thiserror::Error;

use super::extension::{Extension, ExtensionError};

/// The most bytes of a Grid header: Ethereum's fields and at most a few hundred bytes of extension.
pub const MAX_HEADER_BYTES: usize = 4096;

/// A header with its hash and extension; [`decode`](Self::decode) is the only way to make one, so they belong
/// together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridHeader {
    pub(crate) header: Header,
    pub(crate) hash: B256,
    pub(crate) extension: Extension,
}

/// Why bytes are not a Grid header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GridHeaderError {
    /// Too many bytes to look at.
    #[error("{0} bytes, at most {MAX_HEADER_BYTES} are allowed")]
    Size(usize),
    /// Not RLP of a header.
    #[error("{0}")]
    Rlp(String),
    /// Decodes, but is not the one canonical encoding.
    #[error("not its canonical RLP")]
    NotCanonical,
    /// The extension is not one.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
}

impl GridHeader {
    /// Decodes a header. The bytes must be the canonical RLP of what they decode to.
    ///
    /// # Errors
    /// The first [`GridHeaderError`] met.
    pub fn decode(rlp: &[u8]) -> Result<Self, GridHeaderError> {
        if rlp.len() > MAX_HEADER_BYTES {
            return Err(GridHeaderError::Size(rlp.len()));
        }
        let mut rest = rlp;
        let header =
            Header::decode(&mut rest).map_err(|error| GridHeaderError::Rlp(error.to_string()))?;
        if !rest.is_empty() || alloy_rlp::encode(&header) != rlp {
            return Err(GridHeaderError::NotCanonical);
        }
        let extension = Extension::of(&header)?;
        Ok(Self { header, hash: keccak256(rlp), extension })
    }

    /// The Ethereum header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// keccak256 of its RLP.
    #[must_use]
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// Its extension.
    #[must_use]
    pub const fn extension(&self) -> &Extension {
        &self.extension
    }
}
