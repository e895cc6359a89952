//! What can go wrong at a chain's edge, and what a caller does about it.

use core::time::Duration;

use grid_core::ChainId;
use thiserror::Error;

use crate::{EndpointError, RpcError};

/// What a caller does about an [`AdapterError`]. The `&'static str` are fixed words, fit for metric
/// labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Passing trouble: ask again, not before `after`.
    Retry {
        /// Least pause before the next attempt.
        after: Duration,
    },
    /// Nothing is wrong, the source is just not there yet.
    Wait {
        /// What has to happen first.
        until: &'static str,
    },
    /// The question itself cannot be answered; asking again gives the same.
    Reject {
        /// Why.
        reason: &'static str,
    },
    /// The source needs its operator (wrong credentials, wrong network, a lying node). Look again
    /// rarely; another endpoint may do better.
    Halt {
        /// Why.
        reason: &'static str,
    },
}

impl Class {
    /// The class's own name, for a metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::Wait { .. } => "wait",
            Self::Reject { .. } => "reject",
            Self::Halt { .. } => "halt",
        }
    }
}

/// A failure at a chain's edge. Messages name the endpoint (never its credentials), the value at fault
/// and the fix.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The endpoint's description is unusable.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The call failed.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The node belongs to another network.
    #[error(
        "{endpoint} is a node of another network: it serves {found_name} ({found}), \
         the configuration says {expected_name} ({expected}); correct the address or the chain id"
    )]
    WrongNetwork {
        /// Endpoint.
        endpoint: String,
        /// Configured chain.
        expected: ChainId,
        /// Its name for people.
        expected_name: String,
        /// What the node serves.
        found: String,
        /// Its name for people.
        found_name: String,
    },
    /// The node speaks JSON-RPC and is of another kind.
    #[error(
        "{endpoint} is no {family} node: it does not know the method {method}; correct the address"
    )]
    WrongKind {
        /// Endpoint.
        endpoint: String,
        /// The configured kind.
        family: &'static str,
        /// The method that every such node has.
        method: &'static str,
    },
    /// The node is still downloading its chain.
    #[error("{endpoint} is still downloading its chain: block {blocks} of {headers} known headers")]
    Syncing {
        /// Endpoint.
        endpoint: String,
        /// Validated blocks.
        blocks: u64,
        /// Known headers.
        headers: u64,
    },
    /// No peer of a network could be asked, or none had an answer.
    #[error("no peer of {network} {what}: {reasons}")]
    NoPeer {
        /// The network's name.
        network: String,
        /// What none of them is or does.
        what: String,
        /// Each one's reason, and the fix.
        reasons: String,
    },
    /// The node has no block for the followed head yet.
    #[error(
        "{endpoint} has no {tag} block yet ({said}); wait for its chain, or follow another head \
         (latest, latest-<blocks>)"
    )]
    NoHead {
        /// Endpoint.
        endpoint: String,
        /// The block tag.
        tag: &'static str,
        /// The node's words.
        said: String,
    },
    /// The active chain changed between two questions.
    #[error("{endpoint} reorganised around height {height} during the fetch; ask again")]
    Reorganised {
        /// Endpoint.
        endpoint: String,
        /// Where it was noticed.
        height: u64,
    },
    /// The block lost against another one.
    #[error(
        "block {block} at height {height} is on a branch that {endpoint} has left; ask again without \
         naming the block, the transaction may be in another one"
    )]
    Stale {
        /// Endpoint.
        endpoint: String,
        /// The block, as shown by the chain's tools.
        block: String,
        /// Its height.
        height: u64,
    },
    /// The hash of a header is not the hash that the node claims for it.
    #[error(
        "{endpoint} edited a header field: block {height} is claimed to be {claimed}, its content \
         hashes to {computed}; use another endpoint"
    )]
    EditedHeader {
        /// Endpoint.
        endpoint: String,
        /// Claimed height.
        height: u64,
        /// Claimed hash, as shown by the chain's tools.
        claimed: String,
        /// Recomputed hash, as shown by the chain's tools.
        computed: String,
    },
    /// A header's hash is above the target that the header claims.
    #[error(
        "{endpoint} sent a header without proof of work: block {height}, {hash}; use another endpoint"
    )]
    NoWork {
        /// Endpoint.
        endpoint: String,
        /// Claimed height.
        height: u64,
        /// Hash as shown by the chain's tools.
        hash: String,
    },
    /// A block's content does not match the root in its header.
    #[error(
        "{endpoint}: the {what} of block {height} hash to {computed}, its header says {root}{hint}"
    )]
    RootMismatch {
        /// Endpoint.
        endpoint: String,
        /// `transactions`, `receipts`, …
        what: &'static str,
        /// Height.
        height: u64,
        /// Root in the header.
        root: String,
        /// Root of what the node sent.
        computed: String,
        /// A known cause, or nothing.
        hint: &'static str,
    },
    /// A state proof does not lead to the header's state root.
    #[error(
        "{endpoint}: its proof does not fit the state root {root} of block {height}: {reason}; ask \
         again if the chain was just reorganised, otherwise use another endpoint or block"
    )]
    Unproven {
        /// Endpoint.
        endpoint: String,
        /// Height.
        height: u64,
        /// State root in the header.
        root: String,
        /// Where the proof fails.
        reason: String,
    },
    /// An answer is well-formed JSON-RPC and still makes no sense.
    #[error("{endpoint}: unusable answer to {method}: {reason}")]
    BadAnswer {
        /// Endpoint.
        endpoint: String,
        /// Method.
        method: &'static str,
        /// What was expected and what came.
        reason: String,
    },
    /// The node does not know the object.
    #[error("{endpoint} does not know {what}{hint}")]
    NotFound {
        /// Endpoint.
        endpoint: String,
        /// The object.
        what: String,
        /// The fix, or nothing.
        hint: &'static str,
    },
    /// The object exists and is in no block yet.
    #[error("{what} is known to {endpoint} but in no block yet; try again after the next block")]
    NotIncluded {
        /// Endpoint.
        endpoint: String,
        /// The object.
        what: String,
    },
    /// The node no longer holds the data.
    #[error("{endpoint} does not hold {what}: {reason}")]
    Unavailable {
        /// Endpoint.
        endpoint: String,
        /// The data.
        what: String,
        /// Why, and the fix.
        reason: String,
    },
    /// A request for another family of chains.
    #[error("{chain} cannot prove {request}: it is a {family} chain")]
    WrongFamily {
        /// The asked chain.
        chain: ChainId,
        /// What was asked for.
        request: &'static str,
        /// The chain's family.
        family: &'static str,
    },
    /// The request names something that cannot exist.
    #[error("{0}")]
    Invalid(String),
    /// A header breaks a rule of its network.
    #[error("{endpoint} sent an invalid header at height {height}: {reason}; use another source")]
    InvalidHeader {
        /// Source.
        endpoint: String,
        /// Height.
        height: u64,
        /// The broken rule, Bitcoin Core's name first.
        reason: String,
    },
    /// A branch with so little work that nobody stores it.
    #[error(
        "{endpoint} is on a branch that cannot win, at height {height}: {reason}; wait until it has \
         downloaded the chain, or use another source"
    )]
    LowWork {
        /// Source.
        endpoint: String,
        /// Height of the branch's first unknown header.
        height: u64,
        /// How much is missing.
        reason: String,
    },
    /// The source's chain does not contain the header from which this one is verified.
    #[error(
        "{endpoint} shares no header with the trusted chain from height {base} on: it is on another \
         network or on a branch that forked off long ago"
    )]
    Unrelated {
        /// Source.
        endpoint: String,
        /// Height of the oldest header that a branch can fork off.
        base: u64,
    },
    /// Another source had to be asked instead.
    #[error("{endpoint} did not answer within {after:?} while others did")]
    Late {
        /// Source.
        endpoint: String,
        /// The patience.
        after: Duration,
    },
    /// A beacon node, what it serves, or the light client over it.
    #[error(transparent)]
    Beacon(#[from] crate::ethereum::beacon::BeaconError),
    /// A file of headers cannot be used.
    #[error(transparent)]
    Import(#[from] crate::bitcoin::ImportError),
    /// Fewer endpoints than required agree.
    #[error(
        "endpoints of {chain} disagree at height {height}: {required} must agree, got {votes}; \
         look at the endpoints' forks before lowering `agree`"
    )]
    Disagreement {
        /// Chain.
        chain: ChainId,
        /// Height.
        height: u64,
        /// Configured number.
        required: usize,
        /// Who said what.
        votes: String,
    },
    /// No endpoint could answer; each one's reason.
    #[error("no endpoint of {chain} answered: {reasons}")]
    AllFailed {
        /// Chain.
        chain: String,
        /// `endpoint: reason; …`
        reasons: String,
        /// The mildest class among them.
        class: Class,
    },
}

