//! `Staking`: delegates, stakes, evidence. The rules are [`crate::staking`]'s.

use alloy_primitives::{Address, U256};
use alloy_sol_types::{SolCall, SolInterface};

use super::{
    CallError, Env, Module,
    abi::{STAKING, Staking},
    gas,
    staking_calls::{certificate, equivocation},
};
use crate::{
    staking::{
        self, Delegate, Equivocation, Holder, StakingError, StakingParams, attendance, candidates,
        read_params, reserve, stake_of, waiting,
    },
    state::{StateRead, keys, system::Constants},
};

/// The module.
#[derive(Debug)]
pub(crate) struct StakingModule;

impl Module for StakingModule {
    fn address(&self) -> Address {
        STAKING
    }

    fn name(&self) -> &'static str {
        "Staking"
    }

    fn version(&self) -> u32 {
        1
    }

    fn prefix(&self) -> u8 {
        keys::STAKING
    }

    fn functions(&self) -> Vec<&'static str> {
        Staking::StakingCalls::SIGNATURES.to_vec()
    }

    fn events(&self) -> Vec<&'static str> {
        Staking::StakingEvents::SIGNATURES.to_vec()
    }

    fn is_known(&self, state: &dyn StateRead, input: &[u8]) -> Result<bool, CallError> {
        is_known(state, input)
    }

    fn call(&self, env: &mut Env<'_, '_>, input: &[u8]) -> Result<Vec<u8>, CallError> {
        use Staking::StakingCalls as Calls;
        let call = decode(input)?;
        if !matches!(call, Calls::register(_) | Calls::delegate(_) | Calls::fund(_)) {
            env.not_payable()?;
        }
        match call {
            Calls::register(_)
            | Calls::delegate(_)
            | Calls::undelegate(_)
            | Calls::withdraw(_)
            | Calls::fund(_) => stake(env, call),
            Calls::lowerCommission(_)
            | Calls::unjail(_)
            | Calls::reportEquivocation(_)
            | Calls::recordCommit(_) => govern(env, call),
            _ => view(env, call),
        }
    }
}

impl From<StakingError> for CallError {
    fn from(error: StakingError) -> Self {
        match error {
            StakingError::Storage(error) => Self::Storage(error),
            StakingError::Known => Self::AlreadyKnown,
            refused => Self::Revert(refused.to_string()),
        }
    }
}

fn charge(env: &mut Env<'_, '_>, reads: usize, writes: usize) -> Result<(), CallError> {
    env.gas.charge_each(reads, gas::READ)?;
    env.gas.charge_each(writes, gas::WRITE)
}

const fn holder(env: &Env<'_, '_>) -> Holder {
    Holder { account: env.caller, height: env.block.height }
}

/// A number of Solidity's; all amounts and shares fit 128 bits.
fn narrow(number: U256) -> Result<u128, CallError> {
    u128::try_from(number).map_err(|_| StakingError::Amount.into())
}

/// Calls that move GRID.
fn stake(env: &mut Env<'_, '_>, call: Staking::StakingCalls) -> Result<Vec<u8>, CallError> {
    use Staking::{StakingCalls as Calls, *};
    charge(env, 6, 6)?;
    let (caller, value) = (holder(env), env.value);
    let holder = caller.account;
    match call {
        Calls::register(call) => {
            let tokens =
                staking::register(env.overlay, &caller, call.owner, call.commission, value)?;
            let (delegate, owner, commission) = (holder, call.owner, call.commission);
            env.log(STAKING, &Registered { delegate, owner, commission });
            let (tokens, holder) = (U256::from(tokens), owner);
            env.log(STAKING, &Delegated { delegate, holder, tokens, shares: tokens });
            Ok(Vec::new())
        }
        Calls::delegate(call) => {
            let delegate = call.delegate;
            let shares = U256::from(staking::delegate(env.overlay, &caller, delegate, value)?);
            env.log(STAKING, &Delegated { delegate, holder, tokens: value, shares });
            Ok(delegateCall::abi_encode_returns(&shares))
        }
        Calls::undelegate(call) => {
            let (delegate, shares) = (call.delegate, narrow(call.shares)?);
            let (tokens, free_from) = staking::undelegate(env.overlay, &caller, delegate, shares)?;
            let tokens = U256::from(tokens);
            env.log(STAKING, &Undelegated { delegate, holder, tokens, freeFrom: free_from });
            let ret = undelegateReturn { tokens, freeFrom: free_from };
            Ok(undelegateCall::abi_encode_returns(&ret))
        }
        Calls::withdraw(call) => {
            let (delegate, epoch) = (call.delegate, call.epoch);
            let tokens = staking::withdraw(env.overlay, &caller, delegate, epoch)?;
            let tokens = U256::from(tokens);
            env.log(STAKING, &Withdrawn { delegate, holder, epoch, tokens });
            Ok(withdrawCall::abi_encode_returns(&tokens))
        }
        _ => {
            staking::fund(env.overlay, &caller, value)?;
            env.log(STAKING, &Funded { from: holder, tokens: value });
            Ok(Vec::new())
        }
    }
}

