//! Units of work: planned, claimed under a lease, parked, finished.

use core::{fmt, str::FromStr, time::Duration};

use alloy_primitives::{B256, Bytes};
use grid_core::{ChainId, api::BlockRef};
use serde::{Deserialize, Serialize};
use sqlx::{Row, sqlite::SqliteRow};

use super::{During as _, Store, StoreError, chains::record, hash, int, uint};

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Stage {
    /// Has a row, waits for a worker.
    Planned,
    /// Has a signed transaction and a nonce; sent again until its nonce is used.
    Sent,
    /// The main chain executed it; waits until the tracked branch shows it.
    Included,
    /// The main chain's best tracked branch has passed it.
    Done,
    /// Failed too often: waits for an operator, or for the source to move on.
    Parked,
    /// The source left its branch before it was sent, or an operator dropped it.
    Dropped,
}

impl Stage {
    /// All stages.
    pub const ALL: [Self; 6] =
        [Self::Planned, Self::Sent, Self::Included, Self::Done, Self::Parked, Self::Dropped];

    /// The word in the database and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sent => "sent",
            Self::Included => "included",
            Self::Done => "done",
            Self::Parked => "parked",
            Self::Dropped => "dropped",
        }
    }

    /// Whether work on it goes on by itself.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Planned | Self::Sent | Self::Included)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|stage| stage.as_str() == text)
            .ok_or_else(|| StoreError::Row { what: "an item's stage", value: text.into() })
    }
}

/// A range of headers to submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    /// The source.
    pub chain: ChainId,
    /// Height of the first header.
    pub from: u64,
    /// Parent of the first header.
    pub parent: B256,
    /// The last header.
    pub last: BlockRef,
    /// Call data of the submission.
    pub payload: Bytes,
}

impl NewItem {
    /// The item's name: the same headers always have the same one.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}:{}:{}:{:x}", self.chain, self.from, self.last.height, self.last.hash)
    }
}

/// What [`Store::plan`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// The row is new.
    Inserted,
    /// A finished or dropped row of the same content was taken up again.
    Revived,
    /// The row exists in this stage; nothing changed.
    Exists(Stage),
}

/// An item without its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Name.
    pub key: String,
    /// CAIP-2 id of the source.
    pub chain: ChainId,
    /// Stage.
    pub stage: Stage,
    /// Height of the first header.
    pub from: u64,
    /// Parent of the first header.
    pub parent: B256,
    /// The last header.
    pub last: BlockRef,
    /// Failures so far.
    pub attempt: u64,
    /// No attempt before, milliseconds since 1970.
    pub next_at: u64,
    /// The last failure.
    pub reason: Option<String>,
    /// Newest transaction.
    pub tx_hash: Option<B256>,
    /// Its nonce.
    pub nonce: Option<u64>,
    /// Milliseconds since 1970.
    pub created_at: u64,
    /// Milliseconds since 1970.
    pub updated_at: u64,
}

/// An item leased to one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Name.
    pub key: String,
    /// The source.
    pub chain: ChainId,
    /// Height of the first header.
    pub from: u64,
    /// Height of the last header.
    pub to: u64,
    /// Failures so far.
    pub attempt: u64,
    /// Call data.
    pub payload: Bytes,
    /// Holder of the lease.
    pub owner: String,
    /// End of the lease, milliseconds since 1970.
    pub until: u64,
}

impl Claim {
    /// Number of headers.
    #[must_use]
    pub const fn headers(&self) -> u64 {
        self.to.saturating_sub(self.from).saturating_add(1)
    }
}

