//! Units of work: planned, claimed under a lease, given back.

use core::time::Duration;

use grid_core::ChainId;

use super::{
    BATCH, Claim, Item, Kind, NewItem, Planned, Row, Stage, Store, StoreError, Tx,
    chains::record,
    db::{NOTHING, Value, sql, sql_rows},
    item::{item_columns, read_item},
    millis,
};

/// One stage of a chain's items, lowest first: the order of the index `items_by_stage`.
macro_rules! lowest {
    ($stage:literal) => {
        concat!(
            "SELECT * FROM (SELECT ",
            item_columns!(),
            " FROM items WHERE chain = $1 AND stage = '",
            $stage,
            "' ORDER BY from_height, to_height LIMIT +$2) AS ",
            $stage
        )
    };
}

/// All unfinished items, lowest first, without looking at more than `$2` of each stage.
const UNFINISHED: &str = concat!(
    "SELECT * FROM (",
    lowest!("planned"),
    " UNION ALL ",
    lowest!("sent"),
    " UNION ALL ",
    lowest!("included"),
    " UNION ALL ",
    lowest!("parked"),
    ") AS unfinished ORDER BY from_height, to_height LIMIT +$2"
);

pub(super) const BY_STAGE: &str = concat!(
    "SELECT ",
    item_columns!(),
    " FROM items WHERE chain = $1 AND stage = $2 ORDER BY from_height, to_height LIMIT +$3"
);

/// What is next in line, in the order of the index `items_queue`.
const QUEUE: &str = "SELECT id, position, from_height, stage, next_at, lease_owner, lease_until \
                     FROM items WHERE chain = $1 AND stage IN ('planned', 'parked') \
                     ORDER BY position, from_height LIMIT +$2";

