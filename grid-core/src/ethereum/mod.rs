//! Ethereum: execution headers, attestations over them, the proofs under them, the beacon chain's
//! light client, and the main chain's client on top of it.

pub mod attest;
pub mod client;
pub mod committee;
pub mod header;
pub mod mpt;
pub mod receipt;
pub mod rules;
pub mod sync;

pub use attest::{AttestError, AttesterSet};
pub use client::AttestedClient;
pub use committee::{CommitteeClient, CommitteeError};
pub use header::{SealedEthHeader, decode_header};
pub use rules::{HeaderRules, RuleError};
