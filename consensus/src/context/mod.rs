//! The engine's view of Grid: its eleven associated types, all of them thin.
//!
//! A value is a 32-byte block hash; bodies travel beside it as parts. A "public key" is an address,
//! because all signatures are recoverable: what verifies a vote is what an EVM contract does.

mod part;
mod primitives;
mod proposal;
mod signature;
mod validators;
mod vote;

pub(crate) use part::Part;
pub(crate) use primitives::{Address, BlockHash, Height};
pub(crate) use proposal::Proposal;
pub(crate) use signature::{Scheme, Signature};
pub(crate) use validators::{Validator, ValidatorSet};
pub(crate) use vote::Vote;

use arc_malachitebft_core_types::{Context, LinearTimeouts, NilOrVal, Round, VoteType};

/// The type-level knot that ties the types below together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid;

impl Context for Grid {
    type Address = Address;
    type Height = Height;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = LinearTimeouts;
    type Value = BlockHash;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Scheme;

    /// By stake: [`grid_core::grid::proposer`].
    fn select_proposer<'a>(
        &self,
        validators: &'a ValidatorSet,
        height: Height,
        round: Round,
    ) -> &'a Validator {
        validators.proposer(height.0, round.as_u32().unwrap_or(0))
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: BlockHash,
        pol_round: Round,
        address: Address,
    ) -> Proposal {
        Proposal { height, round, value, pol_round, proposer: address }
    }

    fn new_prevote(
        &self,
        height: Height,
        round: Round,
        value_id: NilOrVal<BlockHash>,
        address: Address,
    ) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, value: value_id, validator: address }
    }

    fn new_precommit(
        &self,
        height: Height,
        round: Round,
        value_id: NilOrVal<BlockHash>,
        address: Address,
    ) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, value: value_id, validator: address }
    }
}
