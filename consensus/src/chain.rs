//! The seam: what the engine asks of the chain above it.
//!
//! The engine orders block hashes and collects signatures; the chain builds, judges, stores and
//! executes blocks. Nothing of the engine's own vocabulary crosses this seam.

use std::{fmt, sync::Arc};

use alloy_primitives::{Address, B256, Bytes};
use grid_core::{
    grid::{CommitCertificate, ValidatorSet},
    staking::Equivocation,
};
use thiserror::Error;
use tokio::sync::Notify;

/// The most bytes of one block body, as [`ProposedBlock::body`] and in transit.
///
/// Bounds what an unfinished proposal of a stranger may cost in memory; far above what the block
/// gas limit of a Grid chain lets in.
pub const MAX_BODY: usize = 4 * 1024 * 1024;

/// A chain that the engine drives.
///
/// All methods may block: the engine calls them on blocking threads. `build`, `validate` and
/// `commit` are never called concurrently. Bodies are opaque to the engine: the chain's own encoding
/// of a block, at most [`MAX_BODY`] bytes.
pub trait Chain: Send + Sync + 'static {
    /// The chain id that every vote of this chain names.
    fn chain_id(&self) -> u64;

    /// The last committed block and who decides the next one. Genesis has height 0.
    fn head(&self) -> Head;

    /// Builds a block for `height` on top of the head. The body is durable before this returns.
    ///
    /// The answer is remembered: nobody asks twice for one height and round, not even after a crash.
    /// So this may use the clock and the mempool freely. Above round 0 the earlier proposals of this height
    /// were too late or too much for the others: then less is more.
    ///
    /// # Errors
    /// [`ChainError`] where no block can be built; the run then ends with it, like after every other
    /// [`ChainError`]: a validator that silently proposes nothing helps nobody.
    fn build(
        &self,
        height: u64,
        round: u32,
        proposer: Address,
    ) -> Result<ProposedBlock, ChainError>;

    /// Judges a block of another validator (or, after a restart, of our own) on top of the head.
    /// A valid body is durable before this returns. A body whose block does not hash to `hash`, or is
    /// not of `height`, is invalid.
    ///
    /// # Errors
    /// [`ChainError`] where the question could not be answered (storage), never for a bad block.
    fn validate(
        &self,
        height: u64,
        proposer: Address,
        hash: B256,
        body: Bytes,
        origin: Origin,
    ) -> Result<Verdict, ChainError>;

    /// A stored body: built or found valid here, committed or not.
    ///
    /// # Errors
    /// [`ChainError`] on a storage failure.
    fn body(&self, height: u64, hash: B256) -> Result<Option<Bytes>, ChainError>;

    /// Commits the block that `certificate` decides: block, certificate and post-state in one
    /// transaction. The body was built or found valid here before, perhaps in an earlier process. Called
    /// again with the head (after a crash) it changes nothing.
    ///
    /// # Errors
    /// [`ChainError`] where the block can't be made durable; the engine then stops.
    fn commit(&self, certificate: CommitCertificate) -> Result<Head, ChainError>;

    /// Replaces the certificate of a committed block by one with more signatures.
    ///
    /// # Errors
    /// [`ChainError`] on a storage failure.
    fn replace_certificate(&self, certificate: CommitCertificate) -> Result<(), ChainError>;

    /// A committed block's body and certificate; `None` above the head and for genesis.
    ///
    /// # Errors
    /// [`ChainError`] on a storage failure.
    fn decided(&self, height: u64) -> Result<Option<(Bytes, CommitCertificate)>, ChainError>;

    /// Whether the next block is wanted now: a transaction waits that can be in it, or something is due by
    /// time. While there is no work, blocks come at the slower
    /// [`empty_block_interval`](crate::EngineConfig::empty_block_interval). Asked often, so it must be quick.
    fn has_work(&self) -> bool;

    /// Notified ([`Notify::notify_one`]) whenever [`has_work`](Self::has_work) may have become true. The
    /// engine is the only one that waits for it.
    fn work(&self) -> Arc<Notify>;

    /// Takes evidence that validators signed conflicting votes or proposals. Both of each are well signed, but
    /// whether the signer is to be punished is the chain's business. Never called with nothing. A chain whose
    /// validators lose nothing may ignore it.
    fn misbehaviour(&self, evidence: Vec<Equivocation>) {
        drop(evidence);
    }
}

/// The last committed block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its height; 0 for genesis.
    pub height: u64,
    /// keccak256 of its header's RLP.
    pub hash: B256,
    /// Its time in milliseconds since 1970.
    pub time_ms: u64,
    /// Who decides the block at `height + 1`.
    pub next_validators: ValidatorSet,
}

/// A block that this node proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedBlock {
    /// keccak256 of its header's RLP: what validators vote on.
    pub hash: B256,
    /// The chain's own encoding of the block, at most [`MAX_BODY`] bytes.
    pub body: Bytes,
}

/// How a block came to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Proposed now, for the first time: `proposer` built it, and its time must be close to this
    /// node's clock.
    Live,
    /// Fetched from a peer as already decided, or proposed again in a later round because more than
    /// two thirds of the power already prevoted for it: judged by content alone, never by the clock.
    /// `proposer` need not be its builder.
    Sync,
}

/// The judgement of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The block follows every rule, and its body is stored.
    Valid,
    /// The block breaks a rule: which one.
    Invalid(String),
}

/// A failure of the chain itself (storage, execution), as opposed to a bad block.
#[derive(Debug, Error)]
#[error("{message}")]
pub struct ChainError {
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ChainError {
    /// A failure in words: lower case, with the offending values.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { message: message.to_string(), source: None }
    }

    /// A failure with its cause.
    pub fn with_source(
        message: impl fmt::Display,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { message: message.to_string(), source: Some(source.into()) }
    }
}
