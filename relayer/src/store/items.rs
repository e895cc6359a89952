//! Units of work: planned, claimed under a lease, parked, finished.

use core::time::Duration;

use grid_core::ChainId;
use sqlx::{Row, sqlite::SqliteRow};

use super::{
    Claim, During as _, Item, Kind, NewItem, Planned, Stage, StageCount, Store, StoreError,
    chains::record,
    int,
    item::{parse_chain, read_item},
    millis, uint,
};

impl Store {
    /// Makes sure that a row for this content exists and will be worked on. A finished row is taken up
    /// again only when it is older than `stale`: the main chain evidently does not have its content.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn plan(
        &self,
        item: &NewItem,
        now: u64,
        stale: Duration,
    ) -> Result<Planned, StoreError> {
        let key = item.key();
        let mut transaction = self.begin().await?;
        let existing = sqlx::query("SELECT stage, updated_at FROM items WHERE key = $1")
            .bind(&key)
            .fetch_optional(&mut *transaction)
            .await
            .during("planning an item")?;
        let outcome = match existing {
            None => Planned::Inserted,
            Some(row) => {
                let stage: String = row.try_get(0).during("planning an item")?;
                let stage: Stage = stage.parse()?;
                let updated = uint(row.try_get(1).during("planning an item")?);
                let old = updated.saturating_add(millis(stale)) <= now;
                let settled = matches!(stage, Stage::Included | Stage::Done);
                if stage == Stage::Dropped || (settled && old) {
                    Planned::Revived
                } else {
                    return Ok(Planned::Exists(stage));
                }
            }
        };
        sqlx::query(
            "INSERT INTO items (chain, kind, key, stage, from_height, to_height, parent_hash, last_hash, \
             payload, created_at, updated_at, position) \
             VALUES ($1, $9, $2, 'planned', $3, $4, $5, $6, $7, $8, $8, \
             CASE $9 WHEN 'headers' THEN 0 ELSE (SELECT COALESCE(MAX(position), 0) + 1 FROM items \
             WHERE chain = $1) END) \
             ON CONFLICT (key) DO UPDATE SET stage = 'planned', payload = excluded.payload, \
             kind = excluded.kind, position = excluded.position, \
             lease_owner = NULL, lease_until = 0, attempt = 0, next_at = 0, reason = NULL, \
             tx_hash = NULL, nonce = NULL, created_at = excluded.created_at, \
             updated_at = excluded.updated_at",
        )
        .bind(item.chain.as_str())
        .bind(&key)
        .bind(int(item.from))
        .bind(int(item.last.height))
        .bind(item.parent.as_slice())
        .bind(item.last.hash.as_slice())
        .bind(item.payload.as_ref())
        .bind(int(now))
        .bind(item.kind.as_str())
        .execute(&mut *transaction)
        .await
        .during("planning an item")?;
        let detail = match item.kind {
            Kind::Sync => format!("light-client objects up to slot {}", item.last.height),
            _ => format!("headers {} to {}", item.from, item.last.height),
        };
        record(&mut transaction, now, &key, "planned", &detail).await?;
        transaction.commit().await.during("planning an item")?;
        Ok(outcome)
    }

    /// A chain's items in the given stage, lowest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn items(
        &self,
        chain: &ChainId,
        stage: Stage,
        limit: u32,
    ) -> Result<Vec<Item>, StoreError> {
        let rows = sqlx::query(
            "SELECT key, chain, kind, stage, from_height, to_height, parent_hash, last_hash, attempt, \
             next_at, reason, tx_hash, nonce, created_at, updated_at FROM items \
             WHERE chain = $1 AND stage = $2 ORDER BY from_height, to_height LIMIT $3",
        )
        .bind(chain.as_str())
        .bind(stage.as_str())
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await
        .during("reading items")?;
        rows.iter().map(read_item).collect()
    }

    /// A chain's unfinished items (planned, sent, included, parked), lowest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unfinished(&self, chain: &ChainId, limit: u32) -> Result<Vec<Item>, StoreError> {
        let rows = sqlx::query(
            "SELECT key, chain, kind, stage, from_height, to_height, parent_hash, last_hash, attempt, \
             next_at, reason, tx_hash, nonce, created_at, updated_at FROM items WHERE chain = $1 \
             AND stage IN ('planned', 'sent', 'included', 'parked') \
             ORDER BY from_height, to_height LIMIT $2",
        )
        .bind(chain.as_str())
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await
        .during("reading items")?;
        rows.iter().map(read_item).collect()
    }

    /// One item by its key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn item(&self, key: &str) -> Result<Option<Item>, StoreError> {
        let row = sqlx::query(
            "SELECT key, chain, kind, stage, from_height, to_height, parent_hash, last_hash, attempt, \
             next_at, reason, tx_hash, nonce, created_at, updated_at FROM items WHERE key = $1",
        )
        .bind(key)
        .fetch_optional(self.reader())
        .await
        .during("reading an item")?;
        row.as_ref().map(read_item).transpose()
    }

    /// Takes up to `limit` planned items of a chain, first the lowest position, then the lowest height, for `lease`. Items behind one that
    /// has to wait (paused, leased or parked) are left: they build on it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim(
        &self,
        owner: &str,
        chain: &ChainId,
        limit: u32,
        now: u64,
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let until = now.saturating_add(millis(lease));
        let rows = sqlx::query(
            "UPDATE items SET lease_owner = $1, lease_until = $2, updated_at = $3 WHERE id IN ( \
               SELECT i.id FROM items i WHERE i.chain = $4 AND i.stage = 'planned' \
                 AND i.next_at <= $3 AND i.lease_until <= $3 \
                 AND NOT EXISTS (SELECT 1 FROM items b WHERE b.chain = i.chain \
                   AND (b.position < i.position OR (b.position = i.position \
                   AND b.from_height < i.from_height)) AND (b.stage = 'parked' \
                   OR (b.stage = 'planned' AND (b.next_at > $3 OR b.lease_until > $3)))) \
               ORDER BY i.position, i.from_height LIMIT $5) \
             AND stage = 'planned' AND lease_until <= $3 \
             RETURNING key, from_height, to_height, attempt, payload, position",
        )
        .bind(owner)
        .bind(int(until))
        .bind(int(now))
        .bind(chain.as_str())
        .bind(i64::from(limit))
        .fetch_all(self.writer())
        .await
        .during("claiming items")?;
        let read = |row: &SqliteRow| -> Result<Claim, sqlx::Error> {
            Ok(Claim {
                key: row.try_get(0)?,
                chain: chain.clone(),
                from: uint(row.try_get(1)?),
                to: uint(row.try_get(2)?),
                attempt: uint(row.try_get(3)?),
                payload: row.try_get::<Vec<u8>, _>(4)?.into(),
                position: uint(row.try_get(5)?),
                owner: owner.into(),
                until,
            })
        };
        let mut claims: Vec<Claim> =
            rows.iter().map(read).collect::<Result<_, _>>().during("claiming items")?;
        claims.sort_by_key(|claim| (claim.position, claim.from));
        Ok(claims)
    }

    /// Gives a claimed item back, to be tried again at `next_at`. Does nothing when the lease has
    /// passed to somebody else.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release(
        &self,
        claim: &Claim,
        failed: bool,
        next_at: u64,
        reason: &str,
        now: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let changed = sqlx::query(
            "UPDATE items SET lease_owner = NULL, lease_until = 0, attempt = attempt + $1, \
             next_at = $2, reason = $3, updated_at = $4 \
             WHERE key = $5 AND stage = 'planned' AND lease_owner = $6",
        )
        .bind(i64::from(failed))
        .bind(int(next_at))
        .bind(reason)
        .bind(int(now))
        .bind(&claim.key)
        .bind(&claim.owner)
        .execute(&mut *transaction)
        .await
        .during("releasing an item")?;
        if changed.rows_affected() == 1 {
            record(&mut transaction, now, &claim.key, "refused", reason).await?;
        }
        transaction.commit().await.during("releasing an item")
    }

    /// Finishes a claimed item without a transaction: the main chain already has its content.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database fails.
    pub async fn known(&self, claim: &Claim, reason: &str, now: u64) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let changed = sqlx::query(
            "UPDATE items SET stage = 'included', lease_owner = NULL, lease_until = 0, \
             payload = $1, reason = $2, updated_at = $3 \
             WHERE key = $4 AND stage = 'planned' AND lease_owner = $5",
        )
        .bind(&[][..] as &[u8])
        .bind(reason)
        .bind(int(now))
        .bind(&claim.key)
        .bind(&claim.owner)
        .execute(&mut *transaction)
        .await
        .during("finishing an item")?;
        if changed.rows_affected() == 0 {
            return Err(StoreError::LeaseLost(claim.key.clone()));
        }
        record(&mut transaction, now, &claim.key, "known", reason).await?;
        transaction.commit().await.during("finishing an item")
    }

    /// The main chain's tracked branch and the source agree up to `height`: everything below it that
    /// owns no nonce is done. Returns how many items changed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish(&self, chain: &ChainId, height: u64, now: u64) -> Result<u64, StoreError> {
        let changed = sqlx::query(
            "UPDATE items SET stage = 'done', payload = $1, lease_owner = NULL, lease_until = 0, \
             updated_at = $2 WHERE chain = $3 AND stage IN ('planned', 'included', 'parked') \
             AND to_height <= $4",
        )
        .bind(&[][..] as &[u8])
        .bind(int(now))
        .bind(chain.as_str())
        .bind(int(height))
        .execute(self.writer())
        .await
        .during("finishing items")?;
        Ok(changed.rows_affected())
    }

    /// The main chain has an item's content: it is done, unless it owns a nonce.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish_item(&self, key: &str, now: u64) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE items SET stage = 'done', payload = $1, lease_owner = NULL, lease_until = 0, \
             updated_at = $2 WHERE key = $3 AND stage IN ('planned', 'included', 'parked')",
        )
        .bind(&[][..] as &[u8])
        .bind(int(now))
        .bind(key)
        .execute(self.writer())
        .await
        .during("finishing an item")?;
        Ok(())
    }

    /// Drops an item that is planned or parked: the source left its branch, or an operator says so.
    /// `false` when it is in another stage.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_item(&self, key: &str, reason: &str, now: u64) -> Result<bool, StoreError> {
        self.set_aside(key, "dropped", reason, now).await
    }

    /// Parks a planned item.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn park(&self, key: &str, reason: &str, now: u64) -> Result<bool, StoreError> {
        self.set_aside(key, "parked", reason, now).await
    }

    async fn set_aside(
        &self,
        key: &str,
        stage: &'static str,
        reason: &str,
        now: u64,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let changed = sqlx::query(
            "UPDATE items SET stage = $1, lease_owner = NULL, lease_until = 0, reason = $2, \
             updated_at = $3 WHERE key = $4 AND stage IN ('planned', 'parked')",
        )
        .bind(stage)
        .bind(reason)
        .bind(int(now))
        .bind(key)
        .execute(&mut *transaction)
        .await
        .during("setting an item aside")?;
        if changed.rows_affected() == 1 {
            record(&mut transaction, now, key, stage, reason).await?;
        }
        transaction.commit().await.during("setting an item aside")?;
        Ok(changed.rows_affected() == 1)
    }

    /// Takes a parked item up again, with its failures forgotten. `false` when it is not parked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn retry(&self, key: &str, now: u64) -> Result<bool, StoreError> {
        let changed = sqlx::query(
            "UPDATE items SET stage = 'planned', attempt = 0, next_at = 0, updated_at = $1 \
             WHERE key = $2 AND stage = 'parked'",
        )
        .bind(int(now))
        .bind(key)
        .execute(self.writer())
        .await
        .during("retrying an item")?;
        Ok(changed.rows_affected() == 1)
    }

    /// Numbers and oldest creation time of the unfinished items, by chain and stage.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn counts(&self) -> Result<Vec<StageCount>, StoreError> {
        let rows = sqlx::query(
            "SELECT chain, stage, COUNT(*), MIN(created_at) FROM items \
             WHERE stage IN ('planned', 'sent', 'included', 'parked') GROUP BY chain, stage",
        )
        .fetch_all(self.reader())
        .await
        .during("counting items")?;
        let read = |row: &SqliteRow| -> Result<(String, String, i64, i64), sqlx::Error> {
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
        };
        rows.iter()
            .map(|row| {
                let (chain, stage, count, oldest) = read(row).during("counting items")?;
                Ok(StageCount {
                    chain: parse_chain(chain)?,
                    stage: stage.parse()?,
                    count: uint(count),
                    oldest: uint(oldest),
                })
            })
            .collect()
    }
}
