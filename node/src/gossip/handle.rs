//! What the rest of the node sees of the gossip.

use libp2p::{Multiaddr, PeerId};
use tokio::sync::watch;

/// A node with which transactions are exchanged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GossipPeer {
    /// Its libp2p identity, in base 58.
    pub peer_id: String,
    /// Where it is, as a multiaddress.
    pub address: String,
    /// Whether this node opened the connection.
    pub outbound: bool,
}

/// A view of the running gossip.
#[derive(Debug, Clone)]
pub struct GossipHandle {
    pub(super) id: PeerId,
    pub(super) address: Multiaddr,
    pub(super) peers: watch::Receiver<Vec<GossipPeer>>,
}

impl GossipHandle {
    /// This node's identity, in base 58.
    #[must_use]
    pub fn local_peer_id(&self) -> String {
        self.id.to_base58()
    }

    /// Where this node listens, as a multiaddress with the real port.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The peers of this chain that are connected, sorted.
    #[must_use]
    pub fn peers(&self) -> Vec<GossipPeer> {
        self.peers.borrow().clone()
    }

    /// The peers, and a notice of each change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Vec<GossipPeer>> {
        self.peers.clone()
    }
}
