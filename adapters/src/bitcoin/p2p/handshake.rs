//! Introducing each other: `version` and `verack`.

use std::net::{Ipv4Addr, SocketAddr};

use bitcoin::p2p::{
    Address, ServiceFlags, message::NetworkMessage, message_network::VersionMessage,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::{
    PeerError,
    error::MIN_PROTOCOL_VERSION,
    wire::{Message, Reader, encode},
};
use crate::bitcoin::now_ms;

/// The protocol version that is offered: Bitcoin Core's since 0.20.
const PROTOCOL_VERSION: u32 = 70_016;

/// What a peer said about itself.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    /// Its program, as text that is safe to log.
    pub(super) agent: String,
    /// The height that it claims.
    pub(super) height: u64,
    /// Whether it has all blocks, not only the newest.
    pub(super) has_all_blocks: bool,
}

/// Introduces this side and learns who the other is. `nonce` is this process's own: a peer that
/// shows the same one is this process.
pub(super) async fn handshake<R, W>(
    reader: &mut Reader<R>,
    writer: &mut W,
    peer: SocketAddr,
    magic: [u8; 4],
    nonce: u64,
) -> Result<Remote, PeerError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let ours = NetworkMessage::Version(introduction(peer, nonce));
    writer.write_all(&encode(magic, ours)).await?;
    let mut remote = None;
    loop {
        let started = match reader.start().await {
            // Nothing came at all: most likely it did not like our magic.
            Err(PeerError::Lost { .. }) if remote.is_none() => return Err(PeerError::HungUp),
            started => started?,
        };
        match reader.finish(started, false).await? {
            Message::Version(_) if remote.is_some() => {
                return Err(PeerError::OutOfTurn { what: "a second version" });
            }
            Message::Version(theirs) => {
                remote = Some(judge(&theirs, nonce)?);
                writer.write_all(&encode(magic, NetworkMessage::Verack)).await?;
            }
            Message::Verack => {
                let Some(remote) = remote else {
                    return Err(PeerError::OutOfTurn { what: "verack before version" });
                };
                // New blocks are announced by their headers from now on.
                writer.write_all(&encode(magic, NetworkMessage::SendHeaders)).await?;
                return Ok(remote);
            }
            // Offers of features (`wtxidrelay`, `sendaddrv2`) need no answer.
            _ if remote.is_some() => {}
            _ => return Err(PeerError::OutOfTurn { what: "something before its version" }),
        }
    }
}

fn introduction(peer: SocketAddr, nonce: u64) -> VersionMessage {
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    VersionMessage {
        version: PROTOCOL_VERSION,
        services: ServiceFlags::NONE,
        timestamp: i64::try_from(now_ms() / 1_000).unwrap_or(i64::MAX),
        receiver: Address::new(&peer, ServiceFlags::NONE),
        sender: Address::new(&nowhere, ServiceFlags::NONE),
        nonce,
        user_agent: concat!("/grid:", env!("CARGO_PKG_VERSION"), "/").into(),
        start_height: 0,
        // No transactions, please.
        relay: false,
    }
}

fn judge(theirs: &VersionMessage, nonce: u64) -> Result<Remote, PeerError> {
    if theirs.nonce == nonce {
        return Err(PeerError::SelfConnection);
    }
    if theirs.version < MIN_PROTOCOL_VERSION {
        return Err(PeerError::OldVersion { found: theirs.version });
    }
    let has_all_blocks = theirs.services.has(ServiceFlags::NETWORK);
    if !has_all_blocks && !theirs.services.has(ServiceFlags::NETWORK_LIMITED) {
        return Err(PeerError::NoChain { services: theirs.services.to_u64() });
    }
    Ok(Remote {
        agent: theirs.user_agent.chars().take(64).flat_map(char::escape_default).collect(),
        height: u64::try_from(theirs.start_height).unwrap_or(0),
        has_all_blocks,
    })
}
