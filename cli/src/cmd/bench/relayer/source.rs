//! Chains that exist only here, as long and as fast as asked for.

use std::sync::{
    PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use alloy_consensus::Header;
use alloy_primitives::B256;
use async_trait::async_trait;
use grid_adapters::{
    AdapterError, Material, ProofRequest, SourceChain, SourceHeader, SourceTip, source::MAX_HEADERS,
};
use grid_core::{
    ChainId,
    api::BlockRef,
    ethereum::header::{compat, decode_header},
};
use tokio::sync::Notify;

/// Time of the first block, Unix seconds.
const START: u64 = 1_700_000_000;

/// A chain of Ethereum headers in memory that counts what it is asked.
#[derive(Debug)]
pub(super) struct BenchSource {
    id: ChainId,
    headers: RwLock<Vec<SourceHeader>>,
    calls: AtomicU64,
    news: Notify,
}

impl BenchSource {
    /// A chain with its first block.
    pub(super) fn new(number: u64) -> Self {
        let source = Self {
            id: ChainId::eip155(4_200_000 + number),
            headers: RwLock::default(),
            calls: 0.into(),
            news: Notify::new(),
        };
        source.grow(1);
        source
    }

    /// Adds blocks; returns the height of the last.
    pub(super) fn grow(&self, count: u64) -> u64 {
        let mut headers = self.headers.write().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..count {
            let number = headers.len() as u64;
            let parent_hash = headers.last().map_or(B256::ZERO, |last| last.compat.blockHash);
            let timestamp = START.saturating_add(number);
            let header = Header { number, parent_hash, timestamp, ..Header::default() };
            let raw = alloy_rlp::encode(&header);
            // What was just encoded decodes.
            let Ok(sealed) = decode_header(&raw) else { break };
            let compat = compat(self.id.key(), &sealed);
            headers.push(SourceHeader { compat, raw: raw.into() });
        }
        self.news.notify_one();
        (headers.len() as u64).saturating_sub(1)
    }

    /// The first block, as a record names it.
    pub(super) fn start(&self) -> alloy_primitives::Bytes {
        let headers = self.headers.read().unwrap_or_else(PoisonError::into_inner);
        headers.first().map(|first| first.raw.clone()).unwrap_or_default()
    }

    /// Calls so far.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// The chain's id.
    pub(super) const fn chain(&self) -> &ChainId {
        &self.id
    }

    /// The newest height.
    pub(super) fn height(&self) -> u64 {
        self.tip_now().height
    }

    /// The newest block.
    pub(super) fn tip_now(&self) -> BlockRef {
        let headers = self.headers.read().unwrap_or_else(PoisonError::into_inner);
        let last = headers.last().map(|last| (last.compat.height, last.compat.blockHash));
        let (height, hash) = last.unwrap_or((0, B256::ZERO));
        BlockRef { height, hash }
    }
}

#[async_trait]
impl SourceChain for BenchSource {
    fn id(&self) -> &ChainId {
        &self.id
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let BlockRef { height, hash } = self.tip_now();
        Ok(SourceTip { height, hash })
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let headers = self.headers.read().unwrap_or_else(PoisonError::into_inner);
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(headers.iter().skip(from).take(count.min(MAX_HEADERS)).cloned().collect())
    }

    async fn proof_material(&self, _: ProofRequest) -> Result<Material, AdapterError> {
        Err(AdapterError::Invalid("a chain of the benchmark has no transactions".into()))
    }

    async fn changed(&self) {
        self.news.notified().await;
    }
}