/// The highest place of a chain's items that have one.
const LAST_POSITION: &str =
    "SELECT COALESCE(MAX(position), 0) FROM items WHERE chain = $1 AND position > 0";

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
        let planned = self.plan_all(core::slice::from_ref(item), now, stale).await?;
        // One answer for each item.
        Ok(planned.into_iter().next().unwrap_or(Planned::Exists(Stage::Planned)))
    }

    /// [`Self::plan`] for many items in one transaction; the answers are in their order.
    ///
    /// # Errors
    /// When the database fails; nothing is planned then.
    pub async fn plan_all(
        &self,
        items: &[NewItem],
        now: u64,
        stale: Duration,
    ) -> Result<Vec<Planned>, StoreError> {
        let keys: Vec<String> = items.iter().map(NewItem::key).collect();
        let mut tx = self.begin().await?;
        let mut outcomes = Vec::with_capacity(items.len());
        for (items, keys) in items.chunks(BATCH).zip(keys.chunks(BATCH)) {
            let mut inserted = insert(&mut tx, items, keys, now).await?;
            for (item, key) in items.iter().zip(keys) {
                // The same key may come twice: only the first was inserted.
                let new = inserted.iter().position(|new| new == key);
                outcomes.push(match new.map(|at| inserted.swap_remove(at)) {
                    Some(_) => Planned::Inserted,
                    None => revive(&mut tx, item, key, now, stale).await?,
                });
            }
        }
        let changed = items.iter().zip(&keys).zip(&outcomes);
        let changed: Vec<_> = changed
            .filter(|(_, outcome)| !matches!(outcome, Planned::Exists(_)))
            .map(|((item, key), _)| (key.as_str(), describe(item)))
            .collect();
        if changed.is_empty() {
            return Ok(outcomes);
        }
        record(&mut tx, now, "planned", &changed).await?;
        tx.commit().await?;
        Ok(outcomes)
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
        let items = sql("reading items", BY_STAGE);
        let items = items.bind(chain.as_str()).bind(stage.as_str()).bind(limit);
        self.read(items).await?.iter().map(read_item).collect()
    }

    /// A chain's unfinished items (planned, sent, included, parked), lowest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unfinished(&self, chain: &ChainId, limit: u32) -> Result<Vec<Item>, StoreError> {
        let items = sql("reading items", UNFINISHED).bind(chain.as_str()).bind(limit);
        self.read(items).await?.iter().map(read_item).collect()
    }

    /// One item by its key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn item(&self, key: &str) -> Result<Option<Item>, StoreError> {
        const ITEM: &str = concat!("SELECT ", item_columns!(), " FROM items WHERE key = $1");
        let item = self.read_one(sql("reading an item", ITEM).bind(key)).await?;
        item.as_ref().map(read_item).transpose()
    }

    /// Takes up to `limit` planned items of a chain that `owner` holds ([`Self::hold_chain`]), first the lowest
    /// position, then the lowest height, for `lease`. Items behind one that has to wait (paused, parked, or
    /// claimed before by the same owner) are left: they build on it. A claim of a former holder counts no more.
    /// Nothing for who does not hold the chain.
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
        const WHAT: &str = "claiming items";
        let until = now.saturating_add(millis(lease));
        let mut tx = self.begin().await?;
        // Also locks the row: of two processes only one passes at a time, and the other then sees what it did.
        let hold = sql(
            WHAT,
            "UPDATE chains SET held_until = CASE WHEN held_until < $1 THEN $1 ELSE held_until END \
             WHERE chain = $2 AND holder = $3",
        );
        if tx.run(hold.bind(until).bind(chain.as_str()).bind(owner)).await? == 0 {
            return Ok(Vec::new());
        }
        let ids = queue(&mut tx, owner, chain, limit, now).await?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut claims = Vec::with_capacity(ids.len());
        for ids in ids.chunks(BATCH) {
            let take = "UPDATE items SET lease_owner = {n}, lease_until = {n+1} \
                        WHERE id IN ({list}) AND (stage = 'planned') IS TRUE \
                        RETURNING key, from_height, to_height, attempt, payload, position, kind";
            let take = sql_rows(WHAT, take, ids.len(), 1).bind_all(ids.iter().copied());
            let rows = tx.rows(take.bind(owner).bind(until)).await?;
            for row in &rows {
                claims.push(read_claim(row, owner, chain, until)?);
            }
        }
        tx.commit().await?;
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
        let mut tx = self.begin().await?;
        let release = sql(
            "releasing an item",
            "UPDATE items SET lease_owner = NULL, lease_until = 0, attempt = attempt + $1, \
             next_at = $2, reason = $3, updated_at = $4 \
             WHERE key = $5 AND stage = 'planned' AND lease_owner = $6",
        )
        .bind(failed)
        .bind(next_at)
        .bind(reason)
        .bind(now)
        .bind(&claim.key)
        .bind(&claim.owner);
        if tx.run(release).await? == 1 {
            record(&mut tx, now, "refused", &[(&claim.key, reason.into())]).await?;
        }
        tx.commit().await
    }

    /// Finishes a claimed item without a transaction: the main chain already has its content.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or when the database fails.
    pub async fn known(&self, claim: &Claim, reason: &str, now: u64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let known = sql(
            "finishing an item",
            "UPDATE items SET stage = 'included', lease_owner = NULL, lease_until = 0, \
             payload = $1, reason = $2, updated_at = $3 \
             WHERE key = $4 AND stage = 'planned' AND lease_owner = $5",
        )
        .bind(NOTHING)
        .bind(reason)
        .bind(now)
        .bind(&claim.key)
        .bind(&claim.owner);
        if tx.run(known).await? == 0 {
            return Err(StoreError::LeaseLost(claim.key.clone()));
        }
        record(&mut tx, now, "known", &[(&claim.key, reason.into())]).await?;
        tx.commit().await
    }
}

