//! Gives claimed items their transactions.

use core::sync::atomic::Ordering;

use alloy_primitives::U256;
use grid_core::api::AccountInfo;

use super::{Fees, SubmitError, Submitter, Terms, transaction};
use crate::{
    main_chain::MainError,
    store::{Claim, NewTransaction, StoreError, millis},
};

/// How often nonces are chosen again after another process has taken one of the last.
const MAX_TRIES: u32 = 16;

/// What became of claims.
#[derive(Debug)]
pub struct HandedIn {
    /// So many, from the first on, belong to their nonces now, whether or not the main chain has taken their
    /// transactions already.
    pub count: usize,
    /// Why no transaction of the next one was stored. Its claim and those after it are still the caller's.
    pub stopped: Option<SubmitError>,
}

/// What was stored, and why not more.
type Recorded = (Vec<NewTransaction>, Option<SubmitError>);

impl Submitter {
    /// [`Self::hand_in`], and gives back the claims that got no transaction; returns how many got one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn submit(
        &self,
        claims: &[Claim],
        terms: Terms,
        now: u64,
    ) -> Result<u32, StoreError> {
        let HandedIn { count, stopped } = self.hand_in(claims, terms, now).await;
        let mut left = claims.iter().skip(count);
        if let Some((error, claim)) = stopped.and_then(|error| Some((error, left.next()?))) {
            match error {
                SubmitError::DryRun { .. } => tracing::info!(item = %claim.key, "{error}"),
                _ => tracing::warn!(item = %claim.key, %error, "submission not made"),
            }
            self.give_back(claim, &error, now).await?;
        }
        for claim in left {
            // It builds on the one that failed, or would fail for the same reason.
            self.store.release(claim, false, now, "waits for an earlier item", now).await?;
        }
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Gives claimed items, which build on each other, their transactions and sends these in the same order.
    pub async fn hand_in(&self, claims: &[Claim], terms: Terms, now: u64) -> HandedIn {
        self.set_terms(terms);
        let (new, stopped) = match self.record(claims, terms, now).await {
            Ok(recorded) => recorded,
            Err(error) => return HandedIn { count: 0, stopped: Some(error) },
        };
        for claim in claims.iter().take(new.len()).filter(|claim| claim.kind.has_headers()) {
            let headers = self.metrics.headers.with_label_values(&[claim.chain.as_str()]);
            headers.inc_by(claim.headers());
        }
        if let Err(error) = self.send_all(&new, now).await {
            tracing::warn!(%error, "sendings not counted, they may be repeated");
        }
        HandedIn { count: new.len(), stopped }
    }

    /// Signs and stores the transactions of as many claims as the account can pay.
    async fn record(
        &self,
        claims: &[Claim],
        terms: Terms,
        now: u64,
    ) -> Result<Recorded, SubmitError> {
        let fees = Fees::new(terms.base_fee, self.config.priority_fee);
        let _gate = self.gate.lock().await;
        let account = self.main.account(&self.address()).await?;
        let (mut claims, mut stopped) = self.paid(claims, fees, &account);
        let mut tries = 0;
        while let Some(first) = claims.first() {
            // Below the pending nonce a stranger's transactions wait.
            let floor = account.nonce.max(account.pending_nonce);
            let nonces = self.store.free_nonces(&self.address(), floor, claims.len()).await?;
            if self.config.dry_run {
                let gas_limit = gas_limit(first);
                let (nonce, cost) =
                    (nonces.first().copied().unwrap_or(floor), fees.most(gas_limit));
                return Err(SubmitError::DryRun { nonce, gas_limit, cost });
            }
            let sign = |(claim, nonce): (&Claim, &u64)| {
                let call = Some((claim.kind, claim.payload.clone()));
                self.sign(terms.chain_id, *nonce, gas_limit(claim), fees, call)
            };
            let new = claims.iter().zip(&nonces).map(sign).collect::<Result<Vec<_>, _>>()?;
            #[cfg(any(test, feature = "sim"))]
            if crate::sim::planted(crate::sim::Plant::EffectBeforeRow) {
                for new in &new {
                    let _ = self.main.send(&new.raw).await;
                }
            }
            let rows: Vec<_> = claims.iter().map(Some).zip(&new).collect();
            match self.store.record_transactions(&rows, now).await {
                Ok(()) => {
                    let count = u32::try_from(new.len()).unwrap_or(u32::MAX);
                    self.open.fetch_add(count, Ordering::Relaxed);
                    return Ok((new, stopped));
                }
                // Another process with the same key was faster.
                Err(StoreError::NonceTaken(_)) if tries < MAX_TRIES => tries += 1,
                Err(StoreError::LeaseLost(key)) => {
                    let lost = claims.iter().position(|claim| claim.key == key).unwrap_or(0);
                    claims = claims.get(..lost).unwrap_or_default();
                    stopped = Some(StoreError::LeaseLost(key).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok((Vec::new(), stopped))
    }

    /// The claims that the account can pay together, from the first on, and why not all.
    fn paid<'a>(
        &self,
        claims: &'a [Claim],
        fees: Fees,
        account: &AccountInfo,
    ) -> (&'a [Claim], Option<SubmitError>) {
        let mut cost = U256::ZERO;
        for (number, claim) in claims.iter().enumerate() {
            cost = cost.saturating_add(fees.most(gas_limit(claim)));
            if account.balance < cost {
                let (address, balance) = (self.address(), account.balance);
                let paid = claims.get(..number).unwrap_or_default();
                return (paid, Some(SubmitError::Funds { address, balance, cost }));
            }
        }
        (claims, None)
    }

    /// Sends stored transactions, until the main chain does not answer: the rest is sent with the next look at
    /// open transactions.
    async fn send_all(&self, new: &[NewTransaction], now: u64) -> Result<(), StoreError> {
        let mut sent = Vec::with_capacity(new.len());
        for new in new {
            sent.push(new.hash);
            match self.offer(&new.raw).await {
                Ok(()) => {}
                Err(error @ MainError::Refused { .. }) => {
                    tracing::debug!(hash = %new.hash, %error, "not taken at once, will be sent again");
                }
                Err(error) => {
                    tracing::debug!(hash = %new.hash, %error, "not sent, will be sent again");
                    break;
                }
            }
        }
        self.store.sent(&sent, now).await
    }

    /// Gives a claim back for which [`Self::hand_in`] stored no transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn give_back(
        &self,
        claim: &Claim,
        error: &SubmitError,
        now: u64,
    ) -> Result<(), StoreError> {
        if matches!(error, SubmitError::Store(StoreError::LeaseLost(_))) {
            return Ok(());
        }
        let failed = matches!(error, SubmitError::Sign(_));
        let next_at = if self.config.dry_run {
            now.saturating_add(millis(super::ITEM_MAX_BACKOFF))
        } else {
            self.retry_at(&claim.key, claim.attempt + 1, now)
        };
        self.store.release(claim, failed, next_at, &error.to_string(), now).await
    }
}

fn gas_limit(claim: &Claim) -> u64 {
    transaction::gas_limit(claim.kind, &claim.payload, claim.headers())
}
