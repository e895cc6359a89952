//! `Proofs`: cross-chain proofs checked against this chain's own index.
//!
//! A proof is accepted if its Grid block is one of the last [`RECENT_BLOCKS`](keys::RECENT_BLOCKS) of this
//! chain, whose hashes the state keeps: no certificate is needed, the chain knows its own blocks.
//!
//! A proof does not outlive a reorganisation: where the source's index was cut back at or below the proven block after the
//! proof's Grid block, it is refused. A claim that was accepted before such a cut is marked by it, and can be proven again.

use alloy_primitives::{Address, B256};
use alloy_sol_types::{SolCall, SolInterface};

use super::{
    CallError, Env, Module,
    abi::{PROOFS, Proofs},
    gas,
};
use crate::{
    ChainKey,
    message::{self, Cut},
    proof::{self, CrossChainProof, Proven, Trust, TrustAnchor},
    state::{Fields, StateRead, StorageError, keys, system},
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
        2
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
                let (proven, _) = check_lasting(env, &call.proof)?;
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
                let accepted = Accepted::read(env.overlay, &call.claimHash)?;
                let height = accepted.map_or(0, |accepted| accepted.at);
                Ok(provenAtCall::abi_encode_returns(&height))
            }
            Calls::standing(call) => {
                env.gas.charge_each(2, gas::READ)?;
                let ret = standing(env.overlay, &call.claimHash)?;
                Ok(standingCall::abi_encode_returns(&ret))
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

/// As [`check`], and the proven block was not cut off the index since.
fn check_lasting(
    env: &mut Env<'_, '_>,
    bytes: &[u8],
) -> Result<(Proven, CrossChainProof), CallError> {
    let (proven, proof) = check(env, bytes)?;
    env.gas.charge(gas::READ)?;
    let cuts = message::read_cuts(env.overlay, proven.source.key())?;
    cuts.check(proven.grid_height, proven.height)?;
    Ok((proven, proof))
}

fn submit(env: &mut Env<'_, '_>, bytes: &[u8]) -> Result<B256, CallError> {
    let (proven, proof) = check_lasting(env, bytes)?;
    let claim_hash = proven.claim_hash;
    env.gas.charge(gas::WRITE)?;
    if stands(env.overlay, &claim_hash)? {
        return Err(CallError::AlreadyKnown);
    }
    record(env, claim_hash, &proven);
    // The facts of a list are known by their own names as well, whoever proved them first.
    let facts = proven.claim.fact_hashes(&proof.header);
    for fact in facts.into_iter().filter(|fact| *fact != claim_hash) {
        env.gas.charge(gas::READ)?;
        if !stands(env.overlay, &fact)? {
            env.gas.charge(gas::WRITE)?;
            record(env, fact, &proven);
        }
    }
    Ok(claim_hash)
}

/// Keeps what the claim stands on, and tells of it.
fn record(env: &mut Env<'_, '_>, claim_hash: B256, proven: &Proven) {
    let accepted = Accepted {
        at: env.block.height,
        chain: proven.source.key(),
        height: proven.height,
        anchor: proven.grid_height,
    };
    env.overlay.set(keys::proven(&claim_hash), accepted.encode());
    let event = Proofs::Proven {
        claimHash: claim_hash,
        chain: accepted.chain.0,
        height: proven.height,
        security: proven.security.code(),
    };
    env.log(PROOFS, &event);
}

/// What is kept of an accepted claim.
struct Accepted {
    /// The Grid block that accepted it.
    at: u64,
    chain: ChainKey,
    /// Height of the source's block.
    height: u64,
    /// The Grid block whose index showed that block.
    anchor: u64,
}

impl Accepted {
    fn encode(&self) -> Vec<u8> {
        let mut value = self.at.to_be_bytes().to_vec();
        value.extend(self.chain.0);
        value.extend(self.height.to_be_bytes());
        value.extend(self.anchor.to_be_bytes());
        value
    }

    fn read(state: &dyn StateRead, claim_hash: &B256) -> Result<Option<Self>, StorageError> {
        let Some(bytes) = state.read(&keys::proven(claim_hash))? else { return Ok(None) };
        let mut fields = Fields::new(&bytes, "proven claim");
        let at = fields.u64()?;
        let (chain, height) = (ChainKey(fields.b256()?), fields.u64()?);
        let accepted = Self { at, chain, height, anchor: fields.u64()? };
        fields.end()?;
        Ok(Some(accepted))
    }

    /// The cut that took the source's block off the index.
    fn cut(&self, state: &dyn StateRead) -> Result<Option<Cut>, StorageError> {
        let cuts = message::read_cuts(state, self.chain)?;
        Ok(cuts.broken(self.anchor, self.height).copied())
    }
}

/// Whether a claim was accepted and its block is still there.
fn stands(state: &dyn StateRead, claim_hash: &B256) -> Result<bool, StorageError> {
    let Some(accepted) = Accepted::read(state, claim_hash)? else { return Ok(false) };
    Ok(accepted.cut(state)?.is_none())
}

/// A claim as the ABI has it; all zero where it was never accepted.
fn standing(
    state: &dyn StateRead,
    claim_hash: &B256,
) -> Result<Proofs::standingReturn, StorageError> {
    let accepted = Accepted::read(state, claim_hash)?;
    let cut = accepted.as_ref().map(|accepted| accepted.cut(state)).transpose()?.flatten();
    Ok(Proofs::standingReturn {
        provenAt: accepted.as_ref().map_or(0, |accepted| accepted.at),
        chain: accepted.as_ref().map_or(B256::ZERO, |accepted| accepted.chain.0),
        height: accepted.map_or(0, |accepted| accepted.height),
        brokenFrom: cut.map_or(0, |cut| cut.from),
        brokenAt: cut.map_or(0, |cut| cut.at),
        depth: cut.map_or(0, |cut| cut.depth),
        tipHash: cut.map_or(B256::ZERO, |cut| cut.tip),
    })
}

/// Whether a call submits a proof whose claim was accepted already, and still stands. Everything else about the proof is judged
/// in a block.
///
/// # Errors
/// [`CallError::Revert`] where the call or its proof does not decode.
fn is_known(state: &dyn StateRead, input: &[u8]) -> Result<bool, CallError> {
    let call = decode(input)?;
    let Proofs::ProofsCalls::submit(call) = call else { return Ok(false) };
    let proof = CrossChainProof::from_abi(&call.proof)
        .map_err(|error| CallError::Revert(format!("proof refused: {error}")))?;
    Ok(stands(state, &proof.claim.hash(&proof.header))?)
}

fn decode(input: &[u8]) -> Result<Proofs::ProofsCalls, CallError> {
    Proofs::ProofsCalls::abi_decode_validate(input)
        .map_err(|error| CallError::revert(format!("Proofs: bad call data: {error}")))
}
