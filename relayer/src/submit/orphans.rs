//! Transactions of relayers that are gone.
//!
//! Their signed bytes are in the rows, so whoever shares the database can bring them to an end, without the key.
//! What cannot be brought to an end in time (a gap in front of it, a fee too low) is planned again and
//! goes with the key of whoever takes it up. Should both get through after all, the main chain refuses the
//! second.

use core::sync::atomic::Ordering;

use alloy_primitives::Address;
use grid_core::api::AccountInfo;

use super::{SubmitError, Submitter, settle::Settled};
use crate::{
    main_chain::{MainError, Refusal},
    store::{LiveNonce, Retry, millis},
};

/// Time between two looks for such transactions, in milliseconds.
const LOOK: u64 = 2_000;

impl Submitter {
    /// Takes every open transaction of a key whose relayer is gone one step further.
    pub(super) async fn settle_orphans(
        &self,
        now: u64,
        settled: &mut Settled,
    ) -> Result<(), SubmitError> {
        if now.saturating_sub(self.orphans_looked.load(Ordering::Relaxed)) < LOOK {
            return Ok(());
        }
        for signer in self.store.orphans(&self.address(), now).await? {
            let account = self.main.account(&signer).await?;
            let live = self.store.live(&signer).await?;
            let (used, open) = live.split_at(live.partition_point(|row| row.nonce < account.nonce));
            self.used(&signer, used, now, settled).await?;
            for row in open {
                self.carry(&signer, row, &account, now).await?;
            }
        }
        self.orphans_looked.store(now, Ordering::Relaxed);
        Ok(())
    }

    /// Sends a transaction again that the main chain does not have, as long as it is worth while.
    async fn carry(
        &self,
        signer: &Address,
        row: &LiveNonce,
        account: &AccountInfo,
        now: u64,
    ) -> Result<(), SubmitError> {
        let late = |created: u64| now.saturating_sub(created) >= millis(self.config.replace_after);
        let Some(newest) = row.transactions.last().filter(|newest| !late(newest.created_at)) else {
            return self.give_up(signer, row, "its relayer is gone", now).await;
        };
        let pause = now.saturating_sub(newest.sent_at);
        let waits = newest.sends > 0 && pause < millis(self.config.resend_after);
        if waits || account.pending_nonce > row.nonce {
            return Ok(());
        }
        let Some(raw) = self.store.raw_transaction(&newest.hash).await? else { return Ok(()) };
        self.metrics.submission("resent");
        let next = row.nonce == account.nonce;
        match self.send(&newest.hash, &raw, now).await {
            Err(SubmitError::Main(MainError::Refused { refusal, message })) => match refusal {
                // One behind others may be refused because of them: only the first is judged.
                Refusal::AlreadyKnown if next => {
                    self.metrics.submission("known");
                    self.store.settle_known(signer, row, &message, now).await?;
                    self.ended(row);
                    Ok(())
                }
                Refusal::Invalid if next => self.give_up(signer, row, &message, now).await,
                _ => Ok(()),
            },
            sent => sent,
        }
    }

    /// Plans the item again. It is not to blame.
    async fn give_up(
        &self,
        signer: &Address,
        row: &LiveNonce,
        reason: &str,
        now: u64,
    ) -> Result<(), SubmitError> {
        tracing::info!(%signer, nonce = row.nonce, reason, "planning again what a relayer left behind");
        self.metrics.submission("lost");
        let retry = Retry { reason, next_at: now, counts: false, park: false };
        self.plan_again(signer, row, None, retry, now).await
    }
}
