//! Real light-client data of public networks: a bootstrap, and what was served with it.
//!
//! A bootstrap's file name may have a prefix before `bootstrap`; the files of its folder with that
//! prefix belong to it. What has no bootstrap is checked as far as it proves itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use alloy_primitives::B256;
use grid_core::ethereum::sync::{
    Bootstrap, Format, KeyCache, LightClientHeader, NetworkConfig, Store, SyncCommittee, Update,
    bls, json, store,
};
use serde_json::Value;

use super::{
    super::{Outcome, hexes},
    object::{self, Object, Shape},
};

/// What a file holds, with a label.
type Labelled = (String, Object);

/// Runs a bootstrap's file with all that belongs to it.
pub(in super::super) fn sequence(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let prefix = prefix(path).ok_or("is no bootstrap")?;
    let folder = path.parent().ok_or("has no folder")?;
    let mut objects = Vec::new();
    for file in files(folder)?.iter().filter(|file| name(file).starts_with(&prefix)) {
        objects.extend(objects_of(file)?);
    }
    run(&network(path)?, objects, outcome);
    Ok(())
}

/// A file that belongs to a bootstrap, or stands alone.
pub(in super::super) fn sequence_member(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let folder = path.parent().ok_or("has no folder")?;
    let belongs = files(folder)?
        .iter()
        .filter(|file| has_extension(file, "json"))
        .any(|file| prefix(file).is_some_and(|prefix| name(path).starts_with(&prefix)));
    if belongs {
        return Ok(());
    }
    run(&network(path)?, objects_of(path)?, outcome);
    Ok(())
}

/// A full beacon block, read with the headers of the folder above.
pub(in super::super) fn block(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let json: Value = hexes::json(path)?;
    let message = &json["data"]["message"];
    let payload = &message["body"]["execution_payload"];
    let slot: u64 = message["slot"].as_str().and_then(|slot| slot.parse().ok()).ok_or("no slot")?;
    let folder = path.parent().and_then(Path::parent).ok_or("has no folder above")?;
    let mut found = false;
    for file in files(folder)? {
        for (label, object) in objects_of(&file)? {
            for header in headers(&object).into_iter().filter(|header| header.beacon.slot == slot) {
                found = true;
                let hash =
                    |value: &Value| value.as_str().and_then(|text| text.parse::<B256>().ok());
                let ours = [
                    header.beacon.parent_root,
                    header.beacon.state_root,
                    header.execution_block_hash,
                ];
                let theirs =
                    [&message["parent_root"], &message["state_root"], &payload["block_hash"]];
                outcome.equal(label.as_str(), &ours.map(Some), &theirs.map(hash));
            }
        }
    }
    if !found {
        outcome.not_compared(1);
    }
    Ok(())
}

fn headers(object: &Object) -> Vec<&LightClientHeader> {
    match object {
        Object::Bootstrap(bootstrap) => vec![&bootstrap.header],
        Object::Update(update) => vec![&update.attested_header, &update.finalized_header],
    }
}

/// Checks proofs and signatures of all objects, then lets a store follow them.
fn run(network: &NetworkConfig, objects: Vec<Labelled>, outcome: &mut Outcome) {
    let (mut bootstraps, mut updates) = (Vec::new(), Vec::new());
    for (label, object) in objects {
        match object {
            Object::Bootstrap(bootstrap) => bootstraps.push((label, *bootstrap)),
            Object::Update(update) => updates.push((label, *update)),
        }
    }
    updates
        .sort_by_key(|(_, update)| (update.attested_header.beacon.slot, !update.has_committee()));
    let mut keys = KeyCache::new();
    signatures(network, &bootstraps, &updates, &mut keys, outcome);
    for (label, bootstrap) in bootstraps {
        follow(network, (label, bootstrap), &updates, &mut keys, outcome);
    }
}

