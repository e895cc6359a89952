//! `Mailbox.deliverGuaranteed` and `Mailbox.askOf`: messages of blocks that are not confirmed.

use alloy_primitives::{B256, U256};
use alloy_sol_types::SolCall;

use super::{
    CallError, Env,
    abi::{ESCROW, MAILBOX, Mailbox},
    escrow, gas,
    guarantee_calls::with_source,
    mailbox::{charge, here, tell_delivered},
};
use crate::{
    ChainKey,
    guarantee::{self, read_guarantee},
    message::{self, Ask, Found, MessageError, address_of},
    state::StateRead,
};

/// Charges for a transaction and the evidence of its sender.
fn charge_bytes(env: &mut Env<'_, '_>, parts: [&[u8]; 2]) -> Result<(), CallError> {
    env.gas.charge(gas::PROOF)?;
    parts.iter().try_for_each(|part| env.gas.charge_each(part.len(), gas::PROOF_BYTE))
}

/// The guarantee that a message's recipient asks for. Who does not ask takes confirmed messages only.
fn asked(env: &mut Env<'_, '_>, found: &Found) -> Result<Ask, CallError> {
    let recipient = found.message.recipient;
    let ask = match address_of(&recipient) {
        Some(ESCROW) => escrow::ask(env, found)?,
        _ => None,
    };
    ask.ok_or_else(|| MessageError::Unasked(recipient).into())
}

/// The message of a call.
fn find(
    state: &dyn StateRead,
    call: &Mailbox::deliverGuaranteedCall,
    own: ChainKey,
) -> Result<Found, MessageError> {
    let covered = read_guarantee(state, &call.guarantee)?;
    let source = covered.ok_or(guarantee::GuaranteeError::Unknown(call.guarantee))?.chain;
    message::find_in((source, &call.transaction, call.output), &call.evidence, own)
}

/// Whether a call would deliver what is known.
pub(super) fn is_known(
    state: &dyn StateRead,
    call: &Mailbox::deliverGuaranteedCall,
    own: ChainKey,
) -> Result<bool, CallError> {
    let found = find(state, call, own)?;
    Ok(message::read_message(state, &found.id)?.is_some())
}

/// `deliverGuaranteed`.
pub(super) fn deliver(
    env: &mut Env<'_, '_>,
    call: &Mailbox::deliverGuaranteedCall,
) -> Result<Vec<u8>, CallError> {
    charge(env, 8, 3)?;
    charge_bytes(env, [&call.transaction, &call.evidence])?;
    let here = here(env);
    let found = find(env.overlay, call, here.own)?;
    message::check_covered(env.overlay, &here, &found)?;
    let (id, now_ms) = (call.guarantee, env.block.time_ms);
    let chain = ChainKey(found.message.source);
    let covering = with_source(env, chain, |overlay, source| {
        guarantee::covering(overlay, source, &id, now_ms).map_err(MessageError::from)
    })?;
    let ask = asked(env, &found)?;
    message::deliver_covered(env.overlay, &here, &found, (&covering, &ask))?;
    tell_delivered(env, &found, covering.height);
    let event = Mailbox::Guaranteed {
        id: found.id,
        source: chain.0,
        guarantee: id,
        height: covering.height,
        blockHash: covering.block,
    };
    env.log(MAILBOX, &event);
    escrow::receive(env, &found, Some(&covering))?;
    Ok(Mailbox::deliverGuaranteedCall::abi_encode_returns(&found.id))
}

/// `askOf`.
pub(super) fn ask_of(
    env: &mut Env<'_, '_>,
    call: &Mailbox::askOfCall,
) -> Result<Vec<u8>, CallError> {
    charge(env, 6, 0)?;
    charge_bytes(env, [&call.transaction, &call.evidence])?;
    let (here, source) = (here(env), ChainKey(call.source));
    let place = (source, call.transaction.as_ref(), call.output);
    let found = message::find_in(place, &call.evidence, here.own)?;
    message::check_covered(env.overlay, &here, &found)?;
    let Ask { cover, beneficiary, premium } = asked(env, &found)?;
    Ok(Mailbox::askOfCall::abi_encode_returns(&Mailbox::askOfReturn {
        id: found.id,
        cover: U256::from(cover),
        beneficiary,
        premium: U256::from(premium),
    }))
}

/// The guarantee of a message and how it stands, as the ABI has them; zero where it has none.
pub(super) fn standing(
    state: &dyn StateRead,
    guarantee: Option<B256>,
) -> Result<(B256, u8), CallError> {
    let Some(id) = guarantee else { return Ok((B256::ZERO, 0)) };
    Ok((id, read_guarantee(state, &id)?.map_or(0, |found| found.status as u8)))
}
