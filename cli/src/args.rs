//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use alloy_primitives::{Address, B256, U256};
use clap::{Args, Parser, Subcommand};
use grid_core::{ChainId, confirm::ConfirmationRule, proof::ethereum::EthereumFact, risk::Ratio};

use crate::eth::BlockRange;

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
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a home folder: configuration, genesis, keys.
    Init(Box<InitArgs>),
    /// Run the relayer with an embedded main chain.
    Start,
    /// The main chain alone.
    #[command(subcommand)]
    Node(NodeCommand),
    /// The relayer alone.
    #[command(subcommand)]
    Relayer(RelayerCommand),
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
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
    /// Submit a proof file to the main chain, which verifies and records it.
    Submit(SubmitArgs),
    /// Encrypted keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Tools for auditors of Bitcoin: files and numbers alone, no home folder and no network.
    #[command(subcommand)]
    Bitcoin(BitcoinCommand),
    /// Ethereum's light clients: where they stand.
    #[command(subcommand)]
    Ethereum(EthereumCommand),
}

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

/// `grid init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Follow a Bitcoin network: NETWORK=URL, for example regtest=http://127.0.0.1:18443.
    #[arg(long, value_name = "NETWORK=URL")]
    pub(crate) bitcoin: Option<String>,
    /// The Bitcoin node's cookie file.
    #[arg(long, value_name = "FILE", conflicts_with = "bitcoin_user")]
    pub(crate) bitcoin_cookie: Option<PathBuf>,
    /// RPC user of the Bitcoin node.
    #[arg(long, value_name = "USER", requires = "bitcoin_password_file")]
    pub(crate) bitcoin_user: Option<String>,
    /// File with the RPC password of the Bitcoin node.
    #[arg(long, value_name = "FILE", requires = "bitcoin_user")]
    pub(crate) bitcoin_password_file: Option<PathBuf>,
    /// Trust the Bitcoin header at this height (a multiple of 2016) instead of starting at genesis.
    #[arg(long, value_name = "HEIGHT")]
    pub(crate) bitcoin_start: Option<u64>,
    /// Confirmations after which a Bitcoin header is indexed.
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub(crate) bitcoin_depth: u64,
    /// Seconds that a Bitcoin header must be old before it is indexed, besides its depth.
    #[arg(long, value_name = "SECS", default_value_t = 60)]
    pub(crate) bitcoin_age: u64,
    /// When a Bitcoin header is indexed, as the JSON of a rule instead of depth and age, for example
    /// {"risk":{"value":100000000,"maxLoss":1000,"attackerShare":100000}}.
    #[arg(long, value_name = "JSON", value_parser = rule, conflicts_with_all = ["bitcoin_depth", "bitcoin_age"])]
    pub(crate) bitcoin_rule: Option<ConfirmationRule>,
    /// Follow an Ethereum chain by its JSON-RPC endpoint. Without --ethereum-beacon its security is `attested`.
    #[arg(long, value_name = "URL")]
    pub(crate) ethereum: Option<String>,
    /// First Ethereum block to trust; the endpoint's head where absent.
    #[arg(long, value_name = "HEIGHT")]
    pub(crate) ethereum_start: Option<u64>,
    /// Follow the Ethereum chain by the light-client data of this beacon node. May be repeated. Its security is
    /// `sync-committee` then, and nobody's word is needed.
    #[arg(long, value_name = "URL", requires_all = ["ethereum", "ethereum_network"])]
    pub(crate) ethereum_beacon: Vec<String>,
    /// The beacon chain: mainnet, sepolia, hoodi, or a JSON file with another network's numbers.
    #[arg(long, value_name = "NAME|FILE", requires = "ethereum_beacon")]
    pub(crate) ethereum_network: Option<String>,
    /// Root of the beacon block to trust; the newest that all the beacon nodes call finalized where absent.
    #[arg(
        long,
        value_name = "ROOT",
        requires = "ethereum_beacon",
        conflicts_with = "ethereum_start"
    )]
    pub(crate) ethereum_checkpoint: Option<B256>,
    /// Which Ethereum block counts as the head: latest, safe, finalized or latest-N.
    #[arg(long, value_name = "TAG", default_value = "latest")]
    pub(crate) ethereum_follow: String,
    /// Confirmations after which an Ethereum header is indexed.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) ethereum_depth: u64,
    /// Chain id of the new Grid chain.
    #[arg(long, value_name = "ID", default_value_t = 4_700_000)]
    pub(crate) chain_id: u64,
    /// Time between two Grid blocks.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub(crate) block_interval: humantime::Duration,
    /// Address of the Grid node's JSON-RPC.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8645")]
    pub(crate) rpc: SocketAddr,
    /// Address of the relayer's health, metrics and API.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9640")]
    pub(crate) listen: SocketAddr,
    /// Give this address GRID at genesis: ADDRESS=AMOUNT in whole GRID. May be repeated.
    #[arg(long, value_name = "ADDRESS=GRID")]
    pub(crate) fund: Vec<String>,
}

