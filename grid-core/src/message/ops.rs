//! Sending, delivering, reporting. Whoever calls a function here that fails undoes what it wrote.

use alloy_primitives::{Address, B256, Bytes};

use super::{
    cuts::{self, Cut},
    error::MessageError,
    found::Found,
    records::{self, Lane, Record, State},
    route,
    types::{Message, address_of},
};
use crate::{
    ChainKey,
    state::{Overlay, StateRead},
};

/// What is to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) sender: Address,
    pub(crate) destination: B256,
    pub(crate) recipient: B256,
    pub(crate) deadline: u64,
    pub(crate) ordered: bool,
    pub(crate) payload: Bytes,
}

/// This chain and its block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here {
    pub(crate) own: ChainKey,
    pub(crate) height: u64,
    pub(crate) now_secs: u64,
}

/// What a verified proof says of the block that it found a message in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence {
    pub(crate) height: u64,
    pub(crate) block: B256,
    /// Confirmed headers above it.
    pub(crate) depth: u64,
    /// The Grid block of the index.
    pub(crate) anchor: u64,
}

/// What a delivery did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The message takes effect now.
    Delivered,
    /// It never will.
    Expired,
    /// It had taken effect, and stands on another block now.
    Reaffirmed,
}

/// Numbers a message and records it.
pub(crate) fn send(
    overlay: &mut Overlay<'_>,
    here: &Here,
    order: Order,
) -> Result<Message, MessageError> {
    let Order { destination, recipient, deadline, ordered, payload, .. } = order;
    if destination == here.own.0 {
        return Err(MessageError::Itself);
    }
    let route = route::open(overlay, here.own.0, destination)?;
    if ordered && deadline == 0 {
        return Err(MessageError::NoDeadline);
    }
    if deadline != 0 && deadline <= here.now_secs {
        return Err(MessageError::Deadline { deadline, now: here.now_secs });
    }
    if recipient.is_zero() {
        return Err(MessageError::Recipient(recipient));
    }
    let sender = order.sender.into_word();
    let lane = Lane { source: here.own.0, destination, sender, ordered };
    let nonce = records::next_nonce(overlay, &lane)?;
    let source = here.own.0;
    let message =
        Message { source, nonce, sender, destination, recipient, deadline, ordered, payload };
    route.check(overlay, &message)?;
    records::advance(overlay, &lane, nonce)?;
    let record = Record {
        state: State::Sent,
        source: here.own,
        destination: ChainKey(destination),
        height: here.height,
        block: B256::ZERO,
        anchor: here.height,
        at: here.height,
        guarantee: None,
    };
    records::store(overlay, &message.id(), &record);
    Ok(message)
}

/// Records a message that a proof shows. The recipient acts only on [`Outcome::Delivered`].
pub(crate) fn deliver(
    overlay: &mut Overlay<'_>,
    here: &Here,
    found: &Found,
    evidence: &Evidence,
) -> Result<Outcome, MessageError> {
    let Found { message, id, .. } = found;
    let route = route::open(overlay, message.source, message.destination)?;
    check_emitter(found, route.mailbox)?;
    let (height, least) = (evidence.height, route.min_depth);
    if evidence.depth < least {
        return Err(MessageError::Depth { found: evidence.depth, least });
    }
    let source = ChainKey(message.source);
    cuts::read(overlay, source)?.check(evidence.anchor, height)?;
    let expired = message.is_expired(here.now_secs);
    let (state, outcome) = match records::read(overlay, id)? {
        Some(record) if is_loose(overlay, &record)? => (State::Delivered, Outcome::Reaffirmed),
        Some(_) => return Err(MessageError::Known),
        None if expired => (State::Expired, Outcome::Expired),
        None => (State::Delivered, Outcome::Delivered),
    };
    if outcome != Outcome::Reaffirmed {
        check_turn(overlay, message)?;
        advance(overlay, message)?;
    }
    if outcome == Outcome::Delivered {
        route.check(overlay, message)?;
        if address_of(&message.recipient).is_none() {
            return Err(MessageError::Recipient(message.recipient));
        }
    }
    let record = Record {
        state,
        source,
        destination: here.own,
        height,
        block: evidence.block,
        anchor: evidence.anchor,
        at: here.height,
        guarantee: None,
    };
    records::store(overlay, id, &record);
    Ok(outcome)
}

/// Refuses an ordered message that is not its sender's next one.
pub(super) fn check_turn(state: &dyn StateRead, message: &Message) -> Result<(), MessageError> {
    if !message.ordered {
        return Ok(());
    }
    let (expected, found) = (records::next_nonce(state, &Lane::of(message))?, message.nonce);
    if found == expected { Ok(()) } else { Err(MessageError::Order { expected, found }) }
}

/// After an ordered message it is the next one's turn.
pub(super) fn advance(overlay: &mut Overlay<'_>, message: &Message) -> Result<(), MessageError> {
    if message.ordered {
        records::advance(overlay, &Lane::of(message), message.nonce)?;
    }
    Ok(())
}

fn check_emitter(found: &Found, mailbox: Address) -> Result<(), MessageError> {
    match found.emitter {
        Some(emitter) if emitter != mailbox || mailbox.is_zero() => Err(MessageError::Mailbox {
            chain: found.message.source,
            expected: mailbox,
            found: emitter,
        }),
        _ => Ok(()),
    }
}

/// The cut that took away the block that a delivery stands on.
fn broken(state: &dyn StateRead, record: &Record) -> Result<Option<Cut>, MessageError> {
    let cuts = cuts::read(state, record.source)?;
    Ok(cuts.broken(record.anchor, record.height).copied())
}

/// Whether a message took effect and its block is gone.
fn is_loose(state: &dyn StateRead, record: &Record) -> Result<bool, MessageError> {
    Ok(match record.state {
        State::Breached => true,
        State::Delivered => broken(state, record)?.is_some(),
        State::Sent | State::Expired | State::Guaranteed => false,
    })
}

/// Whether delivering a message would tell nothing new.
pub(crate) fn is_known(state: &dyn StateRead, id: &B256) -> Result<bool, MessageError> {
    match records::read(state, id)? {
        Some(record) => Ok(!is_loose(state, &record)?),
        None => Ok(false),
    }
}

/// Marks a delivery that lost its block.
pub(crate) fn report(overlay: &mut Overlay<'_>, id: &B256) -> Result<(Record, Cut), MessageError> {
    let record = records::read(overlay, id)?.ok_or(MessageError::Unknown(*id))?;
    let state = record.state;
    let cut = match state {
        State::Delivered => broken(overlay, &record)?,
        State::Breached => return Err(MessageError::Known),
        State::Sent | State::Expired | State::Guaranteed => None,
    };
    let cut = cut.ok_or(MessageError::NotBroken { id: *id, state })?;
    records::store(overlay, id, &Record { state: State::Breached, ..record });
    Ok((record, cut))
}
