//! `grid message`.

use alloy_primitives::{Address, B256, Bytes};
use clap::{Args, Subcommand};
use grid_core::ChainId;

use super::SendingArgs;

/// `grid message`.
#[derive(Debug, Subcommand)]
pub(crate) enum MessageCommand {
    /// Send a message from the main chain, or write one for a Bitcoin transaction.
    Send(MessageSendArgs),
    /// The routes between the main chain and the registered chains.
    List,
    /// How a message stands on the main chain, and what can be done.
    Explain(MessageExplainArgs),
}

/// `grid message send`.
#[derive(Debug, Args)]
pub(crate) struct MessageSendArgs {
    /// Whom it is for: an address on the other chain, or on the main chain with --bitcoin.
    pub(crate) recipient: Address,
    /// The chain that it is for.
    #[arg(long, value_name = "ID", required_unless_present = "bitcoin")]
    pub(crate) to: Option<ChainId>,
    /// What it says, hexadecimal.
    #[arg(long, value_name = "HEX", default_value = "0x")]
    pub(crate) payload: Bytes,
    /// The last second, since 1970, in which it may take effect; 0 for no end.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) deadline: u32,
    /// It takes effect only after the sender's earlier ordered messages; needs a deadline.
    #[arg(long)]
    pub(crate) ordered: bool,
    /// Send nothing: print the data of an `OP_RETURN` output that carries the message to the main chain, for any Bitcoin wallet.
    #[arg(long, requires = "nonce", conflicts_with = "to")]
    pub(crate) bitcoin: bool,
    /// The sender's own number of it, with --bitcoin: each is used once.
    #[arg(long, value_name = "NUMBER", requires = "bitcoin")]
    pub(crate) nonce: Option<u64>,
    /// The key that sends, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// `grid message explain`.
#[derive(Debug, Args)]
pub(crate) struct MessageExplainArgs {
    /// Id of the message.
    pub(crate) id: B256,
}
