//! `grid relayer`.

use clap::{Args, Subcommand};
use grid_core::ChainId;
use grid_relayer::store::Stage;

use super::{DaemonArgs, StatusArgs};

/// `grid relayer`.
#[derive(Debug, Subcommand)]
pub(crate) enum RelayerCommand {
    /// Run the relayer against the main chain at `relayer.main_chain`.
    Run(DaemonArgs),
    /// The same as `grid status`.
    Status(StatusArgs),
    /// Where a header, an item or a transaction stands, why, and what happens next.
    Explain {
        /// An item's key, CHAIN:HEIGHT, the hash of a header, or the hash of a transaction.
        id: String,
    },
    /// Units of work that are not finished, parked ones first.
    Items(ItemsArgs),
    /// Take a parked item up again.
    Retry(RetryArgs),
    /// Give up an item that is planned or parked.
    Drop {
        /// The item's key.
        key: String,
    },
    /// Stop relaying a chain until it is resumed, over restarts too.
    Pause(PauseArgs),
    /// Relay a paused chain again.
    Resume {
        /// CAIP-2 id.
        chain: ChainId,
    },
}

/// `grid relayer items`.
#[derive(Debug, Args)]
pub(crate) struct ItemsArgs {
    /// Only of this chain.
    #[arg(long, value_name = "ID")]
    pub(crate) chain: Option<ChainId>,
    /// Only in this stage: planned, sent, included, done, parked, dropped.
    #[arg(long, value_parser = stage)]
    pub(crate) stage: Option<Stage>,
    /// Only parked ones, with what they failed at.
    #[arg(long, conflicts_with = "stage")]
    pub(crate) parked: bool,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

fn stage(text: &str) -> Result<Stage, String> {
    let words = || Stage::ALL.map(Stage::as_str).join(", ");
    text.parse().map_err(|_| format!("expected one of {}", words()))
}

/// `grid relayer retry`.
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// The item's key.
    #[arg(required_unless_present = "all_parked", conflicts_with = "all_parked")]
    pub(crate) key: Option<String>,
    /// Every parked item.
    #[arg(long)]
    pub(crate) all_parked: bool,
    /// Every parked item of this chain only.
    #[arg(long, value_name = "ID", requires = "all_parked")]
    pub(crate) chain: Option<ChainId>,
}

/// `grid relayer pause`.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// CAIP-2 id.
    pub(crate) chain: ChainId,
    /// Why; status shows it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Who; the name of the user where absent.
    #[arg(long, value_name = "NAME", env = "USER")]
    pub(crate) by: Option<String>,
}
