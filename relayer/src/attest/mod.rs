//! Signatures for chains without a light client.
//!
//! An attester says "this header belongs to that chain" with nothing but its key. The main chain asks for
//! m of n of them and shows such a chain's security as *attested* in every proof.
//!
//! Every attester is a relayer of its own, with its own endpoints. It signs what its own sources call
//! their followed head or an ancestor of it ([`Attester`]), keeps a journal of what it signed, and
//! answers the others' questions ([`AttestRequest`]). The relayer that submits collects the signatures
//! ([`Collector`]) and checks each before it counts.

mod attester;
mod collector;
mod service;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use grid_adapters::{Endpoint, Secret};
use grid_core::{ChainId, ChainKey, api::BlockRef, ethereum::attest, grid::RecoverableSignature};
use thiserror::Error;

pub use attester::{Attester, OwnError};
pub use collector::{Collector, Shortfall};
pub(crate) use service::AttestService;
pub use wire::{AttestAnswer, AttestRequest};

/// Chains without a light client, and who attests them.
#[derive(Debug, Clone, Default)]
pub struct AttestConfig {
    /// The chains that this relayer attests, and where the other attesters are.
    pub chains: BTreeMap<ChainId, AttestedChain>,
    /// Tokens of which one is needed to ask for signatures; without any nobody is answered.
    pub tokens: Vec<Secret>,
}

/// One attested chain.
#[derive(Debug, Clone, Default)]
pub struct AttestedChain {
    /// Whether the followed head counts as final: then no second header is ever signed at a height.
    pub follows_final: bool,
    /// `/v1/attest` of the other attesters' relayers, with their tokens.
    pub peers: Vec<Endpoint>,
}

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
