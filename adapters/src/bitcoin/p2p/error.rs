//! Why a connection to a peer ends, and what that means for the next one.

use core::time::Duration;
use std::io;

use grid_core::{bitcoin::presync::PresyncError, light_client::ClientError};
use thiserror::Error;

use super::wire::WireError;

/// The oldest protocol version that is spoken: the first with `sendheaders` (BIP130).
pub const MIN_PROTOCOL_VERSION: u32 = 70_012;

/// Why a connection ended.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// Nobody answers at that address.
    #[error("cannot connect: {reason}")]
    Connect {
        /// The system's words.
        reason: String,
    },
    /// The peer did not do in time what it has to.
    #[error("no {what} within {within:?}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        within: Duration,
    },
    /// The peer hung up while introducing each other.
    #[error(
        "closed the connection in the handshake, as nodes of another network do; check network and port"
    )]
    HungUp,
    /// The connection broke.
    #[error("connection lost: {reason}")]
    Lost {
        /// The system's words.
        reason: String,
    },
    /// What came is no message of this network.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The peer is too old.
    #[error("speaks protocol version {found}, {MIN_PROTOCOL_VERSION} is needed")]
    OldVersion {
        /// Its version.
        found: u32,
    },
    /// The peer has no blocks to offer.
    #[error("offers services {services:#x}, which include no block chain")]
    NoChain {
        /// Its services.
        services: u64,
    },
    /// The address leads back to this process.
    #[error("the address leads back to this process")]
    SelfConnection,
    /// A message at the wrong time.
    #[error("sent {what}")]
    OutOfTurn {
        /// What it sent.
        what: &'static str,
    },
    /// A header breaks a rule.
    #[error("sent an invalid header: {0}")]
    Header(ClientError),
    /// Its branch was given up before being stored.
    #[error("its branch is not taken: {0}")]
    Presync(PresyncError),
    /// A block that is not what its header says.
    #[error("sent a bad block: {reason}")]
    Block {
        /// What is wrong.
        reason: String,
    },
    /// Its chain has less work than this network's is known to have.
    #[error("its chain has too little work; it is not in sync, or not of this network")]
    LowWork,
    /// Its headers do not follow any known one.
    #[error("its headers do not connect to any known block")]
    Unconnected,
    /// It repeats what is known.
    #[error("sent nothing but known headers")]
    Useless,
    /// Nothing is wrong: it made room for another.
    #[error("replaced by another peer, the tip being stale")]
    Rotated,
}

/// What follows for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Penalty {
    /// Try again later, later each time.
    BackOff,
    /// Honest peers never do this: not again for the ban's duration.
    Ban,
}

impl PeerError {
    pub(super) const fn penalty(&self) -> Penalty {
        let offence = match self {
            Self::Header(error) => !error.is_transient(),
            Self::Presync(error) => error.is_offence(),
            Self::Wire(_) | Self::Block { .. } | Self::SelfConnection | Self::OutOfTurn { .. } => {
                true
            }
            _ => false,
        };
        if offence { Penalty::Ban } else { Penalty::BackOff }
    }
}

impl From<io::Error> for PeerError {
    fn from(error: io::Error) -> Self {
        Self::Lost { reason: error.to_string() }
    }
}
