//! What an engine is started with.

use std::{fmt, path::PathBuf, time::Duration};

use k256::ecdsa::SigningKey;

/// Configuration of one engine.
pub struct EngineConfig {
    /// Directory of the write-ahead log and of the network identity. One per node, never shared and
    /// never copied to another machine: two engines with one key and one log sign conflicting votes.
    pub home: PathBuf,
    /// The node's name in logs.
    pub moniker: String,
    /// The pace: about one block every `block_interval`; zero means as fast as possible.
    pub block_interval: Duration,
    /// How votes and blocks travel.
    pub net: Net,
    /// The validator's secp256k1 key (zeroed when dropped). Its Ethereum address is the validator's.
    pub key: SigningKey,
}

/// How votes and blocks travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Net {
    /// No sockets: this node alone has a quorum.
    Solo,
    /// libp2p over TCP.
    P2p {
        /// Multiaddress to listen on, such as `/ip4/127.0.0.1/tcp/26656`.
        listen: String,
        /// Multiaddresses of the peers to stay connected with.
        peers: Vec<String>,
    },
}

impl fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineConfig")
            .field("home", &self.home)
            .field("moniker", &self.moniker)
            .field("block_interval", &self.block_interval)
            .field("net", &self.net)
            .finish_non_exhaustive()
    }
}
