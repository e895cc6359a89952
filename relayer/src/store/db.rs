//! One way to speak to both databases.
//!
//! Every statement passes through here, so that none is without a deadline, and the first one that fails and
//! the first one that succeeds again tell whether the database is there.

use core::time::Duration;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use alloy_primitives::B256;
use sqlx::{
    ColumnIndex, Decode, PgPool, Postgres, Row as _, Sqlite, SqlitePool, Transaction, Type,
    postgres::PgRow, sqlite::SqliteRow,
};

#[cfg(test)]
pub(super) use super::statement::MADE;
pub(crate) use super::statement::{NOTHING, Sql, Value, sql, sql_rows};
use super::{StoreError, statement::Places, uint};

/// Longest time of one statement, the wait for a connection not counted. The slowest one of a round takes
/// milliseconds with a million rows.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Opens a write transaction with the lock taken at once: in `SQLite` a lock that is upgraded in the middle
/// fails instead of waiting.
const BEGIN_SQLITE: &str = "BEGIN IMMEDIATE";

/// What every statement is written for, whatever the server's default is.
const BEGIN_POSTGRES: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The driver's statement: the two drivers share no type for it.
macro_rules! query {
    ($sql:expr, $places:expr) => {{
        let sql = $sql;
        let mut query = sqlx::query(sql.text($places)).persistent(sql.is_kept());
        for value in sql.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}

/// A row of an answer.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a column can be read as.
pub(crate) trait Column:
    Type<Sqlite> + Type<Postgres> + for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres>
{
}

impl<T> Column for T where
    T: Type<Sqlite> + Type<Postgres> + for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres>
{
}

impl Row {
    /// A column by its number, from 0.
    pub(crate) fn get<T: Column>(&self, column: usize) -> Result<T, StoreError>
    where
        usize: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        let read = match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        };
        read.map_err(|source| StoreError::Statement { what: "reading a row", source })
    }

    /// A number, time or height.
    pub(crate) fn number(&self, column: usize) -> Result<u64, StoreError> {
        self.get::<i64>(column).map(uint)
    }

    /// A text.
    pub(crate) fn text(&self, column: usize) -> Result<String, StoreError> {
        self.get(column)
    }

    /// A hash; `what` names it in errors.
    pub(crate) fn hash(&self, column: usize, what: &'static str) -> Result<B256, StoreError> {
        super::hash(what, &self.get::<Vec<u8>>(column)?)
    }
}

/// Whether the database worked when it was last asked.
#[derive(Debug, Default)]
pub(super) struct Health {
    failing: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
}

/// Why the database does not work.
#[derive(Debug)]
struct Trouble {
    reason: String,
    /// It can be read all the same: only what was written ends it.
    writes_only: bool,
}

impl Health {
    /// Why the database does not work, if it does not.
    pub(super) fn trouble(&self) -> Option<String> {
        self.locked().as_ref().map(|trouble| trouble.reason.clone())
    }

    fn locked(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fails(&self, error: &StoreError) {
        let mut trouble = self.locked();
        if trouble.is_none() {
            tracing::warn!(%error, "the database does not work; waiting for it");
        }
        let (reason, writes_only) = (error.to_string(), error.is_of_writes_only());
        *trouble = Some(Trouble { reason, writes_only });
        self.failing.store(true, Ordering::Relaxed);
    }

    /// A step succeeded, or `changed` something for good.
    fn works(&self, changed: bool) {
        // The usual case costs one read.
        if !self.failing.load(Ordering::Relaxed) {
            return;
        }
        let mut trouble = self.locked();
        if trouble.as_ref().is_some_and(|trouble| changed || !trouble.writes_only) {
            *trouble = None;
            self.failing.store(false, Ordering::Relaxed);
            tracing::info!("the database works again");
        }
    }

    /// Lets a step of `what` take as long as it may, and takes note of how it ended.
    async fn watch<T>(
        &self,
        what: &'static str,
        step: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        #[cfg(any(test, feature = "sim"))]
        crate::sim::statement(what).await;
        let done = match tokio::time::timeout(DEADLINE, step).await {
            Ok(done) => done.map_err(|source| StoreError::Statement { what, source }),
            Err(_elapsed) => Err(StoreError::Late { what, after: DEADLINE }),
        };
        match &done {
            Err(error) if error.is_outage() => self.fails(error),
            _ => self.works(false),
        }
        done
    }
}

/// The connections.
#[derive(Debug, Clone)]
pub(super) enum Pools {
    Sqlite {
        /// One connection, so that writers queue here and not on the file's lock.
        write: SqlitePool,
        /// Readers see the last commit and never wait for a writer.
        read: SqlitePool,
    },
    Postgres(PgPool),
}

/// A database.
#[derive(Debug, Clone)]
pub(super) struct Db {
    pub(super) pools: Pools,
    pub(super) health: Arc<Health>,
}

impl Db {
    pub(super) fn new(pools: Pools) -> Self {
        Self { pools, health: Arc::default() }
    }