/// Calls about a delegate's conduct.
fn govern(env: &mut Env<'_, '_>, call: Staking::StakingCalls) -> Result<Vec<u8>, CallError> {
    use Staking::{StakingCalls as Calls, *};
    let caller = holder(env);
    match call {
        Calls::lowerCommission(call) => {
            charge(env, 2, 1)?;
            let (delegate, commission) = (call.delegate, call.commission);
            staking::lower_commission(env.overlay, &caller, delegate, commission)?;
            env.log(STAKING, &CommissionLowered { delegate, commission });
            Ok(Vec::new())
        }
        Calls::unjail(call) => {
            charge(env, 4, 2)?;
            staking::unjail(env.overlay, &caller, call.delegate)?;
            env.log(STAKING, &Unjailed { delegate: call.delegate });
            Ok(Vec::new())
        }
        Calls::reportEquivocation(call) => {
            let slashed = report(env, &caller, &equivocation(&call)?)?;
            Ok(reportEquivocationCall::abi_encode_returns(&slashed))
        }
        Calls::recordCommit(call) => {
            let certificate = certificate(&call)?;
            env.gas.charge_each(certificate.signatures.len(), gas::SIGNATURE)?;
            charge(env, 6, 2)?;
            let (chain_id, height) = (env.block.chain_id, env.block.height);
            let added = staking::record_commit(env.overlay, &certificate, chain_id, height)?;
            Ok(recordCommitCall::abi_encode_returns(&added))
        }
        _ => Err(CallError::revert("Staking: not a call of this kind")),
    }
}

fn report(
    env: &mut Env<'_, '_>,
    reporter: &Holder,
    evidence: &Equivocation,
) -> Result<U256, CallError> {
    env.gas.charge_each(2, gas::SIGNATURE)?;
    // One value for each epoch that the evidence may reach back.
    let epochs = read_params(env.overlay)?.map_or(0, |params| params.unbonding_epochs);
    charge(env, usize::from(epochs).saturating_add(8), 6)?;
    let chain_id = env.block.chain_id;
    let punished = staking::report(env.overlay, reporter, evidence, chain_id)?;
    charge(env, 0, punished.pools)?;
    let slashed = U256::from(punished.slashed);
    let event = Staking::Slashed {
        delegate: punished.delegate,
        height: evidence.height,
        tokens: slashed,
        reporter: reporter.account,
        reward: U256::from(punished.reward),
        jailedUntil: punished.jailed_until,
    };
    env.log(STAKING, &event);
    Ok(slashed)
}

/// Calls that change nothing.
fn view(env: &mut Env<'_, '_>, call: Staking::StakingCalls) -> Result<Vec<u8>, CallError> {
    use Staking::{StakingCalls as Calls, *};
    charge(env, 4, 0)?;
    let state: &dyn StateRead = &*env.overlay;
    let params = || read_params(state)?.ok_or(StakingError::Disabled);
    Ok(match call {
        Calls::candidates(_) => candidatesCall::abi_encode_returns(&candidates(state)?),
        Calls::delegateInfo(call) => {
            let account = call.delegate;
            let found = Delegate::read(state, &account)?.ok_or(StakingError::Unknown(account))?;
            delegateInfoCall::abi_encode_returns(&delegateInfoReturn {
                owner: found.owner,
                commission: found.commission,
                tokens: U256::from(found.pool.tokens),
                shares: U256::from(found.pool.shares),
                jailedUntil: found.jailed_until,
                candidate: candidates(state)?.binary_search(&account).is_ok(),
            })
        }
        Calls::stakeOf(call) => {
            let shares = stake_of(state, &call.delegate, &call.holder)?;
            let pool = Delegate::read(state, &call.delegate)?.unwrap_or_default().pool;
            let (tokens, shares) = (U256::from(pool.worth(shares)), U256::from(shares));
            stakeOfCall::abi_encode_returns(&stakeOfReturn { shares, tokens })
        }
        Calls::waitingOf(call) => {
            let (shares, pool) = waiting(state, &call.delegate, call.epoch, &call.holder)?;
            waitingOfCall::abi_encode_returns(&U256::from(pool.worth(shares)))
        }
        Calls::epoch(_) => epochCall::abi_encode_returns(&epoch(&params()?, env.block.height)),
        Calls::reserve(_) => reserveCall::abi_encode_returns(&U256::from(reserve(state)?)),
        Calls::attendance(_) => {
            let counts = attendance(state)?;
            let (counted, signed) = (counts.counted, counts.signed);
            attendanceCall::abi_encode_returns(&attendanceReturn { counted, signed })
        }
        _ => {
            let json = serde_json::to_vec(&params()?)
                .map_err(|error| CallError::Revert(format!("staking rules: {error}")))?;
            paramsCall::abi_encode_returns(&json.into())
        }
    })
}

fn epoch(params: &StakingParams, height: u64) -> Staking::epochReturn {
    let number = params.epoch_of(height);
    let (first, last) = params.heights_of(number);
    Staking::epochReturn { number, firstHeight: first, lastHeight: last }
}

/// Whether a report or a certificate says nothing new. Everything else is judged in a block.
///
/// # Errors
/// [`CallError::Revert`] where the call does not decode or its signatures do not hold.
fn is_known(state: &dyn StateRead, input: &[u8]) -> Result<bool, CallError> {
    use Staking::StakingCalls as Calls;
    let chain_id = Constants::read(state)?.chain_id;
    Ok(match decode(input)? {
        Calls::reportEquivocation(call) => {
            staking::is_punished(state, &equivocation(&call)?, chain_id)?
        }
        Calls::recordCommit(call) => staking::is_counted(state, &certificate(&call)?, chain_id)?,
        _ => false,
    })
}

fn decode(input: &[u8]) -> Result<Staking::StakingCalls, CallError> {
    Staking::StakingCalls::abi_decode_validate(input)
        .map_err(|error| CallError::revert(format!("Staking: bad call data: {error}")))
}
