//! A Grid chain's own formats: header extension, validator set, votes and commit certificates.

pub mod certificate;
pub mod extension;
pub mod validators;
pub mod vote;

pub use certificate::{CertificateError, CommitCertificate};
pub use extension::{Extension, ExtensionError};
pub use validators::{Validator, ValidatorSet, ValidatorSetError};
pub use vote::{RecoverableSignature, VoteKind, vote_digest};