/// Items of one chain in one stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageCount {
    /// CAIP-2 id.
    pub chain: ChainId,
    /// Stage.
    pub stage: Stage,
    /// How many.
    pub count: u64,
    /// Creation of the oldest, milliseconds since 1970.
    pub oldest: u64,
}

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
             payload, created_at, updated_at) \
             VALUES ($1, 'headers', $2, 'planned', $3, $4, $5, $6, $7, $8, $8) \
             ON CONFLICT (key) DO UPDATE SET stage = 'planned', payload = excluded.payload, \
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
        .execute(&mut *transaction)
        .await
        .during("planning an item")?;
        let detail = format!("headers {} to {}", item.from, item.last.height);
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
            "SELECT key, chain, stage, from_height, to_height, parent_hash, last_hash, attempt, \
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
            "SELECT key, chain, stage, from_height, to_height, parent_hash, last_hash, attempt, \
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
            "SELECT key, chain, stage, from_height, to_height, parent_hash, last_hash, attempt, \
             next_at, reason, tx_hash, nonce, created_at, updated_at FROM items WHERE key = $1",
        )
        .bind(key)
        .fetch_optional(self.reader())
        .await
        .during("reading an item")?;
        row.as_ref().map(read_item).transpose()
    }

    /// Takes up to `limit` planned items of a chain, lowest first, for `lease`. Items behind one that
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
                   AND b.from_height < i.from_height AND (b.stage = 'parked' \
                   OR (b.stage = 'planned' AND (b.next_at > $3 OR b.lease_until > $3)))) \
               ORDER BY i.from_height LIMIT $5) \
             AND stage = 'planned' AND lease_until <= $3 \
             RETURNING key, from_height, to_height, attempt, payload",
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
                owner: owner.into(),
                until,
            })
        };
        let mut claims: Vec<Claim> =
            rows.iter().map(read).collect::<Result<_, _>>().during("claiming items")?;
        claims.sort_by_key(|claim| claim.from);
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

    /// Deletes finished work: rows older than `age`, and the oldest beyond `count` of each kind. Deletes
    /// at most `batch` rows of each table per call, so that it never holds the database for long.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(
        &self,
        now: u64,
        age: Duration,
        count: u64,
        batch: u32,
    ) -> Result<u64, StoreError> {
        const STATEMENTS: [&str; 4] = [
            "DELETE FROM items WHERE id IN (SELECT id FROM items WHERE stage IN ('done', 'dropped') \
             AND (updated_at <= $1 OR updated_at <= COALESCE((SELECT updated_at FROM items WHERE \
             stage = 'done' ORDER BY updated_at DESC LIMIT 1 OFFSET $2), 0)) LIMIT $3)",
            "DELETE FROM transactions WHERE hash IN (SELECT hash FROM transactions WHERE \
             outcome <> 'live' AND (created_at <= $1 OR created_at <= COALESCE((SELECT created_at FROM \
             transactions WHERE outcome = 'included' ORDER BY created_at DESC LIMIT 1 OFFSET $2), 0)) \
             LIMIT $3)",
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at <= $1 OR id <= (SELECT \
             COALESCE(MAX(id), 0) FROM events) - $2 * 8 LIMIT $3)",
            "DELETE FROM nonces WHERE (signer, nonce) IN (SELECT signer, nonce FROM nonces n WHERE \
             state = 'closed' AND (created_at <= $1 OR nonce <= (SELECT MAX(nonce) FROM nonces m WHERE \
             m.signer = n.signer) - $2) AND nonce < (SELECT MAX(nonce) FROM nonces m WHERE m.signer = \
             n.signer) LIMIT $3)",
        ];
        let mut deleted = 0;
        for statement in STATEMENTS {
            let changed = sqlx::query(statement)
                .bind(int(now.saturating_sub(millis(age))))
                .bind(int(count))
                .bind(i64::from(batch))
                .execute(self.writer())
                .await
                .during("pruning")?;
            deleted += changed.rows_affected();
        }
        Ok(deleted)
    }
}

/// Whole milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn parse_chain(text: String) -> Result<ChainId, StoreError> {
    text.parse().map_err(|_| StoreError::Row { what: "a chain id", value: text })
}

fn read_item(row: &SqliteRow) -> Result<Item, StoreError> {
    let get = |column: &'static str| -> Result<Vec<u8>, StoreError> {
        row.try_get(column).during("reading an item")
    };
    let number = |column: &'static str| -> Result<u64, StoreError> {
        row.try_get(column).map(uint).during("reading an item")
    };
    let text = |column: &'static str| -> Result<String, StoreError> {
        row.try_get(column).during("reading an item")
    };
    let tx_hash: Option<Vec<u8>> = row.try_get("tx_hash").during("reading an item")?;
    let nonce: Option<i64> = row.try_get("nonce").during("reading an item")?;
    Ok(Item {
        key: text("key")?,
        chain: parse_chain(text("chain")?)?,
        stage: text("stage")?.parse()?,
        from: number("from_height")?,
        parent: hash("a parent hash", &get("parent_hash")?)?,
        last: BlockRef {
            height: number("to_height")?,
            hash: hash("a block hash", &get("last_hash")?)?,
        },
        attempt: number("attempt")?,
        next_at: number("next_at")?,
        reason: row.try_get("reason").during("reading an item")?,
        tx_hash: tx_hash.map(|bytes| hash("a transaction hash", &bytes)).transpose()?,
        nonce: nonce.map(uint),
        created_at: number("created_at")?,
        updated_at: number("updated_at")?,
    })
}
