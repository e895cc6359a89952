//! `grid ethereum`.

use std::path::PathBuf;

use alloy_primitives::B256;
use clap::{Args, Subcommand};
use grid_core::ChainId;

/// `grid ethereum`.
#[derive(Debug, Subcommand)]
pub(crate) enum EthereumCommand {
    /// Where the light clients of the Ethereum chains stand: the main chain's and the relayer's own.
    SyncStatus(SyncStatusArgs),
    /// The newest block that beacon nodes call finalized: root, age, and which of them agree.
    Checkpoint(EthereumCheckpointArgs),
    /// Verify files of light-client data, from a block that you trust on.
    VerifyUpdate(VerifyUpdateArgs),
}

/// `grid ethereum checkpoint`.
#[derive(Debug, Args)]
pub(crate) struct EthereumCheckpointArgs {
    /// A beacon node to ask. May be repeated; those of the configuration where absent.
    #[arg(long, value_name = "URL", requires = "network")]
    pub(crate) beacon: Vec<String>,
    /// Their network: mainnet, sepolia, hoodi, or a JSON file.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) network: Option<String>,
    /// How many nodes must have the block; all of them where absent.
    #[arg(long, value_name = "N")]
    pub(crate) agree: Option<usize>,
    /// Which chain, where the configuration has several with beacon nodes.
    #[arg(long, value_name = "ID", conflicts_with = "beacon")]
    pub(crate) on: Option<ChainId>,
}

/// `grid ethereum verify-update`.
#[derive(Debug, Args)]
pub(crate) struct VerifyUpdateArgs {
    /// The verified light client: read if it is there, and written. The relayer's own may be given.
    #[arg(long, value_name = "FILE")]
    pub(crate) store: PathBuf,
    /// mainnet, sepolia, hoodi, or a JSON file with a network's configuration.
    #[arg(long, value_name = "NETWORK", default_value = "mainnet")]
    pub(crate) network: String,
    /// Root of the beacon block that you trust; needed where there is no store yet.
    #[arg(long, value_name = "ROOT")]
    pub(crate) checkpoint: Option<B256>,
    /// The time of the verification, seconds since 1970; the clock's where absent.
    #[arg(long, value_name = "SECS")]
    pub(crate) now: Option<u64>,
    /// How old, in seconds, the header may be from which the verification goes on; seven days where absent, 0 for
    /// any age. Who signed long ago may have left, and could sign another history today.
    #[arg(long, value_name = "SECS")]
    pub(crate) max_checkpoint_age: Option<u64>,
    /// Leave the store as it is.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Bootstraps and updates of any kind, one or many in a file, as JSON or SSZ; taken in this order.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// `grid ethereum sync-status`.
#[derive(Debug, Args)]
pub(crate) struct SyncStatusArgs {
    /// Only this chain.
    #[arg(value_name = "ID")]
    pub(crate) chain: Option<ChainId>,
}
