//! The ends of nonces: used, lost, given back.
//!
//! Several processes may look at the same nonce: each relayer at its own, everybody at those of a dead one.
//! Whoever closes the nonce's row settles it; for all others it is settled already, and they change
//! nothing.

use alloy_primitives::{Address, B256};

use super::{
    BATCH, LiveNonce, Store, StoreError, Tx,
    chains::record,
    db::{NOTHING, Value, sql, sql_rows},
};

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

/// A nonce that was used, by which transaction, in which block.
#[derive(Debug, Clone, Copy)]
pub struct Inclusion<'a> {
    /// The nonce.
    pub live: &'a LiveNonce,
    /// The transaction that the main chain executed.
    pub hash: B256,
    /// Height of its block.
    pub block: u64,
}

impl Store {
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
        self.settle_all_included(signer, &[Inclusion { live, hash: *hash, block }], now).await
    }

    /// [`Self::settle_included`] for many at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settle_all_included(
        &self,
        signer: &Address,
        included: &[Inclusion<'_>],
        now: u64,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for included in included.chunks(BATCH) {
            let nonces: Vec<_> = included.iter().map(|included| included.live).collect();
            let closed = close(&mut tx, signer, &nonces).await?;
            let mine = |included: &&Inclusion<'_>| closed.contains(&included.live.nonce);
            let mine: Vec<_> = included.iter().filter(mine).collect();
            let hashes: Vec<B256> = mine.iter().map(|included| included.hash).collect();
            outcome(&mut tx, &hashes, "included").await?;
            lose(&mut tx, signer, &closed).await?;
            include(&mut tx, &mine, now).await?;
        }
        tx.commit().await
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
        let mut tx = self.begin().await?;
        let closed = close(&mut tx, signer, &[live]).await?;
        if closed.is_empty() {
            return Ok(());
        }
        if let Some(hash) = failed {
            outcome(&mut tx, &[*hash], "failed").await?;
        }
        lose(&mut tx, signer, &closed).await?;
        if let Some(key) = &live.item {
            let (stage, what) =
                if retry.park { ("parked", "parked") } else { ("planned", "failed") };
            let again = sql(
                "settling a transaction",
                "UPDATE items SET stage = $1, attempt = attempt + $2, next_at = $3, reason = $4, \
                 tx_hash = NULL, nonce = NULL, updated_at = $5 WHERE key = $6 AND stage = 'sent'",
            )
            .bind(stage)
            .bind(retry.counts)
            .bind(retry.next_at)
            .bind(retry.reason)
            .bind(now)
            .bind(key);
            tx.run(again).await?;
            record(&mut tx, now, what, &[(key, retry.reason.into())]).await?;
        }
        tx.commit().await
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
        let mut tx = self.begin().await?;
        let closed = close(&mut tx, signer, &[live]).await?;
        if closed.is_empty() {
            return Ok(());
        }
        lose(&mut tx, signer, &closed).await?;
        if let Some(key) = &live.item {
            let known = sql(
                "settling a transaction",
                "UPDATE items SET stage = 'included', payload = $1, reason = $2, tx_hash = NULL, \
                 nonce = NULL, updated_at = $3 WHERE key = $4 AND stage = 'sent'",
            );
            tx.run(known.bind(NOTHING).bind(reason).bind(now).bind(key)).await?;
            record(&mut tx, now, "known", &[(key, reason.into())]).await?;
        }
        tx.commit().await
    }
}

/// Closes nonces; returns those that were still open, as the caller has seen them.
async fn close(
    tx: &mut Tx,
    signer: &Address,
    nonces: &[&LiveNonce],
) -> Result<Vec<u64>, StoreError> {
    let close = "WITH seen (nonce, since) AS (VALUES {rows}) UPDATE nonces SET state = 'closed' \
                 FROM seen WHERE nonces.signer = {n} AND nonces.nonce = seen.nonce \
                 AND nonces.created_at = seen.since AND (nonces.state = 'live') IS TRUE \
                 RETURNING nonces.nonce";
    let values = nonces.iter().flat_map(|live| [Value::from(live.nonce), live.since.into()]);
    let close = sql_rows("closing a nonce", close, nonces.len(), 2).bind_all(values).bind(signer);
    tx.rows(close).await?.iter().map(|row| row.number(0)).collect()
}

/// Writes down what became of transactions.
async fn outcome(tx: &mut Tx, hashes: &[B256], outcome: &'static str) -> Result<(), StoreError> {
    if hashes.is_empty() {
        return Ok(());
    }
    let settle = "UPDATE transactions SET outcome = {n}, raw = {n+1} WHERE hash IN ({list})";
    let settle = sql_rows("closing a nonce", settle, hashes.len(), 1).bind_all(hashes);
    tx.run(settle.bind(outcome).bind(NOTHING)).await.map(drop)
}

/// Whatever else was signed for these nonces will not be executed any more.
async fn lose(tx: &mut Tx, signer: &Address, nonces: &[u64]) -> Result<(), StoreError> {
    if nonces.is_empty() {
        return Ok(());
    }
    let lose = "UPDATE transactions SET outcome = 'lost', raw = {n} WHERE signer = {n+1} \
                AND nonce IN ({list}) AND outcome = 'live'";
    let lose = sql_rows("closing a nonce", lose, nonces.len(), 1).bind_all(nonces.iter().copied());
    tx.run(lose.bind(NOTHING).bind(signer)).await.map(drop)
}

/// The items of used nonces are included.
async fn include(tx: &mut Tx, used: &[&Inclusion<'_>], now: u64) -> Result<(), StoreError> {
    let items: Vec<(&str, &Inclusion<'_>)> =
        used.iter().filter_map(|used| Some((used.live.item.as_deref()?, *used))).collect();
    if items.is_empty() {
        return Ok(());
    }
    let include = "WITH used (key, hash) AS (VALUES {rows}) UPDATE items SET stage = 'included', \
                   payload = {n}, reason = NULL, tx_hash = used.hash, updated_at = {n+1} FROM used \
                   WHERE items.key = used.key AND (items.stage = 'sent') IS TRUE";
    let values = items.iter().flat_map(|(key, used)| [Value::from(*key), (&used.hash).into()]);
    let include = sql_rows("settling a transaction", include, items.len(), 2).bind_all(values);
    tx.run(include.bind(NOTHING).bind(now)).await?;
    let detail =
        |used: &Inclusion<'_>| format!("transaction {} in block {}", used.hash, used.block);
    let entries: Vec<_> = items.iter().map(|(key, used)| (*key, detail(used))).collect();
    record(tx, now, "included", &entries).await
}
