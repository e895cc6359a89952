//! What contradicting oneself costs.

use alloy_primitives::Address;

use super::{
    error::StakingError,
    evidence::Equivocation,
    ops::{Holder, enlist, need_delegate},
    params::{StakingParams, need},
    pool::parts_of,
    records::{
        burn, pay_out, read_offenders, read_set, read_waiting_pool, store_offenders,
        store_waiting_pool,
    },
};
use crate::state::{Overlay, StateRead};

/// What a report did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Punished {
    /// Who lost.
    pub(crate) delegate: Address,
    /// What was taken.
    pub(crate) slashed: u128,
    /// The reporter's share of it; the rest is burned.
    pub(crate) reward: u128,
    /// How many pools were slashed.
    pub(crate) pools: usize,
    /// The first epoch in which it may leave jail.
    pub(crate) jailed_until: u64,
}

/// Whether the signer was slashed already for an epoch's votes. Nothing else is judged.
pub(crate) fn is_punished(
    state: &dyn StateRead,
    evidence: &Equivocation,
    chain_id: u64,
) -> Result<bool, StakingError> {
    let epoch = need(state)?.epoch_of(evidence.height);
    let offenders = read_offenders(state, epoch)?;
    Ok(!offenders.is_empty() && offenders.contains(&evidence.verify(chain_id)?))
}

/// Slashes and jails who voted twice: a part of the delegate's pool, and of all that left since the epoch of the
/// votes. Once for each epoch: a node that runs twice by mistake signs many pairs.
pub(crate) fn report(
    overlay: &mut Overlay<'_>,
    reporter: &Holder,
    evidence: &Equivocation,
    chain_id: u64,
) -> Result<Punished, StakingError> {
    let params = need(overlay)?;
    let (epoch, now) = (params.epoch_of(evidence.height), params.epoch_of(reporter.height));
    let oldest = params.oldest(now);
    if !(oldest..=now).contains(&epoch) {
        return Err(StakingError::Age { height: evidence.height, epoch, oldest, now });
    }
    let account = evidence.verify(chain_id)?;
    let set = read_set(overlay, epoch)?;
    if set.and_then(|set| set.power(&account)).is_none() {
        return Err(StakingError::NotAValidator { account, epoch });
    }
    let mut offenders = read_offenders(overlay, epoch)?;
    if offenders.contains(&account) {
        return Err(StakingError::Known);
    }
    offenders.push(account);
    store_offenders(overlay, epoch, &offenders);
    let mut delegate = need_delegate(overlay, &account)?;
    let (waiting, pools) = slash_waiting(overlay, &params, &account, epoch..=now)?;
    let slashed = delegate.pool.slash(params.slash_parts).saturating_add(waiting);
    let term = u64::from(params.jail_epochs).saturating_add(1);
    delegate.jailed_until = delegate.jailed_until.max(now.saturating_add(term));
    delegate.store(overlay, &account);
    enlist(overlay, &params, &account, &delegate, false)?;
    let reward = parts_of(slashed, params.reporter_parts);
    pay_out(overlay, &reporter.account, reward)?;
    burn(overlay, slashed.saturating_sub(reward))?;
    let jailed_until = delegate.jailed_until;
    Ok(Punished {
        delegate: account,
        slashed,
        reward,
        pools: pools.saturating_add(1),
        jailed_until,
    })
}

/// Slashes what left in these epochs: it stood behind the votes. Returns the sum and the number of pools.
fn slash_waiting(
    overlay: &mut Overlay<'_>,
    params: &StakingParams,
    account: &Address,
    epochs: std::ops::RangeInclusive<u64>,
) -> Result<(u128, usize), StakingError> {
    let (mut sum, mut pools) = (0u128, 0usize);
    for epoch in epochs {
        let mut pool = read_waiting_pool(overlay, account, epoch)?;
        if pool.tokens > 0 {
            sum = sum.saturating_add(pool.slash(params.slash_parts));
            store_waiting_pool(overlay, account, epoch, &pool);
            pools = pools.saturating_add(1);
        }
    }
    Ok((sum, pools))
}
