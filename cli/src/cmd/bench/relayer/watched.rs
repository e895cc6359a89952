//! The main chain as the relayer sees it, with a note of what is handed in when.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use alloy_consensus::{Transaction as _, TxEnvelope};
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolCall as _;
use async_trait::async_trait;
use grid_core::{
    ChainId,
    api::{AccountInfo, Locator},
    ethereum::header::decode_header,
    modules::abi::LightClients::submitAttestedHeadersCall,
};
use grid_relayer::{MainChain, MainError, MainView, Receipt};

/// A submission: its first height, and the main chain's height when it was handed in first.
pub(super) type Submitted = HashMap<B256, Vec<(u64, u64)>>;

/// [`MainChain`], watched.
pub(super) struct Watched<M> {
    pub(super) main: M,
    /// Height of the main chain's newest block.
    pub(super) height: Box<dyn Fn() -> u64 + Send + Sync>,
    /// Chain's key → submissions, ascending by the height of their first header.
    pub(super) submitted: Mutex<Submitted>,
}

impl<M> Watched<M> {
    fn note(&self, raw: &Bytes) -> Option<()> {
        let transaction = TxEnvelope::decode_2718(&mut raw.as_ref()).ok()?;
        let call = submitAttestedHeadersCall::abi_decode(transaction.input()).ok()?;
        let first = decode_header(call.headers.first()?).ok()?.header.number;
        let now = (self.height)();
        let mut submitted = self.submitted.lock().unwrap_or_else(PoisonError::into_inner);
        let chain = submitted.entry(call.chain).or_default();
        if let Err(at) = chain.binary_search_by_key(&first, |(first, _)| *first) {
            chain.insert(at, (first, now));
        }
        Some(())
    }

    /// How many different submissions there were.
    pub(super) fn submissions(&self) -> u64 {
        let submitted = self.submitted.lock().unwrap_or_else(PoisonError::into_inner);
        submitted.values().map(|chain| chain.len() as u64).sum()
    }

    /// The main chain's height when the header of a chain was handed in; `None` where it was not.
    pub(super) fn submitted_at(&self, chain: &B256, height: u64) -> Option<u64> {
        let submitted = self.submitted.lock().unwrap_or_else(PoisonError::into_inner);
        let chain = submitted.get(chain)?;
        let after = chain.partition_point(|(first, _)| *first <= height);
        chain.get(after.checked_sub(1)?).map(|(_, at)| *at)
    }
}

#[async_trait]
impl<M: MainChain> MainChain for Watched<M> {
    async fn view(&self) -> Result<MainView, MainError> {
        self.main.view().await
    }

    async fn locator(&self, chain: &ChainId) -> Result<Locator, MainError> {
        self.main.locator(chain).await
    }

    async fn account(&self, address: &Address) -> Result<AccountInfo, MainError> {
        self.main.account(address).await
    }

    async fn send(&self, raw: &Bytes) -> Result<(), MainError> {
        self.note(raw);
        self.main.send(raw).await
    }

    async fn receipt(&self, hash: &B256) -> Result<Option<Receipt>, MainError> {
        self.main.receipt(hash).await
    }
}
