//! Why a call of the guarantee is refused.

use alloy_primitives::{Address, B256};
use thiserror::Error;

use super::{exposure::MAX_OPEN, records::Status};
use crate::{bitcoin::spv::SpvError, modules::ChainStatus, state::StorageError};

/// Why a call of the guarantee is refused. Amounts are in the smallest unit of GRID.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GuaranteeError {
    /// Genesis has no guarantee.
    #[error("this chain has no guarantee: its genesis does not enable it")]
    Disabled,
    /// An amount that is too small to be taken.
    #[error("{found} is too little, at least {least} is needed")]
    TooLittle {
        /// The amount.
        found: u128,
        /// The least.
        least: u128,
    },
    /// More than exists.
    #[error("the amount does not fit 128 bits")]
    Amount,
    /// The caller cannot pay.
    #[error("{account} cannot pay {amount}")]
    Funds {
        /// Who should pay.
        account: Address,
        /// How much.
        amount: u128,
    },
    /// More shares than held, or than announced to leave.
    #[error("{wanted} shares asked for, {held} are there")]
    Shares {
        /// Asked for.
        wanted: u128,
        /// There.
        held: u128,
    },
    /// Not the time to withdraw.
    #[error(
        "shares can be withdrawn from {from_ms} to {until_ms}, it is {now_ms}; call leave again when that is over"
    )]
    NotNow {
        /// From when on, milliseconds since 1970.
        from_ms: u64,
        /// Until when.
        until_ms: u64,
        /// The block's time.
        now_ms: u64,
    },
    /// What should leave or be covered is locked behind open guarantees.
    #[error("{wanted} is more than the {free} of the pool that is not locked")]
    Locked {
        /// Wanted.
        wanted: u128,
        /// Free.
        free: u128,
    },
    /// The chain is not registered.
    #[error("chain {0} is not registered")]
    NoChain(B256),
    /// The chain does not take part now.
    #[error("chain {chain} is {status}")]
    NotActive {
        /// The chain.
        chain: B256,
        /// Its status.
        status: ChainStatus,
    },
    /// No risk can be computed for such a chain.
    #[error("chain {0} has no proof of work: only its risk can be priced")]
    NoWork(B256),
    /// The governor set no terms.
    #[error("no guarantees are given for chain {0}: it has no terms")]
    NoTerms(B256),
    /// The terms make no sense.
    #[error("terms: {0}")]
    Terms(String),
    /// The block is not tracked, or not on the best branch.
    #[error("block {0} is not on the best branch that is tracked")]
    NotBest(B256),
    /// The block is known for too short a time.
    #[error(
        "block {hash} is known for {age_ms} ms, at least {least_ms} are needed; ask again later"
    )]
    TooFresh {
        /// The block.
        hash: B256,
        /// How long it is tracked.
        age_ms: u64,
        /// How long it must be.
        least_ms: u64,
    },
    /// The block is confirmed already.
    #[error("height {height} is confirmed already, up to {confirmed}: no guarantee is needed")]
    Confirmed {
        /// Height of the block.
        height: u64,
        /// The confirmed tip.
        confirmed: u64,
    },
    /// More headers lie on the block than are looked at.
    #[error("{found} headers lie on the block, at most {most} are looked at")]
    TooDeep {
        /// Found.
        found: u64,
        /// The most.
        most: u64,
    },
    /// The block is not confirmed yet.
    #[error("height {height} is not confirmed, the chain is confirmed up to {}", tip(*confirmed))]
    NotConfirmed {
        /// Height of the block.
        height: u64,
        /// The confirmed tip.
        confirmed: Option<u64>,
    },
    /// The deadline is too near, too far, or past.
    #[error("deadline {found} must be a height of the source from {least} to {most}")]
    Deadline {
        /// The deadline.
        found: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// The transaction came too late.
    #[error("height {height} is after the deadline {deadline}")]
    Late {
        /// Height of its block.
        height: u64,
        /// The deadline.
        deadline: u64,
    },
    /// The transaction is not shown to be in the block.
    #[error("transaction proof: {0}")]
    Proof(#[from] SpvError),
    /// A coinbase cannot be mined again.
    #[error("a coinbase is not covered: no other block can hold it")]
    Coinbase,
    /// Another transaction.
    #[error(
        "the guarantee is for transaction {expected}, the proof shows {found} (internal byte order)"
    )]
    OtherTransaction {
        /// The guaranteed one.
        expected: B256,
        /// The proven one.
        found: B256,
    },
    /// The beneficiary cannot be paid.
    #[error("beneficiary {0} must be neither zero nor a system contract")]
    Beneficiary(Address),
    /// The same guarantee exists.
    #[error("guarantee {0} exists already: one for each transaction, beneficiary and payer")]
    Exists(B256),
    /// There is no such guarantee.
    #[error("there is no guarantee {0}")]
    Unknown(B256),
    /// It is over.
    #[error("guarantee {id} is {status} already")]
    Ended {
        /// The guarantee.
        id: B256,
        /// Its final state.
        status: Status,
    },
    /// The deadline and the grace period are not over.
    #[error(
        "the confirmed tip {} has not passed height {after}: deadline and grace period", tip(*confirmed)
    )]
    NotOver {
        /// The confirmed tip.
        confirmed: Option<u64>,
        /// What it must pass.
        after: u64,
    },
    /// Its own block is confirmed: nothing was lost.
    #[error("the block of guarantee {0} is confirmed: settle it")]
    Settles(B256),
    /// The premium would be no less than the cover.
    #[error("the risk is too high now: the premium {premium} is no less than the cover {cover}")]
    Risk {
        /// The premium.
        premium: u128,
        /// The cover.
        cover: u128,
    },
    /// A limit of exposure.
    #[error("the cover {wanted} is above {available}, which is left by the limit {limit}")]
    Exposure {
        /// Wanted.
        wanted: u128,
        /// Still possible.
        available: u128,
        /// Which limit.
        limit: &'static str,
    },
    /// Too many are open.
    #[error("{MAX_OPEN} guarantees of this chain are open, no more")]
    Full,
    /// No verdict.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The confirmed tip in words.
fn tip(confirmed: Option<u64>) -> String {
    confirmed.map_or_else(|| "nothing".into(), |height| height.to_string())
}
