//! A source in memory whose blocks become final.

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::{B256, FixedBytes};
use async_trait::async_trait;
use grid_adapters::{
    AdapterError, FinalityChain, FinalityData, Material, ProofRequest, SourceChain, SourceHeader,
    SourceTip,
};
use grid_core::{
    ChainId, CompatHeader,
    api::{BlockRef, SyncStatus},
    ethereum::sync::{
        BeaconBlockHeader, FinalityUpdate, LightClientHeader, SyncAggregate, SyncData,
    },
};

use super::{
    blocks,
    faults::{Answer, Asked, Faults},
};

/// A source may limit an answer: headers, and objects.
const LONGEST_ANSWER: usize = 11;
const MOST_OBJECTS: usize = 4;

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
                blocks::push(&self.id, &mut chain.blocks, height);
            }
        });
    }

    /// Makes the newest block final.
    pub fn finalise(&self) {
        let height = self.with(|chain| {
            let top = blocks::tip(&chain.blocks).height;
            if chain.finals.last().is_none_or(|last| *last < top) {
                chain.finals.push(top);
            }
            top
        });
        self.faults.note(&self.id, "finalises", height);
    }

    /// The newest final block.
    #[must_use]
    pub fn finalized(&self) -> BlockRef {
        self.with(|chain| {
            let height = chain.finals.last().copied().unwrap_or(0);
            blocks::at(&chain.blocks, height).unwrap_or(BlockRef { height: 0, hash: B256::ZERO })
        })
    }

    /// The block at a height.
    #[must_use]
    pub fn at(&self, height: u64) -> Option<BlockRef> {
        self.with(|chain| blocks::at(&chain.blocks, height))
    }

    async fn ask(&self, method: &'static str) -> Result<Answer, AdapterError> {
        match self.faults.answer(&self.id, method, Asked::Alone).await {
            Answer::Fails => Err(blocks::timed_out(&self.id)),
            answer => Ok(answer),
        }
    }
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
        self.ask("tip").await?;
        let tip = self.finalized();
        Ok(SourceTip { height: tip.height, hash: tip.hash })
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        let answer = self.ask("headers").await?;
        let end = self.finalized().height;
        let mut headers =
            self.with(|chain| blocks::range(&chain.blocks, from, count.min(LONGEST_ANSWER)));
        headers.retain(|header| header.compat.height <= end);
        match answer {
            Answer::Short => headers.truncate(headers.len().div_ceil(2)),
            Answer::Reordered => headers.reverse(),
            _ => {}
        }
        Ok(headers)
    }

    async fn proof_material(&self, _: ProofRequest) -> Result<Material, AdapterError> {
        Err(blocks::no_material())
    }
}

#[async_trait]
impl FinalityChain for SimFinal {
    async fn finality_data(
        &self,
        position: &SyncStatus,
    ) -> Result<Vec<FinalityData>, AdapterError> {
        self.ask("finality data").await?;
        Ok(self.with(|chain| {
            let newer = chain.finals.iter().filter(|height| **height > position.finalized_slot);
            let newer = newer.filter_map(|height| blocks::at(&chain.blocks, *height)).map(update);
            newer.take(MOST_OBJECTS).filter_map(|data| FinalityData::of_sync(&data)).collect()
        }))
    }

    async fn block(&self, hash: B256) -> Result<Option<SourceTip>, AdapterError> {
        self.ask("block").await?;
        let found = |header: &&CompatHeader| header.blockHash == hash;
        Ok(self.with(|chain| {
            let header = chain.blocks.iter().find(found)?;
            Some(SourceTip { height: header.height, hash })
        }))
    }
}
