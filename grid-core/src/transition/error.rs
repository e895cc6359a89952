//! Why a block or a transaction is refused.

use alloy_primitives::{Address, B256, U256};
use thiserror::Error;

use crate::state::StorageError;

/// Why a block is not the next one, or could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransitionError {
    /// The state could not be read: no verdict about the block.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The state is not that of the parent block.
    #[error("state is at height {state}, the parent block at {parent}")]
    StateHeight {
        /// Height of the state.
        state: u64,
        /// Height of the parent.
        parent: u64,
    },
    /// The block's time is not above its parent's.
    #[error("block time {time_ms} ms is not above its parent's {parent_ms} ms")]
    Time {
        /// The block's time.
        time_ms: u64,
        /// Its parent's.
        parent_ms: u64,
    },
    /// A header is not a Grid header.
    #[error("{which} header: {reason}")]
    Extension {
        /// `parent` or `block`.
        which: &'static str,
        /// What is wrong with the extension.
        reason: String,
    },
    /// A header field is not what execution gives.
    #[error("header field {field} is {found}, execution gives {expected}")]
    Header {
        /// The first field that differs, by its JSON-RPC name.
        field: &'static str,
        /// What execution gives.
        expected: String,
        /// What the header says.
        found: String,
    },
    /// The body has something that Grid blocks do not have.
    #[error("block body: {0}")]
    Body(String),
    /// A transaction may not be in the block.
    #[error("transaction {index} ({hash}): {reason}")]
    Transaction {
        /// Position in the block.
        index: usize,
        /// Its hash.
        hash: B256,
        /// Why.
        reason: Box<TxReject>,
    },
    /// The genesis is not usable.
    #[error("genesis: {0}")]
    Genesis(String),
}

impl TransitionError {
    /// Whether the failure is the storage's, so that nothing is known about the block.
    #[must_use]
    pub const fn is_storage(&self) -> bool {
        matches!(self, Self::Storage(_))
    }
}

/// Why a transaction is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TxReject {
    /// The state could not be read: no verdict.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A transaction type that Grid does not have.
    #[error("transaction type {0} is not supported, use 0, 1 or 2")]
    Type(u8),
    /// No EIP-155 chain id, or another chain's.
    #[error("transaction is for chain {found}, this is chain {expected}")]
    ChainId {
        /// This chain.
        expected: u64,
        /// The transaction's (0: none).
        found: u64,
    },
    /// The signature is malformed or not canonical.
    #[error("transaction signature does not recover to a sender")]
    Signature,
    /// Too many bytes.
    #[error("transaction has {size} bytes, at most {limit} are allowed")]
    Size {
        /// Encoded size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Contract creation.
    #[error("contract creation is not supported")]
    Creation,
    /// The nonce was used.
    #[error("nonce too low: next nonce of {sender} is {expected}, transaction has {found}")]
    NonceTooLow {
        /// The sender.
        sender: Address,
        /// Its next nonce.
        expected: u64,
        /// The transaction's.
        found: u64,
    },
    /// Earlier transactions are missing.
    #[error("nonce too high: next nonce of {sender} is {expected}, transaction has {found}")]
    NonceTooHigh {
        /// The sender.
        sender: Address,
        /// Its next nonce.
        expected: u64,
        /// The transaction's.
        found: u64,
    },
    /// The sender cannot pay.
    #[error("insufficient funds: {sender} has {balance}, the transaction may cost {cost}")]
    Funds {
        /// The sender.
        sender: Address,
        /// Its balance.
        balance: U256,
        /// Gas limit times fee cap, plus value.
        cost: U256,
    },
    /// The fee cap is below the base fee.
    #[error("max fee per gas {max_fee} is below the base fee {base_fee}")]
    FeeTooLow {
        /// The cap.
        max_fee: u128,
        /// The block's base fee.
        base_fee: u64,
    },
    /// The priority fee is above the fee cap.
    #[error("max priority fee {priority} is above max fee {max_fee}")]
    PriorityFee {
        /// The priority fee.
        priority: u128,
        /// The cap.
        max_fee: u128,
    },
    /// The gas limit does not pay for the transaction itself.
    #[error("intrinsic gas too low: gas limit {limit}, the transaction itself needs {needed}")]
    IntrinsicGas {
        /// The gas limit.
        limit: u64,
        /// What is needed.
        needed: u64,
    },
    /// The gas limit is above what is left in the block.
    #[error("gas limit {limit} is above the {available} that the block allows")]
    BlockGas {
        /// The gas limit.
        limit: u64,
        /// What the block has left.
        available: u64,
    },
    /// A submission that tells the chain nothing new.
    #[error("already known")]
    AlreadyKnown,
    /// A submission that would be refused.
    #[error("submission would be refused: {0}")]
    Submission(String),
}

impl TxReject {
    /// Whether the same transaction may be acceptable later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Storage(_)
                | Self::NonceTooHigh { .. }
                | Self::Funds { .. }
                | Self::FeeTooLow { .. }
                | Self::BlockGas { .. }
        )
    }
}