    /// Asks for rows without changing anything.
    pub(super) async fn read(&self, sql: Sql<'_>) -> Result<Vec<Row>, StoreError> {
        let what = sql.what;
        match &self.pools {
            Pools::Sqlite { read, .. } => {
                let rows =
                    self.health.watch(what, query!(sql, Places::Plain).fetch_all(read)).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Pools::Postgres(pool) => {
                let rows =
                    self.health.watch(what, query!(sql, Places::Numbered).fetch_all(pool)).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Runs one statement as a transaction of its own; returns how many rows it changed.
    pub(super) async fn write(&self, sql: Sql<'_>) -> Result<u64, StoreError> {
        let what = sql.what;
        let changed = match &self.pools {
            Pools::Sqlite { write, .. } => self
                .health
                .watch(what, query!(sql, Places::Plain).execute(write))
                .await?
                .rows_affected(),
            Pools::Postgres(pool) => self
                .health
                .watch(what, query!(sql, Places::Numbered).execute(pool))
                .await?
                .rows_affected(),
        };
        self.health.works(changed > 0);
        Ok(changed)
    }

    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        const WHAT: &str = "opening a transaction";
        let open = match &self.pools {
            Pools::Sqlite { write, .. } => {
                Open::Sqlite(self.health.watch(WHAT, write.begin_with(BEGIN_SQLITE)).await?)
            }
            Pools::Postgres(pool) => {
                Open::Postgres(self.health.watch(WHAT, pool.begin_with(BEGIN_POSTGRES)).await?)
            }
        };
        Ok(Tx { open, health: self.health.clone(), changes: false })
    }

    pub(super) async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            // A server that hangs keeps no relayer from stopping.
            Pools::Postgres(pool) => drop(tokio::time::timeout(DEADLINE, pool.close()).await),
        }
    }
}

enum Open {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// A write transaction; undone when it is dropped.
pub(crate) struct Tx {
    open: Open,
    health: Arc<Health>,
    /// Whether a statement has changed rows.
    changes: bool,
}

impl Tx {
    /// Runs a statement; returns how many rows it changed.
    pub(crate) async fn run(&mut self, sql: Sql<'_>) -> Result<u64, StoreError> {
        let what = sql.what;
        let changed = match &mut self.open {
            Open::Sqlite(open) => self
                .health
                .watch(what, query!(sql, Places::Plain).execute(&mut **open))
                .await?
                .rows_affected(),
            Open::Postgres(open) => self
                .health
                .watch(what, query!(sql, Places::Numbered).execute(&mut **open))
                .await?
                .rows_affected(),
        };
        self.changes |= changed > 0;
        Ok(changed)
    }

    /// Runs a statement that answers with rows.
    pub(crate) async fn rows(&mut self, sql: Sql<'_>) -> Result<Vec<Row>, StoreError> {
        let what = sql.what;
        match &mut self.open {
            Open::Sqlite(open) => {
                let rows = self
                    .health
                    .watch(what, query!(sql, Places::Plain).fetch_all(&mut **open))
                    .await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Open::Postgres(open) => {
                let rows = self
                    .health
                    .watch(what, query!(sql, Places::Numbered).fetch_all(&mut **open))
                    .await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// The only row of an answer, if there is one.
    pub(crate) async fn row(&mut self, sql: Sql<'_>) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql).await?.into_iter().next())
    }

    /// Makes it durable. After an error it may or may not be: rows tell.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        const WHAT: &str = "committing";
        match self.open {
            Open::Sqlite(open) => self.health.watch(WHAT, open.commit()).await,
            Open::Postgres(open) => self.health.watch(WHAT, open.commit()).await,
        }?;
        self.health.works(self.changes);
        Ok(())
    }
}
