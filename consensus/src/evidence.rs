//! Proofs that validators contradicted themselves.

use arc_malachitebft_core_consensus::MisbehaviorEvidence;
use arc_malachitebft_core_types::{SignedProposal, SignedVote};
use grid_core::{
    grid::VoteKind,
    staking::{self, Equivocation},
};
use tracing::error;

use crate::context::Grid;

/// The pairs of conflicting votes and proposals that the engine saw, each checked by grid-core's own rules.
pub(crate) fn proofs(evidence: &MisbehaviorEvidence<Grid>, chain_id: u64) -> Vec<Equivocation> {
    let votes = evidence.votes.iter().flat_map(|(_, pairs)| pairs).filter_map(|(one, other)| {
        let (height, round) = (one.message.height.0, one.message.round.as_u32()?);
        Some(Equivocation { height, round, one: vote(one), other: vote(other) })
    });
    let proposals = evidence.proposals.iter().flat_map(|(_, pairs)| pairs);
    let proposals = proposals.filter_map(|(one, other)| {
        let (height, round) = (one.message.height.0, one.message.round.as_u32()?);
        Some(Equivocation { height, round, one: proposal(one), other: proposal(other) })
    });
    votes.chain(proposals).filter(|proof| is_good(proof, chain_id)).collect()
}

fn is_good(proof: &Equivocation, chain_id: u64) -> bool {
    let (height, round, kind) = (proof.height, proof.round, proof.one.kind);
    match proof.verify(chain_id) {
        Ok(validator) => {
            error!(%validator, height, round, ?kind, "a validator contradicted itself");
            true
        }
        Err(reason) => {
            error!(height, round, ?kind, %reason, "the engine's evidence proves nothing");
            false
        }
    }
}

fn vote(signed: &SignedVote<Grid>) -> staking::SignedVote {
    let (kind, block_hash) = signed.message.content();
    staking::SignedVote { kind, block_hash, signature: signed.signature.0 }
}

fn proposal(signed: &SignedProposal<Grid>) -> staking::SignedVote {
    let (kind, block_hash) = (VoteKind::Proposal, signed.message.content());
    staking::SignedVote { kind, block_hash, signature: signed.signature.0 }
}
