//! Whether a beacon node is of the configured network: its genesis and its configuration against ours.
//!
//! A wrong fork version would refuse honest signatures, a wrong period length would refuse honest
//! committees, so every number that the light client uses is compared before the first update.

use grid_core::ethereum::sync::NetworkConfig;
use serde_json::{Map, Value};

use super::{
    BeaconError,
    api::{BeaconApi, Genesis},
};
use crate::AdapterError;

/// The epoch of a fork that is not scheduled.
const FAR_FUTURE: u64 = u64::MAX;

/// Forks before Altair have no `_FORK_EPOCH`; the others are named as in the spec.
const EPOCH: &str = "_FORK_EPOCH";
const VERSION: &str = "_FORK_VERSION";

/// Compares the node's answers with the table, and refuses a node that has not caught up.
///
/// Returns what the operator should know: forks to come that only one of the two knows.
///
/// # Errors
/// [`BeaconError::Network`] with both values, [`BeaconError::Syncing`], or what stood in the way.
pub(super) async fn check(
    api: &BeaconApi,
    eip155: Option<u64>,
    now: u64,
) -> Result<Vec<String>, AdapterError> {
    let found = api.genesis().await?;
    let spec = api.spec().await?;
    let table = Table { network: api.network(), endpoint: api.endpoint(), spec: &spec };
    table.genesis(&found)?;
    table.sizes(eip155)?;
    let warnings = table.forks(table.network.preset.epoch(table.network.slot_at(now)))?;
    api.require_synced().await?;
    Ok(warnings)
}

/// Our numbers and the node's.
struct Table<'a> {
    network: &'a NetworkConfig,
    endpoint: &'a str,
    spec: &'a Map<String, Value>,
}

impl Table<'_> {
    fn differs(&self, key: &str, found: String, expected: String) -> BeaconError {
        BeaconError::Network {
            endpoint: self.endpoint.into(),
            network: self.network.name.clone(),
            key: key.into(),
            found,
            expected,
        }
    }

    fn same<T: PartialEq + ToString>(
        &self,
        key: &str,
        found: &T,
        expected: &T,
    ) -> Result<(), BeaconError> {
        if found == expected {
            Ok(())
        } else {
            Err(self.differs(key, found.to_string(), expected.to_string()))
        }
    }

    /// A value of the spec as text; lists and objects are none that is used here.
    fn text(&self, key: &str) -> Option<String> {
        match self.spec.get(key)? {
            Value::String(text) => Some(text.to_ascii_lowercase()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn genesis(&self, found: &Genesis) -> Result<(), BeaconError> {
        let network = self.network;
        let roots = (&found.genesis_validators_root, &network.genesis_validators_root);
        self.same("genesis_validators_root", roots.0, roots.1)?;
        self.same("genesis_time", &found.genesis_time, &network.genesis_time)?;
        let versions = (&found.genesis_fork_version, &network.genesis_fork_version);
        self.same("genesis_fork_version", versions.0, versions.1)
    }

    /// Sizes and speeds. A number that the node does not tell is not compared: older nodes leave some
    /// out, and newer ones tell the slot's length in milliseconds.
    fn sizes(&self, eip155: Option<u64>) -> Result<(), BeaconError> {
        let preset = &self.network.preset;
        let slot = self.network.seconds_per_slot;
        let numbers = [
            ("SYNC_COMMITTEE_SIZE", Some(preset.committee_size as u64)),
            ("SLOTS_PER_EPOCH", Some(preset.slots_per_epoch)),
            ("EPOCHS_PER_SYNC_COMMITTEE_PERIOD", Some(preset.epochs_per_period)),
            ("SECONDS_PER_SLOT", Some(slot)),
            ("SLOT_DURATION_MS", slot.checked_mul(1_000)),
            ("DEPOSIT_CHAIN_ID", eip155),
        ];
        for (key, expected) in numbers {
            if let (Some(found), Some(expected)) = (self.text(key), expected) {
                self.same(key, &found, &expected.to_string())?;
            }
        }
        Ok(())
    }

    /// Every fork that the table or the node knows. A difference that is still to come is a warning.
    fn forks(&self, epoch: u64) -> Result<Vec<String>, BeaconError> {
        let mut warnings = Vec::new();
        let name = |fork| format!("{fork:?}").to_ascii_uppercase();
        for activation in &self.network.forks {
            let (fork, active) = (name(activation.fork), activation.epoch <= epoch);
            let key = format!("{fork}{EPOCH}");
            match self.text(&key) {
                Some(found) if found == activation.epoch.to_string() => {}
                Some(found) if active || found.parse().is_ok_and(|found: u64| found <= epoch) => {
                    return Err(self.differs(&key, found, activation.epoch.to_string()));
                }
                None if active => {
                    return Err(self.differs(&key, "missing".into(), activation.epoch.to_string()));
                }
                found => {
                    let found = found.as_deref().unwrap_or("missing");
                    warnings.push(self.warning(&key, found, &activation.epoch.to_string()));
                }
            }
            let key = format!("{fork}{VERSION}");
            if let Some(found) = self.text(&key) {
                self.same(&key, &found, &activation.version.to_string())?;
            }
        }
        for (key, fork) in self.spec.keys().filter_map(|key| Some((key, key.strip_suffix(EPOCH)?)))
        {
            if self.network.forks.iter().any(|activation| name(activation.fork) == fork) {
                continue;
            }
            match self.text(key).and_then(|text| text.parse::<u64>().ok()) {
                None | Some(FAR_FUTURE) => {}
                Some(found) if found <= epoch => {
                    return Err(self.differs(key, found.to_string(), "unknown".into()));
                }
                Some(found) => warnings.push(self.warning(key, &found.to_string(), "unknown")),
            }
        }
        Ok(warnings)
    }

    fn warning(&self, key: &str, found: &str, expected: &str) -> String {
        format!(
            "{key} is {found} at {} and {expected} here: update Grid or the beacon node before that epoch",
            self.endpoint
        )
    }
}
