//! The command line.

mod bench;
mod bitcoin;
mod escrow;
mod ethereum;
mod guarantee;
mod init;
mod message;
mod node;
mod prove;
mod relayer;
mod staking;
mod trust;

use std::path::PathBuf;

use alloy_primitives::B256;
use clap::{Args, Parser, Subcommand};
use grid_core::ChainId;

pub(crate) use bench::*;
pub(crate) use bitcoin::*;
pub(crate) use escrow::*;
pub(crate) use ethereum::*;
pub(crate) use guarantee::*;
pub(crate) use init::InitArgs;
pub(crate) use message::*;
pub(crate) use node::*;
pub(crate) use prove::*;
pub(crate) use relayer::*;
pub(crate) use staking::*;
pub(crate) use trust::*;

/// Cross-chain adapters, relayer and main chain: proves on one chain what happened on another.
#[derive(Debug, Parser)]
#[command(name = "grid", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Folder with grid.toml, genesis.json, keys and data.
    #[arg(long, global = true, env = "GRID_HOME", default_value = "grid-home", value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// A setting that goes before the file and the environment, for example relayer.poll.l0=1s. May be repeated.
    #[arg(long, global = true, value_name = "PATH=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a home folder: configuration, genesis, keys.
    Init(Box<InitArgs>),
    /// Run the relayer with an embedded main chain.
    Start(DaemonArgs),
    /// The main chain alone.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Create the home folders of a new chain with several validators, to run on one machine.
    Localnet(Box<LocalnetArgs>),
    /// The relayer alone: run it, ask it, take its work in hand.
    #[command(subcommand)]
    Relayer(RelayerCommand),
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at everything that the daemon is going to use and name all that is wrong: 0 all is well, 1 warnings, 2 problems.
    Doctor(DoctorArgs),
    /// What the daemon is doing, chain by chain.
    Status(StatusArgs),
    /// The chains that the main chain follows.
    Chains,
    /// Confirmed headers of a chain, from the main chain's index.
    Headers(HeadersArgs),
    /// Make a proof file that anyone can verify.
    #[command(subcommand)]
    Prove(ProveCommand),
    /// Verify a proof file. Needs no network.
    Verify(VerifyArgs),
    /// The header that `grid verify` trusts: look at it, carry it on to a newer one.
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Verify every block of a Grid chain from its genesis: links, certificates, hand-overs of validators.
    Audit(AuditArgs),
    /// Submit a proof file to the main chain, which verifies and records it.
    Submit(SubmitArgs),
    /// Delegated proof of stake on the main chain: delegates, stakes, the epoch.
    #[command(subcommand)]
    Staking(StakingCommand),
    /// The system contracts of every Grid chain: addresses and ABI.
    Contracts(ContractsArgs),
    /// Cover for payments of slow chains that are not confirmed yet: prices, guarantees, the pool behind them.
    #[command(subcommand)]
    Guarantee(Box<GuaranteeCommand>),
    /// Messages between the main chain and other chains.
    #[command(subcommand)]
    Message(Box<MessageCommand>),
    /// GRID that a Bitcoin payment releases: lock it, look at it, take it back.
    #[command(subcommand)]
    Escrow(Box<EscrowCommand>),
    /// Encrypted keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Measure what the program does on this machine.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Tools for auditors of Bitcoin: files and numbers alone, no home folder and no network.
    #[command(subcommand)]
    Bitcoin(BitcoinCommand),
    /// Ethereum's light clients: where they stand.
    #[command(subcommand)]
    Ethereum(EthereumCommand),
    /// Print a script with which a shell completes this command line.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write a manual page for every command.
    Man(ManArgs),
}

/// `grid man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Where to, for example /usr/local/share/man/man1.
    pub(crate) dir: PathBuf,
}

