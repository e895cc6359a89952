//! Light clients of all families behind one type.

use alloy_primitives::{B256, Bytes};
use thiserror::Error;

use crate::{
    bitcoin::{BitcoinClient, HeaderError},
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
    /// What moves a sync-committee client, and Ethereum headers that hash-link to what it calls final.
    SyncCommittee {
        /// [`SyncData`](crate::ethereum::sync::SyncData) in its binary form, in the order in which it is taken.
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
            Self::AttestedHeaders { headers, .. } | Self::SyncCommittee { headers, .. } => {
                headers.len()
            }
        }
    }

    /// Whether there is nothing to check.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::SyncCommittee { data, headers } => data.is_empty() && headers.is_empty(),
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
}

impl Default for Accepted {
    fn default() -> Self {
        Self { added: 0, known: 0, change: TipChange::Known, rejected: None }
    }
}

impl Accepted {
    /// An outcome where nothing was stored.
    pub(crate) fn refused(error: ClientError) -> Self {
        Self { rejected: Some(error), ..Self::default() }
    }

    /// Fills in how the tip moved from `old_tip`.
    pub(crate) fn finish(mut self, tree: &HeaderTree, old_tip: B256) -> Self {
        let tip = tree.tip().hash();
        self.change = if self.added == 0 {
            TipChange::Known
        } else if tip == old_tip {
            TipChange::Side
        } else if tree.is_best(&old_tip) {
            TipChange::Extended
        } else {
            // Both are tracked, so there is a way.
            tree.path(&old_tip, &tip).map_or(TipChange::Extended, TipChange::Reorg)
        };
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

/// The light client of one chain.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a handful exist, each with thousands of headers")]
pub enum LightClient {
    /// Proof of work.
    Bitcoin(BitcoinClient),
    /// Ethereum headers attested by registered keys.
    Attested(AttestedClient),
}

impl LightClient {
    /// The tracked headers.
    #[must_use]
    pub const fn tree(&self) -> &HeaderTree {
        match self {
            Self::Bitcoin(client) => client.tree(),
            Self::Attested(client) => client.tree(),
        }
    }

    const fn tree_mut(&mut self) -> &mut HeaderTree {
        match self {
            Self::Bitcoin(client) => client.tree_mut(),
            Self::Attested(client) => client.tree_mut(),
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
            (Self::Bitcoin(_), _) => {
                Accepted::refused(ClientError::WrongKind { expected: "bitcoin headers" })
            }
            (Self::Attested(_), _) => {
                Accepted::refused(ClientError::WrongKind { expected: "attested headers" })
            }
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
