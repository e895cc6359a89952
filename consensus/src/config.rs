//! What an engine is started with.

use std::{fmt, path::PathBuf, time::Duration};

use alloy_primitives::Address;
use k256::ecdsa::SigningKey;
use tokio::sync::watch;

use crate::{bus::BusPort, status::EngineStatus};

/// Configuration of one engine.
pub struct EngineConfig {
    /// Directory of the write-ahead log and of the network identity. One per node, never shared and
    /// never copied to another machine: two engines with one key and one log sign conflicting votes.
    pub home: PathBuf,
    /// The node's name in logs.
    pub moniker: String,
    /// The pace: about one block every `block_interval`; zero means as fast as possible.
    pub block_interval: Duration,
    /// The pace while the chain has no work ([`Chain::has_work`](crate::Chain::has_work)): a block without
    /// transactions comes only this long after its parent. Not below `block_interval`; equal to it, blocks
    /// never wait for work.
    pub empty_block_interval: Duration,
    /// How votes and blocks travel.
    pub net: Net,
    /// What the node does: vote, or follow.
    pub role: Role,
    /// Where the engine tells how it stands; refreshed every second and at every round.
    pub status: watch::Sender<EngineStatus>,
}

/// What a node does in the network.
#[derive(Clone)]
pub enum Role {
    /// Votes and proposes with this secp256k1 key (zeroed when dropped) at the heights whose validator set
    /// has the key's Ethereum address; at the others it follows.
    Validator(SigningKey),
    /// Follows and serves blocks; has no key.
    Full,
}

impl Role {
    /// The validator's address; `None` for a full node.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        match self {
            Self::Validator(key) => Some(Address::from_private_key(key)),
            Self::Full => None,
        }
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Some(address) => write!(f, "Validator({address})"),
            None => f.write_str("Full"),
        }
    }
}

/// How votes and blocks travel.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Net {
    /// No sockets: this node alone has a quorum.
    Solo,
    /// libp2p over TCP.
    P2p {
        /// Multiaddress to listen on, such as `/ip4/127.0.0.1/tcp/26656`.
        listen: String,
        /// Multiaddresses of the peers to stay connected with.
        peers: Vec<String>,
        /// Whether to talk with these peers only and turn everybody else away.
        peers_only: bool,
    },
    /// Memory shared with the other engines of this process: for tests.
    Bus(BusPort),
}

impl Net {
    /// Whether nobody else is there.
    #[must_use]
    pub const fn is_solo(&self) -> bool {
        matches!(self, Self::Solo)
    }
}

impl fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineConfig")
            .field("home", &self.home)
            .field("moniker", &self.moniker)
            .field("block_interval", &self.block_interval)
            .field("empty_block_interval", &self.empty_block_interval)
            .field("net", &self.net)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