/// `grid node`.
#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    /// Run the node.
    Run,
}

/// `grid relayer`.
#[derive(Debug, Subcommand)]
pub(crate) enum RelayerCommand {
    /// Run the relayer against the main chain at `relayer.main_chain`.
    Run,
}

/// `grid config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration; every fault at once, each with its path.
    Check,
    /// Print the configuration in force, defaults and overrides included.
    Show,
}

/// `grid status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Show it again every second until Ctrl-C.
    #[arg(long)]
    pub(crate) watch: bool,
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
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) count: u64,
}

/// `grid prove`.
#[derive(Debug, Subcommand)]
pub(crate) enum ProveCommand {
    /// A Bitcoin transaction, or several of one block.
    BtcTx {
        /// Transaction ids as displayed.
        #[arg(required = true, value_name = "TXID")]
        txids: Vec<String>,
        #[command(flatten)]
        common: ProveArgs,
        #[command(flatten)]
        block: BlockArg,
    },
    /// Outputs of Bitcoin transactions of one block: script and amount.
    BtcPayment {
        /// Outputs as Bitcoin's tools write them: TXID:N, counted from 0.
        #[arg(required = true, value_name = "TXID:N")]
        outputs: Vec<String>,
        #[command(flatten)]
        common: ProveArgs,
        #[command(flatten)]
        block: BlockArg,
    },
    /// Data in `OP_RETURN` outputs of Bitcoin transactions of one block.
    BtcData {
        /// Outputs as Bitcoin's tools write them: TXID:N, counted from 0.
        #[arg(required = true, value_name = "TXID:N")]
        outputs: Vec<String>,
        #[command(flatten)]
        common: ProveArgs,
        #[command(flatten)]
        block: BlockArg,
    },
    /// A Bitcoin transaction with its witness, by the block's witness commitment.
    BtcWitness {
        /// Transaction id as displayed.
        txid: String,
        #[command(flatten)]
        common: ProveArgs,
        #[command(flatten)]
        block: BlockArg,
    },
    /// An Ethereum transaction, or several of one block.
    EthTx {
        /// Transaction hashes.
        #[arg(required = true, value_name = "HASH")]
        hashes: Vec<B256>,
        #[command(flatten)]
        common: ProveArgs,
    },
    /// How an Ethereum transaction ended, and one of its logs where wanted.
    EthReceipt {
        /// Transaction hash.
        hash: B256,
        /// Prove the log with this index in the receipt.
        #[arg(long, value_name = "INDEX")]
        log: Option<u64>,
        /// Prove the transaction itself as well: the receipt alone names its position only.
        #[arg(long)]
        with_transaction: bool,
        #[command(flatten)]
        common: ProveArgs,
    },
    /// A log of an Ethereum transaction, by its index in the receipt (not in the block).
    EthLog {
        /// Transaction hash.
        hash: B256,
        /// Index of the log in the receipt, from 0.
        index: u64,
        /// Refuse a log that is no event of this ABI, and show it decoded.
        #[arg(long, value_name = "FILE|EVENT")]
        abi: Option<String>,
        /// Prove the transaction itself as well: the receipt alone names its position only.
        #[arg(long)]
        with_transaction: bool,
        #[command(flatten)]
        common: ProveArgs,
    },
    /// All logs of an Ethereum contract in a block: the proof holds every receipt of the block, so that none can be
    /// left out.
    EthLogs {
        /// The contract.
        address: Address,
        /// The block, or a range of blocks (100-120) with one proof each: NAME.json becomes NAME-100.json and so on.
        #[arg(long, value_name = "HEIGHT[-HEIGHT]")]
        block: BlockRange,
        /// Only logs whose first topic is this one.
        #[arg(long, value_name = "TOPIC", conflicts_with = "event")]
        topic: Option<B256>,
        /// Only this event, for example 'event Transfer(address indexed from, address indexed to, uint256 value)'.
        #[arg(long, value_name = "EVENT")]
        event: Option<String>,
        #[command(flatten)]
        common: ProveArgs,
    },
    /// Ethereum accounts: nonce, balance, storage root, code hash; or that there is none.
    EthAccount {
        /// The accounts.
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<Address>,
        #[command(flatten)]
        at: StateArg,
        #[command(flatten)]
        common: ProveArgs,
    },
    /// Storage slots of an Ethereum account: their values, or that there is none.
    EthStorage {
        /// The account.
        address: Address,
        /// The slots: decimal or 0x-hex.
        #[arg(required = true, value_name = "SLOT")]
        slots: Vec<U256>,
        #[command(flatten)]
        at: StateArg,
        #[command(flatten)]
        common: ProveArgs,
    },
    /// The hash of an Ethereum account's code, as EXTCODEHASH gives it, or the code itself.
    EthCode {
        /// The account.
        address: Address,
        /// Prove the code itself.
        #[arg(long)]
        bytes: bool,
        #[command(flatten)]
        at: StateArg,
        #[command(flatten)]
        common: ProveArgs,
    },
    /// How many transactions an Ethereum block has: there is none at that index or above.
    EthCount {
        #[command(flatten)]
        at: StateArg,
        #[command(flatten)]
        common: ProveArgs,
    },
    /// Several facts of one Ethereum block in one proof, which shares what they have in common.
    EthFacts {
        /// tx:HASH, receipt:HASH, log:HASH:INDEX, logs:ADDRESS[:TOPIC], account:ADDRESS, storage:ADDRESS:SLOT,
        /// code-hash:ADDRESS, code:ADDRESS, count.
        #[arg(required = true, value_name = "FACT", value_parser = crate::eth::fact)]
        facts: Vec<EthereumFact>,
        #[command(flatten)]
        at: StateArg,
        #[command(flatten)]
        common: ProveArgs,
    },
    /// A header alone: that this block is the chain's block at its height.
    Header {
        /// CAIP-2 id.
        chain: ChainId,
        /// Height.
        height: u64,
        #[command(flatten)]
        common: ProveArgs,
    },
}

