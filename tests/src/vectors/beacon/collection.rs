//! The official `data_collection` suite: what a beacon node serves while its head moves.
//!
//! Choosing the best update needs full states, and is the server's business. A client can check all
//! that it is given: bootstraps prove their committee, updates prove themselves, are of the period
//! that they are served for, and are signed by a committee that another object proves.

use std::collections::BTreeMap;

use grid_core::ethereum::sync::{
    KeyCache, NetworkConfig, Store, SyncCommittee, Update, file::Object, store,
};
use serde_json::Value;

use super::{
    super::Outcome,
    case::Files,
    object,
    steps::{self, hash, number},
};

/// What was served, with a label.
#[derive(Default)]
struct Served {
    /// By period. Branches of a fork may differ in them.
    committees: BTreeMap<u64, Vec<SyncCommittee>>,
    updates: Vec<(String, Update)>,
}

/// Whether a case is of this suite.
pub(super) fn is_collection(case: &Value) -> bool {
    let steps = case["steps"].as_array();
    steps.is_some_and(|steps| steps.iter().any(|step| step.get("new_head").is_some()))
}

pub(super) fn run(case: &Value, files: &mut Files, outcome: &mut Outcome) -> Result<(), String> {
    let network = steps::network(case)?;
    let mut served = Served::default();
    for step in case["steps"].as_array().ok_or("no steps")? {
        if let Some(name) = step["new_block"]["data"].as_str() {
            // A block is for those who have its state.
            files.take_object(name);
            outcome.not_compared(1);
        }
        let checks = &step["new_head"]["checks"];
        for entry in list(&checks["bootstraps"]) {
            served.bootstrap(&network, entry, files, outcome)?;
        }
        for entry in list(&checks["best_updates"]) {
            let period = number(&entry["period"])?;
            served.update(&network, &entry["update"], Some(period), files, outcome)?;
        }
        for name in ["latest_finality_update", "latest_optimistic_update"] {
            served.update(&network, &checks[name], None, files, outcome)?;
        }
    }
    files.take_object("initial_state");
    served.signatures(&network, outcome);
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

impl Served {
    fn bootstrap(
        &mut self,
        network: &NetworkConfig,
        entry: &Value,
        files: &mut Files,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        let Some(name) = entry["bootstrap"]["data"].as_str() else { return Ok(()) };
        let root = hash(&entry["block_root"])?;
        match object::read(network, files.take_object(name), name)? {
            Ok(Object::Bootstrap(bootstrap)) => {
                let period = network.preset.period(bootstrap.header.beacon.slot);
                let committee = bootstrap.current_sync_committee.clone();
                let store = Store::new(network, &root, *bootstrap);
                outcome.case(name, store.map(drop).map_err(|error| error.to_string()));
                self.committees.entry(period).or_default().push(committee);
            }
            other => outcome.case(name, Err(format!("is no bootstrap: {:?}", other.err()))),
        }
        Ok(())
    }

    fn update(
        &mut self,
        network: &NetworkConfig,
        entry: &Value,
        period: Option<u64>,
        files: &mut Files,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        let Some(name) = entry["data"].as_str() else { return Ok(()) };
        let object = object::read(network, files.take_object(name), name)?;
        let Some(update) = object.as_ref().ok().and_then(Object::to_update) else {
            outcome.case(name, Err(format!("is no update: {:?}", object.err())));
            return Ok(());
        };
        let proofs = store::verify_proofs(network, &update);
        outcome.case(format!("{name}: proofs"), proofs.map_err(|error| error.to_string()));
        let attested = network.preset.period(update.attested_header.beacon.slot);
        if let Some(period) = period {
            outcome.equal(format!("{name}: period"), &attested, &period);
        }
        if let Some(next) = &update.next_sync_committee {
            self.committees.entry(attested + 1).or_default().push(next.clone());
        }
        self.updates.push((name.to_owned(), update));
        Ok(())
    }

    fn signatures(&self, network: &NetworkConfig, outcome: &mut Outcome) {
        let mut keys = KeyCache::new();
        for (name, update) in &self.updates {
            let period = network.preset.period(update.signature_slot);
            let Some(committees) = self.committees.get(&period) else {
                outcome.not_compared(1);
                continue;
            };
            let signed = committees.iter().any(|committee| {
                store::verify_signature(network, committee, update, &mut keys).is_ok()
            });
            outcome.equal(format!("{name}: signature"), &signed, &true);
        }
    }
}
