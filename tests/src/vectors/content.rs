//! What a file holds, told by its content: other folders and names than ours are found as well.

use std::path::Path;

use grid_core::ethereum::sync::file::Shape;
use serde_json::Value;

use super::{beacon, hexes};

/// Content that a runner exists for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A case of the beacon chain, which names the files beside it.
    Case,
    /// A file beside a case.
    CaseMember,
    /// What a beacon node serves to light clients.
    LightClient,
    /// A beacon block.
    BeaconBlock,
    /// An execution block with its header's RLP, transactions and receipts.
    ExecutionBlock,
    /// A chain as our recorder of anvil writes it.
    AnvilChain,
    /// Answers of `eth_getProof`, or a test case around one.
    AccountProof,
    /// Tries with proofs.
    Tries,
    /// A list of execution headers.
    HeaderChain,
}

/// How deep a file's JSON is searched for light-client objects.
const DEPTH: usize = 5;

/// The content of a file, where it is known.
pub(super) fn of(path: &Path) -> Option<Content> {
    let case = || beside(path).is_some_and(|value| beacon::is_case(&value));
    match path.extension()?.to_str()? {
        "ssz" if case() => Some(Content::CaseMember),
        "ssz" => beacon::is_light_client_ssz(path).then_some(Content::LightClient),
        "json" => {
            let value = hexes::json(path).ok()?;
            let named = path.file_name().is_some_and(|name| name == "case.json");
            if named {
                beacon::is_case(&value).then_some(Content::Case)
            } else if case() {
                Some(Content::CaseMember)
            } else {
                of_json(&value)
            }
        }
        _ => None,
    }
}

/// The `case.json` of a file's folder.
fn beside(path: &Path) -> Option<Value> {
    let case = path.with_file_name("case.json");
    if case.is_file() { hexes::json(&case).ok() } else { None }
}

fn of_json(value: &Value) -> Option<Content> {
    let has = |value: &Value, names: &[&str]| names.iter().all(|name| value.get(name).is_some());
    let first = |value: &Value| value.as_array().and_then(|list| list.first().cloned());
    if holds_light_client_data(value, DEPTH) {
        Some(Content::LightClient)
    } else if value.pointer("/data/message/body").is_some() {
        Some(Content::BeaconBlock)
    } else if has(value, &["hash", "header_rlp", "header", "transactions", "receipts_eip2718"]) {
        Some(Content::ExecutionBlock)
    } else if first(&value["chain"]).is_some_and(|block| has(&block, &["header_rlp", "raw_txs"])) {
        Some(Content::AnvilChain)
    } else if has(value, &["accountProof", "__state_root_recomputed__"])
        || value.pointer("/execution/block/stateRoot").is_some()
            && value.get("dependentRequests").is_some()
    {
        Some(Content::AccountProof)
    } else if first(&value["cases"])
        .is_some_and(|case| has(&case, &["root", "inclusion", "exclusion", "invalid"]))
    {
        Some(Content::Tries)
    } else if first(value).is_some_and(|entry| has(&entry, &["hash", "header_rlp", "header"])) {
        Some(Content::HeaderChain)
    } else {
        None
    }
}

fn holds_light_client_data(value: &Value, depth: usize) -> bool {
    if Shape::of(value).is_some() {
        return true;
    }
    let Some(depth) = depth.checked_sub(1) else { return false };
    match value {
        Value::Array(list) => list.iter().any(|item| holds_light_client_data(item, depth)),
        Value::Object(map) => map.values().any(|item| holds_light_client_data(item, depth)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn content_is_told_by_fields() {
        let update = json!({"attested_header": {}, "sync_aggregate": {}});
        for wrapped in [
            json!({"version": "fulu", "data": update}),
            json!([{"version": "fulu", "data": update}]),
            json!({"data": [update]}),
            json!({"sequence": {"finality": {"data": update}}}),
        ] {
            assert_eq!(of_json(&wrapped), Some(Content::LightClient));
        }
        let block = json!({"data": {"message": {"body": {}}}});
        assert_eq!(of_json(&block), Some(Content::BeaconBlock));
        assert_eq!(of_json(&json!({"anything": [1, 2]})), None);
        assert_eq!(of_json(&json!({"chain": []})), None);
    }
}
