//! What every method works on.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::{BlockId, BlockNumberOrTag, RpcBlockHash};
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::{SyncInfo, SyncStatus};

use super::{RpcError, budget::Budget, filters::Filters};
use crate::{RpcLimits, chain::GridChain, health::Health, store::View};

/// Shared by all calls.
#[derive(Debug)]
pub(crate) struct Context {
    pub(super) chain: Arc<GridChain>,
    pub(super) health: Arc<Health>,
    pub(super) budget: Budget,
    pub(super) filters: Filters,
    /// The newest block when the node started.
    started_at: u64,
}

/// A node so many blocks behind its peers is syncing; within that, blocks are on their way.
const MOST_BEHIND: u64 = 10;

impl Context {
    pub(super) fn new(chain: Arc<GridChain>, health: Arc<Health>, limits: &RpcLimits) -> Self {
        let filters = Filters::new(limits.filters, limits.filter_lifetime);
        let started_at = chain.heads().borrow().height;
        Self { chain, health, budget: Budget::new(limits), filters, started_at }
    }

    /// As `eth_syncing` answers.
    pub(super) fn syncing(&self) -> SyncStatus {
        let status = self.health.status();
        let highest = status.peer_height.unwrap_or_default();
        if highest <= status.height.saturating_add(MOST_BEHIND) {
            return SyncStatus::None;
        }
        SyncStatus::Info(Box::new(SyncInfo {
            starting_block: U256::from(self.started_at),
            current_block: U256::from(status.height),
            highest_block: U256::from(highest),
            ..SyncInfo::default()
        }))
    }

    /// A snapshot for one call.
    pub(super) fn view(&self) -> Result<View, RpcError> {
        Ok(self.chain.store().view()?)
    }
}

/// The height that a number or tag names; it may lie above the head.
pub(super) fn height_of(view: &View, tag: BlockNumberOrTag) -> u64 {
    match tag {
        BlockNumberOrTag::Number(height) => height,
        BlockNumberOrTag::Earliest => 0,
        // Every block is final.
        _ => view.height(),
    }
}

/// The height that a block id names; `None` where there is no such block.
pub(super) fn find(view: &View, id: BlockId) -> Result<Option<u64>, RpcError> {
    match id {
        BlockId::Hash(RpcBlockHash { block_hash, .. }) => Ok(view.block_height(&block_hash)?),
        BlockId::Number(tag) => {
            Ok(Some(height_of(view, tag)).filter(|height| *height <= view.height()))
        }
    }
}

/// Refuses any block but the newest, whose state alone is kept.
pub(super) fn newest(view: &View, id: Option<BlockId>) -> Result<(), RpcError> {
    let Some(id) = id else { return Ok(()) };
    match find(view, id)? {
        Some(height) if height == view.height() => Ok(()),
        Some(height) => Err(RpcError::refused(format!(
            "the state of block {height} is not kept, only that of the newest block {}; ask for \"latest\"",
            view.height()
        ))),
        None => Err(RpcError::not_found(format!("unknown block; the newest is {}", view.height()))),
    }
}

/// A header that must be there, with its hash.
pub(super) fn header(view: &View, height: u64) -> Result<(Header, B256), RpcError> {
    let header = view
        .header(height)?
        .ok_or_else(|| RpcError::internal(format!("block {height} is missing")))?;
    let hash = header.hash_slow();
    Ok((header, hash))
}
