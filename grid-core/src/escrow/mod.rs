//! Escrow: GRID that a Bitcoin payment releases.
//!
//! Somebody locks GRID for a payee and names a script and an amount on a chain of Bitcoin's family. A message from that chain
//! ([`crate::message`]) whose payload is the escrow's id, in a transaction that pays at least that amount to that script, releases
//! it: the payee gets the GRID. After the deadline whoever locked it gets it back.
//!
//! Who locks may ask for a guarantee ([`crate::guarantee`]) with himself as the beneficiary. A payment that has it counts before
//! it is confirmed, and what he set aside for the premium goes to who paid it.
//!
//! # Invariants
//! - An escrow is open, then released or refunded for ever.
//! - An output of a transaction releases one escrow.
//! - The contract's account holds what open escrows hold, set aside premiums included.

mod error;
mod ops;
mod records;
#[cfg(test)]
mod tests;

pub use error::EscrowError;
pub use records::{Escrow, MAX_SCRIPT, Status, escrow_id};

pub(crate) use ops::{Terms, ask, open, receive, refund};
pub(crate) use records::read as read_escrow;
