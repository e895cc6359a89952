//! The first block of a Grid chain, from a description in JSON.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ChainId,
    grid::{Validator, ValidatorSet},
    guarantee::{self, GuaranteeGenesis},
    modules::{self, ChainRecord, MAX_CHAINS},
    staking::{self, StakingGenesis},
    state::{Account, MemoryState, Overlay, system, tree},
    transition::{self, ExecutedBlock, TransitionError},
};

/// The smallest gas limit of a block: two submissions of 2,000 Bitcoin headers fit.
pub const MIN_GAS_LIMIT: u64 = 15_000_000;
/// The largest gas limit of a block: about two seconds of work.
pub const MAX_GAS_LIMIT: u64 = 200_000_000;
/// The most accounts with a balance at genesis.
pub const MAX_ALLOC: usize = 100_000;

/// What a Grid chain starts with. Everybody who runs the chain needs the same file: block 0's hash
/// follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Genesis {
    /// EIP-155 chain id, 1 or above.
    pub chain_id: u64,
    /// Time of block 0, milliseconds since 1970.
    pub time_ms: u64,
    /// Gas limit of every block.
    pub gas_limit: u64,
    /// Base fee of block 0, smallest unit of GRID per gas. Block 1 has seven eighths of it, as after any
    /// empty block.
    pub base_fee: u64,
    /// First balances, smallest unit of GRID.
    pub alloc: BTreeMap<Address, U256>,
    /// The account that may register chains and change their status.
    pub governor: Address,
    /// Who decides the first blocks, in increasing order of address.
    pub validators: Vec<Validator>,
    /// Chains registered from the start.
    pub chains: Vec<ChainRecord>,
    /// Turns staking on; without it the validators never change and fees are the proposer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staking: Option<StakingGenesis>,
    /// Turns guarantees on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarantee: Option<GuaranteeGenesis>,
}

/// Why a genesis is not usable.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct GenesisError {
    /// The field, by its JSON name.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

fn fault(field: &'static str, reason: impl core::fmt::Display) -> GenesisError {
    GenesisError { field, reason: reason.to_string() }
}

impl Genesis {
    /// Checks everything that the chain relies on.
    ///
    /// # Errors
    /// A [`GenesisError`] naming the first bad field.
    pub fn validate(&self) -> Result<(), GenesisError> {
        if self.chain_id == 0 {
            return Err(fault("chainId", "must be 1 or above"));
        }
        if !(MIN_GAS_LIMIT..=MAX_GAS_LIMIT).contains(&self.gas_limit) {
            let reason = format!("{} must be {MIN_GAS_LIMIT} to {MAX_GAS_LIMIT}", self.gas_limit);
            return Err(fault("gasLimit", reason));
        }
        if self.time_ms > u64::from(u32::MAX).saturating_mul(1000) {
            return Err(fault("timeMs", format!("{} is beyond the year 2106", self.time_ms)));
        }
        self.validate_alloc()?;
        let validators = ValidatorSet::new(self.validators.clone())
            .map_err(|error| fault("validators", error))?;
        if let Some(staking) = &self.staking {
            staking.validate(&validators).map_err(|error| fault("staking", error))?;
        }
        self.validate_chains()?;
        match &self.guarantee {
            Some(guarantee) => {
                guarantee.validate(&self.chains).map_err(|error| fault("guarantee", error))
            }
            None => Ok(()),
        }
    }

    fn validate_alloc(&self) -> Result<(), GenesisError> {
        if self.alloc.len() > MAX_ALLOC {
            return Err(fault("alloc", format!("at most {MAX_ALLOC} accounts")));
        }
        self.alloc
            .values()
            .try_fold(U256::ZERO, |sum, balance| sum.checked_add(*balance))
            .and_then(|sum| sum.checked_add(self.staked()?))
            .filter(|sum| *sum <= U256::from(u128::MAX))
            .map(drop)
            .ok_or_else(|| fault("alloc", "the sum of balances and stakes must be below 2^128"))?;
        match self.alloc.keys().find(|address| modules::at(address).is_some()) {
            Some(address) => Err(fault("alloc", format!("{address} is a system contract"))),
            None => Ok(()),
        }
    }

    /// What staking starts with.
    fn staked(&self) -> Option<U256> {
        self.staking.as_ref().map_or(Some(U256::ZERO), StakingGenesis::total)
    }

    fn validate_chains(&self) -> Result<(), GenesisError> {
        if self.chains.len() > MAX_CHAINS {
            return Err(fault("chains", format!("at most {MAX_CHAINS}")));
        }
        let own = ChainId::eip155(self.chain_id);
        for (at, record) in self.chains.iter().enumerate() {
            record.validate().map_err(|error| fault("chains", error))?;
            if record.id == own {
                return Err(fault("chains", format!("{own} is this chain's own id")));
            }
            if self.chains.iter().take(at).any(|other| other.id == record.id) {
                return Err(fault("chains", format!("{} appears twice", record.id)));
            }
        }
        Ok(())
    }
}

/// Makes block 0: no transactions, the first state.
///
/// # Errors
/// [`TransitionError::Genesis`] where the description is not usable.
pub fn build(genesis: &Genesis) -> Result<ExecutedBlock, TransitionError> {
    let refuse = |reason: String| TransitionError::Genesis(reason);
    genesis.validate().map_err(|error| refuse(error.to_string()))?;
    let validators =
        ValidatorSet::new(genesis.validators.clone()).map_err(|error| refuse(error.to_string()))?;
    let empty = MemoryState::new();
    let mut overlay = Overlay::new(&empty);
    let constants = system::Constants {
        chain_id: genesis.chain_id,
        governor: genesis.governor,
        gas_limit: genesis.gas_limit,
    };
    constants.store(&mut overlay);
    system::store_validators(&mut overlay, &validators);
    for (address, balance) in &genesis.alloc {
        Account { nonce: 0, balance: *balance }.store(&mut overlay, address);
    }
    if let Some(description) = &genesis.staking {
        staking::apply_genesis(&mut overlay, description, &validators)
            .map_err(|error| refuse(format!("staking: {error}")))?;
    }
    for record in &genesis.chains {
        modules::store_new_record(&mut overlay, record)
            .map_err(|error| refuse(format!("chain {}: {error}", record.id)))?;
    }
    if let Some(description) = &genesis.guarantee {
        guarantee::apply_genesis(&mut overlay, description)?;
    }
    finish(genesis, validators, overlay, &empty)
}

fn finish(
    genesis: &Genesis,
    validators: ValidatorSet,
    overlay: Overlay<'_>,
    empty: &MemoryState,
) -> Result<ExecutedBlock, TransitionError> {
    let entries = modules::read_entries(&overlay)?;
    let diff = overlay.into_diff()?;
    let (root, batch) = tree::update(empty, &diff, 0)?;
    let header = transition::genesis_header(genesis, &validators, &entries, root);
    let hash = header.hash_slow();
    Ok(ExecutedBlock {
        block: transition::Block::new(header, alloy_consensus::BlockBody::default()),
        hash,
        receipts: Vec::new(),
        senders: Vec::new(),
        diff,
        tree: batch,
        entries,
        index_events: Vec::new(),
        next_validators: validators,
    })
}

impl From<GenesisError> for TransitionError {
    fn from(error: GenesisError) -> Self {
        Self::Genesis(error.to_string())
    }
}
