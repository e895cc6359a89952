//! What holders and owners do.

use alloy_primitives::{Address, U256};

use super::{
    error::StakingError,
    params::{MAX_CANDIDATES, StakingParams, WHOLE, need},
    records::{
        Delegate, candidates, pay_out, read_waiting_pool, reserve, stake_of, store_candidates,
        store_reserve, store_stake, store_waiting, store_waiting_pool, waiting,
    },
};
use crate::{
    modules::abi::STAKING,
    state::{Account, Overlay},
};

/// Who acts, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    /// The account.
    pub(crate) account: Address,
    /// Height of the block.
    pub(crate) height: u64,
}

/// Takes GRID from an account; the amount in 128 bits.
fn pay_in(overlay: &mut Overlay<'_>, from: &Address, amount: U256) -> Result<u128, StakingError> {
    let tokens = u128::try_from(amount).map_err(|_| StakingError::Amount)?;
    if tokens == 0 {
        return Err(StakingError::Nothing);
    }
    if Account::transfer(overlay, from, &STAKING, amount)? {
        return Ok(tokens);
    }
    Err(StakingError::Funds { account: *from, amount: tokens })
}

pub(super) fn need_delegate(
    overlay: &Overlay<'_>,
    account: &Address,
) -> Result<Delegate, StakingError> {
    Delegate::read(overlay, account)?.ok_or(StakingError::Unknown(*account))
}

fn need_owned(
    overlay: &Overlay<'_>,
    delegate: &Address,
    caller: &Address,
) -> Result<Delegate, StakingError> {
    let found = need_delegate(overlay, delegate)?;
    if found.owner == *caller { Ok(found) } else { Err(StakingError::NotOwner(found.owner)) }
}

/// Puts a delegate on the list of candidates or takes it off, as its jail and its self-bond say. With `must` a
/// delegate that cannot be on the list is refused.
pub(super) fn enlist(
    overlay: &mut Overlay<'_>,
    params: &StakingParams,
    account: &Address,
    delegate: &Delegate,
    must: bool,
) -> Result<(), StakingError> {
    let found = delegate.pool.worth(stake_of(overlay, account, &delegate.owner)?);
    let least = params.least_bond();
    if must && found < least {
        return Err(StakingError::SelfBond { found, least });
    }
    let fit = delegate.jailed_until == 0 && found >= least;
    let mut list = candidates(overlay)?;
    match (list.binary_search(account), fit) {
        (Ok(at), false) => {
            list.remove(at);
        }
        (Err(at), true) if list.len() < MAX_CANDIDATES => list.insert(at, *account),
        (Err(_), true) if must => return Err(StakingError::Full),
        _ => return Ok(()),
    }
    store_candidates(overlay, &list);
    Ok(())
}

/// Puts tokens that the contract already holds into a delegate's pool, for a holder.
fn add_stake(
    overlay: &mut Overlay<'_>,
    account: &Address,
    delegate: &mut Delegate,
    holder: &Address,
    tokens: u128,
) -> Result<u128, StakingError> {
    let shares = delegate.pool.deposit(tokens)?;
    let held = stake_of(overlay, account, holder)?;
    let sum = held.checked_add(shares).ok_or(StakingError::Amount)?;
    store_stake(overlay, account, holder, sum);
    delegate.store(overlay, account);
    Ok(shares)
}

/// Makes the caller's key a delegate of `owner`, with a self-bond.
pub(crate) fn register(
    overlay: &mut Overlay<'_>,
    caller: &Holder,
    owner: Address,
    commission: u16,
    value: U256,
) -> Result<u128, StakingError> {
    let params = need(overlay)?;
    let account = caller.account;
    if Delegate::read(overlay, &account)?.is_some() {
        return Err(StakingError::Exists(account));
    }
    let tokens = pay_in(overlay, &account, value)?;
    enrol(overlay, &params, &account, &Enrolment { owner, commission, tokens })?;
    Ok(tokens)
}

/// A delegate's beginning.
pub(super) struct Enrolment {
    pub(super) owner: Address,
    pub(super) commission: u16,
    /// The self-bond, which the contract holds already.
    pub(super) tokens: u128,
}

/// Writes a new delegate.
pub(super) fn enrol(
    overlay: &mut Overlay<'_>,
    params: &StakingParams,
    account: &Address,
    enrolment: &Enrolment,
) -> Result<(), StakingError> {
    let Enrolment { owner, commission, tokens } = *enrolment;
    if owner.is_zero() {
        return Err(StakingError::NoOwner);
    }
    if commission > WHOLE {
        return Err(StakingError::Commission { found: commission, most: WHOLE });
    }
    let mut delegate = Delegate { owner, commission, pool: Default::default(), jailed_until: 0 };
    add_stake(overlay, account, &mut delegate, &owner, tokens)?;
    enlist(overlay, params, account, &delegate, true)
}

