//! The message that a proof shows.

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolEvent;

use super::{
    bitcoin::{BitcoinNote, sender_of},
    error::MessageError,
    types::Message,
};
use crate::{
    ChainId, ChainKey,
    bitcoin::tx::Tx,
    modules::abi::Mailbox::Dispatched,
    proof::{Claim, CrossChainProof, Inclusion, ProvenLog},
};

/// A message, and where it was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) message: Message,
    pub(crate) id: B256,
    /// The contract that emitted it.
    pub(crate) emitter: Option<Address>,
    /// The Bitcoin transaction with it.
    pub(crate) tx: Option<Tx>,
}

/// The message of a proof. Whether the proof holds is not asked: its claim is believed.
///
/// # Errors
/// A [`MessageError`] that no later call can change.
pub(crate) fn find(
    proof: &CrossChainProof,
    evidence: &[u8],
    own: ChainKey,
) -> Result<Found, MessageError> {
    let claim = match &proof.claim {
        Claim::Ancestor { claim, .. } => claim,
        claim => claim,
    };
    let found = match (claim, &proof.inclusion) {
        (Claim::BitcoinData { data, .. }, Inclusion::BitcoinData { tx, .. }) => {
            let tx =
                Tx::from_stripped(&tx.raw).map_err(|error| MessageError::Log(error.to_string()))?;
            let sender = sender_of(&tx, evidence)?;
            let message = spoken(data, sender, &proof.source, own)?;
            Found { id: message.id(), message, emitter: None, tx: Some(tx) }
        }
        (Claim::Receipt { log: Some(log), .. }, _) if evidence.is_empty() => emitted(log)?,
        (Claim::Receipt { log: Some(_), .. }, _) => {
            return Err(MessageError::Evidence(evidence.len()));
        }
        _ => return Err(MessageError::Claim),
    };
    let (named, source) = (found.message.source, proof.source.key().0);
    if named != source {
        return Err(MessageError::Source { named, found: source });
    }
    if found.message.destination != own.0 {
        return Err(MessageError::Destination { own: own.0 });
    }
    Ok(found)
}

/// The message of an `OP_RETURN` output.
fn spoken(
    data: &[u8],
    sender: B256,
    source: &ChainId,
    own: ChainKey,
) -> Result<Message, MessageError> {
    let note = BitcoinNote::decode(data)?;
    if !note.is_for(own) {
        return Err(MessageError::Destination { own: own.0 });
    }
    if note.ordered && note.deadline == 0 {
        return Err(MessageError::NoDeadline);
    }
    Ok(Message {
        source: source.key().0,
        nonce: note.nonce,
        sender,
        destination: own.0,
        recipient: note.recipient.into_word(),
        deadline: u64::from(note.deadline),
        ordered: note.ordered,
        payload: note.payload,
    })
}

/// The message of a mailbox's event.
fn emitted(log: &ProvenLog) -> Result<Found, MessageError> {
    let event = Dispatched::decode_raw_log_validate(log.topics.iter().copied(), &log.data)
        .map_err(|error| MessageError::Log(error.to_string()))?;
    let Dispatched { id: named, sender, destination, .. } = event;
    let message = Message {
        source: event.source,
        nonce: event.nonce,
        sender,
        destination,
        recipient: event.recipient,
        deadline: event.deadline,
        ordered: event.ordered,
        payload: event.payload,
    };
    let id = message.id();
    if id != named {
        return Err(MessageError::Id { named, found: id });
    }
    if message.ordered && message.deadline == 0 {
        return Err(MessageError::NoDeadline);
    }
    Ok(Found { message, id, emitter: Some(log.address), tx: None })
}
