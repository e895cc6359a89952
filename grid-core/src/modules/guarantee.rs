//! `Guarantee`: cover for unconfirmed transactions of slow chains. The rules are [`crate::guarantee`]'s.

use alloy_primitives::{Address, U256};
use alloy_sol_types::{SolCall, SolInterface};

use super::{
    CallError, Env, Module,
    abi::{
        GUARANTEE,
        Guarantee::{self, GuaranteeCalls as Calls},
    },
    gas,
    guarantee_calls::{end, order, set_terms, view},
};
use crate::{
    guarantee::{self, Caller, GuaranteeError, Status, read_guarantee},
    state::{StateRead, keys},
};

/// The module.
#[derive(Debug)]
pub(crate) struct GuaranteeModule;

impl Module for GuaranteeModule {
    fn address(&self) -> Address {
        GUARANTEE
    }

    fn name(&self) -> &'static str {
        "Guarantee"
    }

    fn version(&self) -> u32 {
        1
    }

    fn prefix(&self) -> u8 {
        keys::GUARANTEE
    }

    fn functions(&self) -> Vec<&'static str> {
        Guarantee::GuaranteeCalls::SIGNATURES.to_vec()
    }

    fn events(&self) -> Vec<&'static str> {
        Guarantee::GuaranteeEvents::SIGNATURES.to_vec()
    }

    fn is_known(&self, state: &dyn StateRead, input: &[u8]) -> Result<bool, CallError> {
        let id = match decode(input)? {
            Calls::settle(call) => call.id,
            Calls::settleIn(call) => call.id,
            Calls::claim(call) => call.id,
            _ => return Ok(false),
        };
        let found = read_guarantee(state, &id)?;
        Ok(found.is_some_and(|found| found.status != Status::Guaranteed))
    }

    fn call(&self, env: &mut Env<'_, '_>, input: &[u8]) -> Result<Vec<u8>, CallError> {
        let call = decode(input)?;
        if !matches!(call, Calls::deposit(_) | Calls::request(_)) {
            env.not_payable()?;
        }
        match call {
            Calls::deposit(_) | Calls::leave(_) | Calls::withdraw(_) => underwrite(env, call),
            Calls::request(call) => order(env, call, input.len()),
            Calls::settle(_) | Calls::settleIn(_) | Calls::claim(_) => end(env, call, input.len()),
            Calls::setTerms(call) => set_terms(env, &call),
            _ => view(env, call),
        }
    }
}

impl From<GuaranteeError> for CallError {
    fn from(error: GuaranteeError) -> Self {
        match error {
            GuaranteeError::Storage(error) => Self::Storage(error),
            GuaranteeError::Ended { .. } => Self::AlreadyKnown,
            refused => Self::Revert(refused.to_string()),
        }
    }
}

fn decode(input: &[u8]) -> Result<Calls, CallError> {
    Calls::abi_decode_validate(input)
        .map_err(|error| CallError::revert(format!("Guarantee: bad call data: {error}")))
}

pub(super) const fn caller(env: &Env<'_, '_>) -> Caller {
    Caller { account: env.caller, now_ms: env.block.time_ms }
}

pub(super) fn charge(env: &mut Env<'_, '_>, reads: usize, writes: usize) -> Result<(), CallError> {
    env.gas.charge_each(reads, gas::READ)?;
    env.gas.charge_each(writes, gas::WRITE)
}

/// A number of Solidity's; all amounts and shares fit 128 bits.
pub(super) fn narrow(number: U256) -> Result<u128, CallError> {
    u128::try_from(number).map_err(|_| GuaranteeError::Amount.into())
}

/// What underwriters do.
fn underwrite(env: &mut Env<'_, '_>, call: Calls) -> Result<Vec<u8>, CallError> {
    use Guarantee::*;
    charge(env, 5, 4)?;
    let (caller, value) = (caller(env), env.value);
    let holder = caller.account;
    match call {
        Calls::leave(call) => {
            let shares = narrow(call.shares)?;
            let (from, until) = guarantee::leave(env.overlay, &caller, shares)?;
            let event = Leaving { holder, shares: call.shares, fromMs: from, untilMs: until };
            env.log(GUARANTEE, &event);
            Ok(leaveCall::abi_encode_returns(&leaveReturn { fromMs: from, untilMs: until }))
        }
        Calls::withdraw(call) => {
            let shares = narrow(call.shares)?;
            let tokens = U256::from(guarantee::withdraw(env.overlay, &caller, shares)?);
            env.log(GUARANTEE, &Withdrawn { holder, tokens, shares: call.shares });
            Ok(withdrawCall::abi_encode_returns(&tokens))
        }
        _ => {
            let shares = U256::from(guarantee::deposit(env.overlay, &caller, value)?);
            env.log(GUARANTEE, &Deposited { holder, tokens: value, shares });
            Ok(depositCall::abi_encode_returns(&shares))
        }
    }
}
