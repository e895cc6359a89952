//! The durable owner of the key's nonces: every transaction has a row before it is sent.

use alloy_primitives::{Address, B256, Bytes};
use grid_core::ChainId;

use super::{
    BATCH, Claim, Row, Sql, Store, StoreError, Tx,
    chains::record,
    db::{Value, sql, sql_rows},
    hash,
    item::parse_chain,
};

/// Most open nonces that one look returns, the lowest first: more than a mempool takes of one account.
const MOST: u32 = 4096;

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
    /// The item's chain.
    pub chain: Option<ChainId>,
    /// When it was given out, milliseconds since 1970: tells it from the same nonce given out again.
    pub since: u64,
    /// Candidates.
    pub transactions: Vec<TransactionRow>,
}

impl Store {
    /// The lowest nonce from `floor` (the account's committed nonce) on that no live transaction owns.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn free_nonce(&self, signer: &Address, floor: u64) -> Result<u64, StoreError> {
        let free = self.free_nonces(signer, floor, 1).await?;
        Ok(free.first().copied().unwrap_or(floor))
    }

    /// The lowest `count` of them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn free_nonces(
        &self,
        signer: &Address,
        floor: u64,
        count: usize,
    ) -> Result<Vec<u64>, StoreError> {
        let (mut free, mut next) = (Vec::with_capacity(count), floor);
        loop {
            let rows = sql(
                "choosing a nonce",
                "SELECT nonce FROM nonces WHERE signer = $1 AND state = 'live' AND nonce >= $2 \
                 ORDER BY nonce LIMIT +$3",
            );
            let rows = self.read(rows.bind(signer).bind(next).bind(MOST)).await?;
            for row in &rows {
                let taken = row.number(0)?;
                free.extend((next..taken).take(count - free.len()));
                next = taken.saturating_add(1);
            }
            if rows.len() < usize::try_from(MOST).unwrap_or(usize::MAX) {
                free.extend((next..).take(count - free.len()));
            }
            if free.len() == count {
                return Ok(free);
            }
        }
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
        self.record_transactions(&[(claim, new)], now).await
    }

    /// [`Self::record_transaction`] for many at once: all are stored or none.
    ///
    /// # Errors
    /// As [`Self::record_transaction`], for the first that is refused.
    pub async fn record_transactions(
        &self,
        new: &[(Option<&Claim>, &NewTransaction)],
        now: u64,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for new in new.chunks(BATCH) {
            take_nonces(&mut tx, new, now).await?;
            insert_transactions(&mut tx, new.iter().map(|(_, new)| *new), now).await?;
            hand_over(&mut tx, new, now).await?;
        }
        let entry = |(claim, new): &(Option<&'_ Claim>, &NewTransaction)| {
            claim.map(|claim| claim.key.clone()).map(|key| (key, describe(new)))
        };
        let entries: Vec<(String, String)> = new.iter().filter_map(entry).collect();
        let entries: Vec<_> =
            entries.iter().map(|(key, detail)| (key.as_str(), detail.clone())).collect();
        record(&mut tx, now, "signed", &entries).await?;
        tx.commit().await
    }

    /// Stores another transaction for a live nonce: same content, higher fees.
    ///
    /// # Errors
    /// [`StoreError::NonceTaken`] when the nonce was settled meanwhile, or when the database fails.
    pub async fn replace_transaction(
        &self,
        item: Option<&str>,
        new: &NewTransaction,
        now: u64,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        // Locks the row: nobody settles the nonce before this ends.
        let open = sql(
            "replacing a transaction",
            "UPDATE nonces SET state = 'live' WHERE signer = $1 AND nonce = $2 AND state = 'live'",
        );
        if tx.run(open.bind(&new.signer).bind(new.nonce)).await? == 0 {
            return Err(StoreError::NonceTaken(new.nonce));
        }
        insert_transactions(&mut tx, core::iter::once(new), now).await?;
        if let Some(key) = item {
            let replace = sql(
                "replacing a transaction",
                "UPDATE items SET tx_hash = $1, updated_at = $2 WHERE key = $3 AND stage = 'sent'",
            );
            tx.run(replace.bind(&new.hash).bind(now).bind(key)).await?;
            record(&mut tx, now, "replaced", &[(key, describe(new))]).await?;
        }
        tx.commit().await
    }

    /// Live nonces of a key, the lowest first and not all where there are thousands.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn live(&self, signer: &Address) -> Result<Vec<LiveNonce>, StoreError> {
        let rows = sql(
            "reading transactions",
            "SELECT open.nonce, open.item_key, open.created_at, t.hash, t.max_fee, t.priority_fee, \
             t.sends, t.sent_at, t.created_at, i.chain FROM (SELECT signer, nonce, item_key, created_at FROM \
             nonces WHERE signer = $1 AND state = 'live' ORDER BY nonce LIMIT +$2) AS open \
             LEFT JOIN transactions t ON t.signer = open.signer AND t.nonce = open.nonce \
             AND t.outcome = 'live' LEFT JOIN items i ON i.key = open.item_key \
             ORDER BY open.nonce, t.created_at",
        );
        let rows = self.read(rows.bind(signer).bind(MOST)).await?;
        let mut live: Vec<LiveNonce> = Vec::new();
        for row in &rows {
            let nonce = row.number(0)?;
            if live.last().is_none_or(|last| last.nonce != nonce) {
                let (item, since) = (row.get(1)?, row.number(2)?);
                let chain = row.get::<Option<String>>(9)?.map(parse_chain).transpose()?;
                live.push(LiveNonce { nonce, item, chain, since, transactions: Vec::new() });
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
        let raw = sql(
            "reading a transaction",
            "SELECT raw FROM transactions WHERE hash = $1 AND outcome = 'live'",
        );
        self.bytes_of(raw.bind(hash)).await
    }

    /// The call data of an item that is planned or sent.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn payload(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let payload = sql("reading a payload", "SELECT payload FROM items WHERE key = $1");
        self.bytes_of(payload.bind(key)).await
    }

    async fn bytes_of(&self, statement: Sql<'_>) -> Result<Option<Bytes>, StoreError> {
        let row = self.read_one(statement).await?;
        row.map(|row| row.get::<Vec<u8>>(0).map(Bytes::from)).transpose()
    }

    /// Whether a transaction has its row, whatever became of it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_transaction(&self, hash: &B256) -> Result<bool, StoreError> {
        let known = sql("reading a transaction", "SELECT 1 FROM transactions WHERE hash = $1");
        Ok(self.read_one(known.bind(hash)).await?.is_some())
    }

    /// Counts one sending of each transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sent(&self, hashes: &[B256], now: u64) -> Result<(), StoreError> {
        for hashes in hashes.chunks(BATCH) {
            let sent = "UPDATE transactions SET sends = sends + 1, sent_at = {n} \
                        WHERE hash IN ({list})";
            let sent = sql_rows("counting a sending", sent, hashes.len(), 1).bind_all(hashes);
            self.write(sent.bind(now)).await?;
        }
        Ok(())
    }
}

