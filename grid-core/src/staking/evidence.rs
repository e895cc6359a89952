//! Proof that a validator voted or proposed twice.

use alloy_primitives::{Address, B256};
use thiserror::Error;

use crate::grid::{RecoverableSignature, VoteKind, vote_digest};

/// A signed vote or proposal; height, round and chain are those of the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedVote {
    /// Which message.
    pub kind: VoteKind,
    /// For which block; zero for the nil kinds, [`proposal_content`](crate::grid::proposal_content) for a proposal.
    pub block_hash: B256,
    /// The signature over [`vote_digest`].
    pub signature: RecoverableSignature,
}

/// Two different messages of one validator in one step of one round. A node that keeps its log never makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equivocation {
    /// Height of both.
    pub height: u64,
    /// Round of both.
    pub round: u32,
    /// One message.
    pub one: SignedVote,
    /// The other.
    pub other: SignedVote,
}

/// Why evidence proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EquivocationError {
    /// Messages of different steps, or twice the same one.
    #[error("the votes do not exclude each other: {0}")]
    NoConflict(&'static str),
    /// A nil vote with a block, or the other way round.
    #[error("a vote for nothing names no block, another vote names one")]
    Form,
    /// A signature is malformed, has a high `s`, or recovers to nothing.
    #[error("a signature is malformed")]
    Malformed,
    /// Signed by two.
    #[error("the votes are by {one} and {other} (or their content was changed)")]
    Signers {
        /// Signer of one vote.
        one: Address,
        /// Signer of the other.
        other: Address,
    },
}

impl SignedVote {
    /// Signs of a well-formed vote: nil kinds name no block, the others do.
    const fn is_formed(&self) -> bool {
        self.kind.is_nil() == self.block_hash.const_eq(&B256::ZERO)
    }

    fn signer(&self, chain_id: u64, evidence: &Equivocation) -> Result<Address, EquivocationError> {
        let (height, round) = (evidence.height, evidence.round);
        let digest = vote_digest(self.kind, chain_id, height, round, self.block_hash);
        self.signature.recover(&digest).ok_or(EquivocationError::Malformed)
    }
}

impl Equivocation {
    /// Who voted twice on chain `chain_id`. Says nothing of whether that address had a vote.
    ///
    /// # Errors
    /// The first [`EquivocationError`] met.
    pub fn verify(&self, chain_id: u64) -> Result<Address, EquivocationError> {
        if self.one.kind.step() != self.other.kind.step() {
            return Err(EquivocationError::NoConflict("they belong to different steps"));
        }
        if (self.one.kind, self.one.block_hash) == (self.other.kind, self.other.block_hash) {
            return Err(EquivocationError::NoConflict("both are for the same"));
        }
        if !self.one.is_formed() || !self.other.is_formed() {
            return Err(EquivocationError::Form);
        }
        let one = self.one.signer(chain_id, self)?;
        let other = self.other.signer(chain_id, self)?;
        if one == other { Ok(one) } else { Err(EquivocationError::Signers { one, other }) }
    }
}
