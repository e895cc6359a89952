//! `Escrow`: GRID that a Bitcoin payment releases. The rules are [`crate::escrow`]'s.

use alloy_primitives::{Address, B256, Bytes, U256};
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
    guarantee::Guarantee,
    message::{Ask, Found},
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
        2
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
            Calls::open(call) => {
                let Escrow::openCall { chain, script, amount, payee, deadline } = call;
                open(env, chain, (script, amount), payee, deadline, None)
            }
            Calls::openGuaranteed(call) => {
                let guaranteed = Some((call.cover, call.premium));
                let Escrow::openGuaranteedCall { chain, script, amount, payee, deadline, .. } =
                    call;
                open(env, chain, (script, amount), payee, deadline, guaranteed)
            }
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

/// `open` and `openGuaranteed`.
fn open(
    env: &mut Env<'_, '_>,
    chain: B256,
    (script, amount): (Bytes, u64),
    payee: Address,
    deadline: u64,
    guaranteed: Option<(U256, U256)>,
) -> Result<Vec<u8>, CallError> {
    charge(env, 4, 4)?;
    let (owner, value, chain) = (env.caller, env.value, ChainKey(chain));
    let terms = Terms { owner, payee, value, chain, script, amount, deadline, guaranteed };
    let now = now_secs(env);
    let (id, opened) = escrow::open(env.overlay, &terms, now)?;
    let event = Escrow::Opened {
        id,
        owner,
        payee,
        value: U256::from(opened.value),
        chain: chain.0,
        script: terms.script,
        amount,
        deadline,
    };
    env.log(ESCROW, &event);
    if opened.cover > 0 {
        let (cover, premium) = (U256::from(opened.cover), U256::from(opened.premium));
        env.log(ESCROW, &Escrow::Asked { id, cover, premium });
    }
    Ok(Escrow::openCall::abi_encode_returns(&id))
}

/// `refund`.
fn refund(env: &mut Env<'_, '_>, id: B256) -> Result<Vec<u8>, CallError> {
    env.not_payable()?;
    charge(env, 3, 3)?;
    let now = now_secs(env);
    let paid = escrow::refund(env.overlay, &id, now)?;
    let (owner, value) = (paid.to, U256::from(paid.value));
    env.log(ESCROW, &Escrow::Refunded { id, owner, value });
    Ok(Vec::new())
}

/// Charges for what a message's transaction is searched for.
fn charge_outputs(env: &mut Env<'_, '_>, found: &Found) -> Result<(), CallError> {
    let outputs = found.tx.as_ref().map_or(0, |tx| tx.inner().output.len());
    env.gas.charge_each(outputs, gas::READ)
}

/// The guarantee that an escrow asks for, to take a message before it is confirmed.
pub(super) fn ask(env: &mut Env<'_, '_>, found: &Found) -> Result<Option<Ask>, CallError> {
    charge(env, 1, 0)?;
    charge_outputs(env, found)?;
    let now = now_secs(env);
    Ok(escrow::ask(env.overlay, &found.message, found.tx.as_ref(), now)?)
}

/// Takes a message that the mailbox delivers, under a guarantee where it is not confirmed.
pub(super) fn receive(
    env: &mut Env<'_, '_>,
    found: &Found,
    guarantee: Option<&Guarantee>,
) -> Result<(), CallError> {
    charge(env, 5, 6)?;
    charge_outputs(env, found)?;
    let now = now_secs(env);
    let (tx, message) = (found.tx.as_ref(), found.id);
    let paid = escrow::receive(env.overlay, &found.message, tx, guarantee, now)?;
    let (id, payee, value) = (paid.id, paid.to, U256::from(paid.value));
    env.log(ESCROW, &Escrow::Released { id, payee, message, value });
    if let Some((payer, premium)) = paid.premium {
        env.log(ESCROW, &Escrow::PremiumPaid { id, payer, premium: U256::from(premium) });
    }
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
        cover: U256::ZERO,
        premium: U256::ZERO,
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
        cover: U256::from(found.cover),
        premium: U256::from(found.premium),
    }))
}
