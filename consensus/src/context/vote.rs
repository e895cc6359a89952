//! Votes.

use alloy_primitives::B256;
use arc_malachitebft_core_types::{self as engine, NilOrVal, Round, SignedExtension, VoteType};
use borsh::{BorshDeserialize, BorshSerialize};
use grid_core::grid::{VoteKind, vote_digest};

use super::{Address, BlockHash, Grid, Height};

/// A prevote or precommit for a block or for nothing.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Vote {
    pub(crate) kind: VoteType,
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) value: NilOrVal<BlockHash>,
    pub(crate) validator: Address,
}

impl Vote {
    /// What its validator signs; `None` for a vote without a round, which nobody may sign.
    pub(crate) fn digest(&self, chain_id: u64) -> Option<B256> {
        let (kind, hash) = self.content();
        Some(vote_digest(kind, chain_id, self.height.0, self.round.as_u32()?, hash))
    }

    /// What is voted for, in grid-core's terms.
    pub(crate) const fn content(&self) -> (VoteKind, B256) {
        match (self.kind, &self.value) {
            (VoteType::Prevote, NilOrVal::Val(hash)) => (VoteKind::Prevote, hash.0),
            (VoteType::Prevote, NilOrVal::Nil) => (VoteKind::PrevoteNil, B256::ZERO),
            (VoteType::Precommit, NilOrVal::Val(hash)) => (VoteKind::Precommit, hash.0),
            (VoteType::Precommit, NilOrVal::Nil) => (VoteKind::PrecommitNil, B256::ZERO),
        }
    }
}

impl engine::Vote<Grid> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<BlockHash> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<BlockHash> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.validator
    }

    // Extensions are disabled at every height: a vote has nowhere to carry one.
    fn extension(&self) -> Option<&SignedExtension<Grid>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Grid>> {
        None
    }

    fn extend(self, _extension: SignedExtension<Grid>) -> Self {
        self
    }
}
