//! Proposals.

use alloy_primitives::{B256, Keccak256};
use arc_malachitebft_core_types::{self as engine, Round};
use borsh::{BorshDeserialize, BorshSerialize};

use super::{Address, BlockHash, Grid, Height};

/// Domain of a proposal's digest, with its version.
const DOMAIN: &[u8] = b"GRID/proposal/1";

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
    /// What the proposer signs: domain, chain id (u64), height (u64), round (i64), round of the proof
    /// of lock (i64, -1 for none), block hash; big endian.
    pub(crate) fn digest(&self, chain_id: u64) -> B256 {
        let mut hasher = Keccak256::new();
        hasher.update(DOMAIN);
        hasher.update(chain_id.to_be_bytes());
        hasher.update(self.height.0.to_be_bytes());
        hasher.update(self.round.as_i64().to_be_bytes());
        hasher.update(self.pol_round.as_i64().to_be_bytes());
        hasher.update(self.value.0);
        hasher.finalize()
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
