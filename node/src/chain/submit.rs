//! Taking transactions into the mempool, and keeping it in step with the chain.

use std::{collections::BTreeSet, time::Instant};

use alloy_consensus::{TxEnvelope, transaction::Recovered};
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::{Address, B256};
use grid_core::{
    state::Account,
    transition::{self, MAX_TRANSACTION_BYTES, TxReject},
};
use thiserror::Error;

use super::{ChainFailure, GridChain, clients::Loaded, read_parent};
use crate::{mempool::MempoolError, metrics::gauge, store::View};

/// Why a transaction was not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The bytes are not a transaction.
    #[error("not a signed transaction: {0}")]
    Decode(String),
    /// The state refuses it.
    #[error(transparent)]
    Rejected(#[from] TxReject),
    /// The mempool refuses it.
    #[error(transparent)]
    Mempool(#[from] MempoolError),
    /// The chain failed.
    #[error(transparent)]
    Chain(#[from] ChainFailure),
}

impl GridChain {
    /// Checks a transaction in its EIP-2718 encoding and puts it into the mempool.
    ///
    /// # Errors
    /// A [`SubmitError`] saying why it was not taken.
    pub fn submit(&self, raw: &[u8]) -> Result<B256, SubmitError> {
        let result = self.admit(raw);
        match &result {
            Ok(_) => self.mempool_metrics(),
            Err(_) => self.metrics.mempool_refused_total.inc(),
        }
        result
    }

    fn admit(&self, raw: &[u8]) -> Result<B256, SubmitError> {
        let envelope = decode(raw)?;
        if self.mempool.contains(envelope.tx_hash()) {
            return Err(MempoolError::AlreadyKnown(*envelope.tx_hash()).into());
        }
        let signer = transition::signer(&envelope).ok_or(TxReject::Signature)?;
        let transaction = Recovered::new_unchecked(envelope, signer);
        let view = self.store.view().map_err(ChainFailure::from)?;
        let base_fee = transition::next_base_fee(&self.parent(&view)?.header);
        match transition::check(&self.loaded(&view), &transaction, base_fee) {
            // A gap in the nonces closes with a later transaction; the mempool bounds how far.
            Ok(()) | Err(TxReject::NonceTooHigh { .. }) => {}
            Err(TxReject::Storage(error)) => return Err(ChainFailure::from(error).into()),
            Err(reject) => return Err(reject.into()),
        }
        let sender = transaction.signer();
        let account = Account::read(&view, &sender).map_err(ChainFailure::from)?;
        let hash = self.mempool.add(transaction, account)?;
        // A block that was committed meanwhile settled the mempool without this transaction.
        let newer = self.store.view().map_err(ChainFailure::from)?;
        if newer.height() > view.height() {
            self.settle(&newer, base_fee_after(&newer)?, &BTreeSet::from([sender]))?;
        }
        Ok(hash)
    }

    /// Brings the mempool up to a committed block with transactions of `senders`.
    pub(super) fn refresh_mempool(
        &self,
        view: &View,
        base_fee: u64,
        senders: &[Address],
    ) -> Result<(), ChainFailure> {
        self.settle(view, base_fee, &senders.iter().copied().collect())?;
        self.mempool_metrics();
        Ok(())
    }

    /// A snapshot with the light clients that are loaded: a check needs no more time for having many headers.
    const fn loaded<'a>(&'a self, view: &'a View) -> Loaded<'a> {
        Loaded { view, clients: &self.clients }
    }

    fn settle(
        &self,
        view: &View,
        base_fee: u64,
        senders: &BTreeSet<Address>,
    ) -> Result<(), ChainFailure> {
        let account_of = |address: &_| Account::read(view, address);
        let state = self.loaded(view);
        let check = |one: &_| {
            transition::check(&state, one, base_fee).map_or_else(|no| no.is_transient(), |()| true)
        };
        let refused = self.mempool.refresh(Instant::now(), base_fee, senders, account_of, check)?;
        if refused > 0 {
            tracing::debug!(refused, "dropped waiting transactions");
        }
        Ok(())
    }

    fn mempool_metrics(&self) {
        let size = self.mempool.size();
        self.metrics.mempool_transactions.set(gauge(size.count));
        self.metrics.mempool_bytes.set(gauge(size.bytes));
    }
}

/// The base fee of the next block.
pub(super) fn base_fee_after(view: &View) -> Result<u64, ChainFailure> {
    Ok(transition::next_base_fee(&read_parent(view)?.header))
}

/// Reads a transaction in its EIP-2718 encoding, and nothing behind it.
///
/// # Errors
/// [`SubmitError::Decode`], and [`TxReject::Size`] for one that no block takes.
pub fn decode(raw: &[u8]) -> Result<TxEnvelope, SubmitError> {
    if raw.len() > MAX_TRANSACTION_BYTES {
        return Err(TxReject::Size { size: raw.len(), limit: MAX_TRANSACTION_BYTES }.into());
    }
    let mut rest = raw;
    let envelope = TxEnvelope::decode_2718(&mut rest)
        .map_err(|error| SubmitError::Decode(error.to_string()))?;
    if !rest.is_empty() {
        return Err(SubmitError::Decode(format!("{} bytes too many", rest.len())));
    }
    Ok(envelope)
}
