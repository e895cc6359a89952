//! Why a chain cannot be followed by its sync committees.

use core::time::Duration;
use std::path::PathBuf;

use alloy_primitives::B256;
use grid_core::ethereum::sync::{DecodeError, SyncError};
use thiserror::Error;

use crate::Class;

/// A failure of a beacon node, of what it serves, or of the light client over it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BeaconError {
    /// The node does not have what was asked for (HTTP 404).
    #[error("{endpoint} does not have {what}{hint}")]
    Missing {
        /// Endpoint.
        endpoint: String,
        /// The data.
        what: String,
        /// The fix, or nothing.
        hint: &'static str,
    },
    /// The node has not caught up with its chain.
    #[error("{endpoint} is still syncing: {distance} slots behind its head {head}; wait for it")]
    Syncing {
        /// Endpoint.
        endpoint: String,
        /// Its head's slot.
        head: u64,
        /// Slots that it lacks.
        distance: u64,
    },
    /// Another media type than those of the beacon API.
    #[error(
        "{endpoint} answered {path} with content type {found:?}; expected application/octet-stream or application/json"
    )]
    ContentType {
        /// Endpoint.
        endpoint: String,
        /// Path.
        path: String,
        /// What it named.
        found: String,
    },
    /// SSZ without the fork that it is encoded for.
    #[error("{endpoint} answered {path} in SSZ without the header Eth-Consensus-Version")]
    NoVersion {
        /// Endpoint.
        endpoint: String,
        /// Path.
        path: String,
    },
    /// The bytes are no light-client data.
    #[error("{endpoint} sent unreadable data for {path}: {source}")]
    Unreadable {
        /// Endpoint.
        endpoint: String,
        /// Path.
        path: String,
        /// What is wrong.
        source: DecodeError,
    },
    /// A well-formed answer of another shape.
    #[error("{endpoint}: unusable answer to {path}: {reason}")]
    Answer {
        /// Endpoint.
        endpoint: String,
        /// Path.
        path: String,
        /// What was expected and what came.
        reason: String,
    },
    /// The data does not prove what it says.
    #[error("{endpoint} sent {what} that does not verify: {source}; use another endpoint")]
    Refused {
        /// Endpoint.
        endpoint: String,
        /// The object.
        what: &'static str,
        /// The broken rule.
        source: Box<SyncError>,
    },
    /// The node is of another network, or its software knows another schedule of forks.
    #[error(
        "{endpoint} is not a beacon node of {network} as configured: {key} is {found} there and {expected} here; correct the address, `network`, or update what is outdated"
    )]
    Network {
        /// Endpoint.
        endpoint: String,
        /// The configured network.
        network: String,
        /// The number that differs.
        key: String,
        /// Its value at the node.
        found: String,
        /// Its value here.
        expected: String,
    },
    /// The node's finality does not advance although the chain's does.
    #[error(
        "{endpoint} proves nothing newer than slot {slot}, {behind} slots behind; is it in sync?"
    )]
    Behind {
        /// Endpoint.
        endpoint: String,
        /// Slot of the finalized header that it serves.
        slot: u64,
        /// Slots behind the newest proven one.
        behind: u64,
    },
    /// No block to start from.
    #[error(
        "no checkpoint for {network}: set `checkpoint` to the root of a finalized beacon block from a source you trust (`grid ethereum checkpoint` shows what the endpoints call finalized), or register the chain on the main chain"
    )]
    NoCheckpoint {
        /// The network.
        network: String,
    },
    /// What is trusted is too old to be safe.
    #[error(
        "the newest trusted header of {network} (slot {slot}) is {} old, at most {} are safe: validators that have left since could sign another history; get a fresh checkpoint from a source you trust (`grid ethereum checkpoint` shows what the endpoints call finalized) and set `checkpoint`",
        for_people(*age), for_people(*most)
    )]
    Stale {
        /// The network.
        network: String,
        /// The header's slot.
        slot: u64,
        /// Its age in seconds.
        age: u64,
        /// The greatest age in seconds.
        most: u64,
    },
    /// The light client itself refuses to go on: a wrong clock, or conflicting finality.
    #[error("the light client of {network} does not go on: {source}")]
    Halted {
        /// The network.
        network: String,
        /// Why.
        source: Box<SyncError>,
    },
    /// The file of the verified store cannot be used.
    #[error("light-client store {}: {reason}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the fix.
        reason: String,
    },
    /// Execution nodes name other blocks final than the light client does.
    #[error(
        "block {hash} at height {height} is final by the sync committee and {agreeing} of {required} required execution nodes call it final: {votes}; nothing is handed out until they agree"
    )]
    Opinion {
        /// Height.
        height: u64,
        /// Hash of the proven block.
        hash: B256,
        /// Nodes that agree.
        agreeing: usize,
        /// Configured number.
        required: usize,
        /// Who said what.
        votes: String,
    },
    /// No execution node has the final block yet.
    #[error("no execution node knows the final block {hash}; wait until they have caught up")]
    Absent {
        /// Its hash.
        hash: B256,
    },
    /// An execution node cannot show a block that is final.
    #[error(
        "{endpoint} cannot serve the final chain at height {height}: {reason}; use another execution node"
    )]
    Execution {
        /// Endpoint.
        endpoint: String,
        /// Height.
        height: u64,
        /// Why.
        reason: String,
    },
    /// The way from the finalized block down to the asked height is long, and only partly walked.
    #[error(
        "headers are linked from the finalized block down to height {reached}, asked for {wanted}; ask again"
    )]
    Linking {
        /// Lowest linked height.
        reached: u64,
        /// The asked height.
        wanted: u64,
    },
}

impl BeaconError {
    /// What a caller does about it.
    #[must_use]
    pub const fn class(&self) -> Class {
        const fn retry(seconds: u64) -> Class {
            Class::Retry { after: Duration::from_secs(seconds) }
        }
        match self {
            Self::Missing { .. } => Class::Reject { reason: "unavailable" },
            Self::Syncing { .. } => Class::Wait { until: "synced" },
            Self::ContentType { .. }
            | Self::NoVersion { .. }
            | Self::Unreadable { .. }
            | Self::Answer { .. } => retry(5),
            Self::Refused { source, .. } if source.is_transient() => retry(2),
            Self::Refused { .. } => Class::Halt { reason: "refused-update" },
            Self::Network { .. } => Class::Halt { reason: "wrong-network" },
            Self::Behind { .. } => Class::Wait { until: "finality" },
            Self::NoCheckpoint { .. } => Class::Wait { until: "checkpoint" },
            Self::Stale { .. } => Class::Halt { reason: "stale-checkpoint" },
            Self::Halted { source, .. } if matches!(**source, SyncError::ClockBehind { .. }) => {
                Class::Halt { reason: "clock" }
            }
            Self::Halted { .. } => Class::Halt { reason: "conflicting-finality" },
            Self::Store { .. } => Class::Halt { reason: "bad-store" },
            Self::Opinion { .. } => Class::Wait { until: "endpoints-agree" },
            Self::Execution { .. } => retry(2),
            Self::Absent { .. } => Class::Wait { until: "synced" },
            Self::Linking { .. } => Class::Retry { after: Duration::from_millis(10) },
        }
    }

    /// Whether an honest node never sends this.
    pub(crate) const fn is_lie(&self) -> bool {
        match self {
            Self::Unreadable { .. } => true,
            Self::Refused { source, .. } => !source.is_transient(),
            _ => false,
        }
    }
}

/// Seconds, for people.
pub(super) fn for_people(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}
