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
    /// The routes between the main chain and the registered chains, and the messages that the relayer has seen.
    List(MessageListArgs),
    /// Where a message is and why: on the main chain, and on its way to it.
    Explain(MessageExplainArgs),
    /// Open, change or close a route; the governor only.
    Route(MessageRouteArgs),
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

/// `grid message list`.
#[derive(Debug, Args)]
pub(crate) struct MessageListArgs {
    /// The most messages, the last ones first.
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(crate) limit: u32,
}

/// `grid message route`.
#[derive(Debug, Args)]
pub(crate) struct MessageRouteArgs {
    /// The other chain.
    pub(crate) chain: ChainId,
    /// Of the messages that the main chain sends to it; without, of those that it sends.
    #[arg(long)]
    pub(crate) outgoing: bool,
    /// Let nothing pass.
    #[arg(long)]
    pub(crate) closed: bool,
    /// Only senders that Mailbox.setListed has put on the route's list.
    #[arg(long)]
    pub(crate) listed_senders: bool,
    /// Only recipients that Mailbox.setListed has put on the route's list.
    #[arg(long)]
    pub(crate) listed_recipients: bool,
    /// Also before a block is confirmed, to recipients that ask for a guarantee of the transaction.
    #[arg(long)]
    pub(crate) guaranteed: bool,
    /// The most bytes of a payload.
    #[arg(long, value_name = "BYTES", default_value_t = 4_096)]
    pub(crate) max_payload: u32,
    /// Confirmed headers above a message's block that its delivery needs, on top of the chain's own rule.
    #[arg(long, value_name = "HEADERS", default_value_t = 0)]
    pub(crate) min_depth: u64,
    /// The contract whose events are messages, on Ethereum and Grid chains.
    #[arg(long, value_name = "ADDRESS", default_value_t = Address::ZERO)]
    pub(crate) mailbox: Address,
    /// The governor's key, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "validator")]
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
