//! Light clients of all families behind one type.

use alloy_primitives::{B256, Bytes};
use thiserror::Error;

use crate::{
    api::SyncStatus,
    bitcoin::{BitcoinClient, HeaderError},
    committee::{CommitteeClient, CommitteeError},
    ethereum::{AttestError, AttestedClient},
    grid::RecoverableSignature,
    header_tree::{HeaderRef, HeaderTree, TipChange, TreeMeta},
};

/// What a relayer submits about a chain: material that is checked, never an opinion.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// Bitcoin headers, each the child of the one before.
    BitcoinHeaders(Vec<[u8; 80]>),
    /// Ethereum headers with attesters' signatures over the last one.
    AttestedHeaders {
        /// RLP headers, each the child of the one before.
        headers: Vec<Bytes>,
        /// Signatures over the attestation of the last header, by increasing signer address.
        signatures: Vec<RecoverableSignature>,
    },
    /// What moves a client whose chain proves its finality, and headers that hash-link to what it calls final.
    Committee {
        /// [`SyncData`](crate::ethereum::sync::SyncData) or Grid's [`LightBlock`](crate::grid::light::LightBlock)s in
        /// their binary form, in the order in which they are taken.
        data: Vec<Bytes>,
        /// RLP headers, each the child of the one before; the last has a wanted hash. May be empty.
        headers: Vec<Bytes>,
    },
}

impl Evidence {
    /// The number of headers.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::BitcoinHeaders(headers) => headers.len(),
            Self::AttestedHeaders { headers, .. } | Self::Committee { headers, .. } => {
                headers.len()
            }
        }
    }

    /// Whether there is nothing to check.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::Committee { data, headers } => data.is_empty() && headers.is_empty(),
            _ => self.len() == 0,
        }
    }
}

/// Why evidence is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A Bitcoin header breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Attested headers are malformed, not linked, or not sufficiently signed.
    #[error(transparent)]
    Attest(#[from] AttestError),
    /// Light-client data or headers that the client of a chain with finality refuses.
    #[error(transparent)]
    Committee(#[from] CommitteeError),
    /// Evidence of another family than the client's.
    #[error("evidence of the wrong kind: this chain takes {expected}")]
    WrongKind {
        /// What the client takes.
        expected: &'static str,
    },
    /// Evidence without headers.
    #[error("evidence holds no header")]
    Empty,
    /// More headers than one submission may have.
    #[error("evidence holds {found} headers, at most {most} are taken at a time")]
    TooMany {
        /// Headers found.
        found: usize,
        /// The most.
        most: usize,
    },
}

impl ClientError {
    /// Whether the same evidence may be accepted later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Header(error) => error.is_transient(),
            Self::Attest(error) => error.is_transient(),
            Self::Committee(error) => error.is_transient(),
            Self::WrongKind { .. } | Self::Empty | Self::TooMany { .. } => false,
        }
    }
}

/// What a submission did. The headers before a refused one count.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the outcome says which headers were refused"]
pub struct Accepted {
    /// Headers stored.
    pub added: usize,
    /// Headers that were known already.
    pub known: usize,
    /// How the whole submission moved the tip: [`TipChange::Known`] if nothing was stored,
    /// [`TipChange::Side`] if the tip is where it was.
    pub change: TipChange,
    /// Why the next header was refused, if one was.
    pub rejected: Option<ClientError>,
    /// Light-client objects that had something new.
    pub objects: usize,
    /// What the client of a chain with finality calls final now, if that changed.
    pub finalized: Option<Finalized>,
    /// What was known and what excludes it, where finality contradicted itself: the client keeps the
    /// evidence and stops.
    pub conflict: Option<(B256, B256)>,
}

/// A finalized beacon block, or a certified block of a Grid chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finalized {
    /// Its slot; on a Grid chain its height.
    pub slot: u64,
    /// Its root.
    pub root: B256,
    /// Hash of its execution block, on a Grid chain of the block itself; from Gloas on of that block's parent, before Capella zero.
    pub execution: B256,
}

impl Default for Accepted {
    fn default() -> Self {
        Self {
            added: 0,
            known: 0,
            change: TipChange::Known,
            rejected: None,
            objects: 0,
            finalized: None,
            conflict: None,
        }
    }
}

impl Accepted {
    /// An outcome where nothing was stored.
    pub(crate) fn refused(error: ClientError) -> Self {
        Self { rejected: Some(error), ..Self::default() }
    }

