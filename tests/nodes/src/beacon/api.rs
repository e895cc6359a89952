//! The beacon API's answers.

use alloy_primitives::B256;
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use futures::{StreamExt as _, stream};
use grid_core::ethereum::sync::Fork;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

use super::{
    block::Block,
    chain::{Chain, MAX_BLOBS_PER_BLOCK_ELECTRA},
    data,
    fault::Fault,
    server::{Served, Topic},
    tree,
    value::Value,
};
use crate::serve;

/// `MAX_REQUEST_LIGHT_CLIENT_UPDATES`.
const MOST_UPDATES: u64 = 128;

const JSON: &str = "application/json";
const SSZ: &str = "application/octet-stream";

/// What is found for a question, before it is encoded.
enum Found {
    /// One object of a fork's form.
    Object(Fork, Value),
    /// A page of updates, each with its fork and the digest of its form.
    Page(Vec<(Fork, [u8; 4], Value)>),
    /// JSON only.
    Plain(Json),
}

/// Answers one request.
pub(super) async fn answer(
    State(served): State<Arc<Served>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = uri.path().trim_matches('/').to_owned();
    let fault = served.fault_on(&path);
    served.count(&path);
    match fault {
        Some(Fault::Hang) => std::future::pending::<()>().await,
        Some(Fault::Status(code)) => return refused(code),
        Some(Fault::Endless) => return serve::endless(),
        Some(Fault::Page) => return serve::page(),
        _ => {}
    }
    if path == "eth/v1/events" {
        return events(&served, uri.query().unwrap_or_default());
    }
    let found = find(&served.chain(), &path, uri.query().unwrap_or_default(), fault);
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    match found {
        Some(found) => encode(found, accept.is_some_and(prefers_ssz), fault),
        None => refused(404),
    }
}

/// Whether SSZ stands before JSON in what the client accepts.
fn prefers_ssz(accept: &str) -> bool {
    let at = |kind: &str| accept.find(kind).unwrap_or(usize::MAX);
    at(SSZ) < at(JSON)
}

fn refused(code: u16) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = axum::Json(json!({ "code": code, "message": "not available" }));
    let mut response = (status, body).into_response();
    if matches!(code, 429 | 503) {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

fn find(chain: &Chain, path: &str, query: &str, fault: Option<Fault>) -> Option<Found> {
    let plain = |data: Json| Some(Found::Plain(json!({ "data": data })));
    match path.split('/').collect::<Vec<_>>()[..] {
        ["eth", "v1", "beacon", "light_client", "bootstrap", root] => {
            let mut bootstrap = chain.bootstrap(&root.parse::<B256>().ok()?)?;
            if let Some(fault) = fault {
                fault.apply_to_bootstrap(chain, &mut bootstrap);
            }
            Some(Found::Object(bootstrap.version(), bootstrap.value()))
        }
        ["eth", "v1", "beacon", "light_client", "updates"] => {
            let (start, count) = (number(query, "start_period")?, number(query, "count")?);
            Some(Found::Page(page(chain, start, count, fault)))
        }
        ["eth", "v1", "beacon", "light_client", "finality_update"] => {
            let update = newest(chain, fault)?;
            Some(Found::Object(update.version(), update.finality()))
        }
        ["eth", "v1", "beacon", "light_client", "optimistic_update"] => {
            let update = newest(chain, fault)?;
            Some(Found::Object(update.version(), update.optimistic()))
        }
        ["eth", "v1", "beacon", "headers", id] => {
            let block = match id {
                "head" => chain.head(),
                "finalized" => chain.finalized().or_else(|| chain.block(0)),
                "genesis" => chain.block(0),
                id if id.starts_with("0x") => chain.by_root(&id.parse().ok()?),
                slot => chain.block(slot.parse().ok()?),
            }?;
            let finalized = chain.finalized().map_or(0, |block| block.header.slot);
            Some(Found::Plain(described(block, finalized)))
        }
        ["eth", "v1", "beacon", "states", _, "finality_checkpoints"] => {
            let finalized = chain.head()?.finalized;
            let finalized = json!({ "epoch": finalized.epoch.to_string(), "root": finalized.root });
            plain(json!({ "previous_justified": finalized, "current_justified": finalized,
                "finalized": finalized }))
        }
        ["eth", "v1", "beacon", "genesis"] => {
            let network = chain.network();
            let genesis = fault.map_or(network.genesis_validators_root, |f| f.genesis(network));
            plain(json!({
                "genesis_time": network.genesis_time.to_string(),
                "genesis_validators_root": genesis,
                "genesis_fork_version": network.genesis_fork_version,
            }))
        }
        ["eth", "v1", "config", "spec"] => plain(spec(chain)),
        ["eth", "v1", "node", "syncing"] => {
            let head = chain.head()?.header.slot.to_string();
            plain(json!({ "head_slot": head, "sync_distance": "0", "is_syncing": false,
                "is_optimistic": false, "el_offline": false }))
        }
        ["eth", "v1", "node", "version"] => plain(json!({ "version": "grid-beacon-simulator" })),
        _ => None,
    }
}

/// A number in a query.
fn number(query: &str, name: &str) -> Option<u64> {
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))?.parse().ok()
}

fn described(block: &Block, finalized: u64) -> Json {
    json!({
        "execution_optimistic": false,
        "finalized": block.header.slot <= finalized,
        "data": {
            "root": block.root, "canonical": true,
            "header": {
                "message": data::beacon(&block.header).json(),
                "signature": format!("0xc0{}", "00".repeat(95)),
            },
        },
    })
}

