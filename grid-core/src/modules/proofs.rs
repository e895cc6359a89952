//! `Proofs`: cross-chain proofs checked against this chain's own index.
//!
//! A proof is accepted if its Grid block is one of the last [`RECENT_BLOCKS`](keys::RECENT_BLOCKS) of this
//! chain, whose hashes the state keeps: no certificate is needed, the chain knows its own blocks.

use alloy_primitives::{Address, B256};
use alloy_sol_types::{SolCall, SolInterface};

use super::{
    CallError, Env, Module,
    abi::{PROOFS, Proofs},
    gas,
};
use crate::{
    proof::{self, CrossChainProof, Proven, Trust, TrustAnchor},
    state::{StateRead, StorageError, keys, system},
};

/// The module.
#[derive(Debug)]
pub(crate) struct ProofsModule;

impl Module for ProofsModule {
    fn address(&self) -> Address {
        PROOFS
    }

    fn name(&self) -> &'static str {
        "Proofs"
    }

    fn version(&self) -> u32 {
        1
    }

    fn prefix(&self) -> u8 {
        keys::PROOFS
    }

    fn functions(&self) -> Vec<&'static str> {
        Proofs::ProofsCalls::SIGNATURES.to_vec()
    }

    fn events(&self) -> Vec<&'static str> {
        Proofs::ProofsEvents::SIGNATURES.to_vec()
    }

    fn is_known(&self, state: &dyn StateRead, input: &[u8]) -> Result<bool, CallError> {
        is_known(state, input)
    }

    fn call(&self, env: &mut Env<'_, '_>, input: &[u8]) -> Result<Vec<u8>, CallError> {
        use Proofs::{ProofsCalls as Calls, *};
        match decode(input)? {
            Calls::verify(call) => {
                let (proven, _) = check(env, &call.proof)?;
                let ret = verifyReturn {
                    claimHash: proven.claim_hash,
                    chain: proven.source.key().0,
                    height: proven.height,
                    blockHash: proven.block_hash,
                    time: proven.time,
                    security: proven.security.code(),
                };
                Ok(verifyCall::abi_encode_returns(&ret))
            }
            Calls::submit(call) => {
                let claim_hash = submit(env, &call.proof)?;
                Ok(submitCall::abi_encode_returns(&claim_hash))
            }
            Calls::provenAt(call) => {
                env.gas.charge(gas::READ)?;
                let height = proven_at(env.overlay, &call.claimHash)?.unwrap_or(0);
                Ok(provenAtCall::abi_encode_returns(&height))
            }
        }
    }
}

/// Verifies a proof in its binary form against one of this chain's own blocks.
pub(super) fn check(
    env: &mut Env<'_, '_>,
    bytes: &[u8],
) -> Result<(Proven, CrossChainProof), CallError> {
    env.not_payable()?;
    env.gas.charge(gas::PROOF)?;
    env.gas.charge_each(bytes.len(), gas::PROOF_BYTE)?;
    let refuse = |reason: String| CallError::Revert(format!("proof refused: {reason}"));
    let proof = CrossChainProof::from_abi(bytes).map_err(|error| refuse(error.to_string()))?;
    let Some((height, _)) = proof.grid_block() else {
        return Err(refuse("malformed Grid header".into()));
    };
    let hash = system::block_hash(env.overlay, height)?.ok_or_else(|| {
        refuse(format!(
            "Grid block {height} is not among this chain's last {} blocks",
            keys::RECENT_BLOCKS
        ))
    })?;
    let trust = Trust { chain_id: env.block.chain_id, anchor: TrustAnchor::BlockHash(hash) };
    let verified = proof::verify(&proof, &trust).map_err(|error| refuse(error.to_string()))?;
    Ok((verified.into_inner(), proof))
}

fn submit(env: &mut Env<'_, '_>, bytes: &[u8]) -> Result<B256, CallError> {
    let (proven, proof) = check(env, bytes)?;
    let claim_hash = proven.claim_hash;
    env.gas.charge(gas::WRITE)?;
    if proven_at(env.overlay, &claim_hash)?.is_some() {
        return Err(CallError::AlreadyKnown);
    }
    record(env, claim_hash, &proven);
    // The facts of a list are known by their own names as well, whoever proved them first.
    let facts = proven.claim.fact_hashes(&proof.header);
    for fact in facts.into_iter().filter(|fact| *fact != claim_hash) {
        env.gas.charge(gas::READ)?;
        if proven_at(env.overlay, &fact)?.is_none() {
            env.gas.charge(gas::WRITE)?;
            record(env, fact, &proven);
        }
    }
    Ok(claim_hash)
}

/// Keeps the height of acceptance, and tells of it.
fn record(env: &mut Env<'_, '_>, claim_hash: B256, proven: &Proven) {
    let value = env.block.height.to_be_bytes().to_vec();
    env.overlay.set(keys::proven(&claim_hash), value);
    let event = Proofs::Proven {
        claimHash: claim_hash,
        chain: proven.source.key().0,
        height: proven.height,
        security: proven.security.code(),
    };
    env.log(PROOFS, &event);
}

/// The height at which a claim was accepted.
fn proven_at(state: &dyn StateRead, claim_hash: &B256) -> Result<Option<u64>, StorageError> {
    let Some(bytes) = state.read(&keys::proven(claim_hash))? else { return Ok(None) };
    let bytes = <[u8; 8]>::try_from(bytes.as_slice())
        .map_err(|_| StorageError::corrupt("height of a proven claim"))?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

/// Whether a call submits a proof whose claim was accepted already. Everything else about the proof is judged
/// in a block.
///
/// # Errors
/// [`CallError::Revert`] where the call or its proof does not decode.
fn is_known(state: &dyn StateRead, input: &[u8]) -> Result<bool, CallError> {
    let call = decode(input)?;
    let Proofs::ProofsCalls::submit(call) = call else { return Ok(false) };
    let proof = CrossChainProof::from_abi(&call.proof)
        .map_err(|error| CallError::Revert(format!("proof refused: {error}")))?;
    Ok(proven_at(state, &proof.claim.hash(&proof.header))?.is_some())
}

fn decode(input: &[u8]) -> Result<Proofs::ProofsCalls, CallError> {
    Proofs::ProofsCalls::abi_decode_validate(input)
        .map_err(|error| CallError::revert(format!("Proofs: bad call data: {error}")))
}
