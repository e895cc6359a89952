//! Execution blocks of a real node, as beacon blocks carry them.

use alloy_primitives::{Address, B256, Bloom, Bytes, U256};
use grid_core::ethereum::sync::payload::ExecutionPayloadHeader;
use serde_json::{Value, json};

use crate::{NodeError, rpc::Rpc};

/// The block with a number, or the newest one.
pub(super) async fn fetch(
    rpc: &Rpc,
    number: Option<u64>,
) -> Result<ExecutionPayloadHeader, NodeError> {
    let method = "eth_getBlockByNumber";
    let which = number.map_or_else(|| String::from("latest"), |number| format!("{number:#x}"));
    let block = rpc.call(method, json!([which, false])).await?;
    header(&block).ok_or_else(|| NodeError::unexpected(method, &block))
}

/// The payload's header from a block of the JSON-RPC interface. The roots of transactions and
/// withdrawals are those of the RLP header, which stand in for the SSZ roots: neither is looked at.
fn header(block: &Value) -> Option<ExecutionPayloadHeader> {
    let field = |name: &str| block[name].as_str();
    let hash = |name: &str| field(name)?.parse::<B256>().ok();
    let number = |name: &str| crate::anvil::quantity(&block[name]);
    Some(ExecutionPayloadHeader {
        parent_hash: hash("parentHash")?,
        fee_recipient: field("miner")?.parse::<Address>().ok()?,
        state_root: hash("stateRoot")?,
        receipts_root: hash("receiptsRoot")?,
        logs_bloom: field("logsBloom")?.parse::<Bloom>().ok()?,
        prev_randao: hash("mixHash")?,
        block_number: number("number")?,
        gas_limit: number("gasLimit")?,
        gas_used: number("gasUsed")?,
        timestamp: number("timestamp")?,
        extra_data: field("extraData")?.parse::<Bytes>().ok()?,
        base_fee_per_gas: field("baseFeePerGas")?.parse::<U256>().ok()?,
        block_hash: hash("hash")?,
        transactions_root: hash("transactionsRoot")?,
        withdrawals_root: hash("withdrawalsRoot").unwrap_or_default(),
        blob_gas_used: number("blobGasUsed").unwrap_or_default(),
        excess_blob_gas: number("excessBlobGas").unwrap_or_default(),
    })
}
