//! `grid prove`.

use std::path::PathBuf;

use alloy_primitives::{Address, B256, U256};
use clap::{Args, Subcommand};
use grid_core::{ChainId, proof::ethereum::EthereumFact};

use crate::eth::BlockRange;

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
    /// Put in what leads a verifier who trusts the Grid header of this height to the proof's Grid block (its
    /// `grid trust show` tells the height). Needed where the validators have changed much since.
    #[arg(long, value_name = "HEIGHT", conflicts_with = "binary")]
    pub(crate) from: Option<u64>,
}
