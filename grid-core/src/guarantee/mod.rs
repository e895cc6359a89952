//! The guarantee: cover for a transaction of a slow chain that is in a block but not confirmed yet.
//!
//! - **Underwriters** put GRID into one pool and hold shares in it ([`Book`]).
//! - A **request** names a transaction in a tracked block of the best branch of a chain with proof of work, a cover, a
//!   beneficiary and a deadline, a height of the source. The premium is `cover · risk · loading + base`; [`Risk`]
//!   comes from confirmations, the time that they took, competing branches, and the attacker's assumed share.
//! - **Settled**: the same transaction is in a confirmed block at or before the deadline. The cover is free again.
//! - **Defaulted**: the confirmed tip has passed the deadline and the grace period. The beneficiary is paid.
//!
//! "The same" is the transaction id: all that the transaction does, without the witness, which can change nothing of it. A copy
//! with another id (malleated, or with another fee) is another transaction.
//!
//! # Invariants
//! - `pool + locked + paid + withdrawn = deposited + premiums`, to the last unit, after every call ([`Book::is_balanced`]).
//! - The contract's account holds `pool + locked`. Calls move nothing else into it; what a delegate's commission may send there is
//!   nobody's.
//! - The cover of all open guarantees is locked in full, so it never exceeds the pool.
//! - A guarantee leaves [`Status::Guaranteed`] once, for a state that it never leaves.
//! - Divisions round in favour of the pool.
//!
//! # Exposure
//! What one reorganisation could hit are all open guarantees whose own block is not confirmed. Their cover is at most a part
//! of the pool, and at most the worth of the blocks that an attacker has to mine for it: `confirmations ·
//! blockValue`. The second limit is what keeps away an attacker who mines first and asks afterwards; no premium can, for he asks
//! only when he has won already.
//!
//! # Bounds
//! A call touches a fixed number of values and one list of at most [`MAX_OPEN`] entries. Nothing happens between calls.

mod error;
mod exposure;
mod genesis;
mod ops;
mod params;
mod pool;
mod price;
mod records;
#[cfg(test)]
mod tests;

pub use error::GuaranteeError;
pub use exposure::{MAX_OPEN, Open};
pub use genesis::{GuaranteeGenesis, TermsOf};
pub use params::{GuaranteeParams, Terms};
pub use pool::Book;
pub use price::{Quote, Risk, assess, premium};
pub use records::{Guarantee, Holding, Status, guarantee_id};

pub(crate) use genesis::apply as apply_genesis;
pub(crate) use ops::{
    Caller, Order, Source, chain_of, claim, covering, deposit, leave, quote, request, set_terms,
    settle, settle_in, withdraw,
};
pub(crate) use params::read as read_params;
pub(crate) use records::{read_book, read_guarantee, read_holding, read_open, read_terms};
