//! What staking keeps in the state.

use alloy_primitives::{Address, U256};
use alloy_sol_types::SolValue;

use super::pool::Pool;
use crate::{
    grid::{Validator, ValidatorSet},
    modules::abi::STAKING,
    state::{Account, Fields, Overlay, StateRead, StorageError, keys, system},
};

/// A delegate, named by the address of its signing key. It stays once it is registered, so that a jail term
/// cannot be left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delegate {
    /// Who put in the self-bond and gets the commission.
    pub owner: Address,
    /// The owner's part of what the delegate earns, of 10,000.
    pub commission: u16,
    /// All stake.
    pub pool: Pool,
    /// The first epoch in which it may leave jail; zero if it is not in jail.
    pub jailed_until: u64,
}

impl Delegate {
    pub(crate) fn read(
        state: &dyn StateRead,
        account: &Address,
    ) -> Result<Option<Self>, StorageError> {
        let Some(bytes) = state.read(&keys::staking_delegate(account))? else { return Ok(None) };
        let mut fields = Fields::new(&bytes, "delegate");
        let delegate = Self {
            owner: fields.address()?,
            commission: u16::try_from(fields.u64()?)
                .map_err(|_| StorageError::corrupt("delegate"))?,
            pool: Pool { tokens: fields.u128()?, shares: fields.u128()? },
            jailed_until: fields.u64()?,
        };
        fields.end()?;
        Ok(Some(delegate))
    }

    pub(super) fn store(&self, overlay: &mut Overlay<'_>, account: &Address) {
        let mut value = self.owner.to_vec();
        value.extend_from_slice(&u64::from(self.commission).to_be_bytes());
        value.extend_from_slice(&self.pool.tokens.to_be_bytes());
        value.extend_from_slice(&self.pool.shares.to_be_bytes());
        value.extend_from_slice(&self.jailed_until.to_be_bytes());
        overlay.set(keys::staking_delegate(account), value);
    }
}

fn read_u128(state: &dyn StateRead, key: &[u8], what: &'static str) -> Result<u128, StorageError> {
    let Some(bytes) = state.read(key)? else { return Ok(0) };
    let mut fields = Fields::new(&bytes, what);
    let number = fields.u128()?;
    fields.end()?;
    Ok(number)
}

/// Writes a number; zero is not kept.
fn store_u128(overlay: &mut Overlay<'_>, key: Vec<u8>, number: u128) {
    if number == 0 {
        overlay.remove(key);
    } else {
        overlay.set(key, number.to_be_bytes().to_vec());
    }
}

/// Shares of a holder in a delegate's pool.
pub(crate) fn stake_of(
    state: &dyn StateRead,
    delegate: &Address,
    holder: &Address,
) -> Result<u128, StorageError> {
    read_u128(state, &keys::staking_stake(delegate, holder), "stake")
}

pub(super) fn store_stake(
    overlay: &mut Overlay<'_>,
    delegate: &Address,
    holder: &Address,
    shares: u128,
) {
    store_u128(overlay, keys::staking_stake(delegate, holder), shares);
}

/// A holder's shares in what left a delegate in an epoch, and the pool that they are of.
pub(crate) fn waiting(
    state: &dyn StateRead,
    delegate: &Address,
    epoch: u64,
    holder: &Address,
) -> Result<(u128, Pool), StorageError> {
    let shares =
        read_u128(state, &keys::staking_waiting(delegate, epoch, holder), "waiting stake")?;
    Ok((shares, read_waiting_pool(state, delegate, epoch)?))
}

pub(super) fn store_waiting(
    overlay: &mut Overlay<'_>,
    delegate: &Address,
    epoch: u64,
    holder: &Address,
    shares: u128,
) {
    store_u128(overlay, keys::staking_waiting(delegate, epoch, holder), shares);
}

/// What left a delegate in an epoch.
pub(super) fn read_waiting_pool(
    state: &dyn StateRead,
    delegate: &Address,
    epoch: u64,
) -> Result<Pool, StorageError> {
    let key = keys::staking_waiting_pool(delegate, epoch);
    let Some(bytes) = state.read(&key)? else { return Ok(Pool::default()) };
    let mut fields = Fields::new(&bytes, "waiting pool");
    let pool = Pool { tokens: fields.u128()?, shares: fields.u128()? };
    fields.end()?;
    Ok(pool)
}

