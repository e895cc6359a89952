//! The chain's own constants and counters.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolValue;

use super::{Overlay, StateRead, StorageError, codec::Fields, keys};
use crate::grid::{Validator, ValidatorSet};

/// What genesis fixes once and for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constants {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The account that may register chains and change their status.
    pub governor: Address,
    /// Gas limit of every block.
    pub gas_limit: u64,
}

impl Constants {
    /// Reads the constants.
    ///
    /// # Errors
    /// [`StorageError`] where the storage fails or genesis was never applied.
    pub fn read(state: &dyn StateRead) -> Result<Self, StorageError> {
        let stored = state.read(&keys::constants())?;
        let bytes = stored.ok_or_else(|| StorageError::new("the state has no genesis"))?;
        let mut fields = Fields::new(&bytes, "chain constants");
        let constants =
            Self { chain_id: fields.u64()?, governor: fields.address()?, gas_limit: fields.u64()? };
        fields.end()?;
        Ok(constants)
    }

    pub(crate) fn store(&self, overlay: &mut Overlay<'_>) {
        let mut value = self.chain_id.to_be_bytes().to_vec();
        value.extend_from_slice(self.governor.as_slice());
        value.extend_from_slice(&self.gas_limit.to_be_bytes());
        overlay.set(keys::constants(), value);
    }
}

/// The validators of the next block.
///
/// # Errors
/// [`StorageError`] where the storage fails or genesis was never applied.
pub fn validators(state: &dyn StateRead) -> Result<ValidatorSet, StorageError> {
    let stored = state.read(&keys::validators())?;
    let bytes = stored.ok_or_else(|| StorageError::new("the state has no genesis"))?;
    let list = <Vec<Validator> as SolValue>::abi_decode(&bytes)
        .map_err(|_| StorageError::corrupt("validator set"))?;
    ValidatorSet::new(list).map_err(|_| StorageError::corrupt("validator set"))
}

pub(crate) fn store_validators(overlay: &mut Overlay<'_>, set: &ValidatorSet) {
    overlay.set(keys::validators(), set.as_slice().to_vec().abi_encode());
}

/// The sum of base fees burned so far. Balances plus this sum is the genesis supply, always.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn burned(state: &dyn StateRead) -> Result<U256, StorageError> {
    let Some(bytes) = state.read(&keys::burned())? else { return Ok(U256::ZERO) };
    let mut fields = Fields::new(&bytes, "burned fees");
    let burned = fields.u256()?;
    fields.end()?;
    Ok(burned)
}

pub(crate) fn add_burned(overlay: &mut Overlay<'_>, amount: U256) -> Result<(), StorageError> {
    if amount.is_zero() {
        return Ok(());
    }
    let sum = burned(overlay)?.saturating_add(amount);
    overlay.set(keys::burned(), sum.to_be_bytes::<32>().to_vec());
    Ok(())
}

/// The hash of an own block, while it is among the last [`keys::RECENT_BLOCKS`] before the one that is
/// being executed.
///
/// # Errors
/// [`StorageError`] where the storage fails.
pub fn block_hash(state: &dyn StateRead, height: u64) -> Result<Option<B256>, StorageError> {
    let Some(bytes) = state.read(&keys::block_hash(height))? else { return Ok(None) };
    let mut fields = Fields::new(&bytes, "recent block hash");
    let (stored, hash) = (fields.u64()?, fields.b256()?);
    fields.end()?;
    Ok((stored == height).then_some(hash))
}

pub(crate) fn store_block_hash(overlay: &mut Overlay<'_>, height: u64, hash: B256) {
    let mut value = height.to_be_bytes().to_vec();
    value.extend_from_slice(hash.as_slice());
    overlay.set(keys::block_hash(height), value);
}