/// Gives out the nonces of new transactions, or none of them when one is taken.
async fn take_nonces(
    tx: &mut Tx,
    new: &[(Option<&Claim>, &NewTransaction)],
    now: u64,
) -> Result<(), StoreError> {
    // A closed row may be in the way after the main chain was set back: the nonce is free again.
    let take = "INSERT INTO nonces (signer, nonce, item_key, state, created_at) VALUES {rows} \
                ON CONFLICT (signer, nonce) DO UPDATE SET item_key = excluded.item_key, \
                state = 'live', created_at = excluded.created_at WHERE nonces.state = 'closed' \
                RETURNING nonce";
    let values = new.iter().flat_map(|(claim, new)| {
        [
            Value::from(&new.signer),
            new.nonce.into(),
            claim.map(|claim| claim.key.as_str()).into(),
            "live".into(),
            now.into(),
        ]
    });
    let rows = tx.rows(sql_rows("storing a nonce", take, new.len(), 5).bind_all(values)).await?;
    let given: Vec<u64> = rows.iter().map(|row| row.number(0)).collect::<Result<_, _>>()?;
    let missing = new.iter().find(|(_, new)| !given.contains(&new.nonce));
    missing.map_or(Ok(()), |(_, new)| Err(StoreError::NonceTaken(new.nonce)))
}

