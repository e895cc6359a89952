//! Times that a wrong clock has written.

use core::time::Duration;

use super::{Store, StoreError, db::sql, millis};

/// Times up to so far ahead are left: leases and pauses end within it.
const AHEAD: Duration = Duration::from_secs(120);

/// Items that are corrected between two looks.
const AT_ONCE: u32 = 500;

impl Store {
    /// Brings times that lie in the future back to now: a clock that was ahead wrote them, and without this their
    /// pauses, leases and resends would last until it is really so late. For the start of a process; nobody has to
    /// wait for it, since looking for such items holds up no writer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_future(&self, now: u64) -> Result<(), StoreError> {
        const WHAT: &str = "correcting times";
        let latest = now.saturating_add(millis(AHEAD));
        let chains = "UPDATE chains SET next_at = $1, updated_at = $1 WHERE next_at > $2";
        self.write(sql(WHAT, chains).bind(now).bind(latest)).await?;
        let transactions = "UPDATE transactions SET \
             sent_at = CASE WHEN sent_at > $1 THEN $1 ELSE sent_at END, \
             created_at = CASE WHEN created_at > $1 THEN $1 ELSE created_at END \
             WHERE hash IN (SELECT t.hash FROM nonces n JOIN transactions t ON t.signer = n.signer \
             AND t.nonce = n.nonce WHERE n.state = 'live' AND t.outcome = 'live' \
             AND (t.created_at > $2 OR t.sent_at > $2))";
        self.write(sql(WHAT, transactions).bind(now).bind(latest)).await?;
        loop {
            let ahead = "SELECT key FROM items WHERE \
                 stage IN ('planned', 'sent', 'included', 'parked') AND updated_at > $1 LIMIT +$2";
            let rows = self.read(sql(WHAT, ahead).bind(latest).bind(AT_ONCE)).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                let item = "UPDATE items SET lease_owner = NULL, lease_until = 0, next_at = $1, \
                     updated_at = $1, created_at = CASE WHEN created_at > $1 THEN $1 ELSE created_at END \
                     WHERE key = $2";
                self.write(sql(WHAT, item).bind(now).bind(row.text(0)?)).await?;
            }
        }
    }
}
