//! A simulated beacon chain over a real anvil: what a light client of Ethereum needs, on demand, with
//! real signatures and every fault a server may have.
//!
//! - [`chain`] is the machine: execution blocks in, beacon blocks with finality and rotating sync
//!   committees out, in the form of every fork from Altair to Gloas. Pure.
//! - [`BeaconSim`] puts an anvil's blocks into it and serves the beacon API.
//! - [`Fault`] is what the server does wrong, switchable while it runs.
//!
//! What a light client looks at is as on a real network: committees, their signatures by the sum of
//! the participants' keys, checkpoints, proofs, execution payload headers, `block_roots`. The rest of
//! a state and a body has the spec's default values (see [`tree`]). Attestations are not simulated:
//! finality follows the slots, or is held back by a call. `scripts/check-beacon-sim` holds the output
//! against the official executable spec.

mod api;
pub mod block;
pub mod chain;
pub mod committee;
pub mod data;
mod execution;
pub mod fault;
mod journal;
pub mod network;
mod server;
pub mod sim;
pub mod tree;
pub mod value;

pub use chain::{Chain, ChainConfig};
pub use fault::Fault;
pub use network::development;
pub use sim::{BeaconConfig, BeaconSim, Clock};

#[cfg(test)]
mod tests;
