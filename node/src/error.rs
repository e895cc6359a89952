//! Why a node did not start, or stopped.

use std::{io, net::SocketAddr};

use grid_consensus::EngineError;
use thiserror::Error;

use crate::{chain::ChainFailure, gossip::GossipError, store::StoreError};

/// Why a node did not start, or stopped. None of these heals by itself in the same process.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The genesis is not usable.
    #[error("genesis is not usable: {0}")]
    Genesis(String),
    /// The database can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The chain can't be read.
    #[error(transparent)]
    Chain(#[from] ChainFailure),
    /// JSON-RPC can't listen.
    #[error("{}", listen_message(address, source))]
    RpcListen {
        /// The address by configuration.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The pages for health and metrics can't be served.
    #[error(
        "health and metrics can't listen on {address}: {source}; set node.listen to another address"
    )]
    HealthListen {
        /// The address by configuration.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A configured web origin is none.
    #[error(
        "node.rpc_cors: {0:?} is no origin; write scheme://host[:port], for example \"https://app.example\", or \"*\" for any page"
    )]
    RpcCors(String),
    /// The consensus engine stopped.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The gossip of transactions did not start.
    #[error(transparent)]
    Gossip(#[from] GossipError),
    /// A task ended that must run as long as the node does.
    #[error("the node's task {task} ended unexpectedly: {reason}")]
    Task {
        /// Its name.
        task: &'static str,
        /// How it ended.
        reason: String,
    },
    /// Metrics of these names are already registered.
    #[error("metrics can't be registered: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Nothing was committed in time.
    #[error("the node committed no block within {0} s of its start")]
    NotReady(u64),
    /// The node was stopped while something waited for it.
    #[error("the node has stopped")]
    Stopped,
}

impl NodeError {
    /// Whether starting the node again without looking at the reason could make it sign what contradicts what it signed
    /// before: the engine met something that can't happen while it is sound, or its log failed.
    #[must_use]
    pub const fn threatens_safety(&self) -> bool {
        matches!(self, Self::Engine(EngineError::Safety { .. } | EngineError::Died { .. }))
    }
}

fn listen_message(address: &SocketAddr, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!(
            "JSON-RPC can't listen on {address}: port {} is in use; stop the other process or set node.rpc to another address",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "JSON-RPC can't listen on {address}: permission denied; set node.rpc to a port above 1023"
        ),
        _ => format!("JSON-RPC can't listen on {address}: {source}; check node.rpc"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_endangers_signed_votes_forbids_a_restart() {
        let safety = EngineError::Safety { height: 7, reason: "two blocks".into() };
        let died = EngineError::Died { height: 7, reason: "its log failed".into() };
        let in_use = EngineError::HomeInUse("node/consensus".into());
        for (error, forbidden) in [(safety, true), (died, true), (in_use, false)] {
            let error = NodeError::from(error);
            assert_eq!(error.threatens_safety(), forbidden, "{error}");
        }
        assert!(!NodeError::Stopped.threatens_safety());
    }
}
