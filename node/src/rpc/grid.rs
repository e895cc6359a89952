//! `grid_*`: the index, the light clients and the chain's own certificates. Shapes are those of
//! [`grid_core::api`].

use alloy_primitives::{Address, B256};
use grid_core::{
    ChainId, ChainKey, CompatHeader,
    api::{AccountInfo, BlockRef, ChainInfo, GridTip, Locator},
    grid::{CommitCertificate, Extension, ValidatorSet},
    header_tree::HeaderRef,
    index::ChainEntry,
    light_client::LightClient,
    modules::ChainRecord,
    state::{self, Account},
};
use serde_json::Value;

use super::{
    Method, Methods, RpcError,
    args::{Args, number},
    context::{Context, header},
    error,
    method::Param,
    optional, required,
};
use crate::store::View;

/// A chain's CAIP-2 id or its key.
pub(super) const CHAIN: Param = required("chain", "Chain");

pub(super) fn register(methods: &mut Methods) {
    let unknown = [error::NOT_FOUND];
    let summary = "Every registered chain with the state of its light client.";
    methods.add(Method::new("grid_chains", &[], "[ChainInfo]", summary).heavy(), |context, _| {
        chains(context)
    });
    let summary =
        "Hashes of a chain's best tracked branch, tip first, at distances that double after ten.";
    let method = Method::new("grid_locator", &[CHAIN], "Locator", summary);
    methods.add(method.heavy().fails(&unknown), locator);
    let summary = "The newest block of this chain.";
    methods.add(Method::new("grid_tip", &[], "GridTip", summary), |context, _| tip(context));
    let summary =
        "A confirmed header of a chain, by height or by hash in the chain's internal byte order.";
    let params = &[CHAIN, required("height or block hash", "HeightOrHash")];
    let method = Method::new("grid_header", params, "CompatHeader", summary);
    methods.add(method.fails(&unknown), confirmed_header);
    let summary = "The entries of the index after the newest block: active chains, sorted by key.";
    let method = Method::new("grid_entries", &[], "[ChainEntry]", summary);
    methods.add(method, |context, _| -> Result<Vec<ChainEntry>, RpcError> {
        Ok(state::query::entries(&context.view()?)?)
    });
    let summary = "Who decides a height; without one, the next.";
    let params = &[optional("height", "Number")];
    let method = Method::new("grid_validators", params, "ValidatorSet", summary);
    methods.add(method.fails(&unknown), validators);
    let summary = "The certificate of a block; without a height, of the newest.";
    let method = Method::new("grid_certificate", params, "CommitCertificate", summary);
    methods.add(method.fails(&unknown), certificate);
    let summary = "Nonce, nonce after the waiting transactions, and balance of an account.";
    let params = &[required("address", "Address")];
    methods.add(Method::new("grid_account", params, "AccountInfo", summary), account);
}

fn block_ref(tracked: HeaderRef<'_>) -> BlockRef {
    BlockRef { height: tracked.height(), hash: tracked.hash() }
}

fn chains(context: &Context) -> Result<Vec<ChainInfo>, RpcError> {
    let view = context.view()?;
    let mut all = Vec::new();
    for record in state::query::chains(&view)? {
        let key = record.key();
        let client = client(context, &view, &record)?;
        let tree = client.tree();
        let accumulator = state::query::accumulator(&view, key)?;
        let confirmed = accumulator
            .as_ref()
            .and_then(|range| Some(BlockRef { height: range.tip_height()?, hash: range.tip_hash }));
        let base = block_ref(tree.base());
        all.push(ChainInfo {
            key: key.0,
            family: record.family,
            security: record.security,
            level: record.level,
            measured: record.measured,
            median_interval: state::query::measured(&view, key)?.map(|last| last.median),
            status: record.status.to_string(),
            rule: describe_rule(&record),
            first_height: accumulator.map_or(base.height, |range| range.first_height),
            base,
            tracked: block_ref(tree.tip()),
            confirmed,
            tracked_headers: tree.len() as u64,
            tracked_bytes: tree.stored_bytes(),
            sync: client.sync_status(),
            attesters: match &*client {
                LightClient::Attested(client) => Some(client.attesters().clone()),
                _ => None,
            },
            submitters: context.chain.submitters(key),
            id: record.id,
        });
    }
    Ok(all)
}

fn describe_rule(record: &ChainRecord) -> String {
    record.rule.to_string()
}

fn client(
    context: &Context,
    view: &View,
    record: &ChainRecord,
) -> Result<std::sync::Arc<LightClient>, RpcError> {
    context.chain.light_client(view, record.key())?.ok_or_else(|| {
        RpcError::internal(format!("chain {} has no light client in this state", record.id))
    })
}

/// Best branch, tip first: ten neighbours, then at distances that double.
fn locator(context: &Context, args: &mut Args) -> Result<Locator, RpcError> {
    let view = context.view()?;
    let record = chain(&view, args)?;
    let client = client(context, &view, &record)?;
    let tree = client.tree();
    let base = block_ref(tree.base());
    let mut best = vec![block_ref(tree.tip())];
    let (mut height, mut step) = (tree.tip().height(), 1u64);
    while height > base.height {
        if best.len() >= 10 {
            step = step.saturating_mul(2);
        }
        height = height.saturating_sub(step).max(base.height);
        best.extend(tree.best_at(height).map(block_ref));
    }
    Ok(Locator { best })
}

