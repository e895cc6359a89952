//! Made-up headers.

use core::time::Duration;

use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolValue as _;
use grid_adapters::{AdapterError, RpcError, SourceHeader};
use grid_core::{ChainId, CompatHeader, api::BlockRef};

/// Adds a header on top of others; `name` tells it from all others at its height.
pub(super) fn push(id: &ChainId, blocks: &mut Vec<CompatHeader>, name: u64) {
    let height = u64::try_from(blocks.len()).unwrap_or(u64::MAX);
    blocks.push(CompatHeader {
        chain: blocks.last().map_or_else(|| id.key().0, |last| last.chain),
        height,
        blockHash: keccak256(format!("{id} {name}")),
        parentHash: blocks.last().map_or(B256::ZERO, |last| last.blockHash),
        time: 1_700_000_000 + height,
        txRoot: B256::ZERO,
        receiptsRoot: B256::ZERO,
        stateRoot: B256::ZERO,
        indexRoot: B256::ZERO,
    });
}

/// A header by name.
pub(super) const fn block_ref(header: &CompatHeader) -> BlockRef {
    BlockRef { height: header.height, hash: header.blockHash }
}

/// The header at a height.
pub(super) fn at(blocks: &[CompatHeader], height: u64) -> Option<BlockRef> {
    blocks.get(usize::try_from(height).ok()?).map(block_ref)
}

/// The last header.
pub(super) fn tip(blocks: &[CompatHeader]) -> BlockRef {
    blocks.last().map_or(BlockRef { height: 0, hash: B256::ZERO }, block_ref)
}

/// Up to `count` headers from a height on.
pub(super) fn range(blocks: &[CompatHeader], from: u64, count: usize) -> Vec<SourceHeader> {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let one = |header: &CompatHeader| SourceHeader {
        compat: header.clone(),
        raw: header.abi_encode().into(),
    };
    blocks.iter().skip(from).take(count).map(one).collect()
}

/// What a call that fails fails with.
pub(super) fn timed_out(id: &ChainId) -> AdapterError {
    AdapterError::Rpc(RpcError::Timeout {
        endpoint: id.to_string(),
        method: "simulated".into(),
        after: Duration::from_secs(1),
    })
}

/// A simulated chain has no transactions.
pub(super) fn no_material() -> AdapterError {
    AdapterError::Invalid("a simulated chain has no transactions".into())
}
