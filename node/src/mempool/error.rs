//! Why a transaction is not admitted.

use alloy_primitives::{Address, B256, U256};
use thiserror::Error;

/// Why a transaction is not admitted. The wording of the first three follows what Ethereum's
/// clients say, because wallets look for it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MempoolError {
    /// The very transaction already waits.
    #[error("already known: transaction {0} waits for a block")]
    AlreadyKnown(B256),
    /// The nonce is used.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// Nonce of the transaction.
        nonce: u64,
        /// The account's next.
        next: u64,
    },
    /// Another transaction with that nonce waits, and this one does not pay 10 % more.
    #[error(
        "replacement transaction underpriced: nonce {0} is taken; raise both fees by 10 % or more"
    )]
    Underpriced(u64),
    /// The nonce is too far ahead.
    #[error("nonce too high: tx nonce {nonce} is more than {gap} ahead of next nonce {next}")]
    NonceTooHigh {
        /// Nonce of the transaction.
        nonce: u64,
        /// The account's next.
        next: u64,
        /// The most it may run ahead.
        gap: u64,
    },
    /// Too many bytes.
    #[error("transaction of {size} bytes is over the limit of {most}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        most: usize,
    },
    /// The sender's queue is full.
    #[error(
        "{sender} has as many transactions waiting as one sender may ({most}, {bytes} bytes); wait for a block"
    )]
    SenderFull {
        /// The sender.
        sender: Address,
        /// The most transactions.
        most: usize,
        /// The most bytes.
        bytes: usize,
    },
    /// The sender can't pay for this transaction and all of its others that wait.
    #[error(
        "insufficient funds: {sender} has {balance}, its waiting transactions and this one may cost {cost}"
    )]
    Overdraft {
        /// The sender.
        sender: Address,
        /// Its balance, smallest unit of GRID.
        balance: U256,
        /// What all of them can take, smallest unit of GRID.
        cost: U256,
    },
    /// No room, and nothing cheaper to drop.
    #[error(
        "mempool is full ({count} transactions, {bytes} bytes) and nothing in it pays less; retry later or raise the fee"
    )]
    Full {
        /// Transactions in it.
        count: usize,
        /// Bytes in it.
        bytes: usize,
    },
}
