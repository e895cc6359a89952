//! Certificates: the engine's form and Grid's.

use arc_malachitebft_core_types::{
    self as engine, ExtendedCommitCertificate, ExtendedCommitSignature, Round,
};
use grid_core::grid::{CommitCertificate, ValidatorSet};

use crate::{
    context::{Address, BlockHash, Grid, Height, Signature},
    error::EngineError,
};

/// Turns the engine's certificate into Grid's and checks it by Grid's own rules: nothing that
/// grid-core would refuse is ever committed.
pub(crate) fn from_engine(
    certificate: &engine::CommitCertificate<Grid>,
    chain_id: u64,
    validators: &ValidatorSet,
) -> Result<CommitCertificate, EngineError> {
    let height = certificate.height.0;
    let safety = |reason: String| EngineError::Safety { height, reason };
    let round = certificate
        .round
        .as_u32()
        .ok_or_else(|| safety("a decision without a round".to_owned()))?;
    let mut commits: Vec<_> = certificate
        .commit_signatures
        .iter()
        .map(|commit| (commit.address, commit.signature.0))
        .collect();
    commits.sort_unstable_by_key(|(address, _)| *address);
    commits.dedup_by_key(|(address, _)| *address);
    let certificate = CommitCertificate {
        height,
        round,
        block_hash: certificate.value_id.0,
        signatures: commits.into_iter().map(|(_, signature)| signature).collect(),
    };
    certificate
        .verify(chain_id, validators)
        .map_err(|error| safety(format!("the engine's certificate is not good: {error}")))?;
    Ok(certificate)
}

/// Turns a stored certificate into what peers are sent. A signature that recovers to nobody is left
/// out; the peer checks the rest.
pub(crate) fn to_engine(
    certificate: &CommitCertificate,
    chain_id: u64,
) -> ExtendedCommitCertificate<Grid> {
    let digest = certificate.digest(chain_id);
    let signatures = certificate.signatures.iter().filter_map(|signature| {
        let address = Address(signature.recover(&digest)?);
        Some(ExtendedCommitSignature::new(address, Signature(*signature), None))
    });
    ExtendedCommitCertificate {
        height: Height(certificate.height),
        round: Round::new(certificate.round),
        value_id: BlockHash(certificate.block_hash),
        commit_signatures: signatures.collect(),
    }
}
