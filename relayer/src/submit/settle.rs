//! Brings every open transaction to an end.

use core::sync::atomic::Ordering;

use alloy_primitives::{Address, B256};
use futures::future::join_all;
use grid_core::api::AccountInfo;

use super::{
    Fees, SubmitError, Submitter,
    transaction::{IDLE_GAS, gas_limit},
};
use crate::{
    main_chain::{MainError, Receipt, Refusal},
    status::WalletStatus,
    store::{Inclusion, LiveNonce, Retry, StoreError, TransactionRow, millis},
};

/// Gaps up to this length are filled with transactions that do nothing. A longer one means that the main
/// chain was set back: the rows above it are signed anew instead.
const MAX_FILLED: usize = 16;

/// Receipts that are asked for at the same time, and settled together.
const RECEIPTS: usize = 16;

/// The wallet is looked at this often while nothing is open, in milliseconds.
const WALLET_LOOK: u64 = 10_000;

/// What a look at the open transactions did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Executed with success.
    pub included: u32,
    /// Executed without, or given up.
    pub failed: u32,
    /// Still open.
    pub open: u32,
}

/// What is shown of the submitting account.
const fn wallet(address: Address, account: &AccountInfo, open: u32, gap: u64) -> WalletStatus {
    WalletStatus { address, balance: account.balance, nonce: account.nonce, live: open as u64, gap }
}

impl Submitter {
    /// Compares the open rows with the account and takes each one step further.
    ///
    /// # Errors
    /// When the main chain or the database fails; what was done until then stays done.
    pub async fn settle(&self, now: u64) -> Result<Settled, SubmitError> {
        let address = self.address();
        let mut settled = Settled::default();
        if !self.config.dry_run
            && let Err(error) = self.settle_orphans(now, &mut settled).await
        {
            tracing::warn!(%error, "transactions of other relayers not settled");
        }
        let live = self.store.live(&address).await?;
        self.open.store(u32::try_from(live.len()).unwrap_or(u32::MAX), Ordering::Relaxed);
        let looked = self.looked.load(Ordering::Relaxed);
        if live.is_empty() && now.saturating_sub(looked) < WALLET_LOOK {
            return Ok(settled);
        }
        let account = self.main.account(&address).await?;
        self.looked.store(now, Ordering::Relaxed);
        if self.config.dry_run {
            settled.open = u32::try_from(live.len()).unwrap_or(u32::MAX);
            self.board.wallet_seen(wallet(address, &account, settled.open, 0));
            return Ok(settled);
        }
        // The lowest come first.
        let (used, open) = live.split_at(live.partition_point(|row| row.nonce < account.nonce));
        self.used(&address, used, now, &mut settled).await?;
        for row in open {
            settled.open += 1;
            self.push(row, &account, now, &mut settled).await?;
        }
        let gap = self.mend(&account, now).await?;
        self.board.wallet_seen(wallet(address, &account, settled.open, gap));
        Ok(settled)
    }

