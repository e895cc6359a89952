//! The durable owner of the key's nonces: every transaction has a row before it is sent.

use alloy_primitives::{Address, B256, Bytes};
use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};

use super::{Claim, During as _, Store, StoreError, chains::record, hash, int, uint};

/// A signed transaction that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTransaction {
    /// keccak256 of `raw`.
    pub hash: B256,
    /// Sender.
    pub signer: Address,
    /// Nonce.
    pub nonce: u64,
    /// EIP-2718 bytes.
    pub raw: Bytes,
    /// Most per gas.
    pub max_fee: u128,
    /// Part of it for the proposer.
    pub priority_fee: u128,
}

/// A transaction that may still be executed, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRow {
    /// Hash.
    pub hash: B256,
    /// Most per gas.
    pub max_fee: u128,
    /// Part of it for the proposer.
    pub priority_fee: u128,
    /// How often it was sent.
    pub sends: u64,
    /// Last time it was sent, milliseconds since 1970; 0 for never.
    pub sent_at: u64,
    /// Milliseconds since 1970.
    pub created_at: u64,
}

/// A nonce whose fate is open, with every transaction that may use it, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveNonce {
    /// Nonce.
    pub nonce: u64,
    /// Its item; `None` for one that fills a gap.
    pub item: Option<String>,
    /// Candidates.
    pub transactions: Vec<TransactionRow>,
}

