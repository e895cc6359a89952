//! `grid node` and `grid localnet`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};

/// `grid node`.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Create the home folder of a node that joins an existing chain.
    Init(Box<NodeInitArgs>),
    /// Run the node. Exit codes: 0 stopped on purpose, 1 a fault that a restart may cure, 3 a danger to safety: never
    /// restart it automatically.
    Run,
    /// Where a running node stands: head, role, peers, mempool.
    Status(NodeAskArgs),
    /// The peers of a running node.
    Peers(NodeAskArgs),
}

/// `grid node init`.
#[derive(Debug, Args)]
pub(crate) struct NodeInitArgs {
    /// The chain's genesis, from somebody you trust: everything the node accepts follows from it.
    #[arg(long, value_name = "FILE")]
    pub(crate) genesis: PathBuf,
    /// A peer of the consensus network, for example /ip4/192.0.2.7/tcp/26656. May be repeated; one is enough.
    #[arg(long, value_name = "MULTIADDR", required = true)]
    pub(crate) peer: Vec<String>,
    /// A peer that gossips transactions. May be repeated.
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) gossip_peer: Vec<String>,
    /// Follow and serve the chain without a validator's key.
    #[arg(long)]
    pub(crate) full: bool,
    /// What the node calls itself to its peers.
    #[arg(long, value_name = "NAME", default_value = "grid")]
    pub(crate) moniker: String,
    /// Where the node listens for consensus peers.
    #[arg(long, value_name = "MULTIADDR", default_value = "/ip4/0.0.0.0/tcp/26656")]
    pub(crate) listen: String,
    /// Where the node listens for transactions of its peers.
    #[arg(long, value_name = "MULTIADDR", default_value = "/ip4/0.0.0.0/tcp/26657")]
    pub(crate) gossip_listen: String,
    /// Address of JSON-RPC.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8645")]
    pub(crate) rpc: SocketAddr,
    /// Address of /livez, /readyz and /metrics.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9641")]
    pub(crate) health: SocketAddr,
    /// Time between two blocks; the same on every validator.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub(crate) block_interval: humantime::Duration,
}

/// `grid node status` and `grid node peers`.
#[derive(Debug, Args)]
pub(crate) struct NodeAskArgs {
    /// JSON-RPC of the node; `node.rpc` of the configuration where absent.
    #[arg(long, value_name = "URL")]
    pub(crate) rpc: Option<String>,
}

/// `grid localnet`.
#[derive(Debug, Args)]
pub(crate) struct LocalnetArgs {
    /// Validators, 1 to 21.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=21))]
    pub(crate) nodes: u16,
    /// Full nodes besides: they follow and serve the chain and have no vote.
    #[arg(long, value_name = "M", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=50))]
    pub(crate) full: u16,
    /// The folder to create: genesis.json, and a home folder for each node.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// First port. Node I has this + 10·I for consensus, one more for gossip, two more for JSON-RPC, three more for
    /// health and metrics.
    #[arg(long, value_name = "PORT", default_value_t = 27_000)]
    pub(crate) base_port: u16,
    /// Nodes reach each other as NAME0, NAME1, … (containers) instead of on loopback, and listen on every address.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Time between two blocks.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub(crate) block_interval: humantime::Duration,
    /// Time after which a block without transactions is made.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub(crate) empty_block_interval: humantime::Duration,
    /// Blocks of an epoch, after each of which the validators are elected anew.
    #[arg(long, value_name = "BLOCKS", default_value_t = 600)]
    pub(crate) epoch_length: u64,
    /// How long a stake stays bound after it left, in whole epochs, 512 at most. trust.json can be used for two thirds
    /// of it.
    #[arg(long, value_name = "TIME", default_value = "3days")]
    pub(crate) unbonding: humantime::Duration,
    /// Chain id of the new Grid chain; 4700000, or that of --genesis, where absent.
    #[arg(long, value_name = "ID")]
    pub(crate) chain_id: Option<u64>,
    /// Give this address GRID at genesis: ADDRESS=AMOUNT in whole GRID. May be repeated.
    #[arg(long, value_name = "ADDRESS=GRID")]
    pub(crate) fund: Vec<String>,
    /// Take accounts and foreign chains from this genesis, for example that of `grid init`.
    #[arg(long, value_name = "FILE")]
    pub(crate) genesis: Option<PathBuf>,
}
