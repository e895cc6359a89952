//! A chain's trouble and pause, and the history of items.

use core::{fmt, str::FromStr};

use grid_core::ChainId;
use serde::{Deserialize, Serialize};
use sqlx::{Row, sqlite::SqliteRow};

use super::{During as _, Store, StoreError, int, uint};

/// How the relayer sees a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ChainState {
    /// Work proceeds.
    Active,
    /// Passing trouble: tried again soon.
    Waiting,
    /// Needs its operator: looked at rarely.
    Halted,
}

impl ChainState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Active, Self::Waiting, Self::Halted];

    /// The word in the database and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Halted => "halted",
        }
    }
}

impl fmt::Display for ChainState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ChainState {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| StoreError::Row { what: "a chain's state", value: text.into() })
    }
}

/// The stored trouble of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRow {
    /// State.
    pub state: ChainState,
    /// Failures in a row.
    pub attempt: u64,
    /// No attempt before this time, milliseconds since 1970.
    pub next_at: u64,
    /// The last failure.
    pub reason: Option<String>,
}

impl Default for ChainRow {
    fn default() -> Self {
        Self { state: ChainState::Active, attempt: 0, next_at: 0, reason: None }
    }
}

/// One entry of an item's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Milliseconds since 1970.
    pub at: u64,
    /// `planned`, `sent`, `refused`, `included`, …
    pub what: String,
    /// Values.
    pub detail: String,
}

impl Store {
    /// A chain's stored state; the default for one that never had trouble.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn chain(&self, chain: &ChainId) -> Result<ChainRow, StoreError> {
        let row =
            sqlx::query("SELECT state, attempt, next_at, reason FROM chains WHERE chain = $1")
                .bind(chain.as_str())
                .fetch_optional(self.reader())
                .await
                .during("reading a chain")?;
        let Some(row) = row else { return Ok(ChainRow::default()) };
        let read = |row: &SqliteRow| -> Result<_, sqlx::Error> {
            Ok((row.try_get::<String, _>(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
        };
        let (state, attempt, next_at, reason) = read(&row).during("reading a chain")?;
        Ok(ChainRow {
            state: state.parse()?,
            attempt: uint(attempt),
            next_at: uint(next_at),
            reason,
        })
    }

    /// Stores a chain's state.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_chain(
        &self,
        chain: &ChainId,
        row: &ChainRow,
        now: u64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO chains (chain, state, attempt, next_at, reason, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (chain) DO UPDATE SET \
             state = excluded.state, attempt = excluded.attempt, next_at = excluded.next_at, \
             reason = excluded.reason, updated_at = excluded.updated_at",
        )
        .bind(chain.as_str())
        .bind(row.state.as_str())
        .bind(int(row.attempt))
        .bind(int(row.next_at))
        .bind(row.reason.as_deref())
        .bind(int(now))
        .execute(self.writer())
        .await
        .during("storing a chain")?;
        Ok(())
    }

    /// An item's history, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events(&self, key: &str) -> Result<Vec<Event>, StoreError> {
        let rows =
            sqlx::query("SELECT at, what, detail FROM events WHERE item_key = $1 ORDER BY id")
                .bind(key)
                .fetch_all(self.reader())
                .await
                .during("reading events")?;
        let read = |row: &SqliteRow| -> Result<Event, sqlx::Error> {
            Ok(Event { at: uint(row.try_get(0)?), what: row.try_get(1)?, detail: row.try_get(2)? })
        };
        rows.iter().map(read).collect::<Result<_, _>>().during("reading events")
    }
}

/// Appends to an item's history, within the transaction of the change it reports.
pub(super) async fn record(
    transaction: &mut sqlx::SqliteConnection,
    now: u64,
    key: &str,
    what: &str,
    detail: &str,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO events (at, item_key, what, detail) VALUES ($1, $2, $3, $4)")
        .bind(int(now))
        .bind(key)
        .bind(what)
        .bind(detail)
        .execute(transaction)
        .await
        .during("recording an event")?;
    Ok(())
}
