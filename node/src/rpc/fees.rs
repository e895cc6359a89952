//! Fees: what to pay, and what was paid.

use alloy_consensus::Transaction as _;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::U256;
use alloy_rpc_types_eth::FeeHistory;
use grid_core::transition::next_base_fee;

use super::{
    Method, Methods, RpcError,
    args::Args,
    context::{Context, header, height_of},
    error, optional, required,
};
use crate::store::View;

/// The most blocks of one `eth_feeHistory`.
pub const MAX_FEE_HISTORY: u64 = 1_024;
/// The most percentiles of one `eth_feeHistory`.
const MAX_PERCENTILES: usize = 100;
/// The tip that is suggested, in the smallest unit: blocks are far from full, so any tip gets in.
const SUGGESTED_TIP: u64 = 1;

pub(super) fn register(methods: &mut Methods) {
    let summary = "A price for type 0: the next base fee, an eighth for its rise, and the suggested tip, in the smallest unit.";
    methods.add(Method::new("eth_gasPrice", &[], "Quantity", summary), |context, _| {
        let view = context.view()?;
        let (header, _) = header(&view, view.height())?;
        let base = next_base_fee(&header);
        // The base fee may rise by an eighth a block before the transaction gets in.
        Ok(U256::from(base.saturating_add(base / 8).saturating_add(SUGGESTED_TIP)))
    });
    let summary = "The suggested tip, in the smallest unit.";
    methods.add(Method::new("eth_maxPriorityFeePerGas", &[], "Quantity", summary), |_, _| {
        Ok(U256::from(SUGGESTED_TIP))
    });
    let summary = "Zero: there are no blobs.";
    methods.add(Method::new("eth_blobBaseFee", &[], "Quantity", summary), |_, _| Ok(U256::ZERO));
    let summary = "Base fees and used gas of the blocks up to one, the base fee after it, and the tips at percentiles of each block's gas.";
    let params = &[
        required("block count", "Number"),
        required("newest block", "BlockNumberOrTag"),
        optional("percentiles", "Percentiles"),
    ];
    let method = Method::new("eth_feeHistory", params, "FeeHistory", summary);
    let limits = format!(
        "the newest {MAX_FEE_HISTORY} blocks of the range, {MAX_PERCENTILES} percentiles in rising order"
    );
    methods.add(method.heavy().fails(&[error::NOT_FOUND]).limits(limits), history);
}

fn history(context: &Context, args: &mut Args) -> Result<FeeHistory, RpcError> {
    // As Ethereum's clients do: more than can be had is cut, not refused.
    let count = args.height()?.min(MAX_FEE_HISTORY);
    if count == 0 {
        return Err(RpcError::params(format!("block count 0 must be 1 to {MAX_FEE_HISTORY}")));
    }
    let newest = args.required::<BlockNumberOrTag>()?;
    let percentiles = args.optional::<Vec<f64>>()?;
    if let Some(list) = &percentiles {
        let sorted = list.is_sorted() && list.iter().all(|one| (0.0..=100.0).contains(one));
        if list.len() > MAX_PERCENTILES || !sorted {
            return Err(RpcError::params(format!(
                "percentiles must be at most {MAX_PERCENTILES} rising numbers from 0 to 100"
            )));
        }
    }
    let view = context.view()?;
    let last = height_of(&view, newest);
    if last > view.height() {
        return Err(RpcError::not_found(format!(
            "block {last} does not exist yet, the newest is {}",
            view.height()
        )));
    }
    let first = last.saturating_sub(count.saturating_sub(1));
    let mut answer = FeeHistory { oldest_block: first, ..FeeHistory::default() };
    let mut rewards = Vec::new();
    for height in first..=last {
        args.deadline().check(|| format!("block {height}"))?;
        let (header, _) = header(&view, height)?;
        answer.base_fee_per_gas.push(header.base_fee_per_gas.unwrap_or(0).into());
        answer.gas_used_ratio.push(ratio(header.gas_used, header.gas_limit));
        answer.base_fee_per_blob_gas.push(0);
        answer.blob_gas_used_ratio.push(0.0);
        if let Some(percentiles) = &percentiles {
            rewards.push(reward(&view, height, header.base_fee_per_gas, percentiles)?);
        }
        if height == last {
            answer.base_fee_per_gas.push(next_base_fee(&header).into());
            answer.base_fee_per_blob_gas.push(0);
        }
    }
    answer.reward = percentiles.is_some().then_some(rewards);
    Ok(answer)
}

#[allow(clippy::cast_precision_loss)] // a ratio for people, far below 2^53
fn ratio(used: u64, limit: u64) -> f64 {
    if limit == 0 { 0.0 } else { used as f64 / limit as f64 }
}

/// The tips at percentiles of a block's gas.
#[allow(clippy::cast_precision_loss)] // gas of a block is far below 2^53
fn reward(
    view: &View,
    height: u64,
    base_fee: Option<u64>,
    percentiles: &[f64],
) -> Result<Vec<u128>, RpcError> {
    let receipts = view.receipts(height)?.receipts;
    if receipts.is_empty() {
        return Ok(vec![0; percentiles.len()]);
    }
    let Some(block) = view.block(height)? else { return Ok(vec![0; percentiles.len()]) };
    let mut paid = Vec::with_capacity(receipts.len());
    let mut before = 0u64;
    for (one, receipt) in block.body.transactions.iter().zip(&receipts) {
        let after = receipt.cumulative_gas_used();
        let tip = one.effective_tip_per_gas(base_fee.unwrap_or(0)).unwrap_or(0);
        paid.push((tip, after.saturating_sub(before)));
        before = after;
    }
    paid.sort_unstable();
    let total = before as f64;
    let at = |percentile: &f64| {
        let mut sum = 0u64;
        for (tip, gas) in &paid {
            sum = sum.saturating_add(*gas);
            if sum as f64 >= total * percentile / 100.0 {
                return *tip;
            }
        }
        paid.last().map_or(0, |(tip, _)| *tip)
    };
    Ok(percentiles.iter().map(at).collect())
}
