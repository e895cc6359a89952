//! Real light-client data of public networks: whatever was served, in any files and folders.
//!
//! All files are run together. A file's network is the one under which a committee of any file has
//! signed it. Proofs and signatures are checked for each object, and a store follows each bootstrap
//! as far as the data reaches without a gap.

use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use grid_core::ethereum::sync::{
    Bootstrap, KeyCache, LightClientHeader, NetworkConfig, Store, SyncAggregate, SyncCommittee,
    SyncError, Update,
    file::{self, Object},
    store,
};
use serde_json::Value;

use super::{
    super::{Outcome, hexes},
    object,
};

const NETWORKS: [&str; 3] = ["mainnet", "sepolia", "hoodi"];

fn networks() -> impl Iterator<Item = NetworkConfig> {
    NETWORKS.iter().filter_map(|name| NetworkConfig::by_name(name).ok())
}

/// Whether a file is SSZ of a light-client object, or says so by the JSON beside it.
pub(in super::super) fn is_light_client_ssz(path: &Path) -> bool {
    let Ok(bytes) = hexes::bytes(path) else { return false };
    networks().any(|network| file::read(&network, &bytes).is_ok())
        || hexes::json(&path.with_extension("json"))
            .is_ok_and(|value| networks().any(|network| file::read_value(&network, &value).is_ok()))
}

/// A file's objects, as far as a network's schedule lets them be read.
struct File {
    label: String,
    path: PathBuf,
    network: NetworkConfig,
    objects: Vec<Object>,
}

/// Runs all light-client files and beacon blocks below a folder. Returns what each has shown.
pub(in super::super) fn gathered(
    root: &Path,
    light: &[PathBuf],
    blocks: &[PathBuf],
) -> [Outcome; 2] {
    let (mut data, mut block) = (Outcome::default(), Outcome::default());
    data.files = light.len() as u64;
    block.files = blocks.len() as u64;
    let mut keys = KeyCache::new();
    let files = read_all(root, light, &mut keys, &mut data);
    for network in networks() {
        let of_it: Vec<&File> =
            files.iter().filter(|file| file.network.name == network.name).collect();
        run(&network, &of_it, &mut keys, &mut data);
    }
    for path in blocks {
        let label = label(root, path);
        if let Err(reason) = compare_block(&label, path, &files, &mut block) {
            block.case(label, Err(reason));
        }
    }
    [data, block]
}

