//! Deleting finished work.

use core::time::Duration;

use super::{During as _, Store, StoreError, int, millis};

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
        const STATEMENTS: [&str; 5] = [
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
            // Final ones stay: they are what a conflicting signature is refused by.
            "DELETE FROM attestations WHERE (signer, chain, height, hash) IN (SELECT signer, chain, \
             height, hash FROM attestations WHERE \
             final_head = 0 AND (signed_at <= $1 OR signed_at <= COALESCE((SELECT signed_at FROM \
             attestations WHERE final_head = 0 ORDER BY signed_at DESC LIMIT 1 OFFSET $2), 0)) LIMIT $3)",
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
