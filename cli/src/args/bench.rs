//! `grid bench`.

use clap::{Args, Subcommand};

/// `grid bench`.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// How many transfers a chain commits, how soon they are final, and what that costs.
    Chain(BenchChainArgs),
    /// How many headers the relayer brings to a main chain, how soon they are indexed, and what it asks its sources.
    Relayer(BenchRelayerArgs),
}

/// `grid bench chain`.
#[derive(Debug, Args)]
pub(crate) struct BenchChainArgs {
    /// JSON-RPC of a running node. May be repeated: the load is spread. A chain of one validator in this process
    /// where absent.
    #[arg(long, value_name = "URL")]
    pub(crate) rpc: Vec<String>,
    /// Transfers to commit.
    #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) transfers: u64,
    /// Accounts that send them.
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) accounts: u64,
    /// Transfers that may wait at once. Less than the nodes' mempools hold.
    #[arg(long, default_value_t = 3_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) window: u32,
    /// Transfers that are offered a second; as many as the window lets through where absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: Option<std::num::NonZeroU32>,
    /// The set time between blocks: of the chain in this process, or the one that the nodes run with.
    #[arg(long, default_value = "1s", value_name = "TIME")]
    pub(crate) block_interval: humantime::Duration,
    /// Process of a node whose memory is shown. May be repeated; only with --rpc.
    #[arg(long, value_name = "PID", requires = "rpc")]
    pub(crate) pid: Vec<u32>,
    /// Commit blocks without transactions instead, without a pause, and show how the memory grows.
    #[arg(long, requires = "blocks", conflicts_with = "rpc")]
    pub(crate) empty: bool,
    /// How many blocks without transactions.
    #[arg(long, value_name = "N", requires = "empty", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) blocks: Option<u64>,
}

/// `grid bench relayer`.
#[derive(Debug, Args)]
pub(crate) struct BenchRelayerArgs {
    /// Numbers of chains, each measured on its own.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100", value_name = "N,…", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) chains: Vec<u64>,
    /// Headers to catch up with, of all chains together.
    #[arg(long, default_value_t = 50_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) headers: u64,
    /// Headers a second afterwards, of all chains together.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(crate) rate: u64,
    /// For how long.
    #[arg(long, default_value = "30s", value_name = "TIME")]
    pub(crate) time: humantime::Duration,
    /// The set time between blocks of the main chain.
    #[arg(long, default_value = "1s", value_name = "TIME")]
    pub(crate) block_interval: humantime::Duration,
    /// Items that go through the store alone; 0 for none.
    #[arg(long, default_value_t = 50_000, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    pub(crate) items: u64,
    /// A PostgreSQL database of its own for that, beside an SQLite file: postgres://user@host:port/database. A password
    /// is taken from PGPASSWORD or ~/.pgpass.
    #[arg(long, value_name = "URL")]
    pub(crate) postgres: Option<String>,
    /// Items that wait in the store of a relayer whose start and memory are measured; 0 for none.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=10_000_000))]
    pub(crate) pending: u64,
}
