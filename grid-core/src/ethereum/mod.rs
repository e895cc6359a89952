//! Ethereum: execution headers, attestations over them, the proofs under them, and the beacon chain's light client.

pub mod attest;
pub mod client;
pub mod header;
pub mod mpt;
pub mod receipt;
pub mod rules;
pub mod sync;

pub use attest::{AttestError, AttesterSet};
pub use client::AttestedClient;
pub use header::{SealedEthHeader, decode_header};
pub use rules::{HeaderRules, RuleError};