pub(super) fn store_waiting_pool(
    overlay: &mut Overlay<'_>,
    delegate: &Address,
    epoch: u64,
    pool: &Pool,
) {
    let key = keys::staking_waiting_pool(delegate, epoch);
    if pool.shares == 0 {
        overlay.remove(key);
        return;
    }
    let mut value = pool.tokens.to_be_bytes().to_vec();
    value.extend_from_slice(&pool.shares.to_be_bytes());
    overlay.set(key, value);
}

fn read_addresses(state: &dyn StateRead, key: &[u8]) -> Result<Vec<Address>, StorageError> {
    let bytes = state.read(key)?.unwrap_or_default();
    let mut fields = Fields::new(&bytes, "list of addresses");
    let mut list = Vec::new();
    while !fields.is_empty() {
        list.push(fields.address()?);
    }
    Ok(list)
}

fn store_addresses(overlay: &mut Overlay<'_>, key: Vec<u8>, list: &[Address]) {
    if list.is_empty() {
        overlay.remove(key);
    } else {
        overlay.set(key, list.iter().flat_map(|address| address.0.0).collect());
    }
}

/// The delegates that may be elected, by increasing address.
pub(crate) fn candidates(state: &dyn StateRead) -> Result<Vec<Address>, StorageError> {
    read_addresses(state, &keys::staking_candidates())
}

pub(super) fn store_candidates(overlay: &mut Overlay<'_>, list: &[Address]) {
    store_addresses(overlay, keys::staking_candidates(), list);
}

/// Who was slashed for votes of an epoch.
pub(crate) fn read_offenders(
    state: &dyn StateRead,
    epoch: u64,
) -> Result<Vec<Address>, StorageError> {
    read_addresses(state, &keys::staking_offenders(epoch))
}

pub(super) fn store_offenders(overlay: &mut Overlay<'_>, epoch: u64, list: &[Address]) {
    store_addresses(overlay, keys::staking_offenders(epoch), list);
}

/// The validators of an epoch that can still be slashed for.
pub(super) fn read_set(
    state: &dyn StateRead,
    epoch: u64,
) -> Result<Option<ValidatorSet>, StorageError> {
    let Some(bytes) = state.read(&keys::staking_set(epoch))? else { return Ok(None) };
    let corrupt = || StorageError::corrupt("validator set of an epoch");
    let list = <Vec<Validator> as SolValue>::abi_decode(&bytes).map_err(|_| corrupt())?;
    ValidatorSet::new(list).map(Some).map_err(|_| corrupt())
}

pub(super) fn store_set(overlay: &mut Overlay<'_>, epoch: u64, set: &ValidatorSet) {
    overlay.set(keys::staking_set(epoch), set.as_slice().to_vec().abi_encode());
}

/// Forgets what is needed only while an epoch can be slashed for.
pub(super) fn forget_epoch(overlay: &mut Overlay<'_>, epoch: u64) {
    overlay.remove(keys::staking_set(epoch));
    overlay.remove(keys::staking_offenders(epoch));
}

/// What is left for rewards.
pub(crate) fn reserve(state: &dyn StateRead) -> Result<u128, StorageError> {
    read_u128(state, &keys::staking_reserve(), "staking reserve")
}

pub(super) fn store_reserve(overlay: &mut Overlay<'_>, amount: u128) {
    store_u128(overlay, keys::staking_reserve(), amount);
}

/// Moves GRID that the contract holds to an account.
pub(super) fn pay_out(
    overlay: &mut Overlay<'_>,
    to: &Address,
    amount: u128,
) -> Result<(), StorageError> {
    if Account::transfer(overlay, &STAKING, to, U256::from(amount))? {
        return Ok(());
    }
    Err(StorageError::new("the staking contract holds less than it owes"))
}

/// Destroys GRID that the contract holds; counted with the burned fees.
pub(super) fn burn(overlay: &mut Overlay<'_>, amount: u128) -> Result<(), StorageError> {
    let mut account = Account::load(overlay, &STAKING)?;
    account.balance = account
        .balance
        .checked_sub(U256::from(amount))
        .ok_or_else(|| StorageError::new("the staking contract holds less than it owes"))?;
    account.store(overlay, &STAKING);
    system::add_burned(overlay, U256::from(amount))
}
