//! A source in memory.

use core::time::Duration;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolValue as _;
use async_trait::async_trait;
use grid_adapters::{
    AdapterError, Material, ProofRequest, RpcError, SourceChain, SourceHeader, SourceTip,
};
use grid_core::{ChainId, CompatHeader, api::BlockRef};

use super::{Fate, Faults};

/// A chain whose active branch can be extended and reorganised.
#[derive(Debug)]
pub struct SimSource {
    id: ChainId,
    active: Mutex<Vec<CompatHeader>>,
    blocks: AtomicU64,
    asked: AtomicU64,
    faults: Arc<Faults>,
}

impl SimSource {
    /// A chain of `length` blocks above its genesis.
    #[must_use]
    pub fn new(id: ChainId, length: u64, faults: Arc<Faults>) -> Self {
        let source =
            Self { id, active: Mutex::default(), blocks: 0.into(), asked: 0.into(), faults };
        source.extend(1 + length);
        source
    }

    fn with<R>(&self, change: impl FnOnce(&mut Vec<CompatHeader>) -> R) -> R {
        change(&mut self.active.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The chain's id, without the trait in scope.
    #[must_use]
    pub const fn id(&self) -> &ChainId {
        &self.id
    }

    /// Adds blocks, each different from every earlier one.
    pub fn extend(&self, count: u64) {
        self.with(|active| {
            for _ in 0..count {
                let number = self.blocks.fetch_add(1, Ordering::Relaxed);
                let height = u64::try_from(active.len()).unwrap_or(u64::MAX);
                active.push(CompatHeader {
                    chain: self.id.key().0,
                    height,
                    blockHash: keccak256(format!("{} {number}", self.id)),
                    parentHash: active.last().map_or(B256::ZERO, |header| header.blockHash),
                    time: 1_700_000_000 + height,
                    txRoot: B256::ZERO,
                    receiptsRoot: B256::ZERO,
                    stateRoot: B256::ZERO,
                    indexRoot: B256::ZERO,
                });
            }
        });
    }

    /// Replaces the newest `depth` blocks (never the genesis) by `added` other ones.
    pub fn reorganise(&self, depth: u64, added: u64) {
        self.with(|active| {
            let depth = usize::try_from(depth).unwrap_or(usize::MAX);
            active.truncate(active.len().saturating_sub(depth).max(1));
        });
        self.extend(added);
    }

    /// Becomes a chain of the same length that shares nothing with the old one.
    pub fn replace_genesis(&self) {
        let length = self.with(|active| {
            let length = active.len();
            active.clear();
            length
        });
        self.extend(u64::try_from(length).unwrap_or(u64::MAX));
    }

    /// The active header at a height.
    #[must_use]
    pub fn at(&self, height: u64) -> Option<BlockRef> {
        self.with(|active| {
            let header = usize::try_from(height).ok().and_then(|index| active.get(index))?;
            Some(BlockRef { height, hash: header.blockHash })
        })
    }

    /// The active tip.
    #[must_use]
    pub fn tip_now(&self) -> BlockRef {
        let last = |active: &mut Vec<CompatHeader>| {
            active.last().map(|last| BlockRef { height: last.height, hash: last.blockHash })
        };
        self.with(last).unwrap_or(BlockRef { height: 0, hash: B256::ZERO })
    }

    /// Questions so far.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    async fn ask(&self) -> Result<(), AdapterError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.faults.fate().await {
            Fate::Good => Ok(()),
            Fate::Fail | Fate::FailAfter => Err(AdapterError::Rpc(RpcError::Timeout {
                endpoint: self.id.to_string(),
                method: "simulated".into(),
                after: Duration::from_secs(1),
            })),
        }
    }
}

fn source_header(header: &CompatHeader) -> SourceHeader {
    SourceHeader { compat: header.clone(), raw: header.abi_encode().into() }
}

#[async_trait]
impl SourceChain for SimSource {
    fn id(&self) -> &ChainId {
        &self.id
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        self.ask().await?;
        let tip = self.tip_now();
        Ok(SourceTip { height: tip.height, hash: tip.hash })
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        self.ask().await?;
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(self.with(|active| active.iter().skip(from).take(count).map(source_header).collect()))
    }

    async fn proof_material(&self, _: ProofRequest) -> Result<Material, AdapterError> {
        Err(AdapterError::Invalid("a simulated chain has no transactions".into()))
    }
}