/// Writes the items whose keys are new; returns those keys.
async fn insert(
    tx: &mut Tx,
    items: &[NewItem],
    keys: &[String],
    now: u64,
) -> Result<Vec<String>, StoreError> {
    const WHAT: &str = "planning an item";
    let mut values = Vec::with_capacity(items.len() * 10);
    for (n, (item, key)) in items.iter().zip(keys).enumerate() {
        let position = position(tx, item).await?;
        // Those of this batch are not in the table yet.
        let ahead = items.iter().take(n).filter(|other| other.chain == item.chain && placed(other));
        let position = if placed(item) { position + ahead.count() as u64 } else { position };
        values.extend([
            Value::from(item.chain.as_str()),
            item.kind.as_str().into(),
            key.into(),
            "planned".into(),
            item.from.into(),
            item.last.height.into(),
            (&item.parent).into(),
            (&item.last.hash).into(),
            item.payload.as_ref().into(),
            now.into(),
            now.into(),
            position.into(),
        ]);
    }
    let text = "INSERT INTO items (chain, kind, key, stage, from_height, to_height, parent_hash, \
                last_hash, payload, created_at, updated_at, position) VALUES {rows} \
                ON CONFLICT (key) DO NOTHING RETURNING key";
    let rows = tx.rows(sql_rows(WHAT, text, items.len(), 12).bind_all(values)).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// Whether an item's place is the order of planning.
const fn placed(item: &NewItem) -> bool {
    item.kind.in_line()
}

/// The place behind all others, 0 for an item that is in the order of its heights.
async fn position(tx: &mut Tx, item: &NewItem) -> Result<u64, StoreError> {
    if !placed(item) {
        return Ok(0);
    }
    let last = sql("planning an item", LAST_POSITION).bind(item.chain.as_str());
    tx.row(last).await?.map_or(Ok(1), |row| Ok(row.number(0)? + 1))
}

/// Takes a dropped or a stale finished row up again. The conditions are in the statement: whoever changes
/// the row at the same time is not overrun.
async fn revive(
    tx: &mut Tx,
    item: &NewItem,
    key: &str,
    now: u64,
    stale: Duration,
) -> Result<Planned, StoreError> {
    const WHAT: &str = "planning an item";
    let position = position(tx, item).await?;
    let revive = sql(
        WHAT,
        "UPDATE items SET stage = 'planned', payload = $1, kind = $2, position = $3, \
         lease_owner = NULL, lease_until = 0, attempt = 0, next_at = 0, reason = NULL, tx_hash = NULL, \
         nonce = NULL, created_at = $4, updated_at = $4 WHERE key = $5 AND (stage = 'dropped' \
         OR (stage IN ('included', 'done') AND (updated_at <= $6 OR updated_at > $7)))",
    )
    .bind(item.payload.as_ref())
    .bind(item.kind.as_str())
    .bind(position)
    .bind(now)
    .bind(key)
    .bind(now.saturating_sub(millis(stale)))
    // A clock that was ahead wrote it.
    .bind(now.saturating_add(millis(stale)));
    if tx.run(revive).await? == 1 {
        return Ok(Planned::Revived);
    }
    let stage = sql(WHAT, "SELECT stage FROM items WHERE key = $1").bind(key);
    match tx.row(stage).await? {
        Some(row) => Ok(Planned::Exists(row.text(0)?.parse()?)),
        // Deleted this very moment, as old as it was; the next round plans it.
        None => Ok(Planned::Exists(Stage::Done)),
    }
}

fn describe(item: &NewItem) -> String {
    match item.kind {
        Kind::Sync => format!("light-client objects up to slot {}", item.last.height),
        Kind::Guarantee => format!("the end of guarantee {}", item.last.hash),
        Kind::Message => format!("message {}", item.last.hash),
        _ => format!("headers {} to {}", item.from, item.last.height),
    }
}

/// The items that may be taken now: from the front of the line up to the first that has to wait. One that
/// waits keeps back what is behind it, not what stands beside it.
async fn queue(
    tx: &mut Tx,
    owner: &str,
    chain: &ChainId,
    limit: u32,
    now: u64,
) -> Result<Vec<u64>, StoreError> {
    /// Siblings that wait at the same place are rare: mostly the first look is enough.
    const SIBLINGS: u32 = 16;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut looked = limit.saturating_add(SIBLINGS);
    loop {
        let rows = sql("claiming items", QUEUE).bind(chain.as_str()).bind(looked);
        let rows = tx.rows(rows).await?;
        let (mut ids, mut barrier) = (Vec::new(), None);
        for row in &rows {
            let place = (row.number(1)?, row.number(2)?);
            if ids.len() >= most || barrier.is_some_and(|barrier| place > barrier) {
                return Ok(ids);
            }
            if waits(row, owner, now)? {
                barrier = barrier.or(Some(place));
            } else {
                ids.push(row.number(0)?);
            }
        }
        let complete = rows.len() < usize::try_from(looked).unwrap_or(usize::MAX);
        if complete || ids.len() >= most {
            return Ok(ids);
        }
        looked = looked.saturating_mul(4);
    }
}

fn waits(row: &Row, owner: &str, now: u64) -> Result<bool, StoreError> {
    let holder: Option<String> = row.get(5)?;
    let claimed = holder.as_deref() == Some(owner) && row.number(6)? > now;
    Ok(row.text(3)? == Stage::Parked.as_str() || row.number(4)? > now || claimed)
}

fn read_claim(row: &Row, owner: &str, chain: &ChainId, until: u64) -> Result<Claim, StoreError> {
    Ok(Claim {
        key: row.text(0)?,
        chain: chain.clone(),
        kind: row.text(6)?.parse()?,
        from: row.number(1)?,
        to: row.number(2)?,
        attempt: row.number(3)?,
        payload: row.get::<Vec<u8>>(4)?.into(),
        position: row.number(5)?,
        owner: owner.into(),
        until,
    })
}
