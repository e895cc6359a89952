//! A Grid chain's own formats: headers and their extension, validator sets, votes and commit certificates; and the
//! light client that verifies them.

pub mod certificate;
pub mod extension;
pub mod header;
pub mod light;
pub mod proposer;
pub mod validators;
pub mod vote;

pub use certificate::{CertificateError, CommitCertificate};
pub use extension::{Extension, ExtensionError};
pub use header::{GridHeader, GridHeaderError};
pub use proposer::proposer;
pub use validators::{Validator, ValidatorSet, ValidatorSetError};
pub use vote::{RecoverableSignature, Step, VoteKind, proposal_content, vote_digest};
