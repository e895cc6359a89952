//! Messages between chains: one form, sent on one chain, taking effect on another exactly once.
//!
//! - A message is sent by a mailbox contract's `Dispatched` event (Ethereum and Grid chains) or in an `OP_RETURN` output of a
//!   Bitcoin transaction ([`BitcoinNote`]). Its [id](Message::id) hashes all of it.
//! - It is delivered by a proof of that event or output against the main chain's own index. The id is recorded, so that it takes
//!   effect once, whoever relays it and how often.
//! - It may be delivered before its block is confirmed, under a guarantee of its transaction, where the route allows it and the
//!   recipient [asks](Ask) for such a guarantee. It keeps the state `Guaranteed` then, whatever happens to the block.
//! - A [`Route`] says what a pair of chains may exchange. Without one nothing passes.
//! - The [`Cuts`] of an index tell which deliveries lost the block that they stood on.
//!
//! # Invariants
//! - An id leaves no state for `Delivered`, `Guaranteed` or `Expired` twice, and takes effect in the first two cases only.
//! - `Delivered` and `Breached` change into each other, without effect on the recipient; `Guaranteed` and `Expired` never change.
//! - A guarantee stands behind one message.
//! - The ordered messages of a sender take effect in the order of their nonces, none left out but those that expired.
//! - A call that is refused leaves nothing behind, so that it can be repeated.

mod bitcoin;
mod covered;
mod cuts;
mod error;
mod found;
mod ops;
mod records;
mod route;
#[cfg(test)]
mod tests;
mod types;

pub use bitcoin::{BitcoinNote, HEADER_BYTES, MAGIC, VERSION, sender_of};
pub use covered::Ask;
pub use cuts::{Cut, Cuts, MAX_CUTS};
pub use error::MessageError;
pub use found::DISPATCHED;
pub use records::{Record, State};
pub use route::{Party, Route};
pub use types::{MAX_PAYLOAD, Message, address_of};

pub(crate) use covered::{check as check_covered, deliver as deliver_covered};
pub(crate) use cuts::{note as note_cut, read as read_cuts};
pub(crate) use found::{Found, find, find_in};
pub(crate) use ops::{Evidence, Here, Order, Outcome, deliver, is_known, report, send};
pub(crate) use records::{Lane, next_nonce, read as read_message};
pub(crate) use route::{is_listed, read as read_route, set_listed, store as store_route};
