//! The durable store: `SQLite` in WAL mode with full synchronisation.
//!
//! Every unit of work has a row before anything is sent, and every step is one atomic statement or one
//! short transaction. A process killed between any two of them continues where the rows say; nothing
//! is lost and nothing takes effect twice. Nobody holds a transaction open while waiting for the
//! network: work is claimed by a lease, and a result is accepted only from the lease's holder.

mod attestations;
mod chains;
mod item;
mod items;
mod nonces;
mod retention;
mod schema;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::path::{Path, PathBuf};

use sqlx::{
    Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use thiserror::Error;

pub use attestations::Journaled;
pub use chains::{ChainRow, ChainState, Event};
pub use item::{Claim, Item, Kind, NewItem, Planned, Stage, StageCount};
pub use nonces::{LiveNonce, NewTransaction, Retry, TransactionRow};

/// Opens a write transaction with the lock taken at once: a lock that is upgraded in the middle fails
/// instead of waiting.
const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// How long a statement waits for another process's write lock.
const BUSY: Duration = Duration::from_secs(5);

/// Files up to this size are checked completely when opened; a larger one would delay the start beyond
/// its two seconds and is checked as it is read.
const CHECKED_BYTES: u64 = 32 * 1024 * 1024;

/// What can go wrong in the store.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder cannot be made or the file cannot be opened.
    #[error("cannot open the relayer's database {}: {reason}; check that the folder exists and is writable", path.display())]
    Open {
        /// Database file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// The file is no database, or a damaged one.
    #[error(
        "the relayer's database {} is damaged ({reason}); move it away and start again: the relayer \
         rebuilds its work from the chains, only its history is lost", path.display()
    )]
    Damaged {
        /// Database file.
        path: PathBuf,
        /// The check's finding.
        reason: String,
    },
    /// The file was written by a newer version.
    #[error(
        "the relayer's database {} has schema version {found}, this program knows {known}; use the newer \
         program or another database file", path.display()
    )]
    Newer {
        /// Database file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Newest version of this program.
        known: i64,
    },
    /// A migration was changed after it had been applied.
    #[error(
        "the relayer's database {} was made by an incompatible build (migration {version} differs); move it \
         away and start again", path.display()
    )]
    Incompatible {
        /// Database file.
        path: PathBuf,
        /// The migration.
        version: i64,
    },
    /// A statement failed.
    #[error("the relayer's database failed while {what}: {source}")]
    Statement {
        /// What was being done.
        what: &'static str,
        /// The driver's reason.
        #[source]
        source: sqlx::Error,
    },
    /// A row holds what no version of this program writes.
    #[error("the relayer's database holds {value:?} as {what}; move the file away and start again")]
    Row {
        /// Column.
        what: &'static str,
        /// Value found.
        value: String,
    },
    /// The lease ended before the result came: somebody else may be at work, the result is discarded.
    #[error("the lease on item {0} ended before its result was stored")]
    LeaseLost(String),
    /// Another process took the nonce first.
    #[error("nonce {0} was taken by another process")]
    NonceTaken(u64),
}

impl StoreError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Statement { .. } | Self::LeaseLost(_) | Self::NonceTaken(_))
    }
}

/// Names the step that failed.
pub(crate) trait During<T> {
    fn during(self, what: &'static str) -> Result<T, StoreError>;
}

impl<T> During<T> for Result<T, sqlx::Error> {
    fn during(self, what: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Statement { what, source })
    }
}

/// The relayer's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    /// One connection, so that writers queue here and not on the file's lock.
    write: SqlitePool,
    /// Readers see the last commit and never wait for a writer.
    read: SqlitePool,
    path: PathBuf,
}

impl Store {
    /// Opens the file, makes it when it is missing, checks it, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Damaged`], [`StoreError::Newer`] or
    /// [`StoreError::Incompatible`], each with the file and the fix.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, SqliteSynchronous::Full).await
    }

    /// As [`Self::open`], but a power failure may lose the last commits: for simulations only.
    ///
    /// # Errors
    /// As [`Self::open`].
    #[cfg(any(test, feature = "sim"))]
    pub async fn open_volatile(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, SqliteSynchronous::Off).await
    }

    async fn open_with(path: &Path, synchronous: SqliteSynchronous) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| StoreError::Open {
                path: path.into(),
                reason: error.to_string(),
            })?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .busy_timeout(BUSY)
            .foreign_keys(true);
        let write = pool(1)
            .connect_with(options.clone())
            .await
            .map_err(|error| schema::open_error(path, &error))?;
        schema::check(&write, path, CHECKED_BYTES).await?;
        schema::migrate(&write, path).await?;
        let read = pool(2).connect_lazy_with(options.create_if_missing(false));
        Ok(Self { write, read, path: path.into() })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the database's files, the write-ahead log included; a file that is not there counts as none.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let file = |suffix: &str| {
            let mut name = self.path.clone().into_os_string();
            name.push(suffix);
            std::fs::metadata(name).map_or(0, |file| file.len())
        };
        file("").saturating_add(file("-wal"))
    }

    /// Waits for open statements and closes the file.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    pub(crate) const fn reader(&self) -> &SqlitePool {
        &self.read
    }

    pub(crate) const fn writer(&self) -> &SqlitePool {
        &self.write
    }

    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.write.begin_with(BEGIN_WRITE).await.during("opening a transaction")
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(2 * BUSY)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// SQL has signed integers only; no time, height or nonce of this century reaches the upper half.
pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The reverse of [`int`].
pub(crate) fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Whole milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A hash from a BLOB column.
pub(crate) fn hash(what: &'static str, bytes: &[u8]) -> Result<alloy_primitives::B256, StoreError> {
    alloy_primitives::B256::try_from(bytes)
        .map_err(|_| StoreError::Row { what, value: format!("{} bytes", bytes.len()) })
}
