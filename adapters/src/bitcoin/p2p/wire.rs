//! Messages of the peer-to-peer protocol, version 1 transport.
//!
//! A message is `magic[4] | command[12] | u32 length | checksum[4] | payload`. The length is judged
//! before anything is read, by what the command can need at most; the payload is decoded with the
//! `bitcoin` crate, except for headers, whose 80 bytes are wanted as they are. Commands that a
//! header source has no use for are skipped without being kept.

#[cfg(test)]
mod tests;

use alloy_primitives::{B256, hex};
use bitcoin::{
    consensus::{Decodable, encode},
    hashes::Hash as _,
    p2p::{Magic, message, message_blockdata::Inventory, message_network::VersionMessage},
};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::{bitcoin::header, source::MAX_HEADERS};

/// Bytes before the payload.
const FRAME: usize = 24;
/// The longest payload of any message; Bitcoin Core's `MAX_PROTOCOL_MESSAGE_LENGTH`.
pub const MAX_PAYLOAD: usize = 4_000_000;
/// A header on the wire: the 80 bytes and a count of transactions, always zero.
const WIRE_HEADER: usize = header::LEN + 1;
/// The longest count in front of a list.
const COUNT: usize = 9;
/// The most entries of an inventory, 36 bytes each; Bitcoin Core's `MAX_INV_SZ`.
const MAX_INVENTORY: usize = 50_000;
/// The longest `version`: its fixed part, an agent of 256 bytes, and room for later fields.
const MAX_VERSION: usize = 1_024;

/// Why a peer's bytes are refused. All of these end the connection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// Not this network's start of a message.
    #[error(
        "message starts with {}, expected this network's {}",
        hex::encode(found),
        hex::encode(expected)
    )]
    WrongMagic {
        /// What came.
        found: [u8; 4],
        /// The network's.
        expected: [u8; 4],
    },
    /// A payload longer than the command can need.
    #[error("{command} message of {length} bytes, at most {most} are read")]
    TooLong {
        /// The command.
        command: String,
        /// The length claimed.
        length: usize,
        /// The bound.
        most: usize,
    },
    /// The payload is not the one that the message was made of.
    #[error("{command} message with a wrong checksum")]
    Checksum {
        /// The command.
        command: String,
    },
    /// The payload is not what the command says.
    #[error("malformed {command} message: {reason}")]
    Malformed {
        /// The command.
        command: String,
        /// What is wrong.
        reason: String,
    },
}

/// What a peer says, as far as a header source listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Introduces the peer.
    Version(Box<VersionMessage>),
    /// Accepts our introduction.
    Verack,
    /// To be answered with the same number.
    Ping(u64),
    /// The answer to a ping.
    Pong(u64),
    /// Headers: an answer, or an announcement.
    Headers(Vec<[u8; header::LEN]>),
    /// Hashes of announced blocks, internal byte order.
    Inventory(Vec<B256>),
    /// Hashes of blocks that were asked for and are not there.
    NotFound(Vec<B256>),
    /// A serialised block.
    Block(Vec<u8>),
    /// Anything else.
    Ignored,
}

/// The start of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    command: [u8; 12],
    length: usize,
    checksum: [u8; 4],
}

impl Frame {
    fn parse(bytes: &[u8; FRAME], expected: [u8; 4]) -> Result<Self, WireError> {
        let [m0, m1, m2, m3, rest @ ..] = *bytes;
        let found = [m0, m1, m2, m3];
        if found != expected {
            return Err(WireError::WrongMagic { found, expected });
        }
        let [command @ .., l0, l1, l2, l3, c0, c1, c2, c3] = rest;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let frame = Self { command, length, checksum: [c0, c1, c2, c3] };
        match frame.most() {
            most if length > most => {
                Err(WireError::TooLong { command: frame.name(), length, most })
            }
            _ => Ok(frame),
        }
    }

    /// The longest payload that this command can have.
    fn most(&self) -> usize {
        match self.word() {
            b"version" => MAX_VERSION,
            b"verack" => 0,
            b"ping" | b"pong" => 8,
            b"headers" => COUNT + MAX_HEADERS * WIRE_HEADER,
            b"inv" | b"notfound" => COUNT + MAX_INVENTORY * 36,
            _ => MAX_PAYLOAD,
        }
    }

    /// Whether the payload is needed at all.
    fn is_read(&self, block_expected: bool) -> bool {
        match self.word() {
            b"version" | b"verack" | b"ping" | b"pong" | b"headers" | b"inv" | b"notfound" => true,
            b"block" => block_expected,
            _ => false,
        }
    }

    /// The command without its padding.
    fn word(&self) -> &[u8] {
        let end = self.command.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &self.command[..end]
    }

    fn name(&self) -> String {
        self.word().escape_ascii().to_string()
    }

    fn malformed(&self, reason: &impl ToString) -> WireError {
        WireError::Malformed { command: self.name(), reason: reason.to_string() }
    }

