//! A chain's trouble and pause, and the history of items.

use core::{fmt, str::FromStr};

use grid_core::ChainId;
use serde::{Deserialize, Serialize};

use super::{
    BATCH, Row, Store, StoreError, Tx,
    db::{Value, sql, sql_rows},
};

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
    /// An operator paused it (a row of `pauses`, never one of `chains`).
    Paused,
}

impl ChainState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Active, Self::Waiting, Self::Halted, Self::Paused];

    /// The word in the database and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Halted => "halted",
            Self::Paused => "paused",
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
        let row = sql(
            "reading a chain",
            "SELECT state, attempt, next_at, reason FROM chains WHERE chain = $1",
        )
        .bind(chain.as_str());
        self.read_one(row).await?.map_or_else(|| Ok(ChainRow::default()), |row| read_chain(&row))
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
        let store = sql(
            "storing a chain",
            "INSERT INTO chains (chain, state, attempt, next_at, reason, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (chain) DO UPDATE SET \
             state = excluded.state, attempt = excluded.attempt, next_at = excluded.next_at, \
             reason = excluded.reason, updated_at = excluded.updated_at",
        )
        .bind(chain.as_str())
        .bind(row.state.as_str())
        .bind(row.attempt)
        .bind(row.next_at)
        .bind(row.reason.as_deref())
        .bind(now);
        self.write(store).await.map(drop)
    }

    /// An item's history, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events(&self, key: &str) -> Result<Vec<Event>, StoreError> {
        let events = sql(
            "reading events",
            "SELECT at, what, detail FROM events WHERE item_key = $1 ORDER BY id",
        )
        .bind(key);
        let read =
            |row: &Row| Ok(Event { at: row.number(0)?, what: row.text(1)?, detail: row.text(2)? });
        self.read(events).await?.iter().map(read).collect()
    }
}

/// The columns `state, attempt, next_at, reason`.
pub(super) fn read_chain(row: &Row) -> Result<ChainRow, StoreError> {
    Ok(ChainRow {
        state: row.text(0)?.parse()?,
        attempt: row.number(1)?,
        next_at: row.number(2)?,
        reason: row.get(3)?,
    })
}

/// Appends to the history of items, within the transaction of the change that is reported: each entry is an
/// item's key and its values.
pub(super) async fn record(
    tx: &mut Tx,
    now: u64,
    what: &str,
    entries: &[(&str, String)],
) -> Result<(), StoreError> {
    for entries in entries.chunks(BATCH) {
        let values = entries.iter().flat_map(|(key, detail)| {
            [Value::from(now), Value::from(*key), Value::from(what), Value::from(detail)]
        });
        let text = "INSERT INTO events (at, item_key, what, detail) VALUES {rows}";
        tx.run(sql_rows("recording an event", text, entries.len(), 4).bind_all(values)).await?;
    }
    Ok(())
}
