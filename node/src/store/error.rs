//! Why the database can't be used.

use std::path::PathBuf;

use alloy_primitives::B256;
use thiserror::Error;

/// Why the database can't be opened, read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file or its directory can't be created, renamed or read.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has the database open.
    #[error("{0} is in use by another process; stop that node or choose another data directory")]
    InUse(PathBuf),
    /// The file is not a sound database.
    #[error(
        "{path} is not a sound database: {reason}; move it away and start again: the node then rebuilds the chain from its genesis (or from its peers), or restore the file from a backup"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The database belongs to another chain.
    #[error(
        "{path} belongs to the chain with genesis block {found}, but the configured genesis gives {expected}; use the genesis file the data directory was created with, or choose another data directory"
    )]
    OtherGenesis {
        /// The file.
        path: PathBuf,
        /// Genesis hash in the file.
        found: B256,
        /// Genesis hash by configuration.
        expected: B256,
    },
    /// Written by a newer program.
    #[error(
        "{path} has schema version {found}, this program knows versions up to {known}; upgrade the program or choose another data directory"
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Version of this program.
        known: u32,
    },
    /// Written by an older program whose layout can't be upgraded.
    #[error(
        "{path} has schema version {found}, this program needs version {known}; move the file away so that the node rebuilds the chain"
    )]
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: u32,
        /// Version of this program.
        known: u32,
    },
    /// The database engine failed.
    #[error("the database failed: {0}")]
    Database(#[source] Box<redb::Error>),
    /// A stored value does not decode.
    #[error("table {table} holds a value that does not decode: {reason}")]
    Value {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A block that does not continue the stored chain was to be committed.
    #[error("block {height} ({hash}) does not continue the stored chain: {reason}")]
    NotNext {
        /// Height of the block.
        height: u64,
        /// Its hash.
        hash: B256,
        /// What is wrong.
        reason: String,
    },
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

impl StoreError {
    pub(crate) fn value(table: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Value { table, reason: reason.to_string() }
    }
}
