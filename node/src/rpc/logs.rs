//! `eth_getLogs`.

use alloy_eips::{BlockNumHash, BlockNumberOrTag};
use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};

use super::{
    Method, Methods, RpcError,
    budget::Deadline,
    context::{header, height_of},
    error, required,
};
use crate::store::View;

/// The most blocks of one search.
pub const MAX_LOG_BLOCKS: u64 = 10_000;
/// The most logs of one answer.
pub const MAX_LOGS: usize = 10_000;
/// The most addresses, and the most topics at one position.
const MAX_ALTERNATIVES: usize = 1_000;

pub(super) fn register(methods: &mut Methods) {
    let summary = "The logs that match a filter, in the chain's order. A range may end above the newest block.";
    let method = Method::new("eth_getLogs", &[required("filter", "Filter")], "[Log]", summary);
    methods.add(method.heavy().fails(&[error::NOT_FOUND]).limits(limits()), |context, args| {
        let filter = args.required::<Filter>()?;
        check_size(&filter)?;
        let view = context.view()?;
        let (first, last) = range(&view, &filter)?;
        search(&view, &filter, first, last, args.deadline())
    });
}

/// The limits of a search, in words.
pub(super) fn limits() -> String {
    format!(
        "{MAX_LOG_BLOCKS} blocks, {MAX_LOGS} logs, {MAX_ALTERNATIVES} addresses and topics at one position"
    )
}

/// The matching logs of some blocks, whatever range the filter names.
pub(super) fn search(
    view: &View,
    filter: &Filter,
    first: u64,
    last: u64,
    deadline: Deadline,
) -> Result<Vec<Log>, RpcError> {
    let mut found = Vec::new();
    for height in first..=last {
        deadline.check(|| format!("block {height}"))?;
        found.append(&mut logs_of(view, filter, height)?);
        if found.len() > MAX_LOGS {
            return Err(RpcError::limit(format!(
                "more than {MAX_LOGS} logs match up to block {height}; ask for fewer blocks at once"
            )));
        }
    }
    Ok(found)
}

/// Refuses filters with very many alternatives: each is looked up in every block.
pub(super) fn check_size(filter: &Filter) -> Result<(), RpcError> {
    if filter.address.len() > MAX_ALTERNATIVES
        || filter.topics.iter().any(|topic| topic.len() > MAX_ALTERNATIVES)
    {
        return Err(RpcError::limit(format!(
            "a filter has at most {MAX_ALTERNATIVES} addresses and topics at one position"
        )));
    }
    Ok(())
}

/// The matching logs of one block, whatever range the filter names.
pub(super) fn logs_of(view: &View, filter: &Filter, height: u64) -> Result<Vec<Log>, RpcError> {
    let mut found = Vec::new();
    let Some(header) = view.header(height)? else { return Ok(found) };
    if !filter.matches_bloom(header.logs_bloom) {
        return Ok(found);
    }
    let Some(block) = view.block(height)? else { return Ok(found) };
    let receipts = view.receipts(height)?.receipts;
    let rows = block.body.transactions.iter().map(|one| *one.tx_hash()).zip(&receipts);
    let place = BlockNumHash { number: height, hash: header.hash_slow() };
    let block_option = FilterBlockOption::AtBlockHash(place.hash);
    let here = Filter { block_option, ..filter.clone() };
    here.append_matching_block_logs(&mut found, place, header.timestamp, rows, false);
    Ok(found)
}

/// The heights to search, within the chain.
pub(super) fn range(view: &View, filter: &Filter) -> Result<(u64, u64), RpcError> {
    let (from, to) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => return at_hash(view, hash),
        FilterBlockOption::Range { from_block, to_block } => (from_block, to_block),
    };
    let first = height_of(view, from.unwrap_or(BlockNumberOrTag::Latest));
    let last = height_of(view, to.unwrap_or(BlockNumberOrTag::Latest));
    if first > last {
        return Err(RpcError::params(format!("fromBlock {first} is above toBlock {last}")));
    }
    let last = last.min(view.height());
    let blocks = last.saturating_sub(first).saturating_add(1);
    if first <= last && blocks > MAX_LOG_BLOCKS {
        return Err(RpcError::limit(format!(
            "range of {blocks} blocks is over the limit of {MAX_LOG_BLOCKS}; ask in steps"
        )));
    }
    Ok((first, last))
}

/// The part of some heights that a filter's numbers allow.
pub(super) fn within(filter: &Filter, first: u64, last: u64) -> (u64, u64) {
    let FilterBlockOption::Range { from_block, to_block } = filter.block_option else {
        return (first, last);
    };
    let number = |tag: Option<BlockNumberOrTag>| tag.and_then(|tag| tag.as_number());
    (
        number(from_block).map_or(first, |from| first.max(from)),
        number(to_block).map_or(last, |to| last.min(to)),
    )
}

fn at_hash(view: &View, hash: B256) -> Result<(u64, u64), RpcError> {
    let height = view
        .block_height(&hash)?
        .ok_or_else(|| RpcError::not_found(format!("unknown block {hash}")))?;
    header(view, height).map(|_| (height, height))
}