fn label(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// A file's objects under the schedule of a network.
type Reading = (NetworkConfig, Vec<Object>);

/// Reads every file under the network that it is of.
fn read_all(
    root: &Path,
    paths: &[PathBuf],
    keys: &mut KeyCache,
    outcome: &mut Outcome,
) -> Vec<File> {
    let mut choices: Vec<(String, &PathBuf, Vec<Reading>)> = Vec::new();
    for path in paths {
        let label = label(root, path);
        let mut read = Vec::new();
        let mut refused = String::new();
        for network in networks() {
            let bytes = match hexes::bytes(path) {
                Ok(bytes) => bytes,
                Err(reason) => {
                    refused = reason;
                    continue;
                }
            };
            match file::read(&network, &bytes) {
                Ok(objects) => read.push((network, objects)),
                Err(error) => refused = error.to_string(),
            }
        }
        if read.is_empty() {
            outcome.case(label, Err(format!("does not decode: {refused}")));
        } else {
            choices.push((label, path, read));
        }
    }
    let all: Vec<&Object> =
        choices.iter().flat_map(|(_, _, read)| read.iter().flat_map(|(_, o)| o)).collect();
    let committees = committees(&all);
    let chosen: Vec<usize> =
        choices.iter().map(|(label, _, read)| choose(label, read, &committees, keys)).collect();
    let files = choices.into_iter().zip(chosen).filter_map(|((label, path, mut read), chosen)| {
        if chosen >= read.len() {
            return None;
        }
        let (network, objects) = read.swap_remove(chosen);
        Some(File { label, path: path.clone(), network, objects })
    });
    let files: Vec<File> = files.collect();
    for file in &files {
        twin(file, outcome);
    }
    files
}

/// The committees that objects name, by period. Whose they are is not known yet.
fn committees(objects: &[&Object]) -> Vec<(u64, SyncCommittee)> {
    let period = |slot| NetworkConfig::mainnet().preset.period(slot);
    let mut committees: Vec<(u64, SyncCommittee)> = Vec::new();
    for object in objects {
        let named = match object {
            Object::Bootstrap(bootstrap) => {
                Some((period(object.slot()), &bootstrap.current_sync_committee))
            }
            Object::Update(update) => {
                update.next_sync_committee.as_ref().map(|next| (period(object.slot()) + 1, next))
            }
            _ => None,
        };
        if let Some((period, committee)) = named
            && !committees.iter().any(|(of, known)| *of == period && known == committee)
        {
            committees.push((period, committee.clone()));
        }
    }
    committees
}

/// The network whose committee signed the file's objects; where none of the committees did, the one
/// that the path names, or under which the proofs hold.
fn choose(
    label: &str,
    read: &[Reading],
    committees: &[(u64, SyncCommittee)],
    keys: &mut KeyCache,
) -> usize {
    let mut signed = |network: &NetworkConfig, update: &Update| {
        let period = network.preset.period(update.signature_slot);
        committees
            .iter()
            .filter(|(of, _)| *of == period)
            .any(|(_, committee)| store::verify_signature(network, committee, update, keys).is_ok())
    };
    let by_signature = read.iter().position(|(network, objects)| {
        objects.iter().filter_map(Object::to_update).any(|update| signed(network, &update))
    });
    let by_name = || {
        let label = label.to_lowercase();
        read.iter().position(|(network, _)| label.contains(&network.name))
    };
    let by_proof = || {
        read.iter()
            .position(|(network, objects)| objects.iter().all(|o| proves(network, o).is_ok()))
    };
    by_signature.or_else(by_name).or_else(by_proof).unwrap_or_default()
}

/// What an object proves by itself.
fn proves(network: &NetworkConfig, object: &Object) -> Result<(), String> {
    let result = match (object, object.to_update()) {
        (Object::Bootstrap(bootstrap), _) => {
            let root = bootstrap.header.beacon.root();
            Store::new(network, &root, (**bootstrap).clone()).map(drop)
        }
        (_, Some(update)) => store::verify_proofs(network, &update),
        (_, None) => return Err("is no light-client object".into()),
    };
    result.map_err(|error| error.to_string())
}

/// SSZ with JSON beside it must say the same, and no byte more or less may.
fn twin(file: &File, outcome: &mut Outcome) {
    let json = file.path.with_extension("json");
    if file.path.extension().is_none_or(|extension| extension != "ssz") || !json.is_file() {
        return;
    }
    let stem = file.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = file.path.parent().unwrap_or_else(|| Path::new("."));
    let result = object::read(&file.network, folder, &stem);
    let result = result.and_then(|read| read.map(drop).map_err(|error| error.to_string()));
    outcome.case(format!("{}: as JSON", file.label), result);
}

/// Checks proofs and signatures of all objects of a network, then lets stores follow them.
fn run(network: &NetworkConfig, files: &[&File], keys: &mut KeyCache, outcome: &mut Outcome) {
    let mut bootstraps: Vec<(String, Bootstrap)> = Vec::new();
    let mut updates: Vec<(String, Update)> = Vec::new();
    let objects = files.iter().flat_map(|file| file.objects.iter().map(|o| (&file.label, o)));
    for (index, (label, object)) in objects.enumerate() {
        let label = format!("{label} #{index}");
        outcome.case(format!("{label}: proofs"), proves(network, object));
        match (object, object.to_update()) {
            (Object::Bootstrap(bootstrap), _) => bootstraps.push((label, (**bootstrap).clone())),
            (_, Some(update)) => updates.push((label, update)),
            _ => {}
        }
    }
    let all: Vec<&Object> = files.iter().flat_map(|file| &file.objects).collect();
    let committees = committees(&all);
    for (index, (period, _)) in committees.iter().enumerate() {
        let other = committees.iter().skip(index + 1).any(|(of, _)| of == period);
        outcome.equal(format!("two committees of period {period}"), &other, &false);
    }
    for (label, update) in &updates {
        signature(network, label, update, &committees, keys, outcome);
    }
    updates
        .sort_by_key(|(_, update)| (update.attested_header.beacon.slot, !update.has_committee()));
    updates.dedup_by(|(_, one), (_, other)| one == other);
    bootstraps.dedup_by(|(_, one), (_, other)| one == other);
    for (label, bootstrap) in bootstraps {
        follow(network, (label, bootstrap), &updates, keys, outcome);
    }
}

/// An update is signed by the committee that another object names, and nothing else is.
fn signature(
    network: &NetworkConfig,
    label: &str,
    update: &Update,
    committees: &[(u64, SyncCommittee)],
    keys: &mut KeyCache,
    outcome: &mut Outcome,
) {
    let period = network.preset.period(update.signature_slot);
    let Some((_, committee)) = committees.iter().find(|(of, _)| *of == period) else {
        return outcome.not_compared(1);
    };
    let result = store::verify_signature(network, committee, update, keys);
    outcome.case(format!("{label}: signature"), result.map_err(|error| error.to_string()));
    let mut other = update.clone();
    other.attested_header.beacon.proposer_index ^= 1;
    let refused = store::verify_signature(network, committee, &other, keys).is_err();
    outcome.equal(format!("{label}: another header"), &refused, &true);
    let SyncAggregate { bits, .. } = &mut other.sync_aggregate;
    other.attested_header = update.attested_header;
    bits[0] ^= 1;
    let refused = store::verify_signature(network, committee, &other, keys).is_err();
    outcome.equal(format!("{label}: other participants"), &refused, &true);
}

/// A store that starts from the bootstrap takes every update of its period and the ones after it, up
/// to the first gap in the data.
fn follow(
    network: &NetworkConfig,
    (label, bootstrap): (String, Bootstrap),
    updates: &[(String, Update)],
    keys: &mut KeyCache,
    outcome: &mut Outcome,
) {
    let trusted = bootstrap.header.beacon.root();
    let Ok(mut store) = Store::new(network, &trusted, bootstrap) else { return };
    let period = |slot| network.preset.period(slot);
    let first = period(store.finalized_header().beacon.slot);
    for (from, update) in updates {
        if period(update.attested_header.beacon.slot) < first {
            continue;
        }
        let before = store.finalized_header().beacon.slot;
        let newest = expected(network, &store, update);
        let label = format!("{label}, then {from}");
        match store.process(network, update.clone(), update.signature_slot, keys) {
            Ok(_) => {
                let finalized = store.finalized_header().beacon.slot;
                outcome.equal(format!("{label}: finalized"), &finalized, &newest);
            }
            // What the store is past of, or what no file leads to.
            Err(SyncError::Irrelevant { .. }) => outcome.not_compared(1),
            Err(SyncError::PeriodSkipped { .. }) if !teaches(network, before, updates) => {
                outcome.not_compared(1);
            }
            Err(error) => outcome.case(label, Err(error.to_string())),
        }
    }
}

/// The finalized slot that a store must have after an update.
fn expected(network: &NetworkConfig, store: &Store, update: &Update) -> u64 {
    let known = store.finalized_header().beacon.slot;
    let (from, to) =
        (network.preset.period(known), network.preset.period(update.finalized_header.beacon.slot));
    let reachable = to == from || store.next_sync_committee().is_some();
    if update.sync_aggregate.has_supermajority() && update.has_finality() && reachable {
        update.finalized_header.beacon.slot.max(known)
    } else {
        known
    }
}

/// Whether the data would have led a store on from the period of a slot.
fn teaches(network: &NetworkConfig, slot: u64, updates: &[(String, Update)]) -> bool {
    let period = |slot| network.preset.period(slot);
    updates.iter().any(|(_, update)| {
        let attested = period(update.attested_header.beacon.slot);
        update.has_committee()
            && update.sync_aggregate.has_supermajority()
            && attested == period(update.finalized_header.beacon.slot)
            && attested == period(update.signature_slot)
            && attested == period(slot)
            && update.finalized_header.beacon.slot >= slot
    })
}

/// Compares a full beacon block with the header of its slot in light-client data.
fn compare_block(
    label: &str,
    path: &Path,
    files: &[File],
    outcome: &mut Outcome,
) -> Result<(), String> {
    let json: Value = hexes::json(path)?;
    let message = &json["data"]["message"];
    let hash = |value: &Value| value.as_str().and_then(|text| text.parse::<B256>().ok());
    let slot: u64 = message["slot"].as_str().and_then(|slot| slot.parse().ok()).ok_or("no slot")?;
    let payload = hash(&message["body"]["execution_payload"]["block_hash"]);
    let theirs = [hash(&message["parent_root"]), hash(&message["state_root"]), payload];
    let of_slot = |file: &'_ File| {
        let all = file.objects.iter().flat_map(headers);
        all.filter(|header| header.beacon.slot == slot).copied().collect::<Vec<_>>()
    };
    // Other networks have other blocks of that slot; a folder is of one network.
    let same_folder = |file: &&File| file.path.parent() == path.parent().and_then(Path::parent);
    let near = files.iter().filter(same_folder).any(|file| !of_slot(file).is_empty());
    let found = files.iter().flat_map(of_slot).any(|header| {
        let hash = header.execution_block_hash;
        let execution = payload.map(|_| hash).filter(|hash| !hash.is_zero()).or(payload);
        [Some(header.beacon.parent_root), Some(header.beacon.state_root), execution] == theirs
    });
    if found || near {
        outcome.equal(label, &found, &true);
    } else {
        outcome.not_compared(1);
    }
    Ok(())
}

fn headers(object: &Object) -> Vec<&LightClientHeader> {
    match object {
        Object::Bootstrap(bootstrap) => vec![&bootstrap.header],
        Object::Update(update) => vec![&update.attested_header, &update.finalized_header],
        Object::FinalityUpdate(update) => vec![&update.attested_header, &update.finalized_header],
        Object::OptimisticUpdate(update) => vec![&update.attested_header],
    }
}