    /// Whether there was nothing new.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.added == 0 && self.objects == 0 && self.conflict.is_none() && self.rejected.is_none()
    }

    /// Fills in how the tip moved from `old_tip`.
    pub(crate) fn finish(mut self, tree: &HeaderTree, old_tip: B256) -> Self {
        self.change = moved(self.added > 0, tree, old_tip);
        self
    }

    /// The outcome as a result: an error if any header was refused.
    ///
    /// # Errors
    /// The reason of the refusal; the headers before it were stored nevertheless.
    pub fn into_result(self) -> Result<Self, ClientError> {
        match self.rejected {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

/// How a tip moved from `old_tip`.
fn moved(added: bool, tree: &HeaderTree, old_tip: B256) -> TipChange {
    let tip = tree.tip().hash();
    if !added {
        TipChange::Known
    } else if tip == old_tip {
        TipChange::Side
    } else if tree.is_best(&old_tip) {
        TipChange::Extended
    } else {
        // Both are tracked, so there is a way.
        tree.path(&old_tip, &tip).map_or(TipChange::Extended, TipChange::Reorg)
    }
}

/// The light client of one chain.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a handful exist, each with thousands of headers")]
pub enum LightClient {
    /// Proof of work.
    Bitcoin(BitcoinClient),
    /// Ethereum headers attested by registered keys.
    Attested(AttestedClient),
    /// Headers that Ethereum's sync committees or a Grid chain's validators prove final.
    Committee(Box<CommitteeClient>),
}

impl LightClient {
    /// The tracked headers.
    #[must_use]
    pub fn tree(&self) -> &HeaderTree {
        match self {
            Self::Bitcoin(client) => client.tree(),
            Self::Attested(client) => client.tree(),
            Self::Committee(client) => client.tree(),
        }
    }

    fn tree_mut(&mut self) -> &mut HeaderTree {
        match self {
            Self::Bitcoin(client) => client.tree_mut(),
            Self::Attested(client) => client.tree_mut(),
            Self::Committee(client) => client.tree_mut(),
        }
    }

    /// The best tracked header.
    #[must_use]
    pub fn tip(&self) -> HeaderRef<'_> {
        self.tree().tip()
    }

    /// Checks evidence and stores what holds. `now_ms` is the Grid block time.
    pub fn accept(&mut self, evidence: &Evidence, now_ms: u64) -> Accepted {
        if evidence.is_empty() {
            return Accepted::refused(ClientError::Empty);
        }
        match (self, evidence) {
            (Self::Bitcoin(client), Evidence::BitcoinHeaders(headers)) => {
                client.accept_all(headers, now_ms)
            }
            (Self::Attested(client), Evidence::AttestedHeaders { headers, signatures }) => {
                client.accept(headers, signatures, now_ms)
            }
            (Self::Committee(client), Evidence::Committee { data, headers }) => {
                client.accept(data, headers, now_ms)
            }
            (Self::Committee(_), _) => Accepted::refused(ClientError::WrongKind {
                expected: "light-client data with headers",
            }),
            (Self::Bitcoin(_), _) => {
                Accepted::refused(ClientError::WrongKind { expected: "bitcoin headers" })
            }
            (Self::Attested(_), _) => {
                Accepted::refused(ClientError::WrongKind { expected: "attested headers" })
            }
        }
    }

    /// Moves headers that were accepted and wait into the tree, at most so many, and tells how many and what
    /// became of the tip. Only a client with finality has such headers.
    pub fn settle(&mut self, most: u64, now_ms: u64) -> (u64, TipChange) {
        let old_tip = self.tip().hash();
        let count = match self {
            Self::Committee(client) => client.settle(most, now_ms),
            _ => 0,
        };
        (count, moved(count > 0, self.tree(), old_tip))
    }

    /// Whether [`Self::settle`] would move headers.
    #[must_use]
    pub fn can_settle(&self) -> bool {
        matches!(self, Self::Committee(client) if client.can_settle())
    }

    /// Whether tracked headers may be confirmed at all; see [`CommitteeClient::exports`].
    #[must_use]
    pub fn exports(&self) -> bool {
        match self {
            Self::Committee(client) => client.exports(),
            _ => true,
        }
    }

    /// Where a client with finality stands.
    #[must_use]
    pub fn sync_status(&self) -> Option<SyncStatus> {
        match self {
            Self::Committee(client) => Some(client.status()),
            _ => None,
        }
    }

    /// Drops headers below a height of the best branch; see [`HeaderTree::prune`].
    pub fn prune(&mut self, new_base_height: u64) {
        self.tree_mut().prune(new_base_height);
    }

    /// The record to store beside the chunks.
    #[must_use]
    pub fn meta(&self) -> TreeMeta {
        self.tree().meta()
    }

    /// The chunks to store; see [`HeaderTree::dirty_chunks`].
    pub fn dirty_chunks(&mut self) -> Vec<(u64, Option<Vec<u8>>)> {
        self.tree_mut().dirty_chunks()
    }
}
