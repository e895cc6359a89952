//! Real inputs of Ethereum's parsers.

use std::path::Path;

use alloy_primitives::{Bytes, keccak256};
use grid_core::ethereum::{
    header::decode_header,
    sync::{
        Bootstrap, Conflict, ConflictKind, Known, Policy, Store, SyncClient, SyncData,
        file::{self, Object},
    },
};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    ethereum::join,
    light_client::NETWORK,
    seeds::{files, hexes},
};

/// Files of the vectors with small committees.
fn small(data: &Path, end: &str) -> Vec<Vec<u8>> {
    let folder = data.join("ethereum/spec-vectors/anvil-carrying");
    let folders = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<_> = folders.map(|entry| entry.path()).collect();
    folders.retain(|path| path.to_string_lossy().contains("minimal"));
    folders.sort();
    folders.iter().flat_map(|folder| files(folder, end).into_iter().take(40)).collect()
}

/// Objects of every kind and format, in SSZ.
pub(super) fn light_client_ssz(data: &Path) -> Vec<Vec<u8>> {
    let mut seeds = small(data, ".ssz");
    // The same in the one form of all formats.
    seeds.extend(sync_data(data).into_iter().map(|bytes| bytes.into_iter().skip(1).collect()));
    seeds
}

/// Objects of every kind and format, in JSON.
pub(super) fn light_client_json(data: &Path) -> Vec<Vec<u8>> {
    let mut seeds = small(data, ".json");
    seeds.retain(|seed| seed.len() < 20_000);
    seeds
}

fn objects(data: &Path) -> Vec<Object> {
    small(data, ".ssz").iter().filter_map(|bytes| file::any_ssz(&NETWORK, bytes)).collect()
}

/// Objects on their way to the main chain.
pub(super) fn sync_data(data: &Path) -> Vec<Vec<u8>> {
    let sent = objects(data).into_iter().filter_map(|object| match object {
        Object::Bootstrap(bootstrap) => Some(SyncData::Bootstrap(bootstrap)),
        Object::Update(update) => Some(SyncData::Update(update)),
        Object::FinalityUpdate(update) => Some(SyncData::FinalityUpdate(update)),
        Object::OptimisticUpdate(_) => None,
    });
    sent.map(|object| object.encode()).collect()
}

fn bootstraps(data: &Path) -> Vec<Bootstrap> {
    let bootstrap = |object| match object {
        Object::Bootstrap(bootstrap) => Some(*bootstrap),
        _ => None,
    };
    objects(data).into_iter().filter_map(bootstrap).collect()
}

/// Clients, fresh and frozen, and their stores.
pub(super) fn light_client_stores(data: &Path) -> Vec<Vec<u8>> {
    let policy = Policy { max_checkpoint_age: 0, check_clock: false, ..Policy::default() };
    let mut seeds = Vec::new();
    for bootstrap in bootstraps(data) {
        let root = bootstrap.header.beacon.root();
        let started = SyncClient::bootstrap(NETWORK.clone(), policy.clone(), &root, bootstrap, 0);
        if let Ok(client) = started {
            seeds.extend([client.encode(), Store::encode(client.store(), &NETWORK)]);
        }
    }
    seeds
}

/// Evidence in the right form, though nothing is wrong with the two updates.
pub(super) fn light_client_conflicts(data: &Path) -> Vec<Vec<u8>> {
    let Some(bootstrap) = bootstraps(data).into_iter().next() else { return Vec::new() };
    let committee = bootstrap.current_sync_committee;
    let updates: Vec<_> = objects(data).iter().filter_map(Object::to_update).collect();
    let conflict = |pair: &[_]| {
        let [known, other] = pair else { return None };
        let conflict = Conflict {
            kind: ConflictKind::Finality,
            known: Known::Proof(Box::new(Clone::clone(known))),
            other: Box::new(Clone::clone(other)),
            committees: vec![(1, committee.clone())],
        };
        Some(conflict.encode(&NETWORK))
    };
    updates.chunks(2).filter_map(conflict).take(40).collect()
}

/// Headers of every fork in RLP.
pub(super) fn execution_headers(data: &Path) -> Vec<Vec<u8>> {
    let folder = data.join("ethereum");
    let texts = [
        files(&folder.join("mainnet-blocks"), ".json"),
        files(&folder.join("rpc-conformance"), "chain-decoded.json"),
        files(&folder.join("anvil"), ".json"),
    ];
    let all = texts.concat();
    let hexes = all.iter().flat_map(|text| hexes(text));
    hexes.filter(|bytes| decode_header(bytes).is_ok()).collect()
}

/// Accounts with the nodes of their proofs.
pub(super) fn trie_nodes(data: &Path) -> Vec<Vec<u8>> {
    let files = files(&data.join("ethereum/eth_getProof"), ".json");
    let mut proofs = Vec::new();
    for text in files {
        if let Ok(value) = serde_json::from_slice::<Value>(&text) {
            collect(&value, &mut proofs);
        }
    }
    proofs
}

/// Every `eth_getProof` answer in a value, as pieces.
fn collect(value: &Value, proofs: &mut Vec<Vec<u8>>) {
    let nodes = Vec::<Bytes>::deserialize(&value["accountProof"]);
    if let (Ok(nodes), Ok(address)) = (nodes, Bytes::deserialize(&value["address"])) {
        let key = keccak256(&address);
        let pieces = std::iter::once(key.as_slice()).chain(nodes.iter().map(AsRef::as_ref));
        proofs.push(join(pieces));
    }
    match value {
        Value::Array(list) => list.iter().for_each(|item| collect(item, proofs)),
        Value::Object(map) => map.values().for_each(|item| collect(item, proofs)),
        _ => {}
    }
}

/// The first receipts of each block.
pub(super) fn receipts(data: &Path) -> Vec<Vec<u8>> {
    let blocks = files(&data.join("ethereum/mainnet-blocks"), ".json");
    let blocks = blocks.iter().filter_map(|text| serde_json::from_slice::<Value>(text).ok());
    let lists = blocks.filter_map(|block| {
        let list = Vec::<Bytes>::deserialize(&block["receipts_eip2718"]).ok()?;
        Some(join(list.iter().filter(|one| one.len() < 1_500).take(6).map(AsRef::as_ref)))
    });
    lists.collect()
}
