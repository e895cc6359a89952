//! The durable store: an `SQLite` file with full synchronisation, or a PostgreSQL database that several
//! relayers share.
//!
//! Every unit of work has a row before anything is sent, and every step is one atomic statement or one
//! short transaction. A process killed between any two of them continues where the rows say; nothing
//! is lost and nothing takes effect twice. Nobody holds a transaction open while waiting for the
//! network: work is claimed by a lease, and a result is accepted only from the lease's holder.
//!
//! Statements are written once and run on both databases (`db`); no statement of a round looks at more
//! rows than it returns or changes, however many there are.

mod attestations;
mod chains;
mod db;
mod disagreements;
mod durations;
mod error;
mod explain;
mod finish;
mod item;
mod items;
mod leases;
mod location;
mod messages;
mod nonces;
mod pauses;
mod retention;
mod schema;
mod settle;
mod statement;
#[cfg(test)]
mod tests;
mod times;

use core::time::Duration;
use std::path::{Path, PathBuf};

use sqlx::{
    ConnectOptions as _, Connection as _,
    pool::PoolOptions,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub use attestations::Journaled;
pub use chains::{ChainRow, ChainState, Event};
pub use disagreements::LastDisagreement;
pub use durations::{Left, Mark};
pub use error::{OpenFault, StoreError};
pub use explain::{Carried, Lease, Place};
pub use item::{Claim, Item, Kind, NewItem, Planned, Stage, StageCount};
pub use leases::{Holding, RelayerRow};
pub use location::{PostgresConfig, StoreLocation};
#[cfg(test)]
pub(crate) use messages::sighting;
pub use messages::{MessageCount, MessageRow, MessageStage, MessageStep, SEARCHED, Sightings};
pub use nonces::{LiveNonce, NewTransaction, TransactionRow};
pub use pauses::Pause;
pub use settle::{Inclusion, Retry};

use db::{Db, Pools, Row, Sql, Tx};

/// How long a statement waits for another process's write lock.
const BUSY: Duration = Duration::from_secs(5);

/// How long a statement waits for a connection, and a connection for the server.
const ACQUIRE: Duration = Duration::from_secs(5);

/// How long a connection that is given back may take to answer before it is closed instead: one that hangs
/// must not keep its place.
const ANSWER: Duration = Duration::from_secs(2);

/// Files up to this size are checked completely when opened; a larger one would delay the start beyond
/// its two seconds and is checked as it is read.
const CHECKED_BYTES: u64 = 32 * 1024 * 1024;

/// Memory for pages of a file, of one connection, in KiB with a minus: what a round of a busy lane changes.
const CACHE: &str = "-16384";

/// Rows of one statement in a batch: the texts for one and for so many rows are worth keeping parsed.
pub(crate) const BATCH: usize = 64;

/// The relayer's database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    db: Db,
    /// The file, where it is one.
    path: Option<PathBuf>,
}

impl Store {
    /// Opens the database, checks it, and brings its schema up to date. A missing file is made; a server's
    /// database has to exist.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Damaged`], [`StoreError::Newer`] or
    /// [`StoreError::Incompatible`], each with the place and the fix.
    pub async fn open(location: &StoreLocation) -> Result<Self, StoreError> {
        match location {
            StoreLocation::Sqlite(path) => open_file(path, SqliteSynchronous::Full).await,
            StoreLocation::Postgres(config) => open_server(location, config).await,
        }
    }

    /// Opens a file, but a power failure may lose the last commits: for simulations only.
    ///
    /// # Errors
    /// As [`Self::open`].
    #[cfg(any(test, feature = "sim"))]
    pub async fn open_volatile(path: &Path) -> Result<Self, StoreError> {
        open_file(path, SqliteSynchronous::Off).await
    }

