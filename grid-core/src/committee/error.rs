//! Why a submission is refused.

use alloy_primitives::B256;
use thiserror::Error;

use super::{anchors::MAX_ANCHORS, pending::MAX_PENDING};
use crate::{
    ethereum::{
        header::{EthHeaderError, RunError},
        sync::{DecodeError, NetworkConfigError, SyncError},
    },
    grid::light::LightError,
    header_tree::TreeError,
};

/// Why data or headers are refused. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommitteeError {
    /// The network's numbers are bad.
    #[error(transparent)]
    Network(#[from] NetworkConfigError),
    /// The trusted start is no header.
    #[error("trusted start: {0}")]
    Start(EthHeaderError),
    /// The trusted start of a Grid chain does not name the given validators, or is no header.
    #[error("trusted start: {0}")]
    GridStart(LightError),
    /// A certified block that the Grid chain's light client refuses.
    #[error("object {index}: {error}")]
    Grid {
        /// Its position.
        index: usize,
        /// The rule that it breaks.
        error: Box<LightError>,
    },
    /// A setting that has no meaning on the main chain.
    #[error("policy setting {0} cannot be used here: the main chain exports proven finality only")]
    Policy(&'static str),
    /// An object is not light-client data of this network.
    #[error("object {index}: {error}")]
    Data {
        /// Its position.
        index: usize,
        /// What is wrong.
        error: DecodeError,
    },
    /// The light client refuses an object.
    #[error("object {index}: {error}")]
    Sync {
        /// Its position.
        index: usize,
        /// The rule that it breaks.
        error: Box<SyncError>,
    },
    /// An update before the bootstrap.
    #[error("the client waits for the bootstrap of {checkpoint}; submit it first")]
    NotStarted {
        /// The trusted beacon block.
        checkpoint: B256,
    },
    /// Another bootstrap than the one that it started from.
    #[error("the client has started from {checkpoint}; only the governor can restart it")]
    Started {
        /// The trusted beacon block.
        checkpoint: B256,
    },
    /// A restart with another block than the checkpoint.
    #[error("the object is block {found}, the checkpoint is {checkpoint}")]
    OtherCheckpoint {
        /// Hash of the block.
        found: B256,
        /// The checkpoint.
        checkpoint: B256,
    },
    /// A restart that would go back without need.
    #[error("the checkpoint is of slot or height {slot}, the client is at {known} already")]
    OldCheckpoint {
        /// Slot of the checkpoint; on a Grid chain its height.
        slot: u64,
        /// The client's finalized slot or height.
        known: u64,
    },
    /// The trusted beacon block has another execution block than the registered one.
    #[error("the checkpoint's execution block is {found}, registered as start is {start}")]
    OtherStart {
        /// Hash in the bootstrap.
        found: B256,
        /// Hash of the registered header.
        start: B256,
    },
    /// An update that two thirds did not sign.
    #[error("object {index}: {participants} of {members} members signed, two thirds are needed")]
    TooFew {
        /// Its position.
        index: usize,
        /// Members that signed.
        participants: usize,
        /// Members.
        members: usize,
    },
    /// A valid update that neither advances finality nor teaches a committee.
    #[error("object {0} is valid, but advances neither finality nor the committees")]
    NoEffect(usize),
    /// Too many hashes wait for their headers.
    #[error("{MAX_ANCHORS} final blocks wait for their headers; submit headers first")]
    TooManyAnchors,
    /// A certified block too far above what is held: its headers would have no room.
    #[error("the block of height {height} is too far; show one of height {most} at most first")]
    TooFar {
        /// Its height.
        height: u64,
        /// The highest that would be taken.
        most: u64,
    },
    /// The headers are no run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The last header is not one that is asked for.
    #[error(
        "the last new header, {hash} at height {height}, is not proven final; a run must end with a wanted hash, the lowest is {}",
        .wanted.map_or_else(|| "none at the moment".to_owned(), |hash| hash.to_string())
    )]
    NotWanted {
        /// Its hash.
        hash: B256,
        /// Its height.
        height: u64,
        /// The hash with which a run may end whatever its length.
        wanted: Option<B256>,
    },
    /// The run leaves a gap where it may not.
    #[error(
        "the run ends above the lowest wanted hash {wanted} and does not reach down to the tracked tip"
    )]
    Gap {
        /// The hash with which a run may end whatever its length.
        wanted: B256,
    },
    /// A header's number does not fit its place.
    #[error("header {hash} has number {number}, its place asks for {expected}")]
    Number {
        /// The header.
        hash: B256,
        /// Its number.
        number: u64,
        /// Expected by its parent or child.
        expected: u64,
    },
    /// More headers wait than may.
    #[error("at most {MAX_PENDING} headers wait for their ancestors")]
    TooManyPending,
    /// After a restart, the final branch leaves the old one below what is still tracked.
    #[error(
        "the final branch leaves the tracked one below height {base}, the oldest that is still held"
    )]
    DeepFork {
        /// Height of the tree's base.
        base: u64,
    },
    /// Finality contradicts itself.
    #[error("the chain's finality contradicts itself; the governor must restart its client")]
    Frozen,
}

impl CommitteeError {
    /// Whether the same submission may be accepted later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Sync { error, .. } => error.is_transient(),
            Self::Grid { error, .. } => error.is_transient(),
            Self::NotStarted { .. }
            | Self::TooManyAnchors
            | Self::TooFar { .. }
            | Self::NotWanted { .. }
            | Self::Gap { .. }
            | Self::TooManyPending => true,
            _ => false,
        }
    }
}

/// Why a stored client cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoredError {
    /// A part is missing or malformed.
    #[error("stored {0} cannot be read")]
    Part(&'static str),
    /// The light client's data.
    #[error(transparent)]
    Data(#[from] DecodeError),
    /// The header tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The record's network.
    #[error(transparent)]
    Network(#[from] NetworkConfigError),
}