/// Stakes with a delegate; returns the new shares.
pub(crate) fn delegate(
    overlay: &mut Overlay<'_>,
    caller: &Holder,
    account: Address,
    value: U256,
) -> Result<u128, StakingError> {
    let params = need(overlay)?;
    let mut delegate = need_delegate(overlay, &account)?;
    let tokens = pay_in(overlay, &caller.account, value)?;
    let shares = add_stake(overlay, &account, &mut delegate, &caller.account, tokens)?;
    if caller.account == delegate.owner {
        enlist(overlay, &params, &account, &delegate, false)?;
    }
    Ok(shares)
}

/// Takes shares out of a delegate's pool; their tokens wait. Returns them and the first epoch in which they can be
/// withdrawn.
pub(crate) fn undelegate(
    overlay: &mut Overlay<'_>,
    caller: &Holder,
    account: Address,
    shares: u128,
) -> Result<(u128, u64), StakingError> {
    let params = need(overlay)?;
    let epoch = params.epoch_of(caller.height);
    let mut delegate = need_delegate(overlay, &account)?;
    let held = stake_of(overlay, &account, &caller.account)?;
    let left = held.checked_sub(shares).ok_or(StakingError::Shares { wanted: shares, held })?;
    let tokens = delegate.pool.redeem(shares)?;
    store_stake(overlay, &account, &caller.account, left);
    delegate.store(overlay, &account);
    let mut pool = read_waiting_pool(overlay, &account, epoch)?;
    let new = pool.deposit(tokens)?;
    store_waiting_pool(overlay, &account, epoch, &pool);
    let (before, _) = waiting(overlay, &account, epoch, &caller.account)?;
    let sum = before.checked_add(new).ok_or(StakingError::Amount)?;
    store_waiting(overlay, &account, epoch, &caller.account, sum);
    if caller.account == delegate.owner {
        enlist(overlay, &params, &account, &delegate, false)?;
    }
    Ok((tokens, free_from(&params, epoch)))
}

/// The first epoch in which what left in `epoch` is free: nobody can be slashed for `epoch` any more.
fn free_from(params: &StakingParams, epoch: u64) -> u64 {
    epoch.saturating_add(params.unbonding_epochs.into()).saturating_add(1)
}

/// Pays out what left in an epoch; returns the tokens, which are fewer than left if they were slashed meanwhile.
pub(crate) fn withdraw(
    overlay: &mut Overlay<'_>,
    caller: &Holder,
    account: Address,
    epoch: u64,
) -> Result<u128, StakingError> {
    let params = need(overlay)?;
    let (shares, mut pool) = waiting(overlay, &account, epoch, &caller.account)?;
    if shares == 0 {
        return Err(StakingError::Nothing);
    }
    let (until, now) = (free_from(&params, epoch), params.epoch_of(caller.height));
    if now < until {
        return Err(StakingError::Locked { until, now });
    }
    let tokens = pool.redeem(shares)?;
    store_waiting_pool(overlay, &account, epoch, &pool);
    store_waiting(overlay, &account, epoch, &caller.account, 0);
    pay_out(overlay, &caller.account, tokens)?;
    Ok(tokens)
}

/// Lowers a commission. It is never raised: those who stake rely on it.
pub(crate) fn lower_commission(
    overlay: &mut Overlay<'_>,
    caller: &Holder,
    account: Address,
    commission: u16,
) -> Result<(), StakingError> {
    need(overlay)?;
    let mut delegate = need_owned(overlay, &account, &caller.account)?;
    if commission > delegate.commission {
        let most = delegate.commission;
        return Err(StakingError::Commission { found: commission, most });
    }
    delegate.commission = commission;
    delegate.store(overlay, &account);
    Ok(())
}

/// Leaves jail, after the term and with enough self-bond.
pub(crate) fn unjail(
    overlay: &mut Overlay<'_>,
    caller: &Holder,
    account: Address,
) -> Result<(), StakingError> {
    let params = need(overlay)?;
    let mut delegate = need_owned(overlay, &account, &caller.account)?;
    let (until, now) = (delegate.jailed_until, params.epoch_of(caller.height));
    if until == 0 {
        return Err(StakingError::NotJailed(account));
    }
    if now < until {
        return Err(StakingError::Locked { until, now });
    }
    delegate.jailed_until = 0;
    enlist(overlay, &params, &account, &delegate, true)?;
    delegate.store(overlay, &account);
    Ok(())
}

/// Adds to the reserve that pays rewards.
pub(crate) fn fund(
    overlay: &mut Overlay<'_>,
    caller: &Holder,
    value: U256,
) -> Result<(), StakingError> {
    need(overlay)?;
    let tokens = pay_in(overlay, &caller.account, value)?;
    let sum = reserve(overlay)?.checked_add(tokens).ok_or(StakingError::Amount)?;
    store_reserve(overlay, sum);
    Ok(())
}
