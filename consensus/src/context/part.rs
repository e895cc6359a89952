//! Parts of a block body.

use alloy_primitives::{B256, Keccak256, keccak256};
use arc_malachitebft_core_types::{self as engine, Round};
use borsh::{BorshDeserialize, BorshSerialize};
use grid_core::grid::RecoverableSignature;

use super::{Address, BlockHash, Grid, Height, Signature};

/// Domain of a part's digest, with its version.
const DOMAIN: &[u8] = b"GRID/part/1";

/// A slice of a proposed block's body, signed by the validator that sends it: a stranger can't make
/// a node buffer anything. Each part stands on its own, so order and route don't matter.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Part {
    pub(crate) height: Height,
    pub(crate) round: Round,
    pub(crate) pol_round: Round,
    /// Who proposes the block in that round.
    pub(crate) proposer: Address,
    pub(crate) value: BlockHash,
    /// Length of the whole body in bytes.
    pub(crate) length: u32,
    /// Position of this part.
    pub(crate) index: u32,
    pub(crate) data: Vec<u8>,
    /// By the proposer, or by a validator that sends the proposal again.
    pub(crate) signature: Signature,
}

impl Part {
    /// A call to decide `height`, to be signed: a part of no block in no round. Idle validators start the height
    /// when they get it.
    pub(crate) const fn call(height: Height, caller: Address) -> Self {
        Self {
            height,
            round: Round::Nil,
            pol_round: Round::Nil,
            proposer: caller,
            value: BlockHash(B256::ZERO),
            length: 0,
            index: 0,
            data: Vec::new(),
            signature: Signature(RecoverableSignature::from_bytes([0; 65])),
        }
    }

    /// Whether this is a [call](Self::call).
    pub(crate) fn is_call(&self) -> bool {
        self.round.is_nil() && self.value.0.is_zero() && self.length == 0 && self.data.is_empty()
    }

    /// What the sender signs: every other field, with the data as its keccak256.
    pub(crate) fn digest(&self, chain_id: u64) -> B256 {
        let mut hasher = Keccak256::new();
        hasher.update(DOMAIN);
        hasher.update(chain_id.to_be_bytes());
        hasher.update(self.height.0.to_be_bytes());
        hasher.update(self.round.as_i64().to_be_bytes());
        hasher.update(self.pol_round.as_i64().to_be_bytes());
        hasher.update(self.proposer.0);
        hasher.update(self.value.0);
        hasher.update(self.length.to_be_bytes());
        hasher.update(self.index.to_be_bytes());
        hasher.update(keccak256(&self.data));
        hasher.finalize()
    }
}

impl engine::ProposalPart<Grid> for Part {
    fn is_first(&self) -> bool {
        self.index == 0
    }

    fn is_last(&self) -> bool {
        crate::parts::count(self.length).is_some_and(|count| self.index == count - 1)
    }
}
