//! Cases over anvil's execution blocks, through the main chain's client: what is final by the case
//! brings exactly anvil's headers into its tree, and what is invalid moves nothing.

use std::path::Path;

use alloy_primitives::{B256, Bytes};
use grid_core::{
    ChainId,
    committee::CommitteeClient,
    ethereum::sync::{NetworkConfig, NetworkSpec, Policy, SyncData, Update, file::Object},
};
use serde_json::Value;

use super::{
    super::{Outcome, hexes},
    object,
    steps::{hash, number},
};

/// An execution header of anvil: its hash and its RLP.
type Sealed = (B256, Bytes);

struct Run<'a> {
    network: &'a NetworkConfig,
    folder: &'a Path,
    chain: Vec<Sealed>,
    client: Option<CommitteeClient>,
}

/// Runs the steps up to the first that leaves the chain's finality, which the main chain never does.
pub(super) fn run(case: &Value, network: &NetworkConfig, folder: &Path, outcome: &mut Outcome) {
    let Some(chain) = case.get("el_map").and_then(|_| anvil(folder)) else { return };
    let mut run = Run { network, folder, chain, client: None };
    for (index, step) in case["steps"].as_array().into_iter().flatten().enumerate() {
        let Some((kind, step)) = step.as_object().and_then(|step| step.iter().next()) else {
            continue;
        };
        if kind == "force_update" {
            return;
        }
        outcome.case(format!("step {index} {kind} on the main chain"), run.step(step));
    }
}

/// All headers of the recorded anvil chain, by height.
fn anvil(folder: &Path) -> Option<Vec<Sealed>> {
    let mut files = folder.ancestors().map(|folder| folder.join("anvil/anvil_chain.json"));
    let json = hexes::json(&files.find(|path| path.is_file())?).ok()?;
    let sealed = |entry: &Value| {
        let rlp = hexes::data(entry["header_rlp"].as_str()?).ok()?;
        Some((hash(&entry["block"]["hash"]).ok()?, rlp.into()))
    };
    json["chain"].as_array()?.iter().map(sealed).collect()
}

impl Run<'_> {
    fn step(&mut self, step: &Value) -> Result<(), String> {
        let valid = step.get("valid").and_then(Value::as_bool).unwrap_or(true);
        let Some(file) = step.get("file").and_then(Value::as_str) else { return Ok(()) };
        let Ok(object) = object::read(self.network, self.folder, file)? else { return Ok(()) };
        match object {
            Object::Bootstrap(bootstrap) => {
                let trusted = hash(&step["trusted_block_root"])?;
                let start = self.position(&bootstrap.header.execution_block_hash).unwrap_or(0);
                let start = &self.chain[start].1;
                // Vectors are of any age, and enter periods as the spec allows.
                let policy = Policy {
                    max_checkpoint_age: 0,
                    require_next_committee: false,
                    ..Policy::default()
                };
                let network = NetworkSpec::from(self.network.clone());
                let key = ChainId::eip155(31_337).key();
                let client = CommitteeClient::new(key, &network, &policy, trusted, start);
                let mut client = client.map_err(|error| error.to_string())?;
                let now = self.network.time_of(bootstrap.header.beacon.slot);
                let data = SyncData::Bootstrap(bootstrap).encode().into();
                let refused = client.accept(&[data], &[], now * 1_000).rejected;
                if valid && refused.is_none() {
                    self.client = Some(client);
                }
                if valid == refused.is_none() { Ok(()) } else { Err(format!("{refused:?}")) }
            }
            other => {
                let update = other.to_update().ok_or("no update")?;
                let slot = number(&step["current_slot"])?;
                self.update(update, slot, valid)
            }
        }
    }

    /// Submits an update together with the headers that it makes final, if anvil has them.
    fn update(&mut self, update: Update, slot: u64, valid: bool) -> Result<(), String> {
        let Some(mut client) = self.client.take() else { return Ok(()) };
        let before = client.status();
        let finalized = &update.finalized_header;
        let advances = update.sync_aggregate.has_supermajority()
            && finalized.beacon.slot > before.finalized_slot;
        let last = self.position(&finalized.execution_block_hash);
        let tip = self.position(&before.missing_above.hash).ok_or("the tip is not anvil's")?;
        let run = last.and_then(|last| self.chain.get(tip + 1..=last)).unwrap_or_default();
        let headers: Vec<Bytes> = run.iter().map(|(_, rlp)| rlp.clone()).collect();
        let expected = last.map(|last| self.chain[last.max(tip)].0);
        let now_ms = self.network.time_of(slot) * 1_000;
        let data: Bytes = SyncData::from(update).encode().into();
        let accepted = client.accept(core::slice::from_ref(&data), &headers, now_ms);
        client.settle(u64::MAX, now_ms);
        let after = client.status();
        self.client = Some(client);
        match (valid, &accepted.rejected) {
            // What is known already is skipped; the spec refuses it.
            (false, None) if accepted.is_known() && after == before => return Ok(()),
            (false, None) => return Err("accepted, though invalid".into()),
            (_, Some(_)) if after != before => return Err("a refusal has changed it".into()),
            (true, Some(error)) if advances => return Err(format!("final, but refused: {error}")),
            (_, Some(_)) => return Ok(()),
            (true, None) => (),
        }
        if advances && after.finalized_slot <= before.finalized_slot {
            return Err("it has not moved".into());
        }
        match expected {
            Some(hash) if hash != after.missing_above.hash => {
                Err(format!("tip is {}, not {hash}", after.missing_above.hash))
            }
            _ => Ok(()),
        }
    }

    fn position(&self, hash: &B256) -> Option<usize> {
        self.chain.iter().position(|(known, _)| known == hash)
    }
}
