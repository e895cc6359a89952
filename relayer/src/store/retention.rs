//! Deleting finished work.

use core::time::Duration;

use super::{Store, StoreError, db::sql, millis};

/// What is deleted from one table. Both statements walk an index from its end.
struct Table {
    /// The time of the newest row beyond the first `$1`.
    limit: &'static str,
    /// Deletes up to `$2` rows that are not newer than `$1`.
    delete: &'static str,
}

const TABLES: [Table; 6] = [
    Table {
        limit: "SELECT updated_at FROM items WHERE stage IN ('done', 'dropped') \
                ORDER BY updated_at DESC LIMIT 1 OFFSET $1",
        delete: "DELETE FROM items WHERE id IN (SELECT id FROM items WHERE \
                 stage IN ('done', 'dropped') AND updated_at <= $1 ORDER BY updated_at LIMIT +$2)",
    },
    Table {
        limit: "SELECT created_at FROM transactions WHERE outcome <> 'live' \
                ORDER BY created_at DESC LIMIT 1 OFFSET $1",
        delete: "DELETE FROM transactions WHERE hash IN (SELECT hash FROM transactions WHERE \
                 outcome <> 'live' AND created_at <= $1 ORDER BY created_at LIMIT +$2)",
    },
    // An item has about eight entries when much goes wrong.
    Table {
        limit: "SELECT at FROM events WHERE id <= (SELECT COALESCE(MAX(id), 0) FROM events) - 8 * $1 \
                ORDER BY id DESC LIMIT 1",
        delete: "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at <= $1 ORDER BY at \
                 LIMIT +$2)",
    },
    // The highest nonce of a key stays.
    Table {
        limit: "SELECT created_at FROM nonces WHERE state = 'closed' \
                ORDER BY created_at DESC LIMIT 1 OFFSET $1",
        delete: "DELETE FROM nonces WHERE (signer, nonce) IN (SELECT signer, nonce FROM nonces n WHERE \
                 state = 'closed' AND created_at <= $1 AND EXISTS (SELECT 1 FROM nonces m WHERE \
                 m.signer = n.signer AND m.nonce > n.nonce) ORDER BY created_at LIMIT +$2)",
    },
    Table {
        limit: "SELECT updated_at FROM messages WHERE stage IN ('delivered', 'expired', 'filtered', 'orphaned') \
                ORDER BY updated_at DESC LIMIT 1 OFFSET $1",
        delete: "DELETE FROM messages WHERE key IN (SELECT key FROM messages WHERE \
                 stage IN ('delivered', 'expired', 'filtered', 'orphaned') AND updated_at <= $1 \
                 ORDER BY updated_at LIMIT +$2)",
    },
    // Final ones stay: they are what a conflicting signature is refused by.
    Table {
        limit: "SELECT signed_at FROM attestations WHERE final_head = 0 \
                ORDER BY signed_at DESC LIMIT 1 OFFSET $1",
        delete: "DELETE FROM attestations WHERE (signer, chain, height, hash) IN (SELECT signer, \
                 chain, height, hash FROM attestations WHERE final_head = 0 AND signed_at <= $1 \
                 ORDER BY signed_at LIMIT +$2)",
    },
];

impl Store {
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
        const WHAT: &str = "pruning";
        let old = now.saturating_sub(millis(age));
        let mut deleted = 0;
        for table in &TABLES {
            let beyond = self.read_one(sql(WHAT, table.limit).bind(count)).await?;
            let limit = beyond.map_or(Ok(0), |row| row.number(0))?.max(old);
            deleted += self.write(sql(WHAT, table.delete).bind(limit).bind(batch)).await?;
        }
        Ok(deleted)
    }
}
