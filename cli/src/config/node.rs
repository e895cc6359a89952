//! `[node]`: the Grid chain.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::Fault;

/// Blocks may be as close as this; below it votes do not travel in time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// Blocks are never further apart than this.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// Longest name of a node, bytes.
const MAX_MONIKER: usize = 64;
/// Most peers that can be named.
const MAX_PEERS: usize = 64;

/// `[node]`: the Grid chain. Relative paths start at the home folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NodeSection {
    /// Whether it votes where its key is elected, or only follows.
    pub(crate) role: NodeRole,
    /// What the node calls itself to its peers and in logs.
    pub(crate) moniker: String,
    /// Genesis file.
    pub(crate) genesis: PathBuf,
    /// Folder of blocks and state.
    pub(crate) data: PathBuf,
    /// Encrypted key of the validator.
    pub(crate) key: PathBuf,
    /// File that holds the keys' password; `GRID_KEY_PASSWORD` goes first.
    pub(crate) password_file: PathBuf,
    /// Time between two blocks.
    #[serde(with = "humantime_serde")]
    pub(crate) block_interval: Duration,
    /// Time after which a block without transactions is made.
    #[serde(with = "humantime_serde")]
    pub(crate) empty_block_interval: Duration,
    /// Address of the JSON-RPC server (HTTP and WebSocket).
    pub(crate) rpc: SocketAddr,
    /// Origins of web pages that may call JSON-RPC from a browser.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rpc_cors: Vec<String>,
    /// Address of `/livez`, `/readyz` and `/metrics` of a node that runs alone.
    pub(crate) listen: SocketAddr,
    /// Memory that the block store may cache, MiB.
    pub(crate) cache_mib: u32,
    /// The network; without it the node decides alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p2p: Option<P2pSection>,
}

/// What a node is to its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NodeRole {
    /// Has a validator's key and votes while the chain's validators include it.
    Validator,
    /// Follows and serves the chain.
    Full,
}

/// `[node.p2p]`: the node's peers. Addresses are multiaddresses such as `/ip4/192.0.2.7/tcp/26656`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct P2pSection {
    /// Where it listens for consensus peers.
    pub(crate) listen: String,
    /// Consensus peers to stay connected with.
    #[serde(default)]
    pub(crate) peers: Vec<String>,
    /// Whether to talk with these peers only and turn everybody else away.
    #[serde(default)]
    pub(crate) peers_only: bool,
    /// Where it listens for peers' transactions; without it none are gossiped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gossip_listen: Option<String>,
    /// Peers that gossip transactions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gossip_peers: Vec<String>,
}

impl Default for NodeSection {
    fn default() -> Self {
        Self {
            role: NodeRole::Validator,
            moniker: "grid".into(),
            genesis: "genesis.json".into(),
            data: "node".into(),
            key: "keys/validator.json".into(),
            password_file: "keys/password".into(),
            block_interval: Duration::from_secs(1),
            empty_block_interval: Duration::from_secs(5),
            rpc: SocketAddr::from(([127, 0, 0, 1], 8645)),
            rpc_cors: Vec::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 9641)),
            cache_mib: 32,
            p2p: None,
        }
    }
}

impl NodeSection {
    /// Sets the pace; blocks without transactions come as much slower as by default.
    pub(crate) fn set_interval(&mut self, interval: Duration) {
        self.block_interval = interval;
        self.empty_block_interval = interval.saturating_mul(5).min(LONGEST_INTERVAL);
    }

    /// What types alone cannot say.
    pub(super) fn check(&self, faults: &mut Vec<Fault>) {
        let mut fault =
            |key: &str, text: String| faults.push(Fault::new(format!("node.{key}"), text));
        if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&self.block_interval) {
            fault("block_interval", "must be between 100ms and 60s".into());
        }
        if !(self.block_interval..=LONGEST_INTERVAL).contains(&self.empty_block_interval) {
            let text = "must be between node.block_interval and 60s".into();
            fault("empty_block_interval", text);
        }
        if self.moniker.is_empty() || self.moniker.len() > MAX_MONIKER {
            fault("moniker", format!("must have 1 to {MAX_MONIKER} bytes"));
        }
        if self.cache_mib == 0 || self.cache_mib > 65_536 {
            fault("cache_mib", "must be between 1 and 65536".into());
        }
        if self.listen == self.rpc {
            fault("listen", "must differ from node.rpc".into());
        }
        for (n, origin) in self.rpc_cors.iter().enumerate() {
            if origin != "*" && !origin.starts_with("http://") && !origin.starts_with("https://") {
                let text = format!("{origin:?} is no origin; expected https://HOST, or \"*\"");
                fault(&format!("rpc_cors[{n}]"), text);
            }
        }
        match &self.p2p {
            Some(p2p) => p2p.check(&mut fault),
            None if self.role == NodeRole::Full => {
                let text = "a full node follows others: it needs [node.p2p] with their addresses";
                fault("role", text.into());
            }
            None => {}
        }
    }
}

impl P2pSection {
    fn check(&self, fault: &mut impl FnMut(&str, String)) {
        let mut address = |key: &str, text: &str| {
            if let Err(reason) = tcp_multiaddr(text) {
                fault(&format!("p2p.{key}"), reason);
            }
        };
        address("listen", &self.listen);
        if let Some(listen) = &self.gossip_listen {
            address("gossip_listen", listen);
        }
        let lists = [("peers", &self.peers), ("gossip_peers", &self.gossip_peers)];
        for (key, peers) in lists {
            for (n, peer) in peers.iter().enumerate() {
                address(&format!("{key}[{n}]"), peer);
            }
        }
        for (key, peers) in lists {
            if peers.len() > MAX_PEERS {
                let text = format!("{} peers are named; at most {MAX_PEERS} can be", peers.len());
                fault(&format!("p2p.{key}"), text);
            }
        }
        if self.gossip_listen.as_ref() == Some(&self.listen) {
            fault("p2p.gossip_listen", "must differ from node.p2p.listen".into());
        }
        if self.gossip_listen.is_none() && !self.gossip_peers.is_empty() {
            let text = "is missing: gossip_peers are only used with it";
            fault("p2p.gossip_listen", text.into());
        }
    }
}

/// `/ip4/ADDRESS/tcp/PORT`, the same with `ip6` or a DNS name, and with the peer's id behind it.
fn tcp_multiaddr(text: &str) -> Result<(), String> {
    let mut parts = text.split('/');
    let [Some(""), Some(kind), Some(host), Some("tcp"), Some(port)] =
        [(); 5].map(|()| parts.next())
    else {
        return Err(format!("{text:?} is not of the form /ip4/192.0.2.7/tcp/26656"));
    };
    let host_fits = match kind {
        "ip4" => host.parse::<Ipv4Addr>().is_ok(),
        "ip6" => host.parse::<Ipv6Addr>().is_ok(),
        "dns" | "dns4" | "dns6" => !host.is_empty() && host.parse::<IpAddr>().is_err(),
        _ => false,
    };
    if !host_fits {
        return Err(format!("{text:?}: /{kind}/{host} is none of /ip4, /ip6, /dns with its host"));
    }
    if port.parse::<u16>().is_err() {
        return Err(format!("{text:?}: {port:?} is not a port"));
    }
    match [parts.next(), parts.next(), parts.next()] {
        [None, ..] => Ok(()),
        [Some("p2p"), Some(id), None] if !id.is_empty() => Ok(()),
        _ => Err(format!("{text:?}: only /p2p/PEER-ID may follow the port")),
    }
}
