//! The official `single_merkle_proof` and `update_ranking` suites.

use std::path::Path;

use alloy_primitives::B256;
use grid_core::ethereum::sync::{
    Fork, ForkActivation, Format, NetworkConfig, Preset,
    file::{Object, Shape},
    is_better_update, merkle,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{Outcome, hexes},
    case::Files,
};

#[derive(Deserialize)]
struct Proof {
    root: B256,
    leaf: B256,
    leaf_index: u64,
    branch: Vec<B256>,
}

/// One proof: it holds, no changed one does, and its index is the one that the client uses.
pub(super) fn single(path: &Path, value: &Value, outcome: &mut Outcome) -> Result<(), String> {
    let proof = Proof::deserialize(value).map_err(|error| error.to_string())?;
    let Proof { root, leaf, leaf_index, branch } = &proof;
    let holds = |leaf: &B256, branch: &[B256], gindex| merkle::verify(leaf, branch, gindex, root);
    outcome.equal("proof", &holds(leaf, branch, *leaf_index), &true);
    let mut other = branch.clone();
    other[0].0[0] ^= 1;
    outcome.equal("changed branch", &holds(leaf, &other, *leaf_index), &false);
    outcome.equal("shorter branch", &holds(leaf, &branch[1..], *leaf_index), &false);
    // Where a leaf equals its sibling, either side is right.
    let same = *leaf == branch[0];
    outcome.equal("sibling's index", &holds(leaf, branch, leaf_index ^ 1), &same);

    let names: Vec<_> = path.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    let Some(fork) = names.iter().find_map(|name| fork(name)) else {
        outcome.not_compared(1);
        return Ok(());
    };
    let named = |part: &str| names.iter().any(|name| name.starts_with(part));
    let fork = Some(fork);
    let used = if named("finality_root") {
        merkle::finalized_root_gindex(fork)
    } else if named("current_sync_committee") {
        merkle::current_committee_gindex(fork)
    } else if named("next_sync_committee") {
        merkle::next_committee_gindex(fork)
    } else if named("execution_block_hash") {
        merkle::block_hash_gindex(fork).unwrap_or_default()
    } else if named("execution") {
        // The payload itself, above the block's hash in its header.
        let below = if fork >= Some(Fork::Deneb) { 5 } else { 4 };
        merkle::block_hash_gindex(fork).unwrap_or_default() >> below
    } else {
        outcome.not_compared(1);
        return Ok(());
    };
    outcome.equal("generalized index", &used, leaf_index);
    Ok(())
}

/// A fork by its name in a path. None for forks that are not released.
pub(super) fn fork(name: &str) -> Option<Fork> {
    Some(match name {
        "altair" => Fork::Altair,
        "bellatrix" => Fork::Bellatrix,
        "capella" => Fork::Capella,
        "deneb" => Fork::Deneb,
        "electra" => Fork::Electra,
        "fulu" => Fork::Fulu,
        "gloas" => Fork::Gloas,
        _ => return None,
    })
}

/// Updates, the best one first: each is better than all after it, and never the other way round.
pub(super) fn ranking(
    value: &Value,
    files: &mut Files,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let version = value["version"].as_str().ok_or("no version")?;
    let format = Format::by_version(version).map_err(|error| error.to_string())?;
    let listed = value["updates"].as_array().ok_or("no updates")?;
    let members =
        listed.first().and_then(|first| first["next_sync_committee"]["pubkeys"].as_array());
    let network = started(version, members.map_or(0, Vec::len))?;
    let mut updates = Vec::new();
    for (index, listed) in listed.iter().enumerate() {
        let name = format!("updates_{index}.ssz");
        let bytes = hexes::bytes(&files.take(&name))?;
        let decoded = Shape::Update.read_ssz(&network, format, &bytes);
        outcome.equal(&name, &decoded, &Shape::Update.read_json(&network, format, listed));
        match decoded {
            Ok(Object::Update(update)) => updates.push(*update),
            other => return Err(format!("{name}: {other:?}")),
        }
    }
    let better = |one: usize, other: usize| {
        is_better_update(&network.preset, &updates[one], &updates[other])
    };
    for one in 0..updates.len() {
        for other in one + 1..updates.len() {
            let found = (better(one, other), better(other, one));
            outcome.equal(format!("updates {one} and {other}"), &found, &(true, false));
        }
    }
    Ok(())
}

/// A network in which a fork and all before it are active from the start.
fn started(version: &str, members: usize) -> Result<NetworkConfig, String> {
    let last = fork(version).ok_or("unknown version")?;
    let preset = if members == 512 { Preset::MAINNET } else { Preset::MINIMAL };
    let mut network = NetworkConfig { preset, ..NetworkConfig::mainnet() };
    let gloas = ForkActivation { fork: Fork::Gloas, ..network.forks[0] };
    network.forks.push(gloas);
    network.forks.retain(|activation| activation.fork <= last);
    network.forks.iter_mut().for_each(|activation| activation.epoch = 0);
    Ok(network)
}
