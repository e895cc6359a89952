//! How long items stayed in their stages, by the times in their rows: a restart forgets none of it.

use grid_core::ChainId;

use super::{Row, Stage, Store, StoreError, db::sql, item::parse_chain};

/// Rows that are read at once.
const MOST: u32 = 4_000;

/// Rows as old as this are read, in milliseconds: in PostgreSQL a row with a lower number may become visible after one
/// with a higher number.
const SETTLED: u64 = 2_000;

/// An item left a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// CAIP-2 id.
    pub chain: ChainId,
    /// The stage that it left.
    pub stage: Stage,
    /// After so many milliseconds.
    pub after: u64,
}

/// How far a reader of [`Store::left_stages`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The last entry of the history that was read.
    event: u64,
    /// When the last item was finished that was read, milliseconds since 1970.
    done: u64,
}

impl Store {
    /// The place to read on from for what happens after now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark(&self, now: u64) -> Result<Mark, StoreError> {
        let last = sql("reading the history", "SELECT COALESCE(MAX(id), 0) FROM events");
        let last = self.read_one(last).await?;
        let event = last.as_ref().map_or(Ok(0), |row| row.number(0))?;
        Ok(Mark { event, done: now })
    }

    /// Items that have left a stage since the mark, each once, and the mark to read on from. Whoever was finished
    /// without being included by a transaction of this database has left nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn left_stages(
        &self,
        mut mark: Mark,
        now: u64,
    ) -> Result<(Vec<Left>, Mark), StoreError> {
        let until = now.saturating_sub(SETTLED);
        let moved = sql(
            "reading the history",
            "SELECT e.id, e.what, i.chain, e.at - COALESCE((SELECT MAX(p.at) FROM events p \
             WHERE p.item_key = e.item_key AND p.id < e.id \
             AND p.what IN ('planned', 'failed', 'signed')), e.at) \
             FROM events e JOIN items i ON i.key = e.item_key \
             WHERE e.id > $1 AND e.at <= $2 AND e.what IN ('signed', 'included') ORDER BY e.id LIMIT +$3",
        );
        let mut left = Vec::new();
        for row in self.read(moved.bind(mark.event).bind(until).bind(MOST)).await? {
            mark.event = row.number(0)?;
            let stage = if row.text(1)? == "signed" { Stage::Planned } else { Stage::Sent };
            left.push(Left { chain: parse_chain(row.text(2)?)?, stage, after: row.number(3)? });
        }
        // The first condition is that of the index.
        let finished = sql(
            "reading finished items",
            "SELECT i.updated_at, i.chain, i.updated_at - (SELECT MAX(e.at) FROM events e \
             WHERE e.item_key = i.key AND e.what = 'included') FROM items i \
             WHERE i.stage IN ('done', 'dropped') AND i.stage = 'done' \
             AND i.updated_at > $1 AND i.updated_at <= $2 ORDER BY i.updated_at LIMIT +$3",
        );
        for row in self.read(finished.bind(mark.done).bind(until).bind(MOST)).await? {
            mark.done = row.number(0)?;
            if let Some(after) = included_for(&row)? {
                let chain = parse_chain(row.text(1)?)?;
                left.push(Left { chain, stage: Stage::Included, after });
            }
        }
        Ok((left, mark))
    }
}

/// `None` for an item that was never included.
fn included_for(row: &Row) -> Result<Option<u64>, StoreError> {
    Ok(row.get::<Option<i64>>(2)?.map(super::uint))
}
