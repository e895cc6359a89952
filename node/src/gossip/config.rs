//! What the gossip is started with.

/// Configuration of a node's exchange of transactions with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipConfig {
    /// Where to listen: a TCP multiaddress such as `/ip4/0.0.0.0/tcp/9643`. Port 0 takes a free one.
    pub listen: String,
    /// Nodes to keep a connection to, as multiaddresses; `/p2p/<peer id>` at the end ties one to an identity.
    pub peers: Vec<String>,
    /// Limits.
    pub limits: GossipLimits,
}

impl GossipConfig {
    /// With the default limits.
    #[must_use]
    pub fn new(listen: impl Into<String>, peers: Vec<String>) -> Self {
        Self { listen: listen.into(), peers, limits: GossipLimits::default() }
    }
}

/// What peers may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GossipLimits {
    /// Most connections that others open.
    pub inbound: u32,
    /// Transactions a second taken from one peer: each costs the recovery of a signature.
    pub peer_rate: u32,
    /// Transactions a second taken from all peers together.
    pub rate: u32,
    /// Useless transactions of one peer that are forgiven a second.
    pub forgiven_rate: u32,
    /// Useless transactions in a row after which a peer is dropped.
    pub forgiven: u32,
}

impl Default for GossipLimits {
    fn default() -> Self {
        Self {
            inbound: 64,
            // Above what one chain executes; a recovery takes about 0.1 ms of one core.
            peer_rate: 2_500,
            rate: 5_000,
            forgiven_rate: 16,
            forgiven: 512,
        }
    }
}