/// `grid start` and `grid relayer run`.
#[derive(Debug, Args)]
pub(crate) struct DaemonArgs {
    /// Do everything up to signing and send nothing: the work shows in `grid status` and in the log.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `grid config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration; every fault at once, each with its path.
    Check,
    /// Print the configuration in force, defaults and overrides included. Keys in addresses are not shown.
    Show {
        /// Print where each value comes from: the file's line, an environment variable, --set, or the default.
        #[arg(long)]
        origin: bool,
    },
}

/// `grid doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The daemon that is going to run; where absent, `start` if the main chain's genesis is in the home folder and
    /// the node of the configuration is the one to ask.
    #[arg(long, value_enum)]
    pub(crate) daemon: Option<Daemon>,
}

/// A daemon with a relayer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Daemon {
    /// `grid start`.
    Start,
    /// `grid relayer run`.
    Relayer,
}

/// `grid status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// A screen that follows the daemon until `q`: chains, endpoints, problems. Lines where there is no terminal.
    #[arg(long)]
    pub(crate) watch: bool,
}

/// `grid contracts`.
#[derive(Debug, Args)]
pub(crate) struct ContractsArgs {
    /// Print the ABI of this contract.
    pub(crate) name: Option<String>,
}

/// `grid headers`.
#[derive(Debug, Args)]
pub(crate) struct HeadersArgs {
    /// CAIP-2 id; where absent, the only chain of the configuration.
    pub(crate) chain: Option<ChainId>,
    /// First height; where absent, the newest headers.
    #[arg(long, value_name = "HEIGHT")]
    pub(crate) from: Option<u64>,
    /// How many headers, at most 1000.
    #[arg(long, visible_alias = "limit", value_name = "N", default_value_t = 10)]
    pub(crate) count: u64,
}

/// `grid verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The proof, JSON or binary.
    pub(crate) file: PathBuf,
    /// Show logs as events of this ABI: a JSON file, or an event such as
    /// 'event Transfer(address indexed from, address indexed to, uint256 value)'. It does not change what is proven.
    #[arg(long, value_name = "FILE|EVENT")]
    pub(crate) abi: Option<String>,
    /// Whom to trust: a file with a header of the Grid chain and its validators; where absent, trust.json of the
    /// home folder.
    #[arg(long, value_name = "FILE", conflicts_with = "block_hash")]
    pub(crate) trust: Option<PathBuf>,
    /// Trust this Grid block hash instead of a validator set.
    #[arg(long, value_name = "HASH")]
    pub(crate) block_hash: Option<B256>,
    /// Number of the Grid chain, where there is no trust file to take it from.
    #[arg(long, value_name = "ID", requires = "block_hash")]
    pub(crate) chain_id: Option<u64>,
    /// Headers that lead on from the trusted one (`grid trust hand-over`), where the proof does not carry them.
    #[arg(long, value_name = "FILE", conflicts_with = "block_hash")]
    pub(crate) hand_over: Option<PathBuf>,
    /// The time of the verification, seconds since 1970; the clock's where absent.
    #[arg(long, value_name = "SECS")]
    pub(crate) now: Option<u64>,
}

/// `grid audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// JSON-RPC of any node of the chain. It only serves the blocks; nothing it says is believed.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8645")]
    pub(crate) rpc: String,
    /// The chain's genesis file, from somebody you trust.
    #[arg(long, value_name = "FILE")]
    pub(crate) genesis: PathBuf,
    /// Up to this block; the node's newest where absent.
    #[arg(long, value_name = "HEIGHT")]
    pub(crate) to: Option<u64>,
    /// Execute every block again and compare state and receipts. The whole state is kept in memory.
    #[arg(long)]
    pub(crate) execute: bool,
}

/// `grid submit`.
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The proof, JSON or binary.
    pub(crate) file: PathBuf,
    /// The key that pays, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// Commands that send a transaction.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct SendingArgs {
    /// Let the main chain try the transaction, show it, and send nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `grid keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Create an encrypted key.
    New {
        /// Its name: the file is keys/NAME.json.
        name: String,
    },
    /// List keys with their addresses.
    List,
}
