//! Why a relayer does not start, or stopped.

use core::net::SocketAddr;

use thiserror::Error;

use crate::{main_chain::MainError, store::StoreError};

/// Why a relayer does not start, or stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RelayerError {
    /// The database is unusable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The main chain cannot be asked.
    #[error(transparent)]
    Main(#[from] MainError),
    /// The HTTP server's address is not to be had.
    #[error(
        "cannot listen on {address} for the relayer's HTTP server: {reason}; stop the program that uses \
         the port, or set `{setting}` to another address"
    )]
    Listen {
        /// Its setting.
        setting: &'static str,
        /// Configured address.
        address: SocketAddr,
        /// The system's reason.
        reason: String,
    },
    /// Two sources are configured for one chain.
    #[error("chain {0} has two sources; give one chain one section, with several endpoints")]
    DuplicateSource(grid_core::ChainId),
    /// Another attester cannot be asked.
    #[error(transparent)]
    Attester(#[from] grid_adapters::EndpointError),
    /// A metric could not be registered.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Not ready in time.
    #[error("the relayer is not ready after {seconds} s: {problems}")]
    NotReady {
        /// How long it had.
        seconds: u64,
        /// What is missing.
        problems: String,
    },
}
