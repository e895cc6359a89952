//! `grid bitcoin`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use grid_core::risk::Ratio;

/// `grid bitcoin`.
#[derive(Debug, Subcommand)]
pub(crate) enum BitcoinCommand {
    /// Verify files of raw headers by all of Bitcoin's header rules; prints JSON.
    VerifyHeaders(VerifyHeadersArgs),
    /// How many confirmations a payment needs, and why.
    Risk(RiskArgs),
    /// Prove facts about a block from the block itself.
    Prove(BlockProveArgs),
    /// Check such a proof, or what gettxoutproof prints.
    VerifyProof(VerifyProofArgs),
}

/// `grid bitcoin verify-headers`.
#[derive(Debug, Args)]
pub(crate) struct VerifyHeadersArgs {
    /// mainnet, testnet3, testnet4, signet, regtest, or a JSON file with a network's parameters.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) network: String,
    /// Height of the first header. Above 0 that header is trusted, and rules that would need older headers are
    /// counted as unchecked.
    #[arg(long, value_name = "HEIGHT", default_value_t = 0)]
    pub(crate) start_height: u64,
    /// The time against which headers are too new, seconds since 1970; the clock's where absent.
    #[arg(long, value_name = "SECS")]
    pub(crate) now: Option<u64>,
    /// Raw headers of 80 bytes. Each file goes on where the one before ended, or forks off from any header of those
    /// before.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// `grid bitcoin risk`.
#[derive(Debug, Args)]
pub(crate) struct RiskArgs {
    /// What a double spend could take, with its unit: 0.5btc, 50000sat.
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) value: String,
    /// The attacker's share of the hash rate: 10% or 0.1.
    #[arg(long, value_name = "SHARE")]
    pub(crate) share: String,
    /// The expected loss that is accepted, with its unit; a thousandth of the value where absent.
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) max_loss: Option<String>,
    /// How slowly the blocks came: their time divided by the expected time, for example 1.5.
    #[arg(long, value_name = "RATIO")]
    pub(crate) kappa: Option<Ratio>,
    /// Blocks of the deepest branch that lost within the last 2,016 blocks; one more is the least that is asked for.
    #[arg(long, value_name = "BLOCKS", default_value_t = 0)]
    pub(crate) stale: u64,
    /// Show the table up to this many confirmations, even where fewer are enough.
    #[arg(long, value_name = "CONFIRMATIONS")]
    pub(crate) depth: Option<u64>,
}

/// `grid bitcoin prove`.
#[derive(Debug, Args)]
pub(crate) struct BlockProveArgs {
    /// The block as the network serialises it, binary or hexadecimal (bitcoin-cli getblock HASH 0).
    #[arg(long, value_name = "FILE")]
    pub(crate) block: PathBuf,
    /// TXID: the transaction is in the block. TXID:N: what its output N pays.
    #[arg(value_name = "TXID[:N]", required_unless_present = "data")]
    pub(crate) what: Vec<String>,
    /// The data in an `OP_RETURN` output. May be repeated.
    #[arg(long, value_name = "TXID:N")]
    pub(crate) data: Vec<String>,
    /// Prove the one transaction with its witness.
    #[arg(long, conflicts_with = "data")]
    pub(crate) witness: bool,
    /// The block's network.
    #[arg(long, value_name = "NETWORK", default_value = "mainnet")]
    pub(crate) network: String,
    /// Write the proof to this file; where absent, to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `grid bitcoin verify-proof`.
#[derive(Debug, Args)]
pub(crate) struct VerifyProofArgs {
    /// A proof by grid bitcoin prove, or what bitcoin-cli gettxoutproof prints.
    pub(crate) file: PathBuf,
    /// The network: mainnet where neither this nor the proof says another.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) network: Option<String>,
    /// A raw transaction of the merkle block (bitcoin-cli getrawtransaction), once for the coinbase and once for each
    /// transaction to prove.
    #[arg(long, value_name = "FILE")]
    pub(crate) raw: Vec<PathBuf>,
    /// Be content with a merkle block's transaction ids, without transactions and coinbase.
    #[arg(long, conflicts_with = "raw")]
    pub(crate) ids_only: bool,
}