impl Store {
    /// The lowest nonce from `floor` (the account's committed nonce) on that no live transaction owns.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn free_nonce(&self, signer: &Address, floor: u64) -> Result<u64, StoreError> {
        let rows = sqlx::query(
            "SELECT nonce FROM nonces WHERE signer = $1 AND state = 'live' AND nonce >= $2 \
             ORDER BY nonce",
        )
        .bind(signer.as_slice())
        .bind(int(floor))
        .fetch_all(self.writer())
        .await
        .during("choosing a nonce")?;
        let mut free = floor;
        for row in &rows {
            if uint(row.try_get(0).during("choosing a nonce")?) != free {
                break;
            }
            free += 1;
        }
        Ok(free)
    }

    /// Stores a signed transaction and hands the item over to it, in one transaction. `claim` is `None`
    /// for a transaction that only fills a gap.
    ///
    /// # Errors
    /// [`StoreError::NonceTaken`] when another process was first, [`StoreError::LeaseLost`] when the
    /// claim has ended (nothing is stored then), or when the database fails.
    pub async fn record_transaction(
        &self,
        claim: Option<&Claim>,
        new: &NewTransaction,
        now: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        // A closed row may be in the way after the main chain was set back: the nonce is free again.
        let inserted = sqlx::query(
            "INSERT INTO nonces (signer, nonce, item_key, state, created_at) \
             VALUES ($1, $2, $3, 'live', $4) ON CONFLICT (signer, nonce) DO UPDATE SET \
             item_key = excluded.item_key, state = 'live', created_at = excluded.created_at \
             WHERE nonces.state = 'closed'",
        )
        .bind(new.signer.as_slice())
        .bind(int(new.nonce))
        .bind(claim.map(|claim| claim.key.as_str()))
        .bind(int(now))
        .execute(&mut *transaction)
        .await
        .during("storing a nonce")?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::NonceTaken(new.nonce));
        }
        insert_transaction(&mut transaction, new, now).await?;
        if let Some(claim) = claim {
            let changed = sqlx::query(
                "UPDATE items SET stage = 'sent', lease_owner = NULL, lease_until = 0, tx_hash = $1, \
                 nonce = $2, updated_at = $3 \
                 WHERE key = $4 AND stage = 'planned' AND lease_owner = $5 AND lease_until > $3",
            )
            .bind(new.hash.as_slice())
            .bind(int(new.nonce))
            .bind(int(now))
            .bind(&claim.key)
            .bind(&claim.owner)
            .execute(&mut *transaction)
            .await
            .during("storing a transaction")?;
            if changed.rows_affected() == 0 {
                return Err(StoreError::LeaseLost(claim.key.clone()));
            }
            let detail = format!("transaction {} with nonce {}", new.hash, new.nonce);
            record(&mut transaction, now, &claim.key, "signed", &detail).await?;
        }
        transaction.commit().await.during("storing a transaction")
    }

    /// Stores another transaction for a live nonce: same content, higher fees.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replace_transaction(
        &self,
        item: Option<&str>,
        new: &NewTransaction,
        now: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        insert_transaction(&mut transaction, new, now).await?;
        if let Some(key) = item {
            sqlx::query(
                "UPDATE items SET tx_hash = $1, updated_at = $2 WHERE key = $3 AND stage = 'sent'",
            )
            .bind(new.hash.as_slice())
            .bind(int(now))
            .bind(key)
            .execute(&mut *transaction)
            .await
            .during("replacing a transaction")?;
            let detail = format!("transaction {} with nonce {}", new.hash, new.nonce);
            record(&mut transaction, now, key, "replaced", &detail).await?;
        }
        transaction.commit().await.during("replacing a transaction")
    }

    /// Live nonces of a key, lowest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn live(&self, signer: &Address) -> Result<Vec<LiveNonce>, StoreError> {
        let rows = sqlx::query(
            "SELECT n.nonce, n.item_key, t.hash, t.max_fee, t.priority_fee, t.sends, t.sent_at, \
             t.created_at FROM nonces n LEFT JOIN transactions t ON t.signer = n.signer \
             AND t.nonce = n.nonce AND t.outcome = 'live' \
             WHERE n.signer = $1 AND n.state = 'live' ORDER BY n.nonce, t.created_at",
        )
        .bind(signer.as_slice())
        .fetch_all(self.reader())
        .await
        .during("reading transactions")?;
        let mut live: Vec<LiveNonce> = Vec::new();
        for row in &rows {
            let nonce = uint(row.try_get(0).during("reading transactions")?);
            if live.last().is_none_or(|last| last.nonce != nonce) {
                let item = row.try_get(1).during("reading transactions")?;
                live.push(LiveNonce { nonce, item, transactions: Vec::new() });
            }
            if let (Some(last), Some(candidate)) = (live.last_mut(), read_transaction(row)?) {
                last.transactions.push(candidate);
            }
        }
        Ok(live)
    }

    /// The bytes of a live transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn raw_transaction(&self, hash: &B256) -> Result<Option<Bytes>, StoreError> {
        let row = sqlx::query("SELECT raw FROM transactions WHERE hash = $1 AND outcome = 'live'")
            .bind(hash.as_slice())
            .fetch_optional(self.reader())
            .await
            .during("reading a transaction")?;
        row.map(|row| row.try_get::<Vec<u8>, _>(0).map(Bytes::from))
            .transpose()
            .during("reading a transaction")
    }

    /// The call data of an item that is planned or sent.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn payload(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let row = sqlx::query("SELECT payload FROM items WHERE key = $1")
            .bind(key)
            .fetch_optional(self.reader())
            .await
            .during("reading a payload")?;
        row.map(|row| row.try_get::<Vec<u8>, _>(0).map(Bytes::from))
            .transpose()
            .during("reading a payload")
    }

    /// Counts one sending of a transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sent(&self, hash: &B256, now: u64) -> Result<(), StoreError> {
        sqlx::query("UPDATE transactions SET sends = sends + 1, sent_at = $1 WHERE hash = $2")
            .bind(int(now))
            .bind(hash.as_slice())
            .execute(self.writer())
            .await
            .during("counting a sending")?;
        Ok(())
    }

    /// The main chain executed `hash`: its nonce is used, its rivals are lost, its item is included.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle_included(
        &self,
        signer: &Address,
        live: &LiveNonce,
        hash: &B256,
        block: u64,
        now: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        close(&mut transaction, signer, live.nonce, Some((hash, "included"))).await?;
        if let Some(key) = &live.item {
            sqlx::query(
                "UPDATE items SET stage = 'included', payload = $1, reason = NULL, tx_hash = $2, \
                 updated_at = $3 WHERE key = $4 AND stage = 'sent'",
            )
            .bind(&[][..] as &[u8])
            .bind(hash.as_slice())
            .bind(int(now))
            .bind(key)
            .execute(&mut *transaction)
            .await
            .during("settling a transaction")?;
            let detail = format!("transaction {hash} in block {block}");
            record(&mut transaction, now, key, "included", &detail).await?;
        }
        transaction.commit().await.during("settling a transaction")
    }

    /// A nonce was used without the item's success (`failed` names the transaction that reverted), or
    /// will never be used: it is closed and the item is planned again, from `next_at` on. `park` sets the
    /// item aside instead.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle_failed(
        &self,
        signer: &Address,
        live: &LiveNonce,
        failed: Option<&B256>,
        retry: Retry<'_>,
        now: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        close(&mut transaction, signer, live.nonce, failed.map(|hash| (hash, "failed"))).await?;
        if let Some(key) = &live.item {
            let (stage, what) =
                if retry.park { ("parked", "parked") } else { ("planned", "failed") };
            sqlx::query(
                "UPDATE items SET stage = $1, attempt = attempt + $2, next_at = $3, reason = $4, \
                 tx_hash = NULL, nonce = NULL, updated_at = $5 WHERE key = $6 AND stage = 'sent'",
            )
            .bind(stage)
            .bind(i64::from(retry.counts))
            .bind(int(retry.next_at))
            .bind(retry.reason)
            .bind(int(now))
            .bind(key)
            .execute(&mut *transaction)
            .await
            .during("settling a transaction")?;
            record(&mut transaction, now, key, what, retry.reason).await?;
        }
        transaction.commit().await.during("settling a transaction")
    }

    /// The main chain already has the item's content, so its transaction is refused for good: the nonce
    /// is given back and the item counts as included.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle_known(
        &self,
        signer: &Address,
        live: &LiveNonce,
        reason: &str,
        now: u64,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        close(&mut transaction, signer, live.nonce, None).await?;
        if let Some(key) = &live.item {
            sqlx::query(
                "UPDATE items SET stage = 'included', payload = $1, reason = $2, tx_hash = NULL, \
                 nonce = NULL, updated_at = $3 WHERE key = $4 AND stage = 'sent'",
            )
            .bind(&[][..] as &[u8])
            .bind(reason)
            .bind(int(now))
            .bind(key)
            .execute(&mut *transaction)
            .await
            .during("settling a transaction")?;
            record(&mut transaction, now, key, "known", reason).await?;
        }
        transaction.commit().await.during("settling a transaction")
    }
}

