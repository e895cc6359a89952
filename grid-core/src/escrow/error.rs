//! Why an escrow does not move.

use alloy_primitives::{Address, B256};
use thiserror::Error;

use super::records::{MAX_SCRIPT, Status};
use crate::state::StorageError;

/// Why an escrow does not move.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EscrowError {
    /// Nothing to lock, or nothing asked for it.
    #[error("an escrow needs GRID to lock and an amount above 0 to wait for")]
    Nothing,
    /// A premium, or a request for a guarantee, without a cover.
    #[error("a guaranteed escrow needs a cover above 0: use open for confirmed payments only")]
    Cover,
    /// The value does not hold the premium.
    #[error("the value {value} must be above the premium {premium}: it is taken out of it")]
    Premium {
        /// What was sent.
        value: u128,
        /// The premium.
        premium: u128,
    },
    /// More GRID than 128 bits count.
    #[error("the amount does not fit 128 bits")]
    Amount,
    /// Nobody, or a system contract.
    #[error("{0} cannot be paid: name an account")]
    Payee(Address),
    /// Not a script.
    #[error("a script has 1 to {MAX_SCRIPT} bytes, not {0}")]
    Script(usize),
    /// The payment would have to be on a chain that has none of the kind.
    #[error("chain {0} is not a registered chain of Bitcoin's family")]
    Chain(B256),
    /// Not in the future.
    #[error("the deadline {deadline} is over, it is {now}")]
    Deadline {
        /// The deadline, seconds since 1970.
        deadline: u64,
        /// The block's time.
        now: u64,
    },
    /// The caller cannot pay.
    #[error("{account} cannot pay {amount}")]
    Funds {
        /// Who should pay.
        account: Address,
        /// How much.
        amount: u128,
    },
    /// The message names no escrow.
    #[error("the payload must be an escrow's id, 32 bytes, found {0} bytes")]
    Payload(usize),
    /// No such escrow.
    #[error("there is no escrow {0}")]
    Unknown(B256),
    /// It is over.
    #[error("escrow {id} is {status}")]
    Ended {
        /// The escrow.
        id: B256,
        /// How it ended.
        status: Status,
    },
    /// The message is from elsewhere.
    #[error("the escrow waits for chain {expected}, the message is from chain {found}")]
    Source {
        /// The escrow's chain.
        expected: B256,
        /// The message's.
        found: B256,
    },
    /// The transaction pays nothing that counts.
    #[error(
        "no output of the transaction pays {amount} satoshis or more to the escrow's script, or it has released another escrow"
    )]
    Unpaid {
        /// What the escrow waits for.
        amount: u64,
    },
    /// Not yet.
    #[error("the escrow can be taken back after {deadline}, it is {now}")]
    NotOver {
        /// The deadline, seconds since 1970.
        deadline: u64,
        /// The block's time.
        now: u64,
    },
    /// No verdict.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
