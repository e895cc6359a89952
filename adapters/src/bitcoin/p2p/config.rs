//! What an operator decides, and the protocol's patience.

use core::time::Duration;
use std::path::PathBuf;

use alloy_primitives::U256;
use serde::{Deserialize, Serialize};

/// Most connections that may be configured.
pub const MAX_PEERS: usize = 64;

/// How to reach a network's peers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct P2pConfig {
    /// Peers to connect to, `host` or `host:port`; the network's port where none is given. They are
    /// preferred to those from DNS seeds.
    pub peers: Vec<String>,
    /// Whether to ask DNS seeds for peers. Where absent: only if `peers` is empty.
    pub dns: Option<bool>,
    /// Names to ask instead of the network's own seeds.
    pub dns_seeds: Vec<String>,
    /// Connections to hold, 1 to 64. All configured peers are connected to, if they are more.
    pub max_peers: usize,
    /// Chain work that a peer has to show before anything of it is stored, instead of the network's.
    /// A test network of one's own has less than what is known of the public one.
    pub min_chain_work: Option<U256>,
    /// The file that keeps the headers over a restart: 80 bytes each, from the start on. They are
    /// verified again when read. Where absent every start downloads them.
    pub headers_file: Option<PathBuf>,
    /// Deadlines and pauses.
    #[serde(skip)]
    pub timing: Timing,
}

impl Default for P2pConfig {
    fn default() -> Self {
        Self {
            peers: Vec::new(),
            dns: None,
            dns_seeds: Vec::new(),
            // As many as Bitcoin Core's full outbound connections.
            max_peers: 8,
            min_chain_work: None,
            headers_file: None,
            timing: Timing::default(),
        }
    }
}

/// Deadlines and pauses. The defaults suit the Internet; tests shorten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// To open a connection.
    pub connect: Duration,
    /// To introduce each other.
    pub handshake: Duration,
    /// From a message's first bytes to its last.
    pub message: Duration,
    /// To answer `getheaders`.
    pub headers: Duration,
    /// To answer `getdata` for a block.
    pub block: Duration,
    /// Between two pings.
    pub ping_every: Duration,
    /// To answer a ping.
    pub pong: Duration,
    /// How long an offender is left alone.
    pub ban: Duration,
    /// Pause before an address is tried again; doubled each time.
    pub retry: Duration,
    /// The longest such pause.
    pub retry_most: Duration,
    /// How long the tip may stay the same before another peer is asked.
    pub stale_tip: Duration,
    /// How long that peer has to show something new.
    pub extra_peer: Duration,
    /// How long a question waits for a source that is still connecting or downloading.
    pub answer: Duration,
    /// How often deadlines are looked at.
    pub tick: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            connect: seconds(5),
            handshake: seconds(10),
            message: seconds(60),
            headers: seconds(30),
            block: seconds(60),
            ping_every: seconds(60),
            pong: seconds(30),
            ban: seconds(24 * 3_600),
            retry: seconds(1),
            retry_most: seconds(600),
            stale_tip: seconds(30 * 60),
            extra_peer: seconds(120),
            answer: seconds(5),
            tick: Duration::from_millis(250),
        }
    }
}
