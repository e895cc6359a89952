//! Cases of steps: the official `sync` suite, and our own with execution blocks.
//!
//! The spec's force update overwrites the finalized header of the update that it takes, with the
//! attested one. A generator that writes its files after that writes an update that no longer proves
//! itself. Such a file must be refused as it stands; the step then runs with the header that it had,
//! which is one that the store has had, and the one that the finality branch proves.

use std::path::Path;

use alloy_primitives::{B256, FixedBytes};
use grid_core::ethereum::sync::{
    ForkActivation, KeyCache, LightClientHeader, NetworkConfig, Preset, Store, SyncCommittee,
    Update, file::Object, store,
};
use serde_json::Value;

use super::{
    super::{Outcome, hexes},
    case::Files,
    execution_root, main_chain, object, proofs,
};

/// A run of one case.
struct Run<'a> {
    network: NetworkConfig,
    files: &'a mut Files,
    keys: KeyCache,
    store: Option<Store>,
    /// Finalized headers that the store has had.
    seen: Vec<LightClientHeader>,
}

pub(super) fn run(case: &Value, files: &mut Files, outcome: &mut Outcome) -> Result<(), String> {
    let network = network(case)?;
    network.validate().map_err(|error| error.to_string())?;
    let mut run = Run { network, files, keys: KeyCache::new(), store: None, seen: Vec::new() };
    if let Some(meta) = case.get("meta") {
        let file = case["bootstrap"]["file"].as_str().ok_or("no bootstrap")?;
        outcome.case(file, run.bootstrap(file, &hash(&meta["trusted_block_root"])?, true));
    }
    for (index, step) in case["steps"].as_array().ok_or("no steps")?.iter().enumerate() {
        let (kind, step) =
            step.as_object().and_then(|step| step.iter().next()).ok_or("empty step")?;
        outcome.case(format!("step {index} {kind}"), run.step(kind, step));
    }
    run.execution_hashes(case, outcome);
    main_chain::run(case, &run.network, &run.files.folder, outcome);
    Ok(())
}

