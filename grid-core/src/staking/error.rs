//! Why a staking call is refused.

use alloy_primitives::Address;
use thiserror::Error;

use super::{evidence::EquivocationError, params::MAX_CANDIDATES};
use crate::{grid::CertificateError, state::StorageError};

/// Why a staking call is refused. Amounts are in the smallest unit of GRID.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StakingError {
    /// Genesis has no staking.
    #[error("this chain has no staking: its genesis does not enable it")]
    Disabled,
    /// Nothing to move.
    #[error("the amount is zero, or so small that it is worth nothing")]
    Nothing,
    /// The caller cannot pay.
    #[error("{account} cannot pay {amount}")]
    Funds {
        /// Who should pay.
        account: Address,
        /// How much.
        amount: u128,
    },
    /// More than exists.
    #[error("the amount does not fit 128 bits")]
    Amount,
    /// More shares than held.
    #[error("{wanted} shares asked for, {held} are held")]
    Shares {
        /// Asked for.
        wanted: u128,
        /// Held.
        held: u128,
    },
    /// A pool that slashing has emptied takes nothing more.
    #[error(
        "this pool was slashed to nothing: stake with another delegate, or try in the next epoch"
    )]
    Emptied,
    /// A delegate of this address exists.
    #[error("{0} is a delegate already")]
    Exists(Address),
    /// There is no such delegate.
    #[error("{0} is not a delegate")]
    Unknown(Address),
    /// Only the owner may do it.
    #[error("only the owner {0} may do this")]
    NotOwner(Address),
    /// The zero address owns nothing.
    #[error("the owner must not be the zero address")]
    NoOwner,
    /// A commission above everything, or higher than before.
    #[error("a commission of {found} parts in 10,000 is not allowed, at most {most}")]
    Commission {
        /// Asked for.
        found: u16,
        /// The most.
        most: u16,
    },
    /// The owner's stake is too small.
    #[error("the owner's own stake is {found}, at least {least} is needed")]
    SelfBond {
        /// What the owner has.
        found: u128,
        /// What is needed.
        least: u128,
    },
    /// No room for another candidate.
    #[error("there are {MAX_CANDIDATES} candidates already; wait until one leaves")]
    Full,
    /// Not jailed.
    #[error("{0} is not jailed")]
    NotJailed(Address),
    /// Not yet.
    #[error("locked until epoch {until}, it is epoch {now}")]
    Locked {
        /// The first epoch in which it is possible.
        until: u64,
        /// The epoch now.
        now: u64,
    },
    /// The evidence proves nothing.
    #[error("evidence: {0}")]
    Evidence(#[from] EquivocationError),
    /// The evidence is about a time that is over, or not yet there.
    #[error("height {height} is of epoch {epoch}; in epoch {now} only {oldest} to {now} count")]
    Age {
        /// The height.
        height: u64,
        /// Its epoch.
        epoch: u64,
        /// The oldest epoch that counts.
        oldest: u64,
        /// The epoch now.
        now: u64,
    },
    /// The signer decided nothing then.
    #[error("{account} was not a validator in epoch {epoch}")]
    NotAValidator {
        /// The signer.
        account: Address,
        /// The epoch.
        epoch: u64,
    },
    /// The certificate is not for a recent block of this chain.
    #[error(
        "the certificate is not for one of this epoch's last blocks ({oldest} to {newest}): block {found}"
    )]
    NotRecent {
        /// First height that counts.
        oldest: u64,
        /// Last height that counts.
        newest: u64,
        /// Height of the certificate.
        found: u64,
    },
    /// The certificate does not hold.
    #[error("certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// Says nothing new.
    #[error("already known")]
    Known,
    /// No verdict.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
