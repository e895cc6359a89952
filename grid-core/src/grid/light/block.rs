//! What a light client is shown of a block.

use alloy_primitives::Bytes;
use alloy_sol_types::{SolValue, sol};
use serde::{Deserialize, Serialize};

use super::error::LightError;
use crate::grid::{
    CommitCertificate, RecoverableSignature, Validator, ValidatorSet,
    header::{GridHeader, MAX_HEADER_BYTES},
    validators::MAX_VALIDATORS,
};

/// Bytes of one signature.
const SIGNATURE: usize = 65;

/// The most bytes of [`LightBlock::to_abi`]: a header, 256 signatures and two sets of 256 validators, each value in words.
pub const MAX_LIGHT_BLOCK_BYTES: usize =
    MAX_HEADER_BYTES + MAX_VALIDATORS * (SIGNATURE + 4 * 32) + 1024;

sol! {
    /// A light block as a contract takes it. Height and hash of the certificate are the header's.
    #[derive(Debug, PartialEq, Eq)]
    struct LightUpdate {
        /// The header's RLP.
        bytes header;
        /// Round in which the block was decided.
        uint32 round;
        /// Precommits `r ‖ s ‖ v`, 65 bytes each, by increasing signer address.
        bytes signatures;
        /// Who decided the block: the set that hashes to `validatorsHash`.
        Validator[] validators;
        /// Who decides the next block, if that is another set; else empty.
        Validator[] next;
    }
}

/// A header with what shows that it is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LightBlock {
    /// The header's RLP.
    pub header: Bytes,
    /// Why it is final.
    pub certificate: CommitCertificate,
    /// Who decided it.
    pub validators: ValidatorSet,
    /// Who decides the next block; may be left out where that is the same set, or where nothing is to follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_validators: Option<ValidatorSet>,
}

impl LightBlock {
    /// The one binary form: `abi.encode(LightUpdate)`.
    #[must_use]
    pub fn to_abi(&self) -> Vec<u8> {
        let list = |set: &ValidatorSet| set.as_slice().to_vec();
        LightUpdate {
            header: self.header.clone(),
            round: self.certificate.round,
            signatures: self
                .certificate
                .signatures
                .iter()
                .flat_map(|signature| *signature.as_bytes())
                .collect::<Vec<u8>>()
                .into(),
            validators: list(&self.validators),
            next: self.next_validators.as_ref().map(list).unwrap_or_default(),
        }
        .abi_encode()
    }

    /// Reads the binary form. Nothing but the form is judged.
    ///
    /// # Errors
    /// [`LightError::Malformed`], [`LightError::Header`] or [`LightError::Set`].
    pub fn from_abi(bytes: &[u8]) -> Result<Self, LightError> {
        let malformed = |why: String| LightError::Malformed(why);
        if bytes.len() > MAX_LIGHT_BLOCK_BYTES {
            let (found, most) = (bytes.len(), MAX_LIGHT_BLOCK_BYTES);
            return Err(malformed(format!("{found} bytes, at most {most} are allowed")));
        }
        let update = LightUpdate::abi_decode_validate(bytes)
            .map_err(|error| malformed(error.to_string()))?;
        if update.abi_encode() != bytes {
            return Err(malformed("not the canonical encoding".into()));
        }
        let (signatures, rest) = update.signatures.as_chunks::<SIGNATURE>();
        if !rest.is_empty() || signatures.len() > MAX_VALIDATORS {
            return Err(malformed(format!(
                "{} bytes are not at most {MAX_VALIDATORS} signatures",
                update.signatures.len()
            )));
        }
        let header = GridHeader::decode(&update.header)?;
        let next_validators =
            (!update.next.is_empty()).then(|| ValidatorSet::new(update.next)).transpose()?;
        Ok(Self {
            certificate: CommitCertificate {
                height: header.header.number,
                round: update.round,
                block_hash: header.hash,
                signatures: signatures
                    .iter()
                    .map(|bytes| RecoverableSignature::from_bytes(*bytes))
                    .collect(),
            },
            header: update.header,
            validators: ValidatorSet::new(update.validators)?,
            next_validators,
        })
    }
}