impl Run<'_> {
    fn step(&mut self, kind: &str, step: &Value) -> Result<(), String> {
        // Official steps are all valid; ours say it.
        let valid = step.get("valid").and_then(Value::as_bool).unwrap_or(true);
        let file = step.get("file").or_else(|| step.get("update")).and_then(Value::as_str);
        match (kind, file) {
            ("bootstrap", Some(file)) => {
                let trusted = hash(&step["trusted_block_root"])?;
                self.bootstrap(file, &trusted, valid)?;
            }
            (
                "process_update" | "process_finality_update" | "process_optimistic_update",
                Some(file),
            ) => self.update(file, number(&step["current_slot"])?, valid)?,
            ("force_update", None) => {
                let slot = number(&step["current_slot"])?;
                self.store.as_mut().ok_or("no store")?.force_update(&self.network, slot);
            }
            // One form for all forks: there is nothing to upgrade, and the checks must hold.
            ("upgrade_store", None) => {}
            _ => return Err(format!("step of an unknown kind {kind}")),
        }
        self.seen.extend(self.store.as_ref().map(|store| *store.finalized_header()));
        match step.get("checks") {
            Some(checks) if !checks.is_null() => self.check(checks),
            _ => Ok(()),
        }
    }

    fn bootstrap(&mut self, file: &str, trusted: &B256, valid: bool) -> Result<(), String> {
        let result = match object::read(&self.network, self.files.take_object(file), file)? {
            Ok(Object::Bootstrap(bootstrap)) => {
                Store::new(&self.network, trusted, *bootstrap).map_err(|error| error.to_string())
            }
            Ok(_) => return Err(format!("{file} is no bootstrap")),
            Err(error) => Err(error.to_string()),
        };
        agree(valid, &result)?;
        if let Ok(store) = result {
            self.store = Some(store);
        }
        Ok(())
    }

    fn update(&mut self, file: &str, slot: u64, valid: bool) -> Result<(), String> {
        let store = self.store.as_mut().ok_or("no store")?;
        let before = store.clone();
        let result = match object::read(&self.network, self.files.take_object(file), file)? {
            Ok(object) => {
                let update = object.to_update().ok_or_else(|| format!("{file} is no update"))?;
                let update = original(&self.network, update, &self.seen)?;
                store
                    .process(&self.network, update, slot, &mut self.keys)
                    .map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        agree(valid, &result)?;
        if result.is_err() && *store != before {
            return Err("a refused update has changed the store".into());
        }
        let bytes = store.encode(&self.network);
        match Store::decode(&self.network, &bytes) {
            Ok(read) if read == *store => Ok(()),
            other => Err(format!("the store is not what was stored: {:?}", other.err())),
        }
    }

    fn check(&self, checks: &Value) -> Result<(), String> {
        let store = self.store.as_ref().ok_or("no store")?;
        for (name, header) in [
            ("finalized_header", store.finalized_header()),
            ("optimistic_header", store.optimistic_header()),
        ] {
            self.check_header(name, header, &checks[name])?;
        }
        let default = || SyncCommittee {
            pubkeys: vec![FixedBytes::ZERO; self.network.preset.committee_size],
            aggregate_pubkey: FixedBytes::ZERO,
        };
        let next = store.next_sync_committee();
        let (previous, current) = store.max_active_participants();
        let found = [
            ("next_sync_committee_known", Value::from(next.is_some())),
            ("best_valid_update", Value::from(store.best_valid_update().is_some())),
            ("previous_max_active_participants", Value::from(previous)),
            ("current_max_active_participants", Value::from(current)),
            ("current_sync_committee_root", text(&store.current_sync_committee().root())),
            ("next_sync_committee_root", text(&next.map_or_else(default, Clone::clone).root())),
        ];
        for (name, found) in found {
            if let Some(expected) = checks.get(name)
                && *expected != found
            {
                return Err(format!("{name} is {found}, expected {expected}"));
            }
        }
        Ok(())
    }

    fn check_header(
        &self,
        name: &str,
        header: &LightClientHeader,
        expected: &Value,
    ) -> Result<(), String> {
        let found =
            (header.beacon.slot, header.beacon.root(), execution_root(&self.network, header));
        let expected = (
            number(&expected["slot"])?,
            hash(&expected["beacon_root"])?,
            expected.get("execution_root").map_or(Ok(found.2), hash)?,
        );
        if found == expected {
            Ok(())
        } else {
            Err(format!("{name} is {found:?}, expected {expected:?}"))
        }
    }

    /// The finalized execution block is the one of anvil that the case names.
    fn execution_hashes(&self, case: &Value, outcome: &mut Outcome) {
        let Some(map) = case.get("el_map").and_then(Value::as_object) else { return };
        let chain =
            self.files.folder.ancestors().map(|folder| folder.join("anvil/anvil_chain.json"));
        let Some(chain) = chain.into_iter().find(|path| path.is_file()) else {
            return outcome.not_compared(1);
        };
        let Some(store) = &self.store else { return outcome.not_compared(1) };
        let header = store.finalized_header();
        let known = anvil_hash(&chain, map.get(&header.beacon.slot.to_string()));
        // From Gloas on the hash is that of the payload before; then no slot of the map names it.
        let gloas = self.network.fork_at_slot(header.beacon.slot)
            >= Some(grid_core::ethereum::sync::Fork::Gloas);
        match known {
            Some(known) if !gloas => {
                outcome.equal("execution hash", &header.execution_block_hash, &known);
            }
            _ => outcome.not_compared(1),
        }
    }
}

/// An update as it was before a force update wrote into it.
fn original(
    network: &NetworkConfig,
    update: Update,
    seen: &[LightClientHeader],
) -> Result<Update, String> {
    let written_into = update.has_finality() && update.finalized_header == update.attested_header;
    if !written_into {
        return Ok(update);
    }
    if store::verify_proofs(network, &update).is_ok() {
        return Err("a header proves that it is final by itself".into());
    }
    let with = |header: &LightClientHeader| Update { finalized_header: *header, ..update.clone() };
    let proven = |update: &Update| store::verify_proofs(network, update).is_ok();
    Ok(seen.iter().map(with).find(proven).unwrap_or(update))
}

fn anvil_hash(chain: &Path, number: Option<&Value>) -> Option<B256> {
    let chain: Value = hexes::json(chain).ok()?;
    let number = number?.as_u64()?;
    chain["chain"].as_array()?.iter().find_map(|block| {
        let block = block.get("block").unwrap_or(block);
        let at = block["number"].as_str()?.trim_start_matches("0x").to_owned();
        (u64::from_str_radix(&at, 16).ok()? == number).then(|| hash(&block["hash"]).ok())?
    })
}

fn agree<T>(valid: bool, result: &Result<T, String>) -> Result<(), String> {
    match result {
        Err(error) if valid => Err(format!("refused, though valid: {error}")),
        Ok(_) if !valid => Err("accepted, though invalid".into()),
        _ => Ok(()),
    }
}

/// The network of a case: the official ones have a configuration, ours list forks and sizes.
pub(super) fn network(case: &Value) -> Result<NetworkConfig, String> {
    let names = ["altair", "bellatrix", "capella", "deneb", "electra", "fulu", "gloas"];
    let (root, genesis, preset) = match case.get("config") {
        Some(config) => {
            let mainnet = case["preset"].as_str() == Some("mainnet");
            let preset = if mainnet { Preset::MAINNET } else { Preset::MINIMAL };
            (&case["meta"]["genesis_validators_root"], &config["GENESIS_FORK_VERSION"], preset)
        }
        None => {
            let slots_per_epoch = number(&case["slots_per_epoch"])?;
            let preset = Preset {
                committee_size: number(&case["sync_committee_size"])?
                    .try_into()
                    .map_err(|_| "committee size")?,
                slots_per_epoch,
                epochs_per_period: number(&case["slots_per_period"])?
                    .checked_div(slots_per_epoch)
                    .ok_or("no slots in an epoch")?,
            };
            (&case["genesis_validators_root"], &case["genesis_fork_version"], preset)
        }
    };
    let mut forks = Vec::new();
    for name in names {
        let upper = name.to_uppercase();
        let (version, epoch) = match case.get("config") {
            Some(config) => {
                (&config[format!("{upper}_FORK_VERSION")], &config[format!("{upper}_FORK_EPOCH")])
            }
            None => (&case["fork_versions"][name], &case["fork_epochs"][name]),
        };
        let (Some(fork), false, false) = (proofs::fork(name), version.is_null(), epoch.is_null())
        else {
            continue;
        };
        forks.push(ForkActivation { fork, version: bytes4(version)?, epoch: number(epoch)? });
    }
    Ok(NetworkConfig {
        name: "vectors".into(),
        preset,
        genesis_time: 0,
        genesis_validators_root: hash(root)?,
        genesis_fork_version: bytes4(genesis)?,
        forks,
        ..NetworkConfig::mainnet()
    })
}

pub(super) fn number(value: &Value) -> Result<u64, String> {
    let text = value.as_str().map(str::parse);
    match (value.as_u64(), text) {
        (Some(number), _) | (None, Some(Ok(number))) => Ok(number),
        _ => Err(format!("is not a number: {value}")),
    }
}

pub(super) fn hash(value: &Value) -> Result<B256, String> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("is not a hash: {value}"))
}

fn bytes4(value: &Value) -> Result<FixedBytes<4>, String> {
    value
        .as_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("is no version: {value}"))
}

fn text(hash: &B256) -> Value {
    Value::from(hash.to_string())
}
