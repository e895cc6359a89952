//! The message that a proof shows.

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolEvent;

use super::{
    bitcoin::{BitcoinNote, sender_of},
    error::MessageError,
    types::Message,
};
use crate::{
    ChainKey,
    bitcoin::{output::data, tx::Tx},
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
        (Claim::BitcoinData { output, .. }, Inclusion::BitcoinData { tx, .. }) => {
            return find_in((proof.source.key(), &tx.raw, *output), evidence, own);
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

/// The message in an output of a transaction without witness, of a chain of Bitcoin's family.
///
/// # Errors
/// As [`find`].
pub(crate) fn find_in(
    (source, raw, output): (ChainKey, &[u8], u32),
    evidence: &[u8],
    own: ChainKey,
) -> Result<Found, MessageError> {
    let fault = |error: &dyn core::fmt::Display| MessageError::Log(error.to_string());
    let tx = Tx::from_stripped(raw).map_err(|error| fault(&error))?;
    let data = data(&tx, output).map_err(|error| fault(&error))?;
    let message = BitcoinNote::decode(&data)?.message(source, sender_of(&tx, evidence)?, own)?;
    Ok(Found { id: message.id(), message, emitter: None, tx: Some(tx) })
}

impl BitcoinNote {
    /// The message that it is on a chain, from a sender to another chain.
    ///
    /// # Errors
    /// [`MessageError::Destination`], [`MessageError::NoDeadline`].
    pub fn message(
        self,
        source: ChainKey,
        sender: B256,
        destination: ChainKey,
    ) -> Result<Message, MessageError> {
        if !self.is_for(destination) {
            return Err(MessageError::Destination { own: destination.0 });
        }
        if self.ordered && self.deadline == 0 {
            return Err(MessageError::NoDeadline);
        }
        Ok(Message {
            source: source.0,
            nonce: self.nonce,
            sender,
            destination: destination.0,
            recipient: self.recipient.into_word(),
            deadline: u64::from(self.deadline),
            ordered: self.ordered,
            payload: self.payload,
        })
    }
}

/// The message of a mailbox's event.
fn emitted(log: &ProvenLog) -> Result<Found, MessageError> {
    let message = Message::of_event(log)?;
    Ok(Found { id: message.id(), message, emitter: Some(log.address), tx: None })
}

/// The first topic of a mailbox's event.
pub const DISPATCHED: B256 = Dispatched::SIGNATURE_HASH;

impl Message {
    /// The message of a mailbox's event. Whose event it is, and on which chain, is not asked.
    ///
    /// # Errors
    /// [`MessageError::Log`], [`MessageError::Id`], [`MessageError::NoDeadline`].
    pub fn of_event(log: &ProvenLog) -> Result<Self, MessageError> {
        let event = Dispatched::decode_raw_log_validate(log.topics.iter().copied(), &log.data)
            .map_err(|error| MessageError::Log(error.to_string()))?;
        let Dispatched { id: named, sender, destination, .. } = event;
        let message = Self {
            source: event.source,
            nonce: event.nonce,
            sender,
            destination,
            recipient: event.recipient,
            deadline: event.deadline,
            ordered: event.ordered,
            payload: event.payload,
        };
        let found = message.id();
        if found != named {
            return Err(MessageError::Id { named, found });
        }
        if message.ordered && message.deadline == 0 {
            return Err(MessageError::NoDeadline);
        }
        Ok(message)
    }
}
