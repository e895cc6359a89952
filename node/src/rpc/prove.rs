//! `grid_prove` and `grid_proveState`.

use alloy_primitives::{B256, Bytes};
use grid_core::{api::ProveAnswer, index, mmr, proof::Segment, state};
use serde::Serialize;
use serde_json::Value;

use super::{
    Method, Methods, RpcError,
    args::Args,
    context::{Context, header},
    error,
    grid::{CHAIN, chain, find_confirmed},
    required,
};

/// The most bytes of a state key; the longest that the state uses has 48.
const MAX_KEY: usize = 256;

/// `grid_proveState(key)`: a value of the newest state, with its proof.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct StateProofAnswer {
    height: u64,
    block_hash: B256,
    state_root: B256,
    key: Bytes,
    value: Option<Bytes>,
    /// As `grid_core::state::tree::verify` takes it.
    proof: Bytes,
}

pub(super) fn register(methods: &mut Methods) {
    let summary = "Everything of a proof but its inclusion part: the confirmed header, a segment up to the newest block, its certificate and validators.";
    let params = &[CHAIN, required("height or block hash", "HeightOrHash")];
    let method = Method::new("grid_prove", params, "ProveAnswer", summary);
    methods.add(method.heavy().fails(&[error::NOT_FOUND]), prove);
    let summary = "A value of the newest state, or that there is none, with its proof.";
    let method = Method::new("grid_proveState", &[required("key", "Bytes")], "StateProof", summary);
    methods.add(method.heavy().limits(format!("a key of {MAX_KEY} bytes")), prove_state);
}

fn prove(context: &Context, args: &mut Args) -> Result<ProveAnswer, RpcError> {
    let view = context.view()?;
    let record = chain(&view, args)?;
    let at = args.required::<Value>()?;
    let header_of_source = find_confirmed(context, &view, &record, &at)?;
    let key = record.key();
    let entries = state::query::entries(&view)?;
    let place = entries.iter().position(|entry| entry.chain == key.0).ok_or_else(|| {
        RpcError::not_found(format!(
            "chain {} is {}, so it is not in the index",
            record.id, record.status
        ))
    })?;
    let internal = |error: String| RpcError::internal(error);
    let entry = entries.get(place).ok_or_else(|| internal("no entry".into()))?;
    let leaf = header_of_source
        .height
        .checked_sub(entry.firstHeight)
        .filter(|leaf| *leaf < entry.count)
        .ok_or_else(|| internal("index and accumulator disagree".into()))?;
    let nodes = view.accumulator(key)?;
    let accumulator =
        mmr::prove(&nodes, entry.count, leaf).map_err(|error| internal(error.to_string()))?;
    let index = index::prove_entry(&entries, place).ok_or_else(|| internal("no entry".into()))?;
    let height = view.height();
    let (grid_header, _) = header(&view, height)?;
    let certificate = view.certificate(height)?.ok_or_else(|| {
        RpcError::not_found("there is no block after genesis yet; try again in a moment")
    })?;
    let validators = view
        .validators(height)?
        .ok_or_else(|| internal(format!("validators of height {height} are missing")))?;
    let segment = Segment {
        accumulator,
        entry: entry.clone(),
        index,
        grid_header: alloy_rlp::encode(&grid_header).into(),
    };
    Ok(ProveAnswer {
        source: record.id,
        header: header_of_source,
        segment: segment.to_abi(),
        certificate,
        validators,
    })
}

fn prove_state(context: &Context, args: &mut Args) -> Result<StateProofAnswer, RpcError> {
    let key = args.bytes(MAX_KEY)?;
    let view = context.view()?;
    let (header, block_hash) = header(&view, view.height())?;
    let (value, proof) = state::tree::prove(&view, &key)?;
    Ok(StateProofAnswer {
        height: view.height(),
        block_hash,
        state_root: header.state_root,
        key,
        value: value.map(Bytes::from),
        proof: proof.into(),
    })
}
