//! What validators send each other, and the certificates that they leave.

use std::path::Path;

use alloy_primitives::{Address, B256};
use grid_core::grid::{CommitCertificate, RecoverableSignature, Validator, ValidatorSet};

/// Messages of the engine's network and log.
pub fn consensus_messages(data: &[u8]) {
    grid_consensus::fuzz::messages(data);
}

/// Parts of proposed blocks.
pub fn proposal_parts(data: &[u8]) {
    grid_consensus::fuzz::parts(data);
}

/// Decided blocks as a peer sends them.
pub fn decided_blocks(data: &[u8]) {
    grid_consensus::fuzz::certificates(data);
}

/// A certificate in JSON, as JSON-RPC gives it. Whoever signed it is told in increasing order; a set that is the
/// signers' accepts it.
pub fn commit_certificate(data: &[u8]) {
    let Ok(certificate) = serde_json::from_slice::<CommitCertificate>(data) else { return };
    let digest = certificate.digest(1);
    let mut signers: Vec<Address> =
        certificate.signatures.iter().filter_map(|signature| signature.recover(&digest)).collect();
    let all_good = signers.len() == certificate.signatures.len();
    let in_order = signers.is_sorted_by(|one, next| one < next);
    signers.sort_unstable();
    signers.dedup();
    let validators = signers.iter().map(|account| Validator { account: *account, power: 1 });
    let Ok(set) = ValidatorSet::new(validators.collect()) else { return };
    let taken = certificate.signers(1, &set);
    assert_eq!(taken.is_ok(), all_good && in_order, "{taken:?}");
}

/// Real messages of every kind; no file is needed.
pub(super) fn seeds(_data: &Path) -> Vec<Vec<u8>> {
    grid_consensus::fuzz::seeds()
}

/// A certificate in its JSON form, with a signature that anybody can make.
pub(super) fn certificate_seeds(_data: &Path) -> Vec<Vec<u8>> {
    let mut bytes = [1; 65];
    bytes[64] = 27;
    let certificate = CommitCertificate {
        height: 9,
        round: 1,
        block_hash: B256::repeat_byte(7),
        signatures: vec![RecoverableSignature::from_bytes(bytes)],
    };
    vec![serde_json::to_vec(&certificate).expect("a certificate has a JSON form")]
}
