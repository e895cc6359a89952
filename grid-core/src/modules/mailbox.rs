//! `Mailbox`: messages to and from other chains. The rules are [`crate::message`]'s.

use alloy_primitives::{Address, B256};
use alloy_sol_types::{SolCall, SolInterface};

use super::{
    CallError, ChainStatus, Env, Module,
    abi::{
        ESCROW, MAILBOX,
        Mailbox::{self, MailboxCalls as Calls},
        SYSTEM_CONTRACTS,
    },
    covered, escrow, gas, proofs,
    registry::{only_governor, required},
};
use crate::{
    ChainId, ChainKey,
    guarantee::GuaranteeError,
    message::{
        self, Evidence, Found, Here, Lane, MAX_PAYLOAD, MessageError, Order, Outcome, Party, Route,
        State, address_of,
    },
    proof::CrossChainProof,
    state::{StateRead, keys, system::Constants},
};

/// The module.
#[derive(Debug)]
pub(crate) struct MailboxModule;

impl Module for MailboxModule {
    fn address(&self) -> Address {
        MAILBOX
    }

    fn name(&self) -> &'static str {
        "Mailbox"
    }

    fn version(&self) -> u32 {
        2
    }

    fn prefix(&self) -> u8 {
        keys::MAILBOX
    }

    fn functions(&self) -> Vec<&'static str> {
        Mailbox::MailboxCalls::SIGNATURES.to_vec()
    }

    fn events(&self) -> Vec<&'static str> {
        Mailbox::MailboxEvents::SIGNATURES.to_vec()
    }

    fn is_known(&self, state: &dyn StateRead, input: &[u8]) -> Result<bool, CallError> {
        match decode(input)? {
            Calls::deliver(call) => {
                let proof = CrossChainProof::from_abi(&call.proof)
                    .map_err(|error| CallError::Revert(format!("proof refused: {error}")))?;
                let own = own_key(Constants::read(state)?.chain_id);
                let found = message::find(&proof, &call.evidence, own)?;
                Ok(message::is_known(state, &found.id)?)
            }
            Calls::deliverGuaranteed(call) => {
                covered::is_known(state, &call, own_key(Constants::read(state)?.chain_id))
            }
            Calls::report(call) => {
                let record = message::read_message(state, &call.id)?;
                Ok(record.is_some_and(|record| record.state == State::Breached))
            }
            _ => Ok(false),
        }
    }

    fn call(&self, env: &mut Env<'_, '_>, input: &[u8]) -> Result<Vec<u8>, CallError> {
        env.not_payable()?;
        match decode(input)? {
            Calls::send(call) => send(env, call),
            Calls::deliver(call) => deliver(env, &call),
            Calls::deliverGuaranteed(call) => covered::deliver(env, &call),
            Calls::report(call) => report(env, call.id),
            Calls::setRoute(call) => set_route(env, &call),
            Calls::setListed(call) => set_listed(env, &call),
            call => view(env, &call),
        }
    }
}

impl From<MessageError> for CallError {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Storage(error)
            | MessageError::Guarantee(GuaranteeError::Storage(error)) => Self::Storage(error),
            MessageError::Known => Self::AlreadyKnown,
            refused => Self::Revert(refused.to_string()),
        }
    }
}

fn decode(input: &[u8]) -> Result<Calls, CallError> {
    Calls::abi_decode_validate(input)
        .map_err(|error| CallError::revert(format!("Mailbox: bad call data: {error}")))
}

pub(super) fn charge(env: &mut Env<'_, '_>, reads: usize, writes: usize) -> Result<(), CallError> {
    env.gas.charge_each(reads, gas::READ)?;
    env.gas.charge_each(writes, gas::WRITE)
}

fn own_key(chain_id: u64) -> ChainKey {
    ChainId::eip155(chain_id).key()
}

pub(super) fn here(env: &Env<'_, '_>) -> Here {
    Here {
        own: own_key(env.block.chain_id),
        height: env.block.height,
        now_secs: env.block.time_ms / 1_000,
    }
}

