//! What happens at a block's end and at an epoch's.

use alloy_primitives::{Address, U256};

use super::{
    attendance::{Attendance, attendance, reset},
    election::{Candidate, elect},
    error::StakingError,
    ops::enlist,
    params::{StakingParams, WHOLE, read},
    pool::{mul_div, parts_of},
    records::{
        Delegate, candidates, forget_epoch, pay_out, read_set, reserve, store_reserve, store_set,
    },
};
use crate::{
    grid::ValidatorSet,
    modules::abi::STAKING,
    state::{Account, Overlay, StorageError, system},
};

/// Pays a block's priority fees and, after the last block of an epoch, rewards, jails and elects. Without staking
/// the fees are the proposer's.
pub(crate) fn end_block(
    overlay: &mut Overlay<'_>,
    height: u64,
    proposer: &Address,
    tips: U256,
) -> Result<(), StorageError> {
    let Some(params) = read(overlay)? else { return credit(overlay, proposer, tips) };
    pay_tips(overlay, proposer, tips)?;
    if params.ends(height) {
        end_epoch(overlay, &params, params.epoch_of(height))?;
    }
    Ok(())
}

/// Adds to a balance what was taken from others before.
fn credit(overlay: &mut Overlay<'_>, to: &Address, amount: U256) -> Result<(), StorageError> {
    if amount.is_zero() {
        return Ok(());
    }
    let mut account = Account::load(overlay, to)?;
    // The supply is below 2^128, so no balance overflows.
    account.balance = account.balance.saturating_add(amount);
    account.store(overlay, to);
    Ok(())
}

/// The proposer and those who stake with it earn the fees; of a proposer that is not a delegate, the reserve.
fn pay_tips(overlay: &mut Overlay<'_>, proposer: &Address, tips: U256) -> Result<(), StorageError> {
    if tips.is_zero() {
        return Ok(());
    }
    credit(overlay, &STAKING, tips)?;
    let amount = u128::try_from(tips).map_err(|_| StorageError::new("fees above the supply"))?;
    match Delegate::read(overlay, proposer)? {
        Some(delegate) => split(overlay, proposer, delegate, amount),
        None => {
            let sum = reserve(overlay)?.saturating_add(amount);
            store_reserve(overlay, sum);
            Ok(())
        }
    }
}

/// Divides what a delegate earned, which the contract holds already: the commission is the owner's, the rest raises
/// the worth of all shares.
fn split(
    overlay: &mut Overlay<'_>,
    account: &Address,
    mut delegate: Delegate,
    amount: u128,
) -> Result<(), StorageError> {
    let commission = match delegate.pool.shares {
        0 => amount,
        _ => parts_of(amount, delegate.commission),
    };
    pay_out(overlay, &delegate.owner, commission)?;
    let rest = amount.saturating_sub(commission);
    if rest > 0 {
        delegate.pool.tokens = delegate.pool.tokens.saturating_add(rest);
        delegate.store(overlay, account);
    }
    Ok(())
}

fn end_epoch(
    overlay: &mut Overlay<'_>,
    params: &StakingParams,
    epoch: u64,
) -> Result<(), StorageError> {
    let set = read_set(overlay, epoch)?
        .ok_or_else(|| StorageError::corrupt("validator set of the epoch"))?;
    let counts = attendance(overlay)?;
    reward(overlay, params, &set, &counts)?;
    jail_absent(overlay, params, &set, &counts, epoch)?;
    reset(overlay);
    // Nobody to elect: those who decide go on.
    let next = elect(read_candidates(overlay)?, params.max_validators.into()).unwrap_or(set);
    let after = epoch.saturating_add(1);
    store_set(overlay, after, &next);
    system::store_validators(overlay, &next);
    if let Some(over) = epoch.checked_sub(params.unbonding_epochs.into()) {
        forget_epoch(overlay, over);
    }
    Ok(())
}

fn read_candidates(overlay: &Overlay<'_>) -> Result<Vec<Candidate>, StorageError> {
    let mut list = Vec::new();
    for account in candidates(overlay)? {
        if let Some(delegate) = Delegate::read(overlay, &account)? {
            list.push(Candidate { account, tokens: delegate.pool.tokens });
        }
    }
    Ok(list)
}

/// Pays the epoch's reward by power times signed blocks; by power alone where no block was counted.
fn reward(
    overlay: &mut Overlay<'_>,
    params: &StakingParams,
    set: &ValidatorSet,
    counts: &Attendance,
) -> Result<(), StorageError> {
    let left = reserve(overlay)?;
    let block = u128::try_from(params.block_reward).unwrap_or(u128::MAX);
    let sum = block.saturating_mul(params.epoch_length.into()).min(left);
    if sum == 0 {
        return Ok(());
    }
    let weights = set
        .as_slice()
        .iter()
        .enumerate()
        .map(|(at, validator)| {
            let signed = match counts.counted {
                0 => 1,
                _ => counts.signed.get(at).copied().unwrap_or(0),
            };
            (validator.account, u128::from(validator.power).saturating_mul(signed.into()))
        })
        .collect::<Vec<_>>();
    // Powers sum up to less than 2^63 and an epoch has at most 2^24 blocks.
    let total = weights.iter().fold(0u128, |total, (_, weight)| total.saturating_add(*weight));
    let mut paid = 0u128;
    for (account, weight) in weights {
        let part = mul_div(sum, weight, total).unwrap_or(0);
        if let Some(delegate) = Delegate::read(overlay, &account)?
            && part > 0
        {
            paid = paid.saturating_add(part);
            split(overlay, &account, delegate, part)?;
        }
    }
    store_reserve(overlay, left.saturating_sub(paid));
    Ok(())
}

/// Takes the seat from those who signed too few of the blocks that count.
fn jail_absent(
    overlay: &mut Overlay<'_>,
    params: &StakingParams,
    set: &ValidatorSet,
    counts: &Attendance,
    epoch: u64,
) -> Result<(), StorageError> {
    if counts.counted == 0 || counts.counted < u64::from(params.min_counted) {
        return Ok(());
    }
    let least = u128::from(counts.counted).saturating_mul(params.min_signed_parts.into());
    let term = u64::from(params.jail_epochs).saturating_add(1);
    for (at, validator) in set.as_slice().iter().enumerate() {
        let signed = counts.signed.get(at).copied().unwrap_or(0);
        if u128::from(signed).saturating_mul(WHOLE.into()) >= least {
            continue;
        }
        let account = &validator.account;
        if let Some(mut delegate) = Delegate::read(overlay, account)? {
            delegate.jailed_until = delegate.jailed_until.max(epoch.saturating_add(term));
            delegate.store(overlay, account);
            enlist(overlay, params, account, &delegate, false).map_err(internal)?;
        }
    }
    Ok(())
}

/// Taking somebody off the list can only fail with the storage.
fn internal(error: StakingError) -> StorageError {
    match error {
        StakingError::Storage(error) => error,
        other => StorageError::new(other.to_string()),
    }
}
