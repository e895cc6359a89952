//! A Grid chain's state: a flat map from keys to values under one authenticated root.
//!
//! - [`StateRead`] reads committed values; [`StateTreeRead`] reads committed nodes of the tree that
//!   authenticates them. A node implements both over its database, [`MemoryState`] over maps.
//! - [`Overlay`] collects a block's writes, with checkpoints to undo a transaction.
//! - [`tree`] turns a block's [`StateDiff`] into the new `stateRoot` and the tree nodes to store.
//! - [`keys`] gives every part of the protocol its own prefix byte; [`query`] reads what people ask for.
//!
//! Executing a block writes nothing: it returns a diff and a [`TreeBatch`], which the chain's storage
//! applies in one transaction when consensus has decided.

pub mod account;
pub mod accumulator;
mod codec;
pub mod keys;
pub mod memory;
pub mod overlay;
pub mod query;
pub mod system;
pub mod tree;

use std::{collections::BTreeMap, sync::Arc};

use thiserror::Error;

use crate::{ChainKey, ethereum::sync::SharedKeys, light_client::LightClient};

pub use account::Account;
pub use accumulator::Accumulator;
pub(crate) use accumulator::Checkpoints;
pub(crate) use codec::Fields;
pub use memory::MemoryState;
pub use overlay::Overlay;
pub use tree::TreeBatch;

/// What a block changes: the new value of a key, or `None` where the key is removed.
pub type StateDiff = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The storage under the state failed, or holds something that this crate did not write.
///
/// Never a verdict about a block or a transaction: the caller stops, it does not vote.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("state storage: {message}")]
pub struct StorageError {
    /// What failed.
    pub message: String,
}

impl StorageError {
    /// An error with a text.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// A stored value that does not decode.
    #[must_use]
    pub fn corrupt(what: &str) -> Self {
        Self::new(format!(
            "stored {what} does not decode; the database is damaged or of another version"
        ))
    }
}

/// Reads the committed state, as of one block.
pub trait StateRead {
    /// The value of a key, or `None`.
    ///
    /// # Errors
    /// [`StorageError`] where the storage fails.
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// Points of sync committees that earlier executions have decompressed. They are no part of the state
    /// and change no outcome, only save time; a storage that keeps none gives the same blocks.
    fn committee_keys(&self) -> Option<&SharedKeys> {
        None
    }

    /// A chain's light client, where the storage keeps it loaded as of exactly this state. As with
    /// [`Self::committee_keys`] a storage that keeps none gives the same answers, later.
    fn loaded_client(&self, _: ChainKey) -> Option<Arc<LightClient>> {
        None
    }
}

/// Reads the committed nodes of the authenticated tree.
pub trait StateTreeRead {
    /// The stored node under a [`TreeBatch`] key, or `None`.
    ///
    /// # Errors
    /// [`StorageError`] where the storage fails.
    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;
}

/// A chain's committed state at one height.
pub trait ChainState: StateRead + StateTreeRead {
    /// Height of the last committed block: the version of the tree.
    fn version(&self) -> u64;
}
