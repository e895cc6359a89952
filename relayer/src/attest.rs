//! Signatures for chains without a light client.
//!
//! An attester says "this header belongs to that chain" with nothing but its key. The main chain shows
//! such a chain's security as *attested* in every proof.

use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use grid_core::{ChainKey, api::BlockRef, ethereum::attest, grid::RecoverableSignature};
use thiserror::Error;

/// A key refused to sign.
#[derive(Debug, Error)]
#[error("attester {address} cannot sign: {reason}")]
pub struct AttestError {
    /// The key's address.
    pub address: alloy_primitives::Address,
    /// The signer's reason.
    pub reason: String,
}

/// Signatures over a header by every key, sorted by the signers' addresses as the main chain demands.
///
/// # Errors
/// When a key cannot sign.
pub fn sign(
    attesters: &[PrivateKeySigner],
    chain: ChainKey,
    last: BlockRef,
) -> Result<Vec<RecoverableSignature>, AttestError> {
    let digest = attest::digest(chain, last.height, &last.hash);
    let mut sorted: Vec<&PrivateKeySigner> = attesters.iter().collect();
    sorted.sort_by_key(|signer| signer.address());
    sorted.dedup_by_key(|signer| signer.address());
    let sign = |signer: &PrivateKeySigner| {
        let signature = signer.sign_hash_sync(&digest).map_err(|error| AttestError {
            address: signer.address(),
            reason: error.to_string(),
        })?;
        Ok(RecoverableSignature::from_bytes(signature.as_bytes()))
    };
    sorted.into_iter().map(sign).collect()
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

    use super::*;

    #[test]
    fn signatures_recover_to_the_attesters_in_rising_order() {
        let keys: Vec<_> = (0..5).map(|_| PrivateKeySigner::random()).collect();
        let chain = grid_core::ChainId::eip155(31337).key();
        let last = BlockRef { height: 7, hash: B256::repeat_byte(9) };
        let digest = attest::digest(chain, last.height, &last.hash);
        let signers: Vec<_> = sign(&keys, chain, last)
            .unwrap()
            .iter()
            .map(|signature| signature.recover(&digest).unwrap())
            .collect();
        let mut expected: Vec<_> = keys.iter().map(PrivateKeySigner::address).collect();
        expected.sort();
        assert_eq!(signers, expected);
    }
}