/// How an item goes on after a failure.
#[derive(Debug, Clone, Copy)]
pub struct Retry<'a> {
    /// Why.
    pub reason: &'a str,
    /// Not before, milliseconds since 1970.
    pub next_at: u64,
    /// Whether it counts as a failure of the item.
    pub counts: bool,
    /// Whether to set the item aside.
    pub park: bool,
}

async fn insert_transaction(
    transaction: &mut Transaction<'static, Sqlite>,
    new: &NewTransaction,
    now: u64,
) -> Result<(), StoreError> {
    // The same bytes may come again after their nonce was given back and taken anew.
    sqlx::query(
        "INSERT INTO transactions (hash, signer, nonce, raw, max_fee, priority_fee, outcome, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, 'live', $7) ON CONFLICT (hash) DO UPDATE SET \
         raw = excluded.raw, outcome = 'live', sends = 0, sent_at = 0, \
         created_at = excluded.created_at",
    )
    .bind(new.hash.as_slice())
    .bind(new.signer.as_slice())
    .bind(int(new.nonce))
    .bind(new.raw.as_ref())
    .bind(new.max_fee.to_string())
    .bind(new.priority_fee.to_string())
    .bind(int(now))
    .execute(&mut **transaction)
    .await
    .during("storing a transaction")?;
    Ok(())
}

/// Closes a nonce; `settled` names the transaction that used it, the others are lost.
async fn close(
    transaction: &mut Transaction<'static, Sqlite>,
    signer: &Address,
    nonce: u64,
    settled: Option<(&B256, &'static str)>,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE nonces SET state = 'closed' WHERE signer = $1 AND nonce = $2")
        .bind(signer.as_slice())
        .bind(int(nonce))
        .execute(&mut **transaction)
        .await
        .during("closing a nonce")?;
    if let Some((hash, outcome)) = settled {
        sqlx::query("UPDATE transactions SET outcome = $1, raw = $2 WHERE hash = $3")
            .bind(outcome)
            .bind(&[][..] as &[u8])
            .bind(hash.as_slice())
            .execute(&mut **transaction)
            .await
            .during("closing a nonce")?;
    }
    sqlx::query(
        "UPDATE transactions SET outcome = 'lost', raw = $1 WHERE signer = $2 AND nonce = $3 \
         AND outcome = 'live'",
    )
    .bind(&[][..] as &[u8])
    .bind(signer.as_slice())
    .bind(int(nonce))
    .execute(&mut **transaction)
    .await
    .during("closing a nonce")?;
    Ok(())
}

fn read_transaction(row: &SqliteRow) -> Result<Option<TransactionRow>, StoreError> {
    let Some(bytes) = row.try_get::<Option<Vec<u8>>, _>(2).during("reading transactions")? else {
        return Ok(None);
    };
    let fee = |index: usize| -> Result<u128, StoreError> {
        let text: String = row.try_get(index).during("reading transactions")?;
        text.parse().map_err(|_| StoreError::Row { what: "a fee", value: text })
    };
    let number = |index: usize| -> Result<u64, StoreError> {
        row.try_get(index).map(uint).during("reading transactions")
    };
    Ok(Some(TransactionRow {
        hash: hash("a transaction hash", &bytes)?,
        max_fee: fee(3)?,
        priority_fee: fee(4)?,
        sends: number(5)?,
        sent_at: number(6)?,
        created_at: number(7)?,
    }))
}