    /// Why the database did not work when it was last asked, if it did not.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.db.health.trouble()
    }

    /// Bytes of the database's files, the write-ahead log included; a file that is not there counts as
    /// none, and so does a server's.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let Some(path) = &self.path else { return 0 };
        let file = |suffix: &str| {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            std::fs::metadata(name).map_or(0, |file| file.len())
        };
        file("").saturating_add(file("-wal"))
    }

    /// Waits for open statements and closes the database.
    pub async fn close(&self) {
        self.db.close().await;
    }

    pub(crate) async fn read(&self, sql: Sql<'_>) -> Result<Vec<Row>, StoreError> {
        self.db.read(sql).await
    }

    pub(crate) async fn read_one(&self, sql: Sql<'_>) -> Result<Option<Row>, StoreError> {
        Ok(self.db.read(sql).await?.into_iter().next())
    }

    pub(crate) async fn write(&self, sql: Sql<'_>) -> Result<u64, StoreError> {
        self.db.write(sql).await
    }

    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        self.db.begin().await
    }
}

async fn open_file(path: &Path, synchronous: SqliteSynchronous) -> Result<Store, StoreError> {
    let place = path.display().to_string();
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::Open {
            place: place.clone(),
            cause: OpenFault::File,
            reason: error.to_string(),
        })?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .busy_timeout(BUSY)
        .pragma("cache_size", CACHE)
        .foreign_keys(true);
    let write: SqlitePoolOptions = pool(1);
    // Where there is no room, `SQLite` ends a transaction by itself. The driver still counts it, and would begin no other
    // one on that connection: another connection takes its place.
    let write = write.after_release(|connection, _| {
        Box::pin(async move {
            // Until this is answered, the end of the transaction may be waiting.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    });
    let write = write
        .connect_with(options.clone())
        .await
        .map_err(|error| schema::file_error(&place, &error))?;
    schema::check(&write, path, CHECKED_BYTES).await?;
    let mut connection =
        write.acquire().await.map_err(|error| schema::file_error(&place, &error))?;
    let migrated = schema::migrate(&mut *connection, schema::Backend::Sqlite).await;
    drop(connection);
    migrated.map_err(|error| schema::migrate_error(&place, error, schema::file_error))?;
    let read: SqlitePoolOptions = pool(2);
    let read = read.connect_lazy_with(options.create_if_missing(false));
    let db = Db::new(Pools::Sqlite { write, read });
    let store = Store { db, path: Some(path.into()) };
    // A file has one relayer at a time: whoever held anything is gone.
    store.forget_relayers().await?;
    Ok(store)
}

async fn open_server(
    location: &StoreLocation,
    config: &PostgresConfig,
) -> Result<Store, StoreError> {
    let place = location.to_string();
    let fault = |error: &sqlx::Error| schema::server_error(&place, error);
    // By itself first: a pool would hide why it gets no connection.
    let connecting = config.unlimited();
    let connected = tokio::time::timeout(ACQUIRE, connecting.connect()).await;
    let mut connection = connected
        .unwrap_or_else(|_elapsed| Err(sqlx::Error::PoolTimedOut))
        .map_err(|error| fault(&error))?;
    let migrated = schema::migrate(&mut connection, schema::Backend::Postgres).await;
    migrated.map_err(|error| schema::migrate_error(&place, error, schema::server_error))?;
    connection.close().await.map_err(|error| fault(&error))?;
    if config.is_exposed() {
        tracing::warn!(database = %place, "the connection to the database is not encrypted");
    }
    let options: PgPoolOptions = pool(config.connections());
    // The driver asks a connection for an answer too, but without an end to its patience.
    let options = options.after_release(|connection, _| {
        Box::pin(async move {
            let answer = tokio::time::timeout(ANSWER, connection.ping()).await;
            answer.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(|()| true)
        })
    });
    let pool = options.connect_lazy_with(config.limited());
    Ok(Store { db: Db::new(Pools::Postgres(pool)), path: None })
}

fn pool<DB: sqlx::Database>(connections: u32) -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
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

/// A hash from a column.
pub(crate) fn hash(what: &'static str, bytes: &[u8]) -> Result<alloy_primitives::B256, StoreError> {
    alloy_primitives::B256::try_from(bytes)
        .map_err(|_| StoreError::Row { what, value: format!("{} bytes", bytes.len()) })
}
