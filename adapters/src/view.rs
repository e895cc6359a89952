//! What a source tells beside its headers: how its members do, which branches compete, whether they
//! disagree.

use core::fmt;

use alloy_primitives::{B256, U256};

use crate::{AdapterError, BreakerState, SourceHeader, SourceTip};

/// What is known beyond the active chain.
#[derive(Debug, Clone, Default)]
pub struct SourceView {
    /// Each member, in configured order; empty for a single source.
    pub members: Vec<Health>,
    /// Branches beside the active one near its tip, most work first; none of more work than the active
    /// chain as the source hands it out.
    pub branches: Vec<Branch>,
    /// Members that answer name different blocks where they should have agreed long ago.
    pub disagreement: Option<Disagreement>,
    /// What an operator should know and nothing is held for, such as a fork that this version does not
    /// know and that has not begun.
    pub warnings: Vec<String>,
}

impl SourceView {
    /// Headers of the longest branch beside the active one; 0 where there is none.
    #[must_use]
    pub fn competing_blocks(&self) -> usize {
        self.branches.iter().map(|branch| branch.headers.len()).max().unwrap_or(0)
    }
}

/// How a member is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceKind {
    /// A node's JSON-RPC, and its REST interface where it has one.
    Rpc,
    /// An Esplora server's HTTP API.
    Esplora,
    /// The peer-to-peer protocol.
    P2p,
    /// A file of headers.
    Import,
    /// A beacon node's REST API.
    Beacon,
}

impl SourceKind {
    /// The word in configuration, status and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rpc => "rpc",
            Self::Esplora => "esplora",
            Self::P2p => "p2p",
            Self::Import => "import",
            Self::Beacon => "beacon",
        }
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known about a member.
#[derive(Debug, Clone)]
pub struct Health {
    /// Its name: where it is configured.
    pub name: String,
    /// How it is asked.
    pub kind: SourceKind,
    /// Height of its last tip, as it says; for a beacon node the slot of the last finalized header that
    /// it proved.
    pub height: Option<u64>,
    /// Blocks (slots) behind the highest member of its kind.
    pub lag: u64,
    /// Cumulative work of its tip, where its headers were verified here.
    pub work: Option<U256>,
    /// Its last failure, if the last exchange failed.
    pub last_error: Option<AdapterError>,
    /// Failures in a row.
    pub failures: u32,
    /// Answers that did not verify, since the start: what an honest member never sends.
    pub refused: u64,
    /// Questions that it was asked because another member was slow, since the start.
    pub hedges: u64,
    /// Its circuit breaker, where it has one.
    pub breaker: Option<BreakerState>,
}

/// Valid headers beside the active chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The last header that it shares with the active chain.
    pub fork: SourceTip,
    /// Those above the fork, ascending; never empty.
    pub headers: Vec<SourceHeader>,
    /// Members whose active chain it is; none for a branch that its member has left.
    pub members: Vec<String>,
}

/// Two members or more that answer, each with headers that obey every rule, and branches of at least
/// two blocks that exclude each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The first height at which they differ.
    pub height: u64,
    /// Whether fewer than `agree` members are on the branch of most work, so that nothing above
    /// [`height`](Self::height) is handed out.
    pub held: bool,
    /// The branches, most work first.
    pub votes: Vec<Vote>,
}

/// A branch in a [`Disagreement`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Hash at the height at which the branches differ, the chain's internal byte order.
    pub hash: B256,
    /// Members on it.
    pub members: Vec<String>,
}
