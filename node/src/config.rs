//! What a node is started with.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use grid_consensus::{Net, Role};
use grid_core::genesis::Genesis;
use prometheus::Registry;

use crate::{clock::Clock, gossip::GossipConfig, mempool::MempoolLimits};

/// Configuration of one node.
pub struct NodeConfig {
    /// Directory of the database and of the consensus log. One per node, never shared or copied.
    pub data_dir: PathBuf,
    /// The chain's first block.
    pub genesis: Genesis,
    /// Whether it votes with a key or only follows.
    pub role: Role,
    /// The node's name in logs.
    pub moniker: String,
    /// The pace: about one block every `block_interval`.
    pub block_interval: Duration,
    /// The pace without transactions: an empty block is made only after this.
    pub empty_block_interval: Duration,
    /// How votes and blocks travel.
    pub net: Net,
    /// How transactions travel between nodes; `None` where this node has no peers.
    pub gossip: Option<GossipConfig>,
    /// Where JSON-RPC listens; `None` for in-process calls only. Port 0 takes a free one.
    pub rpc: Option<SocketAddr>,
    /// Web pages that may use JSON-RPC from a browser, as `scheme://host[:port]`, or `*` for all.
    pub rpc_cors: Vec<String>,
    /// Where `/livez`, `/readyz` and `/metrics` listen; `None` where another part of the process has them.
    pub health: Option<SocketAddr>,
    /// Limits of the JSON-RPC server.
    pub rpc_limits: RpcLimits,
    /// Limits of the mempool.
    pub mempool: MempoolLimits,
    /// Most memory for cached database pages, in bytes.
    pub cache_bytes: usize,
    /// What it builds and judges block times by.
    pub clock: Clock,
    /// Where metrics are registered.
    pub metrics: Registry,
}

impl NodeConfig {
    /// The default page cache: 32 MiB.
    pub const DEFAULT_CACHE_BYTES: usize = 32 * 1024 * 1024;

    /// A node that decides alone, one block a second, without a JSON-RPC server.
    #[must_use]
    pub fn new(data_dir: PathBuf, genesis: Genesis, role: Role) -> Self {
        Self {
            data_dir,
            genesis,
            role,
            moniker: "grid".into(),
            block_interval: Duration::from_secs(1),
            empty_block_interval: Duration::from_secs(1),
            net: Net::Solo,
            gossip: None,
            rpc: None,
            rpc_cors: Vec::new(),
            health: None,
            rpc_limits: RpcLimits::default(),
            mempool: MempoolLimits::default(),
            cache_bytes: Self::DEFAULT_CACHE_BYTES,
            clock: Clock::default(),
            metrics: Registry::new(),
        }
    }
}

impl fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeConfig")
            .field("data_dir", &self.data_dir)
            .field("moniker", &self.moniker)
            .field("block_interval", &self.block_interval)
            .field("role", &self.role)
            .field("net", &self.net)
            .field("gossip", &self.gossip)
            .field("rpc", &self.rpc)
            .finish_non_exhaustive()
    }
}

/// Limits of the JSON-RPC server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RpcLimits {
    /// Most bytes of a request.
    pub request_bytes: u32,
    /// Most bytes of an answer.
    pub response_bytes: u32,
    /// Most connections at once.
    pub connections: u32,
    /// Most calls in one batch.
    pub batch: u32,
    /// Most plain reads that run at once.
    pub reads: usize,
    /// Most executions, scans and proofs that run at once, beside the reads.
    pub heavy: usize,
    /// Most calls that wait for their turn, in each of the two groups; more are refused.
    pub waiting: usize,
    /// Longest wait for a turn.
    pub wait: Duration,
    /// Longest run of a call that scans.
    pub call_time: Duration,
    /// Most filters of `eth_newFilter` and its kind.
    pub filters: usize,
    /// How long a filter lives that nobody asks.
    pub filter_lifetime: Duration,
}

impl Default for RpcLimits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            request_bytes: 4 * 1024 * 1024,
            response_bytes: 16 * 1024 * 1024,
            connections: 128,
            batch: 256,
            reads: cores.max(2),
            heavy: (cores / 2).max(1),
            waiting: 1_024,
            wait: Duration::from_secs(5),
            call_time: Duration::from_secs(5),
            filters: 1_024,
            filter_lifetime: Duration::from_secs(5 * 60),
        }
    }
}
