//! One way to speak to both databases.
//!
//! A statement is its text with `$n` in the places of its values; the same text runs on `SQLite` and on
//! PostgreSQL. Every statement passes through here, so that none is without a deadline, and the first one
//! that fails and the first one that succeeds again tell whether the database is there.

use core::time::Duration;
use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use alloy_primitives::{Address, B256};
use sqlx::{
    AssertSqlSafe, ColumnIndex, Decode, PgPool, Postgres, Row as _, SqlSafeStr as _, SqlStr,
    Sqlite, SqlitePool, Transaction, Type, postgres::PgRow, sqlite::SqliteRow,
};

use super::{BATCH, StoreError, int, uint};

/// Longest time of one statement, the wait for a connection not counted. The slowest one of a round takes
/// milliseconds with a million rows.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Opens a write transaction with the lock taken at once: in `SQLite` a lock that is upgraded in the middle
/// fails instead of waiting.
const BEGIN_SQLITE: &str = "BEGIN IMMEDIATE";

/// What every statement is written for, whatever the server's default is.
const BEGIN_POSTGRES: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// No bytes: in the place of a payload that nobody needs any more.
pub(crate) const NOTHING: &[u8] = &[];

/// The value of one `$n`.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Int(Option<i64>),
    Text(Option<Cow<'a, str>>),
    Bytes(Option<&'a [u8]>),
}

impl From<u64> for Value<'_> {
    fn from(value: u64) -> Self {
        Self::Int(Some(int(value)))
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    /// PostgreSQL stores no NUL, and reasons come from strangers' endpoints.
    fn from(value: &'a str) -> Self {
        let nul = value.contains('\0');
        Self::Text(Some(if nul { value.replace('\0', "\u{fffd}").into() } else { value.into() }))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        value.as_str().into()
    }
}

impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Self::Text(Some(value.into()))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(value: Option<&'a str>) -> Self {
        value.map_or(Self::Text(None), Into::into)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Some(value))
    }
}

impl<'a> From<&'a B256> for Value<'a> {
    fn from(value: &'a B256) -> Self {
        value.as_slice().into()
    }
}

impl<'a> From<&'a Address> for Value<'a> {
    fn from(value: &'a Address) -> Self {
        value.as_slice().into()
    }
}

/// A statement with its values.
#[derive(Debug)]
pub(crate) struct Sql<'a> {
    what: &'static str,
    text: SqlStr,
    values: Vec<Value<'a>>,
    /// Whether the database keeps the parsed statement for the next time.
    kept: bool,
}

/// Every statement that was made in this process, for tests that look at how it is carried out.
#[cfg(test)]
pub(super) static MADE: Mutex<std::collections::BTreeSet<String>> =
    Mutex::new(std::collections::BTreeSet::new());

/// A statement; `what` says in errors what was being done.
pub(crate) fn sql<'a>(what: &'static str, text: &'static str) -> Sql<'a> {
    #[cfg(test)]
    MADE.lock().unwrap_or_else(PoisonError::into_inner).insert(text.into());
    Sql { what, text: text.into_sql_str(), values: Vec::new(), kept: true }
}

/// A statement for several rows: each `{rows}` in the text becomes `($1, $2), ($3, $4), …`, and values of
/// the rows are bound before all others. `{n}` becomes the number of the first value after them, `{n+1}`
/// the next one.
pub(crate) fn sql_rows<'a>(
    what: &'static str,
    text: &'static str,
    rows: usize,
    columns: usize,
) -> Sql<'a> {
    let row = |row: usize| {
        let places: Vec<_> = (1..=columns).map(|n| format!("${}", row * columns + n)).collect();
        format!("({})", places.join(", "))
    };
    let list: Vec<_> = (0..rows).map(row).collect();
    let mut text = text.replace("{rows}", &list.join(", "));
    for after in 0..4 {
        let name = if after == 0 { String::from("{n}") } else { format!("{{n+{after}}}") };
        text = text.replace(&name, &format!("${}", rows * columns + after + 1));
    }
    #[cfg(test)]
    MADE.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone());
    // Made of constants and numbers only.
    Sql {
        what,
        text: AssertSqlSafe(text).into_sql_str(),
        values: Vec::new(),
        kept: rows == 1 || rows == BATCH,
    }
}

impl<'a> Sql<'a> {
    /// The next value.
    pub(crate) fn bind(mut self, value: impl Into<Value<'a>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The next values.
    pub(crate) fn bind_all<V: Into<Value<'a>>>(
        mut self,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }
}

/// The driver's statement: the two drivers share no type for it.
macro_rules! query {
    ($sql:expr) => {{
        let mut query = sqlx::query($sql.text).persistent($sql.kept);
        for value in $sql.values {
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
                let rows = self.health.watch(what, query!(sql).fetch_all(read)).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Pools::Postgres(pool) => {
                let rows = self.health.watch(what, query!(sql).fetch_all(pool)).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Runs one statement as a transaction of its own; returns how many rows it changed.
    pub(super) async fn write(&self, sql: Sql<'_>) -> Result<u64, StoreError> {
        let what = sql.what;
        let changed = match &self.pools {
            Pools::Sqlite { write, .. } => {
                self.health.watch(what, query!(sql).execute(write)).await?.rows_affected()
            }
            Pools::Postgres(pool) => {
                self.health.watch(what, query!(sql).execute(pool)).await?.rows_affected()
            }
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
            Open::Sqlite(open) => {
                self.health.watch(what, query!(sql).execute(&mut **open)).await?.rows_affected()
            }
            Open::Postgres(open) => {
                self.health.watch(what, query!(sql).execute(&mut **open)).await?.rows_affected()
            }
        };
        self.changes |= changed > 0;
        Ok(changed)
    }

    /// Runs a statement that answers with rows.
    pub(crate) async fn rows(&mut self, sql: Sql<'_>) -> Result<Vec<Row>, StoreError> {
        let what = sql.what;
        match &mut self.open {
            Open::Sqlite(open) => {
                let rows = self.health.watch(what, query!(sql).fetch_all(&mut **open)).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Open::Postgres(open) => {
                let rows = self.health.watch(what, query!(sql).fetch_all(&mut **open)).await?;
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
