//! Why a tree refuses.

use alloy_primitives::{B256, U256};
use thiserror::Error;

use super::{ChunkError, MAX_HEADERS};

/// Why a tree refuses a header or its stored form.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The parent is not tracked.
    #[error("parent {parent} of header {hash} is not tracked; submit its ancestors first")]
    UnknownParent {
        /// The header.
        hash: B256,
        /// Its parent.
        parent: B256,
    },
    /// The height is not the parent's plus one.
    #[error("header {hash} has height {height}, its parent's height asks for {expected}")]
    Height {
        /// The header.
        hash: B256,
        /// Its height.
        height: u64,
        /// The parent's height plus one.
        expected: u64,
    },
    /// The cumulative weight is not above the parent's.
    #[error("header {hash} has weight {weight}, its parent already has {parent}")]
    Weight {
        /// The header.
        hash: B256,
        /// Its cumulative weight.
        weight: U256,
        /// The parent's cumulative weight.
        parent: U256,
    },
    /// The cumulative weight is more than 2^128 above the base's: no chain gets there by work.
    #[error("header {hash} has weight {weight}, more than 2^128 above the oldest tracked header's")]
    TooHeavy {
        /// The header.
        hash: B256,
        /// Its cumulative weight.
        weight: U256,
    },
    /// The header belongs to another chain or family.
    #[error("header {hash} does not belong to the chain of this tree")]
    Chain {
        /// The header.
        hash: B256,
    },
    /// The tree holds [`MAX_HEADERS`].
    #[error("the tree holds {MAX_HEADERS} headers; prune it before adding more")]
    Full,
    /// A stored chunk cannot be read.
    #[error("chunk {chunk} of the header tree: {error}")]
    Chunk {
        /// Number of the chunk: height / 64.
        chunk: u64,
        /// What is wrong with it.
        error: ChunkError,
    },
    /// The stored chunks together are not the tree that the record describes.
    #[error("stored header tree: {0}")]
    Meta(ChunkError),
}