    fn decode(&self, payload: &[u8]) -> Result<Message, WireError> {
        if !header::hash(payload).starts_with(&self.checksum) {
            return Err(WireError::Checksum { command: self.name() });
        }
        Ok(match self.word() {
            b"version" => Message::Version(Box::new(self.value(payload)?)),
            b"verack" => Message::Verack,
            b"ping" => Message::Ping(self.value(payload)?),
            b"pong" => Message::Pong(self.value(payload)?),
            b"headers" => Message::Headers(self.headers(payload)?),
            b"inv" => Message::Inventory(self.blocks(payload)?),
            b"notfound" => Message::NotFound(self.blocks(payload)?),
            b"block" => Message::Block(payload.to_vec()),
            _ => Message::Ignored,
        })
    }

    /// A value at the payload's start. Later protocol versions append fields, so what follows it is
    /// not looked at.
    fn value<T: Decodable>(&self, payload: &[u8]) -> Result<T, WireError> {
        let (value, _) =
            encode::deserialize_partial(payload).map_err(|error| self.malformed(&error))?;
        Ok(value)
    }

    fn headers(&self, payload: &[u8]) -> Result<Vec<[u8; header::LEN]>, WireError> {
        let (count, used) = encode::deserialize_partial::<encode::VarInt>(payload)
            .map_err(|error| self.malformed(&error))?;
        let (entries, rest) = payload.get(used..).unwrap_or_default().as_chunks::<WIRE_HEADER>();
        if count.0 > MAX_HEADERS as u64 || count.0 != entries.len() as u64 || !rest.is_empty() {
            let reason = format!(
                "{} headers in {} bytes; at most {MAX_HEADERS} of {WIRE_HEADER} bytes each",
                count.0,
                payload.len()
            );
            return Err(self.malformed(&reason));
        }
        let split = |entry: &[u8; WIRE_HEADER]| match entry.split_last_chunk::<1>() {
            Some((raw, [0])) => raw.try_into().ok(),
            _ => None,
        };
        let headers: Option<Vec<_>> = entries.iter().map(split).collect();
        headers.ok_or_else(|| self.malformed(&"a header with transactions"))
    }

    /// The blocks of an inventory; transactions are left out.
    fn blocks(&self, payload: &[u8]) -> Result<Vec<B256>, WireError> {
        let inventory: Vec<Inventory> = self.value(payload)?;
        if inventory.len() > MAX_INVENTORY {
            return Err(self.malformed(&format!("{} entries", inventory.len())));
        }
        let block = |entry: &Inventory| match entry {
            Inventory::Block(hash) | Inventory::WitnessBlock(hash) => {
                Some(B256::new(hash.to_byte_array()))
            }
            _ => None,
        };
        Ok(inventory.iter().filter_map(block).collect())
    }
}

/// Reads a peer's messages.
#[derive(Debug)]
pub(super) struct Reader<R> {
    from: R,
    magic: [u8; 4],
    payload: Vec<u8>,
}

/// The start of a message was read; the rest has to follow soon.
#[derive(Debug)]
#[must_use = "the payload follows on the wire"]
pub(super) struct Started(Frame);

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) const fn new(from: R, magic: [u8; 4]) -> Self {
        Self { from, magic, payload: Vec::new() }
    }

    /// Waits for the next message's start.
    pub(super) async fn start(&mut self) -> Result<Started, super::PeerError> {
        let mut bytes = [0; FRAME];
        self.from.read_exact(&mut bytes).await?;
        Ok(Started(Frame::parse(&bytes, self.magic)?))
    }

    /// Reads the rest. Memory grows with what arrives, not with what is claimed.
    pub(super) async fn finish(
        &mut self,
        Started(frame): Started,
        block_expected: bool,
    ) -> Result<Message, super::PeerError> {
        let mut from = (&mut self.from).take(frame.length as u64);
        if !frame.is_read(block_expected) {
            let skipped = tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
            return if skipped == frame.length as u64 {
                Ok(Message::Ignored)
            } else {
                Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into())
            };
        }
        self.payload.clear();
        if from.read_to_end(&mut self.payload).await? < frame.length {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        let message = frame.decode(&self.payload)?;
        // A block must not stay allocated for the rest of the connection.
        self.payload.shrink_to(FRAME + MAX_HEADERS * WIRE_HEADER);
        Ok(message)
    }
}

/// A message to a peer.
pub(super) fn encode(magic: [u8; 4], message: message::NetworkMessage) -> Vec<u8> {
    encode::serialize(&message::RawNetworkMessage::new(Magic::from_bytes(magic), message))
}

/// Decodes what a peer sends, as a connection does; an unfinished message at the end is left out.
/// For fuzzing: no bytes may bring it down.
///
/// # Errors
/// The [`WireError`] that ends the connection.
#[doc(hidden)]
pub fn decode_stream(mut bytes: &[u8], magic: [u8; 4]) -> Result<Vec<Message>, WireError> {
    let mut messages = Vec::new();
    while let Some((start, rest)) = bytes.split_first_chunk::<FRAME>() {
        let frame = Frame::parse(start, magic)?;
        let Some((payload, rest)) = rest.split_at_checked(frame.length) else { break };
        messages.push(if frame.is_read(true) { frame.decode(payload)? } else { Message::Ignored });
        bytes = rest;
    }
    Ok(messages)
}
