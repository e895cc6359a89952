//! Bitcoin: headers, the rules that make one valid, and the proofs under it.
//!
//! Bitcoin Core is the reference. Hashes are in internal byte order everywhere; only a display
//! reverses them.

pub mod client;
pub mod header;
pub mod multihash;
pub mod network;
pub mod output;
pub mod pow;
pub mod presync;
pub mod rules;
pub mod spv;
pub mod target;
pub mod tx;
pub mod verify;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use client::{BitcoinClient, Checkpoint, CheckpointError};
pub use header::Header;
pub use network::{NetworkParams, NetworkSpec};
pub use rules::HeaderError;
pub use verify::HeaderVerifier;
