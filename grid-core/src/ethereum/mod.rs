//! Ethereum: execution headers, attestations over them, and the proofs under them.

pub mod attest;
pub mod client;
pub mod header;
pub mod mpt;

pub use attest::{AttestError, AttesterSet};
pub use client::AttestedClient;
pub use header::{SealedEthHeader, decode_header};