fn tip(context: &Context) -> Result<GridTip, RpcError> {
    let view = context.view()?;
    let height = view.height();
    let (header, hash) = header(&view, height)?;
    let extension =
        Extension::of(&header).map_err(|error| RpcError::internal(error.to_string()))?;
    Ok(GridTip {
        chain_id: context.chain.id(),
        height,
        hash,
        time_ms: extension.timeMs,
        index_root: extension.indexRoot,
    })
}

/// The chain that the next parameter names: its CAIP-2 id or its key.
pub(super) fn chain(view: &View, args: &mut Args) -> Result<ChainRecord, RpcError> {
    let name = args.required::<String>()?;
    let key = if name.starts_with("0x") {
        let key: B256 = name
            .parse()
            .map_err(|error| RpcError::params(format!("chain key {name:?}: {error}")))?;
        ChainKey(key)
    } else {
        let id: ChainId = name.parse().map_err(|error| RpcError::params(format!("{error}")))?;
        id.key()
    };
    if let Some(record) = state::query::chain(view, key)? {
        return Ok(record);
    }
    let known: Vec<String> =
        state::query::chains(view)?.into_iter().map(|record| record.id.to_string()).collect();
    Err(RpcError::not_found(format!(
        "chain {name} is not registered; registered: {}",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )))
}

fn confirmed_header(context: &Context, args: &mut Args) -> Result<CompatHeader, RpcError> {
    let view = context.view()?;
    let record = chain(&view, args)?;
    let at = args.required::<Value>()?;
    find_confirmed(context, &view, &record, &at)
}

/// A confirmed header by height or block hash, or why there is none.
pub(super) fn find_confirmed(
    context: &Context,
    view: &View,
    record: &ChainRecord,
    at: &Value,
) -> Result<CompatHeader, RpcError> {
    let key = record.key();
    if let Some(height) = number(at) {
        return match view.confirmed(key, height)? {
            Some(header) => Ok(header),
            None => Err(why_not(context, view, record, height)?),
        };
    }
    let hash: B256 = serde_json::from_value(at.clone()).map_err(|_| {
        RpcError::params(format!("{at} is neither a height nor a block hash of 32 bytes"))
    })?;
    if let Some(height) = view.confirmed_height(key, &hash)?
        && let Some(header) = view.confirmed(key, height)?
    {
        return Ok(header);
    }
    let client = client(context, view, record)?;
    match client.tree().get(&hash) {
        Some(tracked) => Err(why_not(context, view, record, tracked.height())?),
        None => Err(RpcError::not_found(format!(
            "block {hash} of {} is not known to the main chain; hashes are in the chain's internal byte order",
            record.id
        ))),
    }
}

fn why_not(
    context: &Context,
    view: &View,
    record: &ChainRecord,
    height: u64,
) -> Result<RpcError, RpcError> {
    let id = &record.id;
    let accumulator = state::query::accumulator(view, record.key())?;
    if let Some(range) = &accumulator
        && height < range.first_height
    {
        return Ok(RpcError::not_found(format!(
            "header {height} of {id} is below the start of the index at height {}; it can't be proven",
            range.first_height
        )));
    }
    let confirmed = accumulator
        .and_then(|range| range.tip_height())
        .map_or_else(|| "none yet".to_owned(), |tip| format!("up to {tip}"));
    let tracked = client(context, view, record)?.tree().tip().height();
    Ok(RpcError::not_found(format!(
        "header {height} of {id} is not confirmed: confirmed {confirmed}, tracked up to {tracked}, rule {}; try again later",
        describe_rule(record)
    )))
}

fn decided_height(view: &View, height: Option<u64>) -> Result<u64, RpcError> {
    match height {
        Some(height) if height > view.height() => Err(RpcError::not_found(format!(
            "block {height} does not exist yet, the newest is {}",
            view.height()
        ))),
        other => Ok(other.unwrap_or_else(|| view.height())),
    }
}

fn validators(context: &Context, args: &mut Args) -> Result<ValidatorSet, RpcError> {
    let view = context.view()?;
    let height = args.optional_height()?.unwrap_or_else(|| view.height().saturating_add(1));
    view.validators(height)?.ok_or_else(|| {
        RpcError::not_found(format!(
            "the validators of height {height} are not known; known are those of 1 to {}",
            view.height().saturating_add(1)
        ))
    })
}

fn certificate(context: &Context, args: &mut Args) -> Result<CommitCertificate, RpcError> {
    let view = context.view()?;
    let height = decided_height(&view, args.optional_height()?)?;
    view.certificate(height)?.ok_or_else(|| {
        RpcError::not_found(format!(
            "block {height} has no certificate; genesis is agreed on by configuration"
        ))
    })
}

fn account(context: &Context, args: &mut Args) -> Result<AccountInfo, RpcError> {
    let address = args.required::<Address>()?;
    let view = context.view()?;
    let Account { nonce, balance } = Account::read(&view, &address)?;
    let pending_nonce = context.chain.mempool().pending_nonce(&address, nonce);
    Ok(AccountInfo { address, nonce, pending_nonce, balance })
}
