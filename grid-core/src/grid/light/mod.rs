//! The light client of a Grid chain: from one header that is trusted to any later one, without a node.
//!
//! - [`TrustedState`] is what a client knows: a header's height, hash and time, and the validators of the next.
//! - [`LightBlock`] is what it is shown: a header, its certificate, the validators that signed it and, where
//!   they change, those of the next block.
//! - [`TrustedState::follow`] is the whole verification; [`Bisection`] says which headers to ask for when the
//!   target is too far away; [`HandOver`] is the way that was found, as a file; [`GridClient`] keeps what was verified and stops at a contradiction ([`Conflict`]).
//!
//! # Rules
//! A later header counts if more than two thirds of the power of the set that it names signed it, and
//!
//! - right above the trusted header: it names the trusted header as its parent and the set that the trusted header
//!   promised (`nextValidatorsHash`);
//! - further above (skipping): validators with more than a third of the *trusted* power are among the signers. As
//!   long as less than a third is faulty, one of them is honest, and an honest validator signs only blocks of the chain.
//!
//! Both hold for a limited time: validators that have left and taken their stake could sign anything without a
//! loss. So a trusted header expires after the trusting period, which must be shorter than the unbonding period. A
//! header from the future (beyond the clock drift) is refused, and time must grow.
//!
//! # For a contract
//! The rules are written so that an EVM contract can follow them. It stores one word,
//! [`TrustedState::commitment`]: `keccak256(abi.encode(uint64 chainId, uint64 height, bytes32 blockHash, uint64
//! timeMs, bytes32 validatorsHash))`. A call brings the values, the trusted set and
//! [`LightBlock::to_abi`]: `abi.encode(LightUpdate)`. The contract hashes the sets (`keccak256(abi.encode(Validator[]))`),
//! hashes the header's RLP, reads `number` and `extraData` out of it, hashes one vote digest, calls `ecrecover` once a
//! signature, and walks both sets once, since sets and signers are in increasing order of address.

mod bisection;
mod block;
mod client;
mod conflict;
mod error;
mod hand_over;
mod state;
#[cfg(test)]
mod tests;

pub use bisection::{Bisection, Step};
pub use block::{LightBlock, LightUpdate, MAX_LIGHT_BLOCK_BYTES};
pub use client::{Accepted, GridClient, MAX_KEPT};
pub use conflict::{Conflict, MAX_CONFLICT_BYTES};
pub use error::LightError;
pub use hand_over::{HandOver, HandOverError};
pub use state::{LightPolicy, TrustedState};
