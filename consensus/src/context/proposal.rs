//! Proposals.

use alloy_primitives::B256;
use arc_malachitebft_core_types::{self as engine, Round};
use borsh::{BorshDeserialize, BorshSerialize};
use grid_core::grid::{VoteKind, proposal_content, vote_digest};

use super::{Address, BlockHash, Grid, Height};

/// "Let us decide this block": hash only, the body travels as parts.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Proposal {
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) value: BlockHash,
    pub(crate) pol_round: Round,
    pub(crate) proposer: Address,
}

impl Proposal {
    /// What the proposer signs; `None` for a proposal without a round, which nobody may sign.
    pub(crate) fn digest(&self, chain_id: u64) -> Option<B256> {
        let (height, round) = (self.height.0, self.round.as_u32()?);
        Some(vote_digest(VoteKind::Proposal, chain_id, height, round, self.content()))
    }

    /// What is proposed, in grid-core's terms.
    pub(crate) fn content(&self) -> B256 {
        proposal_content(self.pol_round.as_u32(), self.value.0)
    }
}

impl engine::Proposal<Grid> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &BlockHash {
        &self.value
    }

    fn take_value(self) -> BlockHash {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}
