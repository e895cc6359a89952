//! Read-only views of a state: what JSON-RPC answers from.

use alloy_primitives::{Address, B256, U256};

use super::{Account, Accumulator, StateRead, StorageError, system};
use crate::{
    ChainKey,
    grid::ValidatorSet,
    index::{self, ChainEntry},
    light_client::LightClient,
    modules::{self, ChainRecord},
    pace::Measured,
    staking::{self, StakingParams},
};

pub use system::Constants;

/// An account; the default one where it does not exist.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn account(state: &dyn StateRead, address: &Address) -> Result<Account, StorageError> {
    Account::read(state, address)
}

/// Chain id, governor and gas limit.
///
/// # Errors
/// [`StorageError`] where the storage fails or genesis was never applied.
pub fn constants(state: &dyn StateRead) -> Result<Constants, StorageError> {
    Constants::read(state)
}

/// The validators of the next block.
///
/// # Errors
/// [`StorageError`] where the storage fails or genesis was never applied.
pub fn validators(state: &dyn StateRead) -> Result<ValidatorSet, StorageError> {
    system::validators(state)
}

/// The sum of base fees burned so far.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn burned(state: &dyn StateRead) -> Result<U256, StorageError> {
    system::burned(state)
}

/// All registered chains, sorted by key.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn chains(state: &dyn StateRead) -> Result<Vec<ChainRecord>, StorageError> {
    let mut records = Vec::new();
    for chain in modules::read_chain_list(state)? {
        records.push(
            modules::read_record(state, chain)?
                .ok_or_else(|| StorageError::corrupt("chain record"))?,
        );
    }
    Ok(records)
}

/// A registered chain.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn chain(state: &dyn StateRead, chain: ChainKey) -> Result<Option<ChainRecord>, StorageError> {
    modules::read_record(state, chain)
}

/// The newest measurement of a chain's pace; `None` before the first, and where its level is fixed.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn measured(state: &dyn StateRead, chain: ChainKey) -> Result<Option<Measured>, StorageError> {
    Ok(modules::read_pace(state, chain)?.and_then(|pace| pace.last().copied()))
}

/// A chain's light client with all tracked headers; `None` where the chain is not registered. Costs time in the
/// number of headers: ask once per block, not per request.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn light_client(
    state: &dyn StateRead,
    chain: ChainKey,
) -> Result<Option<LightClient>, StorageError> {
    match modules::read_record(state, chain)? {
        Some(record) => modules::light_client::load(state, &record).map(Some),
        None => Ok(None),
    }
}

/// A chain's accumulator; `None` where the chain is not registered.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn accumulator(
    state: &dyn StateRead,
    chain: ChainKey,
) -> Result<Option<Accumulator>, StorageError> {
    Accumulator::read(state, chain)
}

/// The index: active chains, sorted by key.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn entries(state: &dyn StateRead) -> Result<Vec<ChainEntry>, StorageError> {
    modules::read_entries(state)
}

/// The root of the index.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn index_root(state: &dyn StateRead) -> Result<B256, StorageError> {
    Ok(index::index_root(&modules::read_entries(state)?))
}

/// The earliest Grid time, in milliseconds, at which time alone may confirm more headers. A proposer
/// with an empty mempool need not make a block before that.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn next_due_ms(state: &dyn StateRead) -> Result<Option<u64>, StorageError> {
    Ok(modules::read_due(state)?.into_iter().map(|(_, at)| at).min())
}

/// The hash of one of the chain's last 8,192 blocks before the state's own.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn recent_block_hash(state: &dyn StateRead, height: u64) -> Result<Option<B256>, StorageError> {
    system::block_hash(state, height)
}

/// The rules of staking; `None` on a chain without it.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn staking(state: &dyn StateRead) -> Result<Option<StakingParams>, StorageError> {
    staking::read_params(state)
}

/// Whether a validator was slashed for votes of an epoch. Known as long as it can be slashed for it.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn is_punished(
    state: &dyn StateRead,
    validator: &Address,
    epoch: u64,
) -> Result<bool, StorageError> {
    Ok(staking::read_offenders(state, epoch)?.contains(validator))
}

/// Who is known to have signed one of the epoch's last 256 blocks, by increasing address; empty where nobody showed a
/// certificate of it.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn counted_signers(state: &dyn StateRead, height: u64) -> Result<Vec<Address>, StorageError> {
    staking::counted_signers(state, height)
}
