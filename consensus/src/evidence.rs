//! Proofs that validators contradicted themselves.

use arc_malachitebft_core_consensus::MisbehaviorEvidence;
use arc_malachitebft_core_types::SignedVote;
use grid_core::staking::{self, Equivocation};
use tracing::error;

use crate::context::Grid;

/// The pairs of conflicting votes that the engine saw, each checked by grid-core's own rules. Conflicting proposals
/// are told of in the log alone: a proposal is no vote, and whoever is misled by one is protected by the votes.
pub(crate) fn proofs(evidence: &MisbehaviorEvidence<Grid>, chain_id: u64) -> Vec<Equivocation> {
    for (validator, proposals) in evidence.proposals.iter() {
        error!(%validator, pairs = proposals.len(), "a validator signed conflicting proposals");
    }
    let pairs = evidence.votes.iter().flat_map(|(_, pairs)| pairs);
    pairs.filter_map(|(one, other)| proof(one, other, chain_id)).collect()
}

fn proof(one: &SignedVote<Grid>, other: &SignedVote<Grid>, chain_id: u64) -> Option<Equivocation> {
    let height = one.message.height.0;
    let round = one.message.round.as_u32()?;
    let proof = Equivocation { height, round, one: vote(one), other: vote(other) };
    match proof.verify(chain_id) {
        Ok(validator) => {
            error!(%validator, height, round, "a validator signed conflicting votes");
            Some(proof)
        }
        Err(reason) => {
            error!(height, round, %reason, "the engine's evidence of conflicting votes proves nothing");
            None
        }
    }
}

fn vote(signed: &SignedVote<Grid>) -> staking::SignedVote {
    let (kind, block_hash) = signed.message.content();
    staking::SignedVote { kind, block_hash, signature: signed.signature.0 }
}
