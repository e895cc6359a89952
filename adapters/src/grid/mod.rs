//! Another Grid chain, asked through its nodes' JSON-RPC.
//!
//! Every block of a Grid chain is final, and its certificate says so. A node is believed in nothing: headers are rebuilt
//! and linked as those of any Ethereum chain, a certified block must fit together with its own validators, and whether
//! these are the chain's validators is what the main chain's light client decides.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use async_trait::async_trait;
use grid_core::{
    ChainId,
    api::SyncStatus,
    ethereum::client::MAX_HEADERS_PER_SUBMISSION,
    grid::light::{HandOver, TrustedState},
};
use serde_json::json;

use crate::{
    AdapterError, Endpoint, FinalityChain, FinalityData, HttpJsonRpc, Material, ProofRequest,
    SourceChain, SourceHeader, SourceTip,
    ethereum::{EthereumSource, FollowHead},
    source::MAX_SYNC_DATA,
};

/// How far one way leads at most: so far that the headers below its end need not wait for others.
const STEP: u64 = MAX_HEADERS_PER_SUBMISSION as u64;

/// How long one and the same way is offered to a light client that stands still: a chain with a block each second
/// would offer another one in every round, before any of them is taken.
const OFFER: Duration = Duration::from_secs(15);

/// One node of a Grid chain.
#[derive(Debug)]
pub struct GridSource {
    blocks: EthereumSource,
    rpc: HttpJsonRpc,
    number: u64,
    offered: Mutex<Option<Offer>>,
}

/// A way that was offered.
#[derive(Debug, Clone)]
struct Offer {
    from: u64,
    made: Instant,
    data: Vec<FinalityData>,
}

impl GridSource {
    /// A node of `chain`, whose id is `eip155:<number>`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the id is of another namespace or no HTTP client can be built.
    pub fn new(chain: ChainId, endpoint: Endpoint) -> Result<Self, AdapterError> {
        let number = chain.eip155_number().ok_or_else(|| {
            AdapterError::Invalid(format!("the id of a Grid chain is eip155:<number>, not {chain}"))
        })?;
        let rpc = HttpJsonRpc::counting(endpoint.clone(), &["grid_handOver"])?;
        let blocks = EthereumSource::new(chain, endpoint, FollowHead::Latest)?;
        Ok(Self { blocks, rpc, number, offered: Mutex::new(None) })
    }

    /// The way from one height to another, every certificate checked.
    async fn way(&self, from: u64, to: u64) -> Result<Vec<FinalityData>, AdapterError> {
        let method = "grid_handOver";
        let way: HandOver = self.rpc.call_as(method, json!([from, to])).await?;
        let bad = |reason: String| AdapterError::BadAnswer {
            endpoint: self.rpc.endpoint().into(),
            method,
            reason,
        };
        if way.chain_id != self.number {
            return Err(bad(format!("chain {}, expected {}", way.chain_id, self.number)));
        }
        let mut data = Vec::new();
        for block in way.blocks.iter().take(MAX_SYNC_DATA) {
            TrustedState::certified(self.number, block).map_err(|error| bad(error.to_string()))?;
            data.push(FinalityData::of_grid(block));
        }
        Ok(data)
    }

    fn offered(&self, from: u64) -> Option<Vec<FinalityData>> {
        let offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |offer: &&Offer| offer.from == from && offer.made.elapsed() < OFFER;
        offered.as_ref().filter(fresh).map(|offer| offer.data.clone())
    }

    fn offer(&self, from: u64, data: Vec<FinalityData>) -> Vec<FinalityData> {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing new is asked for again at once.
        *offered =
            (!data.is_empty()).then(|| Offer { from, made: Instant::now(), data: data.clone() });
        data
    }
}

#[async_trait]
impl SourceChain for GridSource {
    fn id(&self) -> &ChainId {
        self.blocks.id()
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        self.blocks.tip().await
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        self.blocks.headers(from, count).await
    }

    async fn proof_material(&self, request: ProofRequest) -> Result<Material, AdapterError> {
        self.blocks.proof_material(request).await
    }
}

#[async_trait]
impl FinalityChain for GridSource {
    async fn finality_data(
        &self,
        position: &SyncStatus,
    ) -> Result<Vec<FinalityData>, AdapterError> {
        // The headers below the newest certified block come first: every block is certified, and each one that is
        // shown must be met by the headers.
        if !position.wanted.is_empty() {
            return Ok(Vec::new());
        }
        let from = position.finalized_slot;
        if let Some(data) = self.offered(from) {
            return Ok(data);
        }
        // Asked first: it makes sure that the node is of this chain.
        let tip = self.blocks.tip().await?.height;
        if tip <= from {
            return Ok(Vec::new());
        }
        let to = tip.min(from.saturating_add(STEP));
        Ok(self.offer(from, self.way(from, to).await?))
    }

    async fn block(&self, hash: B256) -> Result<Option<SourceTip>, AdapterError> {
        let header = self.blocks.by_hash(hash).await?;
        Ok(header.map(|header| SourceTip { height: header.compat.height, hash }))
    }
}
