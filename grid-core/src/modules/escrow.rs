//! `Escrow`: GRID that a Bitcoin payment releases. The rules are [`crate::escrow`]'s.

use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::{SolCall, SolInterface};

use super::{
    CallError, Env, Module,
    abi::{
        ESCROW,
        Escrow::{self, EscrowCalls as Calls},
    },
    gas,
};
use crate::{
    ChainKey,
    escrow::{self, EscrowError, Terms, read_escrow},
    message::Found,
    state::{StateRead, keys},
};

/// The module.
#[derive(Debug)]
pub(crate) struct EscrowModule;

impl Module for EscrowModule {
    fn address(&self) -> Address {
        ESCROW
    }

    fn name(&self) -> &'static str {
        "Escrow"
    }

    fn version(&self) -> u32 {
        1
    }

    fn prefix(&self) -> u8 {
        keys::ESCROW
    }

    fn functions(&self) -> Vec<&'static str> {
        Escrow::EscrowCalls::SIGNATURES.to_vec()
    }

    fn events(&self) -> Vec<&'static str> {
        Escrow::EscrowEvents::SIGNATURES.to_vec()
    }

    fn call(&self, env: &mut Env<'_, '_>, input: &[u8]) -> Result<Vec<u8>, CallError> {
        let call = Calls::abi_decode_validate(input)
            .map_err(|error| CallError::revert(format!("Escrow: bad call data: {error}")))?;
        match call {
            Calls::open(call) => open(env, call),
            Calls::refund(call) => refund(env, call.id),
            Calls::escrowOf(call) => {
                env.not_payable()?;
                env.gas.charge(gas::READ)?;
                Ok(Escrow::escrowOfCall::abi_encode_returns(&shown(env.overlay, &call.id)?))
            }
        }
    }
}

impl From<EscrowError> for CallError {
    fn from(error: EscrowError) -> Self {
        match error {
            EscrowError::Storage(error) => Self::Storage(error),
            refused => Self::Revert(refused.to_string()),
        }
    }
}

const fn now_secs(env: &Env<'_, '_>) -> u64 {
    env.block.time_ms / 1_000
}

fn charge(env: &mut Env<'_, '_>, reads: usize, writes: usize) -> Result<(), CallError> {
    env.gas.charge_each(reads, gas::READ)?;
    env.gas.charge_each(writes, gas::WRITE)
}

/// `open`.
fn open(env: &mut Env<'_, '_>, call: Escrow::openCall) -> Result<Vec<u8>, CallError> {
    charge(env, 4, 4)?;
    let terms = Terms {
        owner: env.caller,
        payee: call.payee,
        value: env.value,
        chain: ChainKey(call.chain),
        script: call.script,
        amount: call.amount,
        deadline: call.deadline,
    };
    let now = now_secs(env);
    let id = escrow::open(env.overlay, &terms, now)?;
    let event = Escrow::Opened {
        id,
        owner: terms.owner,
        payee: terms.payee,
        value: terms.value,
        chain: terms.chain.0,
        script: terms.script,
        amount: terms.amount,
        deadline: terms.deadline,
    };
    env.log(ESCROW, &event);
    Ok(Escrow::openCall::abi_encode_returns(&id))
}

/// `refund`.
fn refund(env: &mut Env<'_, '_>, id: B256) -> Result<Vec<u8>, CallError> {
    env.not_payable()?;
    charge(env, 3, 3)?;
    let now = now_secs(env);
    let ended = escrow::refund(env.overlay, &id, now)?;
    let (owner, value) = (ended.owner, U256::from(ended.value));
    env.log(ESCROW, &Escrow::Refunded { id, owner, value });
    Ok(Vec::new())
}

/// Takes a message that the mailbox delivers.
pub(super) fn receive(env: &mut Env<'_, '_>, found: &Found) -> Result<(), CallError> {
    let outputs = found.tx.as_ref().map_or(0, |tx| tx.inner().output.len());
    charge(env, 3, 4)?;
    env.gas.charge_each(outputs, gas::READ)?;
    let now = now_secs(env);
    let (id, ended) = escrow::receive(env.overlay, &found.message, found.tx.as_ref(), now)?;
    let (payee, value, message) = (ended.payee, U256::from(ended.value), found.id);
    env.log(ESCROW, &Escrow::Released { id, payee, message, value });
    Ok(())
}

/// An escrow as the ABI has it; all zero where there is none.
fn shown(state: &dyn StateRead, id: &B256) -> Result<Escrow::escrowOfReturn, CallError> {
    let none = Escrow::escrowOfReturn {
        status: 0,
        owner: Address::ZERO,
        payee: Address::ZERO,
        value: U256::ZERO,
        chain: B256::ZERO,
        scriptHash: B256::ZERO,
        amount: 0,
        deadline: 0,
    };
    Ok(read_escrow(state, id)?.map_or(none, |found| Escrow::escrowOfReturn {
        status: found.status as u8,
        owner: found.owner,
        payee: found.payee,
        value: U256::from(found.value),
        chain: found.chain.0,
        scriptHash: found.script_hash,
        amount: found.amount,
        deadline: found.deadline,
    }))
}