/// Pause after a fault that another attempt may not see.
const SOON: Duration = Duration::from_millis(500);

impl AdapterError {
    /// What a caller does about it.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Endpoint(_) => Class::Halt { reason: "bad-endpoint" },
            Self::Rpc(error) => error.class(),
            Self::WrongNetwork { .. } => Class::Halt { reason: "wrong-network" },
            Self::WrongKind { .. } => Class::Halt { reason: "wrong-kind" },
            Self::Syncing { .. } => Class::Wait { until: "synced" },
            Self::NoPeer { .. } => Class::Retry { after: Duration::from_secs(5) },
            Self::NoHead { .. } => Class::Wait { until: "head" },
            Self::Reorganised { .. } => Class::Retry { after: SOON },
            Self::Stale { .. } => Class::Reject { reason: "stale-block" },
            Self::EditedHeader { .. } => Class::Halt { reason: "edited-header" },
            Self::NoWork { .. } => Class::Halt { reason: "no-work" },
            Self::RootMismatch { .. } => Class::Reject { reason: "root-mismatch" },
            Self::Unproven { .. } => Class::Reject { reason: "unproven" },
            Self::BadAnswer { .. } => Class::Retry { after: Duration::from_secs(5) },
            Self::NotFound { .. } => Class::Reject { reason: "not-found" },
            Self::NotIncluded { .. } => Class::Wait { until: "included" },
            Self::Unavailable { .. } => Class::Reject { reason: "unavailable" },
            Self::WrongFamily { .. } => Class::Reject { reason: "wrong-family" },
            Self::Invalid(_) => Class::Reject { reason: "invalid" },
            Self::InvalidHeader { .. } => Class::Halt { reason: "invalid-header" },
            Self::LowWork { .. } => Class::Wait { until: "more-work" },
            Self::Unrelated { .. } => Class::Halt { reason: "no-common-header" },
            Self::Late { .. } => Class::Retry { after: SOON },
            Self::Beacon(error) => error.class(),
            Self::Import(_) => Class::Halt { reason: "bad-file" },
            Self::Disagreement { .. } => Class::Wait { until: "endpoints-agree" },
            Self::AllFailed { class, .. } => *class,
        }
    }

    /// Whether waiting or asking again may help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.class(), Class::Retry { .. } | Class::Wait { .. })
    }
}
