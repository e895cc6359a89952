//! Why an engine stopped or did not start.

use std::path::PathBuf;

use alloy_primitives::Address;
use thiserror::Error;

use crate::chain::ChainError;

/// Why an engine stopped or did not start. None of these heals by itself in the same process.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// This node's key is not in the validator set.
    #[error(
        "address {address} of this node's key is not a validator for height {height}; start the node with a key of the validator set: {validators}"
    )]
    NotAValidator {
        /// Address of the configured key.
        address: Address,
        /// The height to decide.
        height: u64,
        /// The validators of that height.
        validators: String,
    },
    /// Without a network this node alone must have more than two thirds of the power.
    #[error(
        "a node without a network needs more than two thirds of the voting power alone, it has {power} of {total}; configure peers"
    )]
    NoQuorumAlone {
        /// Power of the configured key.
        power: u64,
        /// Power of the whole set.
        total: u64,
    },
    /// A full node without a network.
    #[error("a full node follows others and decides nothing alone; configure peers")]
    NobodyToFollow,
    /// The home directory can't be used.
    #[error("cannot use {path}: {source}")]
    Home {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another engine holds the home directory.
    #[error(
        "{0} is in use by another process; two engines with one key would sign conflicting votes"
    )]
    HomeInUse(PathBuf),
    /// A configured value is unusable.
    #[error("{field} = {value:?} is not usable: {reason}")]
    Config {
        /// Which value.
        field: &'static str,
        /// What was given.
        value: String,
        /// What is wrong.
        reason: String,
    },
    /// The engine's parts could not be started.
    #[error("the consensus engine did not start: {0}")]
    Start(String),
    /// The engine died: its log failed, or it met a state that threatens safety. Look at the log
    /// before starting it again.
    #[error("the consensus engine stopped by itself at height {height}: {reason}")]
    Died {
        /// The height that was being decided.
        height: u64,
        /// What is known.
        reason: String,
    },
    /// The chain failed.
    #[error("the chain failed to {what} at height {height}: {source}")]
    Chain {
        /// What was asked of it.
        what: &'static str,
        /// The height that was being decided.
        height: u64,
        /// Its answer.
        source: ChainError,
    },
    /// Something that can't happen while engine and chain are sound. The node must not go on.
    #[error("consensus safety violated at height {height}: {reason}")]
    Safety {
        /// The height that was being decided.
        height: u64,
        /// What was seen.
        reason: String,
    },
    /// No block was decided for too long although this node can decide alone.
    #[error("no block at height {height} for {seconds} s; the engine stands still")]
    Stagnant {
        /// The height that is not decided.
        height: u64,
        /// For how long.
        seconds: u64,
    },
}