/// `send`.
fn send(env: &mut Env<'_, '_>, call: Mailbox::sendCall) -> Result<Vec<u8>, CallError> {
    charge(env, 4, 2)?;
    env.gas.charge_each(call.payload.len(), gas::PROOF_BYTE)?;
    if call.payload.len() > MAX_PAYLOAD {
        let (found, most) = (call.payload.len(), MAX_PAYLOAD);
        return Err(MessageError::Payload { found, most }.into());
    }
    let order = Order {
        sender: env.caller,
        destination: call.destination,
        recipient: call.recipient,
        deadline: call.deadline,
        ordered: call.ordered,
        payload: call.payload,
    };
    let here = here(env);
    let message = message::send(env.overlay, &here, order)?;
    let event = Mailbox::Dispatched::from(message);
    let id = event.id;
    env.log(MAILBOX, &event);
    Ok(Mailbox::sendCall::abi_encode_returns(&id))
}

/// `deliver`.
fn deliver(env: &mut Env<'_, '_>, call: &Mailbox::deliverCall) -> Result<Vec<u8>, CallError> {
    charge(env, 8, 2)?;
    env.gas.charge_each(call.evidence.len(), gas::PROOF_BYTE)?;
    let (proven, proof) = proofs::check(env, &call.proof)?;
    let record = required(env, proven.source.key())?;
    if record.status != ChainStatus::Active {
        let (id, status) = (record.id, record.status);
        return Err(CallError::revert(format!("chain {id} is {status}: it delivers nothing")));
    }
    let here = here(env);
    let found = message::find(&proof, &call.evidence, here.own)?;
    let evidence = Evidence {
        height: proven.height,
        block: proven.block_hash,
        depth: proven.index_depth,
        anchor: proven.grid_height,
    };
    let outcome = message::deliver(env.overlay, &here, &found, &evidence)?;
    tell(env, &found, &evidence, outcome);
    if outcome == Outcome::Delivered {
        hand_over(env, &found)?;
    }
    let state = if outcome == Outcome::Expired { State::Expired } else { State::Delivered };
    let ret = Mailbox::deliverReturn { id: found.id, state: state as u8 };
    Ok(Mailbox::deliverCall::abi_encode_returns(&ret))
}

fn tell(env: &mut Env<'_, '_>, found: &Found, evidence: &Evidence, outcome: Outcome) {
    let (id, message) = (found.id, &found.message);
    let (source, height) = (message.source, evidence.height);
    match outcome {
        Outcome::Delivered => tell_delivered(env, found, height),
        Outcome::Expired => {
            env.log(MAILBOX, &Mailbox::Expired { id, source, deadline: message.deadline });
        }
        Outcome::Reaffirmed => {
            env.log(MAILBOX, &Mailbox::Reaffirmed { id, source, height, blockHash: evidence.block })
        }
    }
}

/// Tells that a message takes effect.
pub(super) fn tell_delivered(env: &mut Env<'_, '_>, found: &Found, height: u64) {
    let Found { id, message, .. } = found;
    let event = Mailbox::Delivered {
        id: *id,
        source: message.source,
        recipient: message.recipient,
        sender: message.sender,
        nonce: message.nonce,
        height,
        payload: message.payload.clone(),
    };
    env.log(MAILBOX, &event);
}

/// Gives a message to its recipient: an account learns of it from the event, a system contract acts.
fn hand_over(env: &mut Env<'_, '_>, found: &Found) -> Result<(), CallError> {
    let recipient = found.message.recipient;
    match address_of(&recipient) {
        Some(ESCROW) => escrow::receive(env, found, None),
        Some(address) if !SYSTEM_CONTRACTS.contains(&address) => Ok(()),
        _ => Err(MessageError::Recipient(recipient).into()),
    }
}

/// `report`.
fn report(env: &mut Env<'_, '_>, id: B256) -> Result<Vec<u8>, CallError> {
    charge(env, 2, 1)?;
    let (record, cut) = message::report(env.overlay, &id)?;
    let event = Mailbox::Breached {
        id,
        source: record.source.0,
        height: record.height,
        blockHash: record.block,
        fromHeight: cut.from,
        depth: cut.depth,
        tipHash: cut.tip,
        gridHeight: cut.at,
    };
    env.log(MAILBOX, &event);
    Ok(Vec::new())
}

/// One end of a route is this chain.
fn check_ends(env: &Env<'_, '_>, source: B256, destination: B256) -> Result<(), CallError> {
    let own = own_key(env.block.chain_id).0;
    if (source == own) == (destination == own) {
        return Err(MessageError::Route("one of its two ends is this chain").into());
    }
    Ok(())
}

