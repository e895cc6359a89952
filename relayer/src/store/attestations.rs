//! The signing journal: which headers this relayer has attested.

use alloy_primitives::{Address, B256};
use grid_core::{ChainId, api::BlockRef};

use super::{Store, StoreError, db::sql};

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
        match self.try_journal(signer, chain, block, final_head, now).await {
            // Another process with the same key was faster; its header is there now.
            Err(error) if error.is_duplicate() => {
                self.try_journal(signer, chain, block, final_head, now).await
            }
            outcome => outcome,
        }
    }

    async fn try_journal(
        &self,
        signer: &Address,
        chain: &ChainId,
        block: BlockRef,
        final_head: bool,
        now: u64,
    ) -> Result<Journaled, StoreError> {
        const WHAT: &str = "journaling an attestation";
        let mut tx = self.begin().await?;
        let other = sql(
            WHAT,
            "SELECT hash FROM attestations WHERE signer = $1 AND chain = $2 AND height = $3 \
             AND hash <> $4 AND final_head = 1 LIMIT 1",
        )
        .bind(signer)
        .bind(chain.as_str())
        .bind(block.height)
        .bind(&block.hash);
        if let Some(row) = tx.row(other).await? {
            return Ok(Journaled::Conflict(row.hash(0, "an attested hash")?));
        }
        let insert = sql(
            WHAT,
            "INSERT INTO attestations (signer, chain, height, hash, final_head, signed_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (signer, chain, height, hash) DO UPDATE SET \
             final_head = CASE WHEN excluded.final_head = 1 THEN 1 ELSE attestations.final_head END",
        )
        .bind(signer)
        .bind(chain.as_str())
        .bind(block.height)
        .bind(&block.hash)
        .bind(final_head)
        .bind(now);
        tx.run(insert).await?;
        tx.commit().await?;
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
        let found = sql(
            "reading the signing journal",
            "SELECT height FROM attestations WHERE signer = $1 AND chain = $2 AND height = $3 AND hash = $4",
        )
        .bind(signer)
        .bind(chain.as_str())
        .bind(block.height)
        .bind(&block.hash);
        Ok(self.read_one(found).await?.is_some())
    }
}