    /// These nonces were used: by which transactions, and with what success?
    pub(super) async fn used(
        &self,
        signer: &Address,
        rows: &[LiveNonce],
        now: u64,
        settled: &mut Settled,
    ) -> Result<(), SubmitError> {
        for rows in rows.chunks(RECEIPTS) {
            let receipts = join_all(rows.iter().map(|row| self.receipt(row))).await;
            let (mut included, mut failure) = (Vec::new(), None);
            for (live, found) in rows.iter().zip(receipts) {
                match found {
                    Ok(Some((hash, receipt))) if receipt.success => {
                        included.push(Inclusion { live, hash, block: receipt.block });
                    }
                    Ok(reverted) => self.in_vain(signer, live, reverted, now, settled).await?,
                    Err(error) => failure = Some(error),
                }
            }
            if !included.is_empty() {
                self.store.settle_all_included(signer, &included, now).await?;
            }
            for Inclusion { live, .. } in included {
                self.ended(live);
                self.metrics.submission("included");
                settled.included += 1;
            }
            if let Some(error) = failure {
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The receipt of the transaction that used a nonce, where it is one of ours.
    async fn receipt(&self, row: &LiveNonce) -> Result<Option<(B256, Receipt)>, MainError> {
        for candidate in row.transactions.iter().rev() {
            if let Some(receipt) = self.main.receipt(&candidate.hash).await? {
                return Ok(Some((candidate.hash, receipt)));
            }
        }
        Ok(None)
    }

    /// The nonce was used and the item's content did not get through with it.
    async fn in_vain(
        &self,
        signer: &Address,
        row: &LiveNonce,
        reverted: Option<(B256, Receipt)>,
        now: u64,
        settled: &mut Settled,
    ) -> Result<(), SubmitError> {
        settled.failed += 1;
        if let Some((hash, receipt)) = reverted {
            let reason = format!("transaction {hash} in block {} reverted", receipt.block);
            return self.failed(signer, row, Some(&hash), &reason, now).await;
        }
        // Another transaction of this key took the nonce. The item itself is not to blame.
        let reason = format!("nonce {} was used by another transaction", row.nonce);
        self.metrics.submission("lost");
        let retry = Retry { reason: &reason, next_at: now, counts: false, park: false };
        self.plan_again(signer, row, None, retry, now).await
    }

    /// The nonce is open: is its transaction on its way?
    async fn push(
        &self,
        row: &LiveNonce,
        account: &AccountInfo,
        now: u64,
        settled: &mut Settled,
    ) -> Result<(), SubmitError> {
        let Some(newest) = row.transactions.last() else {
            // No version of this program stores a nonce without its transaction.
            let retry = Retry {
                reason: "transaction is missing",
                next_at: now,
                counts: false,
                park: false,
            };
            return self.plan_again(&self.address(), row, None, retry, now).await;
        };
        let next = row.nonce == account.nonce;
        if account.pending_nonce > row.nonce {
            let stuck = now.saturating_sub(newest.created_at) >= millis(self.config.replace_after);
            if next && stuck {
                self.replace(row, newest, now).await?;
            }
            return Ok(());
        }
        let pause = now.saturating_sub(newest.sent_at);
        if newest.sends > 0 && pause < millis(self.config.resend_after) {
            return Ok(());
        }
        let Some(raw) = self.store.raw_transaction(&newest.hash).await? else { return Ok(()) };
        self.metrics.submission("resent");
        match self.send(&newest.hash, &raw, now).await {
            Ok(()) => Ok(()),
            // One behind others may be refused because of them: only the first is judged.
            Err(SubmitError::Main(MainError::Refused { refusal, message })) if next => {
                self.refused(row, newest, refusal, &message, now, settled).await
            }
            Err(SubmitError::Main(MainError::Refused { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn refused(
        &self,
        row: &LiveNonce,
        newest: &TransactionRow,
        refusal: Refusal,
        message: &str,
        now: u64,
        settled: &mut Settled,
    ) -> Result<(), SubmitError> {
        match refusal {
            Refusal::AlreadyKnown => {
                self.metrics.submission("known");
                self.store.settle_known(&self.address(), row, message, now).await?;
                self.ended(row);
                settled.included += 1;
                settled.open = settled.open.saturating_sub(1);
                Ok(())
            }
            Refusal::Invalid => {
                settled.failed += 1;
                settled.open = settled.open.saturating_sub(1);
                self.failed(&self.address(), row, None, message, now).await
            }
            Refusal::FeeTooLow => self.replace(row, newest, now).await,
            // The next look will see the used nonce, the money or the room.
            _ => Ok(()),
        }
    }

    /// The item did not get through: another attempt later, or out of the way.
    pub(super) async fn failed(
        &self,
        signer: &Address,
        row: &LiveNonce,
        failed: Option<&B256>,
        reason: &str,
        now: u64,
    ) -> Result<(), SubmitError> {
        let (mut next_at, mut park) = (now, false);
        if let Some(key) = &row.item {
            let attempt = self.store.item(key).await?.map_or(0, |item| item.attempt) + 1;
            park = attempt >= self.config.max_attempts;
            next_at = self.retry_at(key, attempt, now);
            tracing::warn!(item = %key, attempt, park, reason, "submission failed");
        }
        self.metrics.submission(if park { "parked" } else { "failed" });
        let retry = Retry { reason, next_at, counts: true, park };
        self.plan_again(signer, row, failed, retry, now).await
    }

    /// Closes a nonce whose item did not get through with it.
    pub(super) async fn plan_again(
        &self,
        signer: &Address,
        row: &LiveNonce,
        failed: Option<&B256>,
        retry: Retry<'_>,
        now: u64,
    ) -> Result<(), SubmitError> {
        self.store.settle_failed(signer, row, failed, retry, now).await?;
        self.ended(row);
        Ok(())
    }

    /// Signs the same content with higher fees.
    async fn replace(
        &self,
        row: &LiveNonce,
        newest: &TransactionRow,
        now: u64,
    ) -> Result<(), SubmitError> {
        let Some(terms) = self.terms() else { return Ok(()) };
        let old = Fees { max: newest.max_fee, priority: newest.priority_fee };
        let fees = old.raised(terms.base_fee);
        let (call, gas) = match &row.item {
            None => (None, IDLE_GAS),
            Some(key) => {
                let Some(item) = self.store.item(key).await? else { return Ok(()) };
                let Some(payload) = self.store.payload(key).await? else { return Ok(()) };
                let headers = item.last.height.saturating_sub(item.from).saturating_add(1);
                let gas = gas_limit(item.kind, &payload, headers);
                (Some((item.kind, payload)), gas)
            }
        };
        let new = self.sign(terms.chain_id, row.nonce, gas, fees, call)?;
        match self.store.replace_transaction(row.item.as_deref(), &new, now).await {
            // Another process with the same key has settled it meanwhile.
            Err(StoreError::NonceTaken(_)) => return Ok(()),
            stored => stored?,
        }
        self.metrics.submission("replaced");
        match self.send(&new.hash, &new.raw, now).await {
            Ok(()) | Err(SubmitError::Main(MainError::Refused { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Fills nonces that nobody owns below an open transaction, once they have stayed open for a while:
    /// new work takes them first. Returns how many there are.
    async fn mend(&self, account: &AccountInfo, now: u64) -> Result<u64, SubmitError> {
        let mut since = self.gate.lock().await;
        let live = self.store.live(&self.address()).await?;
        let missing = missing(&live, account);
        #[cfg(any(test, feature = "sim"))]
        let missing = if crate::sim::planted(crate::sim::Plant::NoNonceRepair) {
            Vec::new()
        } else {
            missing
        };
        if missing.is_empty() {
            *since = None;
            return Ok(0);
        }
        let length = u64::try_from(missing.len()).unwrap_or(u64::MAX);
        let first_seen = *since.get_or_insert(now);
        if now.saturating_sub(first_seen) < millis(self.config.resend_after) {
            return Ok(length);
        }
        *since = None;
        if missing.len() > MAX_FILLED {
            tracing::warn!(
                nonce = account.nonce,
                gap = length,
                "the main chain is far behind the stored nonces, signing open work anew"
            );
            for row in live.iter().filter(|row| row.nonce > account.nonce) {
                let reason = "the main chain was set back";
                let retry = Retry { reason, next_at: now, counts: false, park: false };
                self.plan_again(&self.address(), row, None, retry, now).await?;
                self.metrics.submission("lost");
            }
            return Ok(0);
        }
        let Some(terms) = self.terms() else { return Ok(length) };
        for nonce in missing {
            let fees = Fees::new(terms.base_fee, self.config.priority_fee);
            let new = self.sign(terms.chain_id, nonce, IDLE_GAS, fees, None)?;
            match self.store.record_transaction(None, &new, now).await {
                // Another process with the same key fills it.
                Err(StoreError::NonceTaken(_)) => continue,
                stored => stored?,
            }
            match self.send(&new.hash, &new.raw, now).await {
                Ok(()) | Err(SubmitError::Main(MainError::Refused { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(0)
    }
}

/// Nonces from the account's on that neither a row nor the mempool has, below the highest open row. Stops
/// one above [`MAX_FILLED`]: more is not looked at.
fn missing(live: &[LiveNonce], account: &AccountInfo) -> Vec<u64> {
    let Some(highest) = live.iter().map(|row| row.nonce).max() else { return Vec::new() };
    let first = account.nonce.max(account.pending_nonce);
    (first..highest)
        .filter(|nonce| live.iter().all(|row| row.nonce != *nonce))
        .take(MAX_FILLED + 1)
        .collect()
}
