//! Why the gossip did not start.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why the gossip did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GossipError {
    /// A setting is not usable.
    #[error("gossip {field} {value:?} is not usable: {reason}")]
    Config {
        /// `listen` or `peer`.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// The identity can't be read or made.
    #[error("gossip identity {}: {source}; restore the file, or remove it for a new identity", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address can't be listened on.
    #[error(
        "gossip can't listen on {address}: {reason}; stop the other process or set another address"
    )]
    Listen {
        /// The address by configuration.
        address: String,
        /// Why.
        reason: String,
    },
    /// The network could not be set up.
    #[error("gossip can't be set up: {0}")]
    Setup(String),
}
