//! What operators change: chains that they have paused, parked items that they take up again.
//!
//! A pause has a row of its own, beside the chain's trouble, so that neither overwrites the other: it
//! survives a restart, and every relayer on the same database respects it.

use std::collections::BTreeMap;

use grid_core::ChainId;
use serde::{Deserialize, Serialize};

use super::{Row, Store, StoreError, db::sql, item::parse_chain};

/// Why a chain is not relayed although it could be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Milliseconds since 1970.
    pub since: u64,
    /// Who paused it, as they call themselves.
    pub by: String,
    /// Why, as they say.
    pub reason: Option<String>,
}

impl Store {
    /// Every pause, by chain.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pauses(&self) -> Result<BTreeMap<ChainId, Pause>, StoreError> {
        let pauses = sql("reading pauses", "SELECT chain, since, by_whom, reason FROM pauses");
        let read = |row: &Row| {
            let pause = Pause { since: row.number(1)?, by: row.text(2)?, reason: row.get(3)? };
            Ok((parse_chain(row.text(0)?)?, pause))
        };
        self.read(pauses).await?.iter().map(read).collect()
    }

    /// Pauses a chain. `false` when it is paused already: who came first stays on record.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pause(&self, chain: &ChainId, pause: &Pause) -> Result<bool, StoreError> {
        let insert = sql(
            "pausing a chain",
            "INSERT INTO pauses (chain, since, by_whom, reason) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (chain) DO NOTHING",
        );
        let insert = insert.bind(chain.as_str()).bind(pause.since).bind(&pause.by);
        Ok(self.write(insert.bind(pause.reason.as_deref())).await? == 1)
    }

    /// Takes every parked item of a chain up again, with its failures forgotten. Returns how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn retry_parked(&self, chain: &ChainId, now: u64) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let events = sql(
            "retrying items",
            "INSERT INTO events (at, item_key, what, detail) SELECT $1, key, 'retried', \
             'by an operator' FROM items WHERE chain = $2 AND stage = 'parked'",
        );
        tx.run(events.bind(now).bind(chain.as_str())).await?;
        let items = sql(
            "retrying items",
            "UPDATE items SET stage = 'planned', attempt = 0, next_at = 0, updated_at = $1 \
             WHERE chain = $2 AND stage = 'parked'",
        );
        let changed = tx.run(items.bind(now).bind(chain.as_str())).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Ends a chain's pause. `false` when it has none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resume(&self, chain: &ChainId) -> Result<bool, StoreError> {
        let delete = sql("resuming a chain", "DELETE FROM pauses WHERE chain = $1");
        Ok(self.write(delete.bind(chain.as_str())).await? == 1)
    }
}
