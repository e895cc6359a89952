//! Why a light client refuses.

use alloy_primitives::B256;
use thiserror::Error;

use crate::grid::{CertificateError, ValidatorSetError, header::GridHeaderError};

/// Why a block, or a step towards it, is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LightError {
    /// Not the encoding of a light block.
    #[error("malformed light block: {0}")]
    Malformed(String),
    /// The header does not decode.
    #[error("malformed grid header: {0}")]
    Header(#[from] GridHeaderError),
    /// A list of validators is not a set.
    #[error("validator set: {0}")]
    Set(#[from] ValidatorSetError),
    /// What is trusted is older than the trusting period.
    #[error(
        "the trusted header of {trusted_ms} ms is older than the trusting period of {period_ms} ms at {now_ms} ms; take a newer one from somebody you trust"
    )]
    Expired {
        /// Time of the trusted header.
        trusted_ms: u64,
        /// The trusting period.
        period_ms: u64,
        /// The time now.
        now_ms: u64,
    },
    /// The header is ahead of the clock.
    #[error(
        "the header's time {time_ms} ms is more than {drift_ms} ms ahead of the clock at {now_ms} ms"
    )]
    Future {
        /// Time of the header.
        time_ms: u64,
        /// The time now.
        now_ms: u64,
        /// How much is allowed.
        drift_ms: u64,
    },
    /// Not above the trusted header.
    #[error("height {found} is not above the trusted height {trusted}")]
    Height {
        /// Trusted height.
        trusted: u64,
        /// Height of the header.
        found: u64,
    },
    /// Not below the trusted header.
    #[error(
        "height {found} at {found_ms} ms is not before the trusted height {trusted} at {trusted_ms} ms"
    )]
    NotBelow {
        /// Trusted height.
        trusted: u64,
        /// Trusted time.
        trusted_ms: u64,
        /// Height of the header.
        found: u64,
        /// Time of the header.
        found_ms: u64,
    },
    /// Another block at the trusted height.
    #[error("block {found} has the trusted height, trusted is {trusted}")]
    Other {
        /// Trusted hash.
        trusted: B256,
        /// Hash of the block.
        found: B256,
    },
    /// Time does not grow.
    #[error("time {found} ms is not above the trusted header's {trusted} ms")]
    Time {
        /// Trusted time.
        trusted: u64,
        /// Time of the header.
        found: u64,
    },
    /// The block right above the trusted one has another parent.
    #[error("the block above names parent {found}, trusted is {expected}")]
    Parent {
        /// Trusted hash.
        expected: B256,
        /// Parent in the header.
        found: B256,
    },
    /// The block right above the trusted one is decided by another set than promised.
    #[error("the block above names validator set {found}, the trusted header promised {expected}")]
    HandOver {
        /// Hash of the trusted set.
        expected: B256,
        /// Hash in the header.
        found: B256,
    },
    /// A set is not the one that the header names.
    #[error("the header names validator set {expected}, found {found}")]
    ValidatorsHash {
        /// Hash in the header.
        expected: B256,
        /// Hash of the set.
        found: B256,
    },
    /// The set of the next block is needed to go on, and was not given.
    #[error("the validators change after block {0}, and the next set is missing")]
    MissingNext(u64),
    /// The certificate is for another block.
    #[error(
        "the certificate is for block {found_height} {found_hash}, the header is block {height} {hash}"
    )]
    CertificateBlock {
        /// Height of the header.
        height: u64,
        /// Hash of the header.
        hash: B256,
        /// Height of the certificate.
        found_height: u64,
        /// Hash in the certificate.
        found_hash: B256,
    },
    /// The certificate's signatures fail.
    #[error("certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// Too few of the trusted validators signed: a header in between is needed.
    #[error(
        "signers hold {signed} of the trusted power {total}, more than a third is needed; a header in between may help"
    )]
    Overlap {
        /// Trusted power of the signers.
        signed: u64,
        /// The whole trusted power.
        total: u64,
    },
    /// Another height than asked for.
    #[error("asked for block {asked}, found block {found}")]
    WrongBlock {
        /// Height asked for.
        asked: u64,
        /// Height of the block.
        found: u64,
    },
    /// More headers than allowed are needed.
    #[error("more than {0} headers are needed on the way; take a newer trusted header")]
    TooFar(u32),
    /// Two blocks that do not contradict each other.
    #[error("the blocks {first} and {second} do not contradict each other")]
    NoConflict {
        /// Height of the first.
        first: u64,
        /// Height of the second.
        second: u64,
    },
    /// The client has seen a contradiction and takes nothing more.
    #[error("the chain contradicted itself at height {0}: this client is stopped")]
    Frozen(u64),
    /// Below everything that the client still knows.
    #[error("height {found} is below {oldest}, the oldest header that this client keeps")]
    Old {
        /// Height of the oldest trusted header.
        oldest: u64,
        /// Height of the block.
        found: u64,
    },
}

impl LightError {
    /// Whether the same block may be accepted later, or after a block in between.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Overlap { .. } | Self::Future { .. } | Self::MissingNext(_))
    }
}
