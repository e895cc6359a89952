//! Attestations: m of n registered keys sign that a block belongs to a chain.
//!
//! The weakest of the security classes. It is for chains without a light client, such as a
//! development chain, and is shown in every proof.

use alloy_primitives::{Address, B256, Keccak256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::header::RunError;
use crate::{ChainKey, grid::RecoverableSignature, header_tree::TreeError};

/// Domain of every attestation, with its version.
pub const ATTEST_DOMAIN: &[u8] = b"GRID/attest/1";

/// The most attesters of a chain.
pub const MAX_ATTESTERS: usize = 64;

/// What attesters sign:
/// `keccak256("GRID/attest/1" ‖ chain key ‖ height (u64 BE) ‖ block hash)`.
#[must_use]
pub fn digest(chain: ChainKey, height: u64, hash: &B256) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(ATTEST_DOMAIN);
    hasher.update(chain.0);
    hasher.update(height.to_be_bytes());
    hasher.update(hash);
    hasher.finalize()
}

/// The keys of which `threshold` must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PlainSet", into = "PlainSet")]
pub struct AttesterSet {
    threshold: u32,
    attesters: Vec<Address>,
}

/// The set as it stands in JSON, before it is checked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PlainSet {
    threshold: u32,
    attesters: Vec<Address>,
}

/// Why attested headers, or a set of attesters, are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AttestError {
    /// A set without attesters, or with too many.
    #[error("an attester set has 1 to {MAX_ATTESTERS} attesters, found {0}")]
    SetSize(usize),
    /// Attesters out of order or repeated.
    #[error("attesters must be in strictly increasing address order; {0} is not")]
    SetOrder(Address),
    /// A threshold that nobody or everybody and more meets.
    #[error("attester threshold {threshold} must be 1 to {attesters}")]
    Threshold {
        /// The threshold given.
        threshold: u32,
        /// Number of attesters.
        attesters: usize,
    },
    /// A signature is malformed, has a high `s`, or recovers to nothing.
    #[error("signature {0} of the attestation is malformed")]
    Malformed(usize),
    /// The signer is not an attester.
    #[error(
        "signature {index} is by {signer}, which is not an attester of this chain (or signed something else)"
    )]
    NotAnAttester {
        /// Position in the list.
        index: usize,
        /// The recovered address.
        signer: Address,
    },
    /// Signers out of order or repeated.
    #[error("signature {0} is not in strictly increasing order of signer addresses")]
    Order(usize),
    /// Too few signatures.
    #[error("attestation has {found} signatures, {threshold} are needed")]
    TooFew {
        /// Signatures found.
        found: usize,
        /// Signatures needed.
        threshold: u32,
    },
    /// The headers are no run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The branch ends too far below the tip to be stored.
    #[error(
        "branch ends at height {height}, more than {max_behind} blocks behind the tip at {tip}"
    )]
    TooFarBehind {
        /// Height of the branch's last header.
        height: u64,
        /// Height of the tip.
        tip: u64,
        /// How far behind a branch may end.
        max_behind: u64,
    },
    /// The tree refused a header.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl AttestError {
    /// Whether the same submission may be accepted later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Tree(TreeError::UnknownParent { .. } | TreeError::Full))
    }
}

impl AttesterSet {
    /// Checks size, order and threshold.
    ///
    /// # Errors
    /// An [`AttestError`] naming the fault.
    pub fn new(threshold: u32, attesters: Vec<Address>) -> Result<Self, AttestError> {
        let count = attesters.len();
        if count == 0 || count > MAX_ATTESTERS {
            return Err(AttestError::SetSize(count));
        }
        if let Some((_, second)) =
            attesters.iter().zip(attesters.iter().skip(1)).find(|(first, second)| first >= second)
        {
            return Err(AttestError::SetOrder(*second));
        }
        if threshold == 0 || threshold as usize > count {
            return Err(AttestError::Threshold { threshold, attesters: count });
        }
        Ok(Self { threshold, attesters })
    }

    /// How many must sign.
    #[must_use]
    pub const fn threshold(&self) -> u32 {
        self.threshold
    }

    /// The keys' addresses, increasing.
    #[must_use]
    pub fn attesters(&self) -> &[Address] {
        &self.attesters
    }
}

impl TryFrom<PlainSet> for AttesterSet {
    type Error = AttestError;

    fn try_from(set: PlainSet) -> Result<Self, Self::Error> {
        Self::new(set.threshold, set.attesters)
    }
}

impl From<AttesterSet> for PlainSet {
    fn from(set: AttesterSet) -> Self {
        Self { threshold: set.threshold, attesters: set.attesters }
    }
}

/// Checks that at least the threshold of `set` signed `digest`. Every signature must be good, so
/// that there are no bytes that nobody checked.
///
/// # Errors
/// The first [`AttestError`] met.
pub fn verify(
    digest: &B256,
    signatures: &[RecoverableSignature],
    set: &AttesterSet,
) -> Result<(), AttestError> {
    if signatures.len() < set.threshold as usize {
        let found = signatures.len();
        return Err(AttestError::TooFew { found, threshold: set.threshold });
    }
    let mut previous: Option<Address> = None;
    for (index, signature) in signatures.iter().enumerate() {
        let signer = signature.recover(digest).ok_or(AttestError::Malformed(index))?;
        if set.attesters.binary_search(&signer).is_err() {
            return Err(AttestError::NotAnAttester { index, signer });
        }
        // Strict order also bounds the work: a set has at most MAX_ATTESTERS distinct signers.
        if previous.is_some_and(|address| address >= signer) {
            return Err(AttestError::Order(index));
        }
        previous = Some(signer);
    }
    Ok(())
}