async fn insert_transactions<'a>(
    tx: &mut Tx,
    new: impl ExactSizeIterator<Item = &'a NewTransaction>,
    now: u64,
) -> Result<(), StoreError> {
    // The same bytes may come again after their nonce was given back and taken anew.
    let insert = "INSERT INTO transactions (hash, signer, nonce, raw, max_fee, priority_fee, outcome, \
                  created_at) VALUES {rows} ON CONFLICT (hash) DO UPDATE SET raw = excluded.raw, \
                  outcome = 'live', sends = 0, sent_at = 0, created_at = excluded.created_at";
    let count = new.len();
    let values = new.flat_map(|new| {
        [
            Value::from(&new.hash),
            (&new.signer).into(),
            new.nonce.into(),
            new.raw.as_ref().into(),
            new.max_fee.to_string().into(),
            new.priority_fee.to_string().into(),
            "live".into(),
            now.into(),
        ]
    });
    tx.run(sql_rows("storing a transaction", insert, count, 8).bind_all(values)).await.map(drop)
}

/// Hands the claimed items over to their transactions, or none of them when a lease has ended or the
/// chain has passed to another relayer.
async fn hand_over(
    tx: &mut Tx,
    new: &[(Option<&Claim>, &NewTransaction)],
    now: u64,
) -> Result<(), StoreError> {
    let claimed: Vec<_> =
        new.iter().filter_map(|(claim, new)| Some((claim.as_ref()?, new))).collect();
    if claimed.is_empty() {
        return Ok(());
    }
    let hand = "WITH signed (key, owner, hash, nonce) AS (VALUES {rows}) UPDATE items \
                SET stage = 'sent', lease_owner = NULL, lease_until = 0, tx_hash = signed.hash, \
                nonce = signed.nonce, updated_at = {n} FROM signed WHERE items.key = signed.key \
                AND (items.stage = 'planned') IS TRUE AND items.lease_owner = signed.owner \
                AND items.lease_until > {n} AND EXISTS (SELECT 1 FROM chains \
                WHERE chains.chain = items.chain AND chains.holder = signed.owner) \
                RETURNING items.key";
    let values = claimed.iter().flat_map(|(claim, new)| {
        [Value::from(&claim.key), (&claim.owner).into(), (&new.hash).into(), new.nonce.into()]
    });
    let hand = sql_rows("storing a transaction", hand, claimed.len(), 4).bind_all(values).bind(now);
    let rows = tx.rows(hand).await?;
    let handed: Vec<String> = rows.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
    let lost = claimed.iter().find(|(claim, _)| !handed.contains(&claim.key));
    lost.map_or(Ok(()), |(claim, _)| Err(StoreError::LeaseLost(claim.key.clone())))
}

fn describe(new: &NewTransaction) -> String {
    format!("transaction {} with nonce {}", new.hash, new.nonce)
}

fn read_transaction(row: &Row) -> Result<Option<TransactionRow>, StoreError> {
    let Some(bytes) = row.get::<Option<Vec<u8>>>(3)? else { return Ok(None) };
    let fee = |column: usize| -> Result<u128, StoreError> {
        let text = row.text(column)?;
        text.parse().map_err(|_| StoreError::Row { what: "a fee", value: text })
    };
    Ok(Some(TransactionRow {
        hash: hash("a transaction hash", &bytes)?,
        max_fee: fee(4)?,
        priority_fee: fee(5)?,
        sends: row.number(6)?,
        sent_at: row.number(7)?,
        created_at: row.number(8)?,
    }))
}