/// `setRoute`.
fn set_route(env: &mut Env<'_, '_>, call: &Mailbox::setRouteCall) -> Result<Vec<u8>, CallError> {
    only_governor(env)?;
    charge(env, 0, 1)?;
    check_ends(env, call.source, call.destination)?;
    let route = Route {
        policy: call.policy,
        max_payload: call.maxPayload,
        min_depth: call.minDepth,
        mailbox: call.mailbox,
    };
    message::store_route(env.overlay, call.source, call.destination, &route)?;
    let event = Mailbox::RouteChanged {
        source: call.source,
        destination: call.destination,
        policy: call.policy,
        maxPayload: call.maxPayload,
        minDepth: call.minDepth,
        mailbox: call.mailbox,
    };
    env.log(MAILBOX, &event);
    Ok(Vec::new())
}

const fn party(sender: bool) -> Party {
    if sender { Party::Sender } else { Party::Recipient }
}

/// `setListed`.
fn set_listed(env: &mut Env<'_, '_>, call: &Mailbox::setListedCall) -> Result<Vec<u8>, CallError> {
    only_governor(env)?;
    charge(env, 0, 1)?;
    let &Mailbox::setListedCall { source, destination, account, sender, listed } = call;
    check_ends(env, source, destination)?;
    message::set_listed(env.overlay, (source, destination), party(sender), &account, listed);
    env.log(MAILBOX, &Mailbox::Listed { source, destination, account, sender, listed });
    Ok(Vec::new())
}

/// Calls that change nothing.
fn view(env: &mut Env<'_, '_>, call: &Calls) -> Result<Vec<u8>, CallError> {
    use Mailbox::*;
    charge(env, 3, 0)?;
    let state: &dyn StateRead = &*env.overlay;
    Ok(match call {
        Calls::routeOf(call) => {
            let found = message::read_route(state, call.source, call.destination)?;
            routeOfCall::abi_encode_returns(&routeOfReturn {
                policy: found.policy,
                maxPayload: found.max_payload,
                minDepth: found.min_depth,
                mailbox: found.mailbox,
            })
        }
        Calls::isListed(call) => {
            let (source, destination) = (call.source, call.destination);
            let party = party(call.sender);
            let listed = message::is_listed(state, source, destination, party, &call.account)?;
            isListedCall::abi_encode_returns(&listed)
        }
        Calls::nextNonce(call) => {
            let &nextNonceCall { source, destination, sender, ordered } = call;
            let lane = Lane { source, destination, sender, ordered };
            nextNonceCall::abi_encode_returns(&message::next_nonce(state, &lane)?)
        }
        Calls::askOf(call) => return covered::ask_of(env, call),
        Calls::messageOf(call) => messageOfCall::abi_encode_returns(&shown(state, &call.id)?),
        _ => return Err(CallError::revert("Mailbox: not a view")),
    })
}

/// A message as the ABI has it; all zero where none is known.
fn shown(state: &dyn StateRead, id: &B256) -> Result<Mailbox::messageOfReturn, CallError> {
    let Some(record) = message::read_message(state, id)? else {
        return Ok(Mailbox::messageOfReturn {
            state: 0,
            source: B256::ZERO,
            destination: B256::ZERO,
            height: 0,
            blockHash: B256::ZERO,
            anchor: 0,
            gridHeight: 0,
            brokenFrom: 0,
            brokenAt: 0,
            guarantee: B256::ZERO,
            guaranteeStatus: 0,
        });
    };
    let cuts = message::read_cuts(state, record.source)?;
    let took_effect = matches!(record.state, State::Delivered | State::Breached);
    let cut = cuts.broken(record.anchor, record.height).filter(|_| took_effect);
    let (guarantee, guarantee_status) = covered::standing(state, record.guarantee)?;
    Ok(Mailbox::messageOfReturn {
        state: record.state as u8,
        source: record.source.0,
        destination: record.destination.0,
        height: record.height,
        blockHash: record.block,
        anchor: record.anchor,
        gridHeight: record.at,
        brokenFrom: cut.map_or(0, |cut| cut.from),
        brokenAt: cut.map_or(0, |cut| cut.at),
        guarantee,
        guaranteeStatus: guarantee_status,
    })
}