/// Consecutive periods' best updates, as far as there are any.
fn page(
    chain: &Chain,
    start: u64,
    count: u64,
    fault: Option<Fault>,
) -> Vec<(Fork, [u8; 4], Value)> {
    let (mut start, mut most) = (start, count.min(MOST_UPDATES));
    match fault {
        Some(Fault::ShortPage(short)) => most = most.min(short as u64),
        Some(Fault::ShiftedPage) => start = start.saturating_add(1),
        _ => {}
    }
    (start..start.saturating_add(most))
        .map_while(|period| chain.best_update(period))
        .map(|mut update| {
            if let Some(fault) = fault {
                fault.apply(chain, &mut update);
            }
            (update.version(), chain.digest(update.attested.beacon.slot), update.value())
        })
        .collect()
}

/// The newest update, or the one that the fault wants.
fn newest(chain: &Chain, fault: Option<Fault>) -> Option<data::Update> {
    let mut update = match fault {
        Some(Fault::StaleFinality(slots)) => {
            let slot = chain.head()?.header.slot.saturating_sub(slots.max(1));
            chain.update(chain.block_until(slot)?.header.slot)?
        }
        _ => chain.newest_update()?,
    };
    if let Some(fault) = fault {
        fault.apply(chain, &mut update);
    }
    Some(update)
}

/// What `config/spec` says of the network.
fn spec(chain: &Chain) -> Json {
    let network = chain.network();
    let preset = network.preset;
    let mut spec = json!({
        "CONFIG_NAME": network.name, "PRESET_BASE": "minimal",
        "SECONDS_PER_SLOT": network.seconds_per_slot.to_string(),
        "SLOTS_PER_EPOCH": preset.slots_per_epoch.to_string(),
        "EPOCHS_PER_SYNC_COMMITTEE_PERIOD": preset.epochs_per_period.to_string(),
        "SYNC_COMMITTEE_SIZE": preset.committee_size.to_string(),
        "MIN_SYNC_COMMITTEE_PARTICIPANTS": "1",
        "GENESIS_FORK_VERSION": network.genesis_fork_version,
        "MAX_BLOBS_PER_BLOCK_ELECTRA": MAX_BLOBS_PER_BLOCK_ELECTRA.to_string(),
        "BLOB_SCHEDULE": [],
    });
    for fork in &network.forks {
        let name = tree::name(fork.fork).to_uppercase();
        spec[format!("{name}_FORK_VERSION")] = json!(fork.version);
        spec[format!("{name}_FORK_EPOCH")] = json!(fork.epoch.to_string());
    }
    spec
}

fn encode(found: Found, ssz: bool, fault: Option<Fault>) -> Response {
    let named = |fork: Fork| match fault {
        Some(Fault::VersionName) if fork == Fork::Capella => "deneb",
        Some(Fault::VersionName) => "capella",
        _ => tree::name(fork),
    };
    let (mut body, mut kind, version) = match found {
        Found::Plain(json) => (json.to_string().into_bytes(), JSON, None),
        Found::Object(fork, value) if ssz => (value.ssz().to_vec(), SSZ, Some(named(fork))),
        Found::Object(fork, value) => {
            let json = json!({ "version": named(fork), "data": value.json() });
            (json.to_string().into_bytes(), JSON, Some(named(fork)))
        }
        Found::Page(updates) if ssz => {
            let version = updates.first().map(|(fork, ..)| named(*fork));
            (chunks(&updates), SSZ, version)
        }
        Found::Page(updates) => {
            let page: Json = updates
                .iter()
                .map(|(fork, _, value)| json!({ "version": named(*fork), "data": value.json() }))
                .collect();
            let version = updates.first().map(|(fork, ..)| named(*fork));
            (page.to_string().into_bytes(), JSON, version)
        }
    };
    match fault {
        Some(Fault::ContentType) => kind = if kind == JSON { SSZ } else { JSON },
        Some(Fault::Truncated) => body.truncate(body.len() / 2),
        _ => {}
    }
    let mut response =
        if fault == Some(Fault::Slow) { serve::slow(body) } else { body.into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    if let Some(version) = version {
        headers.insert("eth-consensus-version", header::HeaderValue::from_static(version));
    }
    response
}

/// Each update behind its length and the digest of its form.
fn chunks(updates: &[(Fork, [u8; 4], Value)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (_, digest, value) in updates {
        let length = digest.len() + value.ssz().len();
        body.extend((length as u64).to_le_bytes());
        body.extend(digest);
        body.extend(value.ssz());
    }
    body
}

/// Server-sent events of the topics asked for.
fn events(served: &Arc<Served>, query: &str) -> Response {
    let query = query.replace("%2C", ",");
    let asked: Vec<String> = query
        .split('&')
        .filter_map(|part| part.strip_prefix("topics="))
        .flat_map(|topics| topics.split(',').map(str::to_owned))
        .collect();
    let events = stream::unfold(served.subscribe(), |mut events| async {
        loop {
            match events.recv().await {
                Ok(event) => return Some((event, events)),
                // Whoever reads too slowly misses some, as from a real node.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let text = events.filter_map(move |(topic, data): (Topic, Arc<str>)| {
        let wanted = asked.iter().any(|name| name == topic.name());
        let line = format!("event: {}\ndata: {data}\n\n", topic.name());
        async move { wanted.then_some(Ok::<_, std::io::Error>(line)) }
    });
    // A comment first, so that the client has its headers at once.
    let opened = stream::once(async { Ok(String::from(": open\n\n")) });
    let mut response = Body::from_stream(opened.chain(text)).into_response();
    let kind = header::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
