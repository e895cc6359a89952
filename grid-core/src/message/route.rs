//! What a pair of chains may exchange.

use alloy_primitives::{Address, B256};

use super::{
    error::MessageError,
    types::{MAX_PAYLOAD, Message},
};
use crate::state::{Fields, Overlay, StateRead, StorageError, keys};

/// The rules of a route. One of the two chains is the main chain itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Route {
    /// Bit 0: open. Bit 1: listed senders only. Bit 2: listed recipients only. Bit 3: guaranteed deliveries too.
    pub policy: u8,
    /// The most bytes of a payload.
    pub max_payload: u32,
    /// Confirmed headers above the message's block that a delivery needs, on top of the chain's own rule. A guaranteed one
    /// needs none.
    pub min_depth: u64,
    /// The contract whose events are messages; zero where the source is a chain of Bitcoin's family, and for sending.
    pub mailbox: Address,
}

/// Whom a list is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// Who sends.
    Sender,
    /// Who receives.
    Recipient,
}

impl Party {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Recipient => "recipient",
        }
    }

    /// The policy's bit that makes the list count.
    const fn bit(self) -> u8 {
        match self {
            Self::Sender => Route::LISTED_SENDERS,
            Self::Recipient => Route::LISTED_RECIPIENTS,
        }
    }
}

impl Route {
    /// Messages pass.
    pub const OPEN: u8 = 1;
    /// Of listed senders only.
    pub const LISTED_SENDERS: u8 = 2;
    /// To listed recipients only.
    pub const LISTED_RECIPIENTS: u8 = 4;

    /// Also from blocks that are not confirmed, to recipients that accept a guarantee for it.
    pub const GUARANTEED: u8 = 8;

    /// Whether anything passes.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.policy & Self::OPEN != 0
    }

    fn validate(&self) -> Result<(), MessageError> {
        let bits = Self::OPEN | Self::LISTED_SENDERS | Self::LISTED_RECIPIENTS | Self::GUARANTEED;
        if self.policy > bits {
            return Err(MessageError::Route("the policy is 0 to 15"));
        }
        if usize::try_from(self.max_payload).is_ok_and(|most| most <= MAX_PAYLOAD) {
            return Ok(());
        }
        Err(MessageError::Route("a payload has at most 4096 bytes"))
    }

    /// Whether a message may pass.
    pub(super) fn check(
        &self,
        state: &dyn StateRead,
        message: &Message,
    ) -> Result<(), MessageError> {
        let (found, most) =
            (message.payload.len(), usize::try_from(self.max_payload).unwrap_or(MAX_PAYLOAD));
        if found > most {
            return Err(MessageError::Payload { found, most });
        }
        for (party, account) in
            [(Party::Sender, message.sender), (Party::Recipient, message.recipient)]
        {
            let counts = self.policy & party.bit() != 0;
            if counts && !is_listed(state, message.source, message.destination, party, &account)? {
                return Err(MessageError::NotListed { party: party.as_str(), account });
            }
        }
        Ok(())
    }
}

/// A route; the closed one where none was set.
pub(crate) fn read(
    state: &dyn StateRead,
    source: B256,
    destination: B256,
) -> Result<Route, StorageError> {
    let Some(bytes) = state.read(&keys::message_route(&source, &destination))? else {
        return Ok(Route::default());
    };
    let corrupt = || StorageError::corrupt("message route");
    let mut fields = Fields::new(&bytes, "message route");
    let route = Route {
        policy: u8::try_from(fields.u64()?).map_err(|_| corrupt())?,
        max_payload: u32::try_from(fields.u64()?).map_err(|_| corrupt())?,
        min_depth: fields.u64()?,
        mailbox: fields.address()?,
    };
    fields.end()?;
    Ok(route)
}

/// The route of a message, if it is open.
pub(super) fn open(
    state: &dyn StateRead,
    source: B256,
    destination: B256,
) -> Result<Route, MessageError> {
    let route = read(state, source, destination)?;
    if route.is_open() {
        return Ok(route);
    }
    Err(MessageError::Closed { source_key: source, destination })
}

/// Sets a route.
pub(crate) fn store(
    overlay: &mut Overlay<'_>,
    source: B256,
    destination: B256,
    route: &Route,
) -> Result<(), MessageError> {
    route.validate()?;
    let mut value = u64::from(route.policy).to_be_bytes().to_vec();
    value.extend(u64::from(route.max_payload).to_be_bytes());
    value.extend(route.min_depth.to_be_bytes());
    value.extend(route.mailbox);
    overlay.set(keys::message_route(&source, &destination), value);
    Ok(())
}

/// Whether an account is on a route's list.
pub(crate) fn is_listed(
    state: &dyn StateRead,
    source: B256,
    destination: B256,
    party: Party,
    account: &B256,
) -> Result<bool, StorageError> {
    let key = keys::message_listed(&source, &destination, party.bit(), account);
    Ok(state.read(&key)?.is_some())
}

/// Puts an account on a route's list, or takes it off.
pub(crate) fn set_listed(
    overlay: &mut Overlay<'_>,
    (source, destination): (B256, B256),
    party: Party,
    account: &B256,
    listed: bool,
) {
    let key = keys::message_listed(&source, &destination, party.bit(), account);
    if listed { overlay.set(key, vec![1]) } else { overlay.remove(key) }
}
