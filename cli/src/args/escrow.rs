//! `grid escrow`.

use alloy_primitives::{Address, B256, Bytes, U256};
use clap::{Args, Subcommand};
use grid_core::ChainId;

use super::{SendingArgs, staking::amount};

/// `grid escrow`.
#[derive(Debug, Subcommand)]
pub(crate) enum EscrowCommand {
    /// Lock GRID that a Bitcoin payment releases to a payee.
    Open(EscrowOpenArgs),
    /// How an escrow stands.
    Show(EscrowArgs),
    /// Give an escrow whose deadline is over back to whoever locked it.
    Refund(EscrowRefundArgs),
}

/// `grid escrow open`.
#[derive(Debug, Args)]
pub(crate) struct EscrowOpenArgs {
    /// How much to lock, in GRID.
    #[arg(value_name = "GRID", value_parser = amount)]
    pub(crate) value: U256,
    /// Who gets it.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) payee: Address,
    /// The chain of the payment, of Bitcoin's family.
    #[arg(long, value_name = "CHAIN")]
    pub(crate) chain: ChainId,
    /// The scriptPubKey that is to be paid, hexadecimal (`getaddressinfo` of bitcoin-cli shows an address's).
    #[arg(long, value_name = "HEX")]
    pub(crate) script: Bytes,
    /// The least that one output pays, in satoshis.
    #[arg(long, value_name = "SATOSHIS")]
    pub(crate) amount: u64,
    /// The last second, since 1970, in which the payment may be shown on the main chain. Leave time for its confirmation.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) deadline: u64,
    /// The key that locks, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// `grid escrow show`.
#[derive(Debug, Args)]
pub(crate) struct EscrowArgs {
    /// Id of the escrow.
    pub(crate) id: B256,
}

/// `grid escrow refund`.
#[derive(Debug, Args)]
pub(crate) struct EscrowRefundArgs {
    /// Id of the escrow.
    pub(crate) id: B256,
    /// The key that pays the fee; anybody's.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}
