//! Commit certificates: why a Grid block is final.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    validators::{MAX_VALIDATORS, ValidatorSet},
    vote::{RecoverableSignature, VoteKind, vote_digest},
};

/// Precommits for one block by more than two thirds of the voting power.
///
/// Nodes may hold different certificates for the same block (different signers): a certificate is
/// evidence beside the chain, never part of its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommitCertificate {
    /// Height of the block.
    pub height: u64,
    /// Round in which it was decided.
    pub round: u32,
    /// keccak256 of the block header's RLP.
    pub block_hash: B256,
    /// One signature a validator, in strictly increasing order of the signers' addresses.
    pub signatures: Vec<RecoverableSignature>,
}

/// Why a certificate is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// More signatures than a set can have validators.
    #[error("a certificate has at most {MAX_VALIDATORS} signatures, found {0}")]
    TooMany(usize),
    /// A signature is malformed, has a high `s`, or recovers to nothing.
    #[error("signature {0} of the certificate is malformed")]
    Malformed(usize),
    /// The signer is not in the trusted validator set.
    #[error(
        "signature {index} is by {signer}, which is not in the trusted validator set (or the signed content was changed)"
    )]
    NotAValidator {
        /// Position in the list.
        index: usize,
        /// The recovered address.
        signer: Address,
    },
    /// Signers are not in strictly increasing address order.
    #[error("signature {0} is not in strictly increasing order of signer addresses")]
    Order(usize),
    /// Not more than two thirds of the power signed.
    #[error(
        "certificate carries voting power {signed} of {total}; more than two thirds are needed"
    )]
    NoQuorum {
        /// Power of the signers.
        signed: u64,
        /// Power of the whole set.
        total: u64,
    },
}

impl CommitCertificate {
    /// The digest that every signer signed.
    #[must_use]
    pub fn digest(&self, chain_id: u64) -> B256 {
        vote_digest(VoteKind::Precommit, chain_id, self.height, self.round, self.block_hash)
    }

    /// Checks that more than two thirds of `validators`' power signed this block on chain `chain_id`.
    /// Every signature must be good: one stray signature refuses the certificate, so that a
    /// certificate has no bytes that nobody checked.
    ///
    /// # Errors
    /// The first [`CertificateError`] met.
    pub fn verify(&self, chain_id: u64, validators: &ValidatorSet) -> Result<(), CertificateError> {
        self.signers(chain_id, validators).map(drop)
    }

    /// [`verify`](Self::verify), and who signed, in increasing order.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn signers(
        &self,
        chain_id: u64,
        validators: &ValidatorSet,
    ) -> Result<Vec<Address>, CertificateError> {
        if self.signatures.len() > MAX_VALIDATORS {
            return Err(CertificateError::TooMany(self.signatures.len()));
        }
        let digest = self.digest(chain_id);
        let mut signed = 0u64;
        let mut signers: Vec<Address> = Vec::with_capacity(self.signatures.len());
        for (index, signature) in self.signatures.iter().enumerate() {
            let signer = signature.recover(&digest).ok_or(CertificateError::Malformed(index))?;
            let power = validators
                .power(&signer)
                .ok_or(CertificateError::NotAValidator { index, signer })?;
            if signers.last().is_some_and(|address| *address >= signer) {
                return Err(CertificateError::Order(index));
            }
            signers.push(signer);
            signed = signed.saturating_add(power);
        }
        if !validators.is_quorum(signed) {
            return Err(CertificateError::NoQuorum { signed, total: validators.total_power() });
        }
        Ok(signers)
    }
}
