//! Taking a transaction into the mempool.

use alloy_consensus::{TxEnvelope, transaction::SignerRecoverable as _};
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::B256;
use grid_core::{
    state::Account,
    transition::{self, MAX_TRANSACTION_BYTES, TxReject},
};
use thiserror::Error;

use super::{ChainFailure, GridChain, read_parent};
use crate::mempool::MempoolError;

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
            Ok(_) => {
                self.mempool_metrics();
                self.work.notify_one();
            }
            Err(_) => self.metrics.mempool_refused_total.inc(),
        }
        result
    }

    fn admit(&self, raw: &[u8]) -> Result<B256, SubmitError> {
        if raw.len() > MAX_TRANSACTION_BYTES {
            return Err(TxReject::Size { size: raw.len(), limit: MAX_TRANSACTION_BYTES }.into());
        }
        let mut rest = raw;
        let envelope = TxEnvelope::decode_2718(&mut rest)
            .map_err(|error| SubmitError::Decode(error.to_string()))?;
        if !rest.is_empty() {
            return Err(SubmitError::Decode(format!("{} bytes too many", rest.len())));
        }
        if self.mempool.get(envelope.tx_hash()).is_some() {
            return Err(MempoolError::AlreadyKnown(*envelope.tx_hash()).into());
        }
        let transaction = envelope.try_into_recovered().map_err(|_| TxReject::Signature)?;
        let view = self.store.view().map_err(ChainFailure::from)?;
        let parent = read_parent(&view)?;
        let base_fee = transition::next_base_fee(&parent.header);
        match transition::check(&view, &transaction, base_fee) {
            // A gap in the nonces closes with a later transaction; the mempool bounds how far.
            Ok(()) | Err(TxReject::NonceTooHigh { .. }) => {}
            Err(TxReject::Storage(error)) => return Err(ChainFailure::from(error).into()),
            Err(reject) => return Err(reject.into()),
        }
        let account = Account::read(&view, &transaction.signer()).map_err(ChainFailure::from)?;
        Ok(self.mempool.add(transaction, account.nonce)?)
    }
}
