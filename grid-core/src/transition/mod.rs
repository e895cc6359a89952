//! Grid's state transition: from a parent block and a state to the next block.
//!
//! - [`propose`] makes a block from candidate transactions; [`validate`] executes somebody else's block and
//!   compares every field of its header. Both run the same code, so they agree to the byte.
//! - [`call`] executes one message without keeping anything; [`check`] is the mempool's door, [`Shares`] keeps its choice
//!   fair between foreign chains.
//!
//! A block starts with the chain's own work (its parent's hash is remembered, confirmation rules that time
//! alone can change are looked at again), then come the transactions in order. Blocks, transactions and receipts have
//! Ethereum's format; a block's foreign headers are evidence in transactions, judged by their content alone.
//!
//! Fees follow EIP-1559: the base fee is burned (and counted), the priority fee goes to the proposer.

mod block;
mod call;
mod check;
mod error;
mod execute;
mod fees;
mod propose;
mod share;
mod signer;
mod types;
mod validate;

pub use call::call;
pub use check::{check, intrinsic_gas};
pub use error::{TransitionError, TxReject};
pub use fees::next_base_fee;
pub use propose::propose;
pub use share::{Shares, submission_chain};
pub use signer::signer;
pub use types::{
    Block, CallContext, CallOutcome, ExecutedBlock, IndexEvent, Parent, Proposal, RecoveredTx,
};
pub use validate::{validate, validate_with};

pub(crate) use block::genesis_header;

/// The most bytes of one encoded transaction. A submission of 2,000 Bitcoin headers has 160 kB; a proof
/// beyond this size can be verified off chain only.
pub const MAX_TRANSACTION_BYTES: usize = 512 * 1024;
/// The most bytes of all transactions of a block, encoded.
pub const MAX_BLOCK_BYTES: usize = 2 * 1024 * 1024;
/// The most transactions of a block.
pub const MAX_BLOCK_TRANSACTIONS: usize = 10_000;
