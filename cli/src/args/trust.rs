//! `grid trust`.

use std::path::PathBuf;

use alloy_primitives::B256;
use clap::{Args, Subcommand};

/// `grid trust`.
#[derive(Debug, Subcommand)]
pub(crate) enum TrustCommand {
    /// The trusted header, and until when it may be trusted.
    Show(TrustArgs),
    /// Carry the trust on to the node's newest header, or over a file: every step is verified.
    Update {
        #[command(flatten)]
        trust: TrustArgs,
        /// Headers that lead on (`grid trust hand-over`); the node of the configuration is asked where absent.
        #[arg(long, value_name = "FILE")]
        hand_over: Option<PathBuf>,
        /// The time of the verification, seconds since 1970; the clock's where absent.
        #[arg(long, value_name = "SECS")]
        now: Option<u64>,
    },
    /// Trust a header because somebody whom you trust told you its height and hash: for a first file, and where the
    /// old one is too old. The node of the configuration is asked for the rest.
    Set {
        /// Its height.
        height: u64,
        /// Its hash.
        hash: B256,
        #[command(flatten)]
        trust: TrustArgs,
        /// How long after its time a header is trusted: at most as long as a stake stays bound after its validator
        /// left; that of the present trust file where absent.
        #[arg(long, value_name = "TIME")]
        period: Option<humantime::Duration>,
    },
    /// Write the headers that lead from a trusted height to a later one, for somebody who has no node.
    HandOver {
        /// The height that is trusted.
        #[arg(long, value_name = "HEIGHT")]
        from: u64,
        /// Where to lead; the newest block where absent.
        #[arg(long, value_name = "HEIGHT")]
        to: Option<u64>,
        /// The file to write.
        #[arg(long, short, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Which trust file.
#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// The trust file; where absent, trust.json of the home folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Option<PathBuf>,
}