/// Each update proves what it says, and is signed by the committee that another object names.
fn signatures(
    network: &NetworkConfig,
    bootstraps: &[(String, Bootstrap)],
    updates: &[(String, Update)],
    keys: &mut KeyCache,
    outcome: &mut Outcome,
) {
    let period = |slot| network.preset.period(slot);
    let mut committees: BTreeMap<u64, &SyncCommittee> = BTreeMap::new();
    for (_, bootstrap) in bootstraps {
        let slot = bootstrap.header.beacon.slot;
        committees.insert(period(slot), &bootstrap.current_sync_committee);
    }
    for (label, update) in updates {
        let proofs = store::verify_proofs(network, update);
        outcome.case(format!("{label}: proofs"), proofs.map_err(|error| error.to_string()));
        if let Some(next) = &update.next_sync_committee {
            let taught = period(update.attested_header.beacon.slot) + 1;
            let known = *committees.entry(taught).or_insert(next);
            outcome.equal(format!("{label}: committee"), &(known == next), &true);
        }
    }
    for (label, update) in updates {
        let Some(committee) = committees.get(&period(update.signature_slot)) else {
            outcome.not_compared(1);
            continue;
        };
        let signed = bls::signing_root(
            &update.attested_header.beacon,
            network.fork_version(update.signature_slot - 1),
            &network.genesis_validators_root,
        );
        let (aggregate, slot) = (&update.sync_aggregate, update.signature_slot);
        let result = keys.verify(committee, aggregate, slot, &signed);
        outcome.case(format!("{label}: signature"), result.map_err(|error| error.to_string()));
        let refused = keys.verify(committee, aggregate, slot, &B256::repeat_byte(1)).is_err();
        outcome.equal(format!("{label}: another message"), &refused, &true);
    }
}

/// A store that starts from the bootstrap takes every update of its period and the ones after it.
fn follow(
    network: &NetworkConfig,
    (label, bootstrap): (String, Bootstrap),
    updates: &[(String, Update)],
    keys: &mut KeyCache,
    outcome: &mut Outcome,
) {
    let trusted = bootstrap.header.beacon.root();
    let mut store = match Store::new(network, &trusted, bootstrap) {
        Ok(store) => store,
        Err(error) => return outcome.case(label, Err(error.to_string())),
    };
    outcome.passed(1);
    let first = network.preset.period(store.finalized_header().beacon.slot);
    for (label, update) in updates {
        if network.preset.period(update.attested_header.beacon.slot) < first {
            continue;
        }
        let slot = update.signature_slot;
        let newest = update.finalized_header.beacon.slot.max(store.finalized_header().beacon.slot);
        let result = store.process(network, update.clone(), slot, keys);
        outcome.case(format!("{label}: followed"), result.map(drop).map_err(|e| e.to_string()));
        let finalized = store.finalized_header().beacon.slot;
        outcome.equal(format!("{label}: finalized"), &finalized, &newest);
    }
}

/// All objects of a file: one, a list of them, or the SSZ of the JSON beside it.
fn objects_of(path: &Path) -> Result<Vec<Labelled>, String> {
    let network = network(path)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.parent().ok_or("has no folder")?;
    if has_extension(path, "ssz") {
        // Compared with its JSON, which is the one that counts.
        object::read(&network, folder, &stem)?.map_err(|error| error.to_string())?;
        return Ok(Vec::new());
    }
    if let Value::Array(list) = hexes::json(path)? {
        let object = |(index, item): (usize, &Value)| {
            Ok((format!("{stem}[{index}]"), parse(&network, item)?))
        };
        return list.iter().enumerate().map(object).collect();
    }
    Ok(vec![(stem, parse(&network, &hexes::json(path)?)?)])
}

fn parse(network: &NetworkConfig, value: &Value) -> Result<Object, String> {
    let text = value.to_string();
    let (format, data): (Format, Value) =
        json::envelope(text.as_bytes()).map_err(|error| error.to_string())?;
    Shape::of(&data).read_json(network, format, &data).map_err(|error| error.to_string())
}

/// The files of a folder, not of those below it, in order.
fn files(folder: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut files = BTreeSet::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_file() && (has_extension(&path, "json") || has_extension(&path, "ssz")) {
            files.insert(path);
        }
    }
    Ok(files)
}

/// The network that the folder's name starts with: `mainnet-lightclient`.
fn network(path: &Path) -> Result<NetworkConfig, String> {
    path.iter()
        .filter_map(|part| part.to_str()?.strip_suffix("-lightclient"))
        .find_map(|name| NetworkConfig::by_name(name).ok())
        .ok_or_else(|| "its folder names no known network".into())
}

/// What stands before `bootstrap` in a file's name.
fn prefix(path: &Path) -> Option<String> {
    name(path).split_once("bootstrap").map(|(prefix, _)| prefix.to_owned())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}
