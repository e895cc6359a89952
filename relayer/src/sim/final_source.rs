//! A source in memory whose blocks become final.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::{B256, FixedBytes, keccak256};
use alloy_sol_types::SolValue as _;
use async_trait::async_trait;
use grid_adapters::{
    AdapterError, FinalityChain, FinalityData, Material, ProofRequest, RpcError, SourceChain,
    SourceHeader, SourceTip, source::MAX_SYNC_DATA,
};
use grid_core::{
    ChainId, CompatHeader,
    api::{BlockRef, SyncStatus},
    ethereum::sync::{
        BeaconBlockHeader, FinalityUpdate, LightClientHeader, SyncAggregate, SyncData,
    },
};

use super::{Fate, Faults};

#[derive(Debug, Default)]
struct Chain {
    blocks: Vec<CompatHeader>,
    /// Heights that a committee called final, rising.
    finals: Vec<u64>,
}

/// A chain without reorganisations; what is final is told by updates whose slot is the height.
#[derive(Debug)]
pub struct SimFinal {
    id: ChainId,
    chain: Mutex<Chain>,
    faults: Arc<Faults>,
}

impl SimFinal {
    /// A chain with its genesis, which is final.
    #[must_use]
    pub fn new(id: ChainId, faults: Arc<Faults>) -> Self {
        let source = Self { id, chain: Mutex::default(), faults };
        source.extend(1);
        source.finalise();
        source
    }

    fn with<R>(&self, change: impl FnOnce(&mut Chain) -> R) -> R {
        change(&mut self.chain.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The chain's id, without the trait in scope.
    #[must_use]
    pub const fn id(&self) -> &ChainId {
        &self.id
    }

    /// Adds blocks.
    pub fn extend(&self, count: u64) {
        self.with(|chain| {
            for _ in 0..count {
                let height = u64::try_from(chain.blocks.len()).unwrap_or(u64::MAX);
                chain.blocks.push(CompatHeader {
                    chain: self.id.key().0,
                    height,
                    blockHash: keccak256(format!("{} {height}", self.id)),
                    parentHash: chain.blocks.last().map_or(B256::ZERO, |last| last.blockHash),
                    time: 1_700_000_000 + height,
                    txRoot: B256::ZERO,
                    receiptsRoot: B256::ZERO,
                    stateRoot: B256::ZERO,
                    indexRoot: B256::ZERO,
                });
            }
        });
    }

    /// Makes the newest block final.
    pub fn finalise(&self) {
        self.with(|chain| {
            let top = u64::try_from(chain.blocks.len()).unwrap_or(u64::MAX).saturating_sub(1);
            if chain.finals.last().is_none_or(|last| *last < top) {
                chain.finals.push(top);
            }
        });
    }

    /// The newest final block.
    #[must_use]
    pub fn finalized(&self) -> BlockRef {
        self.with(|chain| {
            let height = chain.finals.last().copied().unwrap_or(0);
            block(chain, height).unwrap_or(BlockRef { height: 0, hash: B256::ZERO })
        })
    }

    async fn ask(&self) -> Result<(), AdapterError> {
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

fn block(chain: &Chain, height: u64) -> Option<BlockRef> {
    let header = chain.blocks.get(usize::try_from(height).ok()?)?;
    Some(BlockRef { height, hash: header.blockHash })
}

fn update(block: BlockRef) -> SyncData {
    let header = LightClientHeader {
        beacon: BeaconBlockHeader { slot: block.height, ..BeaconBlockHeader::default() },
        execution_block_hash: block.hash,
        ..LightClientHeader::default()
    };
    SyncData::FinalityUpdate(Box::new(FinalityUpdate {
        attested_header: header,
        finalized_header: header,
        finality_branch: Default::default(),
        sync_aggregate: SyncAggregate { bits: vec![0xff; 64], signature: FixedBytes::ZERO },
        signature_slot: block.height + 1,
    }))
}

#[async_trait]
impl SourceChain for SimFinal {
    fn id(&self) -> &ChainId {
        &self.id
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        self.ask().await?;
        let tip = self.finalized();
        Ok(SourceTip { height: tip.height, hash: tip.hash })
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        self.ask().await?;
        let (from, end) = (usize::try_from(from).unwrap_or(usize::MAX), self.finalized().height);
        // A source may limit an answer.
        let count = count.min(11);
        let one = |header: &CompatHeader| SourceHeader {
            compat: header.clone(),
            raw: header.abi_encode().into(),
        };
        let known = |header: &&CompatHeader| header.height <= end;
        Ok(self.with(|chain| {
            chain.blocks.iter().skip(from).take(count).take_while(known).map(one).collect()
        }))
    }

    async fn proof_material(&self, _: ProofRequest) -> Result<Material, AdapterError> {
        Err(AdapterError::Invalid("a simulated chain has no transactions".into()))
    }
}

#[async_trait]
impl FinalityChain for SimFinal {
    async fn finality_data(
        &self,
        position: &SyncStatus,
    ) -> Result<Vec<FinalityData>, AdapterError> {
        self.ask().await?;
        Ok(self.with(|chain| {
            let newer = chain.finals.iter().filter(|height| **height > position.finalized_slot);
            let newer = newer.filter_map(|height| block(chain, *height)).map(update);
            newer.take(MAX_SYNC_DATA).filter_map(|data| FinalityData::of_sync(&data)).collect()
        }))
    }

    async fn block(&self, hash: B256) -> Result<Option<SourceTip>, AdapterError> {
        self.ask().await?;
        let found = |header: &&CompatHeader| header.blockHash == hash;
        Ok(self.with(|chain| {
            let header = chain.blocks.iter().find(found)?;
            Some(SourceTip { height: header.height, hash })
        }))
    }
}