/// The block of Bitcoin transactions.
#[derive(Debug, Args)]
pub(crate) struct BlockArg {
    /// Hash of the block that holds them, for nodes without a transaction index.
    #[arg(long, value_name = "HASH")]
    pub(crate) block: Option<String>,
}

/// The block whose state is proven.
#[derive(Debug, Args)]
pub(crate) struct StateArg {
    /// At this block; where absent, the block of the named transactions, or else the newest confirmed one.
    #[arg(long, value_name = "HEIGHT")]
    pub(crate) at: Option<u64>,
}

/// What every proof command takes.
#[derive(Debug, Args)]
pub(crate) struct ProveArgs {
    /// Write the proof to this file; where absent, to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Wait up to this long for the block to be confirmed on the main chain.
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub(crate) wait: humantime::Duration,
    /// Which chain, where the configuration has several of the kind.
    #[arg(long, value_name = "ID")]
    pub(crate) on: Option<ChainId>,
    /// Write the compact binary form that contracts take, instead of JSON.
    #[arg(long)]
    pub(crate) binary: bool,
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
    /// Whom to trust: a file with chain id and validators; where absent, trust.json of the home folder.
    #[arg(long, value_name = "FILE", conflicts_with = "block_hash")]
    pub(crate) trust: Option<PathBuf>,
    /// Trust this Grid block hash instead of a validator set.
    #[arg(long, value_name = "HASH")]
    pub(crate) block_hash: Option<B256>,
    /// Number of the Grid chain, where there is no trust file to take it from.
    #[arg(long, value_name = "ID", requires = "block_hash")]
    pub(crate) chain_id: Option<u64>,
}

/// `grid submit`.
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The proof, JSON or binary.
    pub(crate) file: PathBuf,
    /// The key that pays, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
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

/// A confirmation rule for a chain with proof of work, checked here so that the command line is blamed.
fn rule(text: &str) -> Result<ConfirmationRule, String> {
    let rule: ConfirmationRule = serde_json::from_str(text).map_err(|error| {
        format!("{error}; expected JSON such as {{\"work\":{{\"blocks\":6}}}} (docs/protocol.md, section 8)")
    })?;
    rule.validate(grid_core::Family::Bitcoin).map_err(|error| error.to_string())?;
    Ok(rule)
}
