//! The ends of items: done, dropped, parked; and how many are open.

use grid_core::ChainId;

use super::{
    Stage, StageCount, Store, StoreError,
    chains::record,
    db::{NOTHING, sql},
    item::parse_chain,
};

/// Most items that one call finishes, so that it never holds the database for long; the next round goes on.
const MOST: u32 = 10_000;

/// The lowest of a chain's items that are open at or below a height and own no nonce, in the order of the
/// index `items_by_stage`.
macro_rules! passed {
    ($stage:literal) => {
        concat!(
            "SELECT id FROM (SELECT id FROM items WHERE chain = $3 AND stage = '",
            $stage,
            "' AND from_height <= $4 AND to_height <= $4 ORDER BY from_height, to_height LIMIT +$5) AS ",
            $stage
        )
    };
}

const FINISH: &str = concat!(
    "UPDATE items SET stage = 'done', payload = $1, lease_owner = NULL, lease_until = 0, \
     updated_at = $2 WHERE id IN (",
    passed!("planned"),
    " UNION ALL ",
    passed!("included"),
    " UNION ALL ",
    passed!("parked"),
    ") AND stage IN ('planned', 'included', 'parked')"
);

const COUNTS: &str = "SELECT chain, stage, COUNT(*), MIN(created_at) FROM items \
                      WHERE stage IN ('planned', 'sent', 'included', 'parked') GROUP BY chain, stage";

impl Store {
    /// The main chain's tracked branch and the source agree up to `height`: what is below it and owns no
    /// nonce is done, the lowest first, some thousand in one call. Returns how many items changed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish(&self, chain: &ChainId, height: u64, now: u64) -> Result<u64, StoreError> {
        let finish = sql("finishing items", FINISH)
            .bind(NOTHING)
            .bind(now)
            .bind(chain.as_str())
            .bind(height)
            .bind(MOST);
        self.write(finish).await
    }

    /// The main chain has an item's content: it is done, unless it owns a nonce.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish_item(&self, key: &str, now: u64) -> Result<(), StoreError> {
        let finish = sql(
            "finishing an item",
            "UPDATE items SET stage = 'done', payload = $1, lease_owner = NULL, lease_until = 0, \
             updated_at = $2 WHERE key = $3 AND stage IN ('planned', 'included', 'parked')",
        );
        self.write(finish.bind(NOTHING).bind(now).bind(key)).await.map(drop)
    }

    /// Drops an item that is planned or parked: the source left its branch, or an operator says so.
    /// `false` when it is in another stage.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_item(&self, key: &str, reason: &str, now: u64) -> Result<bool, StoreError> {
        self.set_aside(key, Stage::Dropped, reason, now).await
    }

    /// Parks a planned item.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn park(&self, key: &str, reason: &str, now: u64) -> Result<bool, StoreError> {
        self.set_aside(key, Stage::Parked, reason, now).await
    }

    async fn set_aside(
        &self,
        key: &str,
        stage: Stage,
        reason: &str,
        now: u64,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let aside = sql(
            "setting an item aside",
            "UPDATE items SET stage = $1, lease_owner = NULL, lease_until = 0, reason = $2, \
             updated_at = $3 WHERE key = $4 AND stage IN ('planned', 'parked')",
        );
        let changed = tx.run(aside.bind(stage.as_str()).bind(reason).bind(now).bind(key)).await?;
        if changed == 1 {
            record(&mut tx, now, stage.as_str(), &[(key, reason.into())]).await?;
        }
        tx.commit().await?;
        Ok(changed == 1)
    }

    /// Takes a parked item up again, with its failures forgotten. `false` when it is not parked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn retry(&self, key: &str, now: u64) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let retry = sql(
            "retrying an item",
            "UPDATE items SET stage = 'planned', attempt = 0, next_at = 0, updated_at = $1 \
             WHERE key = $2 AND stage = 'parked'",
        );
        let retried = tx.run(retry.bind(now).bind(key)).await? == 1;
        if retried {
            record(&mut tx, now, "retried", &[(key, "by an operator".into())]).await?;
        }
        tx.commit().await?;
        Ok(retried)
    }

    /// Numbers and oldest creation time of the unfinished items, by chain and stage.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn counts(&self) -> Result<Vec<StageCount>, StoreError> {
        let rows = self.read(sql("counting items", COUNTS)).await?;
        let count = |row: &super::Row| {
            Ok(StageCount {
                chain: parse_chain(row.text(0)?)?,
                stage: row.text(1)?.parse()?,
                count: row.number(2)?,
                oldest: row.number(3)?,
            })
        };
        rows.iter().map(count).collect()
    }
}
