//! What messages keep in the state.

use core::fmt;

use alloy_primitives::B256;

use super::{error::MessageError, types::Message};
use crate::{
    ChainKey,
    state::{Fields, Overlay, StateRead, StorageError, keys},
};

/// How a message stands on this chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Sent from here.
    Sent = 1,
    /// Took effect here.
    Delivered = 2,
    /// Shown here after its deadline: it never takes effect.
    Expired = 3,
    /// Took effect here, and lost the block that it stood on.
    Breached = 4,
    /// Took effect here before its block was confirmed, under a guarantee.
    Guaranteed = 5,
}

impl State {
    /// The state with that code.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Sent),
            2 => Some(Self::Delivered),
            3 => Some(Self::Expired),
            4 => Some(Self::Breached),
            5 => Some(Self::Guaranteed),
            _ => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Expired => "expired",
            Self::Breached => "breached",
            Self::Guaranteed => "guaranteed",
        })
    }
}

/// What is kept of a message. Of one that was sent from here the block is this chain's, without its hash; of a guaranteed one
/// it is the one that its transaction was covered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// How it stands.
    pub state: State,
    /// The chain that it was sent on.
    pub source: ChainKey,
    /// The chain that it is for.
    pub destination: ChainKey,
    /// Height of the source's block with it.
    pub height: u64,
    /// Hash of that block, internal byte order.
    pub block: B256,
    /// The Grid block whose index showed that block; of a guaranteed one the Grid block in which this was recorded.
    pub anchor: u64,
    /// The Grid block in which this was recorded.
    pub at: u64,
    /// The guarantee that a guaranteed one took effect under.
    pub guarantee: Option<B256>,
}

/// A message's record.
pub(crate) fn read(state: &dyn StateRead, id: &B256) -> Result<Option<Record>, StorageError> {
    let Some(bytes) = state.read(&keys::message(id))? else { return Ok(None) };
    let mut fields = Fields::new(&bytes, "message");
    let code = fields.u64()?;
    let known = u8::try_from(code).ok().and_then(State::from_code);
    let record = Record {
        state: known.ok_or_else(|| StorageError::corrupt("message"))?,
        source: ChainKey(fields.b256()?),
        destination: ChainKey(fields.b256()?),
        height: fields.u64()?,
        block: fields.b256()?,
        anchor: fields.u64()?,
        at: fields.u64()?,
        guarantee: if fields.is_empty() { None } else { Some(fields.b256()?) },
    };
    fields.end()?;
    Ok(Some(record))
}

pub(super) fn store(overlay: &mut Overlay<'_>, id: &B256, record: &Record) {
    let mut value = u64::from(record.state as u8).to_be_bytes().to_vec();
    value.extend(record.source.0);
    value.extend(record.destination.0);
    value.extend(record.height.to_be_bytes());
    value.extend(record.block);
    value.extend(record.anchor.to_be_bytes());
    value.extend(record.at.to_be_bytes());
    value.extend(record.guarantee.iter().flatten());
    overlay.set(keys::message(id), value);
}

/// The message that a guarantee stands behind.
pub(super) fn covered(
    state: &dyn StateRead,
    guarantee: &B256,
) -> Result<Option<B256>, StorageError> {
    let Some(bytes) = state.read(&keys::message_cover(guarantee))? else { return Ok(None) };
    let mut fields = Fields::new(&bytes, "message of a guarantee");
    let id = fields.b256()?;
    fields.end()?;
    Ok(Some(id))
}

/// Uses a guarantee up for a message.
pub(super) fn cover(overlay: &mut Overlay<'_>, guarantee: &B256, message: &B256) {
    overlay.set(keys::message_cover(guarantee), message.to_vec());
}

/// The messages that are numbered together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) source: B256,
    pub(crate) destination: B256,
    pub(crate) sender: B256,
    pub(crate) ordered: bool,
}

impl Lane {
    pub(super) const fn of(message: &Message) -> Self {
        Self {
            source: message.source,
            destination: message.destination,
            sender: message.sender,
            ordered: message.ordered,
        }
    }

    fn key(&self) -> Vec<u8> {
        keys::message_nonce(&self.source, &self.destination, &self.sender, self.ordered)
    }
}

/// The number of a lane's next message: to be sent on the source, to take effect on the destination.
pub(crate) fn next_nonce(state: &dyn StateRead, lane: &Lane) -> Result<u64, StorageError> {
    let Some(bytes) = state.read(&lane.key())? else { return Ok(0) };
    let mut fields = Fields::new(&bytes, "message nonce");
    let nonce = fields.u64()?;
    fields.end()?;
    Ok(nonce)
}

/// Moves a lane on behind a number.
pub(super) fn advance(
    overlay: &mut Overlay<'_>,
    lane: &Lane,
    nonce: u64,
) -> Result<(), MessageError> {
    let next = nonce.checked_add(1).ok_or(MessageError::Nonce)?;
    overlay.set(lane.key(), next.to_be_bytes().to_vec());
    Ok(())
}
