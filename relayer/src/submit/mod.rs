//! The one owner of the submitting key's nonces.
//!
//! A transaction is signed, stored and only then sent. Whatever happens in between, [`Submitter::settle`]
//! finds its row and brings it to an end: it sends again what the main chain does not have, replaces
//! what is stuck, fills nonces that nobody owns below an open transaction, and gives up rows that the
//! main chain has passed. It compares rows with the account on every look, so a restart, a restored
//! database or a main chain that was set back need no code of their own.

mod hand_in;
mod orphans;
mod settle;
#[cfg(test)]
mod tests;
mod transaction;

use core::{sync::atomic::Ordering, time::Duration};
use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

use alloy_primitives::{Address, Bytes};
use alloy_signer_local::PrivateKeySigner;
use grid_core::ChainId;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::{
    config::SubmitConfig,
    main_chain::{MainChain, MainError, Refusal},
    metrics::{Metrics, Place},
    status::{Board, WalletStatus},
    store::{Kind, LiveNonce, NewTransaction, Store, StoreError, millis},
};

pub use hand_in::HandedIn;
pub use transaction::{Fees, SignError};

/// Most transactions of the key that may be open at once. A main chain's mempool takes 256 of a sender; beyond that
/// they would only be refused and sent again.
const MAX_OPEN: u32 = 192;

/// First pause of an item after a refusal.
const ITEM_BACKOFF: Duration = Duration::from_secs(1);

/// Longest pause of an item.
const ITEM_MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Why a submission did not get its row.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The main chain failed.
    #[error(transparent)]
    Main(#[from] MainError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key cannot sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The key cannot pay.
    #[error(
        "the submitting account {address} has {balance}, the submission may cost {cost}; fund it"
    )]
    Funds {
        /// The account.
        address: Address,
        /// Its balance.
        balance: alloy_primitives::U256,
        /// Gas limit times fee cap.
        cost: alloy_primitives::U256,
    },
    /// It would have been signed now.
    #[error(
        "dry run: a transaction with nonce {nonce}, {gas_limit} gas and a cost of at most {} GRID would be sent",
        alloy_primitives::utils::format_ether(*cost)
    )]
    DryRun {
        /// Its nonce.
        nonce: u64,
        /// Its gas limit.
        gas_limit: u64,
        /// Gas limit times fee cap.
        cost: alloy_primitives::U256,
    },
}

/// Prices and chain of a submission, from the main chain's newest block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Number in `eip155:<n>`.
    pub chain_id: u64,
    /// Fee per gas that the next block asks.
    pub base_fee: u128,
}

/// Signs, stores, sends and settles.
pub struct Submitter {
    main: Arc<dyn MainChain>,
    store: Store,
    signer: PrivateKeySigner,
    config: SubmitConfig,
    metrics: Arc<Metrics>,
    board: Board,
    /// One nonce is chosen at a time; also keeps since when the account has a gap.
    gate: Mutex<Option<u64>>,
    /// The newest terms; replacements and fillers need them between two rounds.
    terms: std::sync::Mutex<Option<Terms>>,
    /// When the wallet was last looked at.
    looked: std::sync::atomic::AtomicU64,
    /// When it was last asked whether other keys have open transactions that nobody looks after.
    orphans_looked: std::sync::atomic::AtomicU64,
    /// Open transactions: those of the last look, and those signed since.
    open: std::sync::atomic::AtomicU32,
    /// Chains with transactions that have come to an end since somebody asked.
    ended: std::sync::Mutex<BTreeSet<ChainId>>,
}

impl core::fmt::Debug for Submitter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Submitter").field("address", &self.address()).finish_non_exhaustive()
    }
}

impl Submitter {
    /// An owner for this key. Several processes with one key take turns at its nonces.
    #[must_use]
    pub fn new(
        main: Arc<dyn MainChain>,
        store: Store,
        signer: PrivateKeySigner,
        config: SubmitConfig,
        metrics: Arc<Metrics>,
        board: Board,
    ) -> Self {
        board.wallet_seen(WalletStatus { address: signer.address(), ..WalletStatus::default() });
        Self {
            main,
            store,
            signer,
            config,
            metrics,
            board,
            gate: Mutex::new(None),
            terms: std::sync::Mutex::new(None),
            looked: 0.into(),
            orphans_looked: 0.into(),
            open: 0.into(),
            ended: std::sync::Mutex::default(),
        }
    }

    /// The submitting account.
    #[must_use]
    pub fn address(&self) -> Address {
        self.signer.address()
    }

    /// How many more transactions may be open now.
    #[must_use]
    pub fn room(&self) -> u32 {
        MAX_OPEN.saturating_sub(self.open.load(Ordering::Relaxed))
    }

    /// The chains with transactions that [`Self::settle`] has brought to an end since this was last asked, also
    /// where it failed half-way.
    #[must_use]
    pub fn take_ended(&self) -> BTreeSet<ChainId> {
        core::mem::take(&mut self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ended(&self, row: &LiveNonce) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).extend(row.chain.clone());
    }

    /// The newest prices.
    pub fn set_terms(&self, terms: Terms) {
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner) = Some(terms);
    }

    fn terms(&self) -> Option<Terms> {
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs an item's call, or with no call a transaction that does nothing.
    fn sign(
        &self,
        chain_id: u64,
        nonce: u64,
        gas_limit: u64,
        fees: Fees,
        call: Option<(Kind, Bytes)>,
    ) -> Result<NewTransaction, SignError> {
        transaction::sign(&self.signer, chain_id, nonce, gas_limit, fees, call)
    }

    /// Sends a stored transaction.
    async fn send(
        &self,
        hash: &alloy_primitives::B256,
        raw: &Bytes,
        now: u64,
    ) -> Result<(), SubmitError> {
        let sent = self.offer(raw).await;
        self.store.sent(&[*hash], now).await?;
        Ok(sent?)
    }

    /// Offers a transaction to the main chain.
    async fn offer(&self, raw: &Bytes) -> Result<(), MainError> {
        let taken = self.main.send(raw).await;
        if let Err(error) = &taken {
            match error {
                MainError::Refused { refusal, .. } => {
                    self.metrics.submission(refusal.label());
                    if *refusal == Refusal::Unclassified {
                        self.metrics.unclassified(Place::Refusal);
                    }
                }
                other => self.metrics.main_errors.with_label_values(&[other.label()]).inc(),
            }
        }
        taken
    }

    /// When an item may be tried again after so many failures.
    fn retry_at(&self, key: &str, failures: u64, now: u64) -> u64 {
        let pause = crate::clock::backoff(ITEM_BACKOFF, ITEM_MAX_BACKOFF, failures, key);
        now.saturating_add(millis(pause))
    }
}
