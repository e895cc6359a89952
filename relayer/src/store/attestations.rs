//! The signing journal: which headers this relayer has attested.

use alloy_primitives::{Address, B256};
use grid_core::{ChainId, api::BlockRef};
use sqlx::Row;

use super::{During as _, Store, StoreError, hash, int};

/// What the journal says to a signature that is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journaled {
    /// It is written down: sign.
    Sign,
    /// Another header of this height was signed as final: do not.
    Conflict(B256),
}

impl Store {
    /// Writes down that `signer` attests `block`, unless another header of that height was attested as
    /// final. `final_head` says whether this one is followed as final.
    ///
    /// # Errors
    /// When the database fails; nothing may be signed then.
    pub async fn journal(
        &self,
        signer: &Address,
        chain: &ChainId,
        block: BlockRef,
        final_head: bool,
        now: u64,
    ) -> Result<Journaled, StoreError> {
        const WHAT: &str = "journaling an attestation";
        let mut transaction = self.begin().await?;
        let other = sqlx::query(
            "SELECT hash FROM attestations WHERE signer = $1 AND chain = $2 AND height = $3 \
             AND hash <> $4 AND final_head = 1 LIMIT 1",
        )
        .bind(signer.as_slice())
        .bind(chain.as_str())
        .bind(int(block.height))
        .bind(block.hash.as_slice())
        .fetch_optional(&mut *transaction)
        .await
        .during(WHAT)?;
        if let Some(row) = other {
            let bytes: Vec<u8> = row.try_get(0).during(WHAT)?;
            return Ok(Journaled::Conflict(hash("an attested hash", &bytes)?));
        }
        sqlx::query(
            "INSERT INTO attestations (signer, chain, height, hash, final_head, signed_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (signer, chain, height, hash) DO UPDATE SET \
             final_head = MAX(final_head, excluded.final_head)",
        )
        .bind(signer.as_slice())
        .bind(chain.as_str())
        .bind(int(block.height))
        .bind(block.hash.as_slice())
        .bind(i64::from(final_head))
        .bind(int(now))
        .execute(&mut *transaction)
        .await
        .during(WHAT)?;
        transaction.commit().await.during(WHAT)?;
        Ok(Journaled::Sign)
    }

    /// Whether `signer` has attested `block` already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_attested(
        &self,
        signer: &Address,
        chain: &ChainId,
        block: BlockRef,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT 1 FROM attestations WHERE signer = $1 AND chain = $2 AND height = $3 AND hash = $4",
        )
        .bind(signer.as_slice())
        .bind(chain.as_str())
        .bind(int(block.height))
        .bind(block.hash.as_slice())
        .fetch_optional(self.reader())
        .await
        .during("reading the signing journal")?;
        Ok(row.is_some())
    }
}
