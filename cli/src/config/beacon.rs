//! `[chain.beacon]`: an Ethereum chain's light client.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::B256;
use grid_adapters::member::MAX_MEMBERS;
use grid_core::ethereum::sync::{NetworkConfig, Policy};
use serde::{Deserialize, Serialize};

use super::check::{Faults, yes};

/// `[chain.beacon]`: an Ethereum chain's light client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeaconSection {
    /// Beacon nodes' REST addresses, best first.
    pub(crate) url: Vec<String>,
    /// `mainnet`, `sepolia`, `hoodi`, or a JSON file with another network's numbers.
    pub(crate) network: String,
    /// Root of the trusted beacon block; that of the main chain's record where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<B256>,
    /// File that keeps the verified light client over a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<PathBuf>,
    /// So many execution endpoints must call the light client's finalized block final too; 0 asks none.
    #[serde(default)]
    pub(crate) agree: usize,
    /// Oldest checkpoint or stored state that is trusted. `0s` switches the rule off.
    #[serde(default = "max_checkpoint_age", with = "humantime_serde")]
    pub(crate) max_checkpoint_age: Duration,
    /// Refuse to work while the clock is before the finalized block.
    #[serde(default = "yes")]
    pub(crate) check_clock: bool,
    /// Refuse an update that enters a new period without the committee after it.
    #[serde(default = "yes")]
    pub(crate) require_next_committee: bool,
    /// Stop as soon as two finalities exclude each other.
    #[serde(default = "yes")]
    pub(crate) freeze_on_conflict: bool,
}

impl BeaconSection {
    /// A section with every default.
    pub(crate) fn new(url: Vec<String>, network: String) -> Self {
        Self {
            url,
            network,
            checkpoint: None,
            store: None,
            agree: 0,
            max_checkpoint_age: max_checkpoint_age(),
            check_clock: true,
            require_next_committee: true,
            freeze_on_conflict: true,
        }
    }

    /// The light client's rules.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            max_checkpoint_age: self.max_checkpoint_age.as_secs(),
            check_clock: self.check_clock,
            require_next_committee: self.require_next_committee,
            freeze_on_conflict: self.freeze_on_conflict,
            // What these two would let through is never relayed.
            ..Policy::default()
        }
    }

    /// What types alone cannot say.
    pub(super) fn check(&self, faults: &mut Faults<'_>) {
        if self.url.is_empty() {
            faults.note("url", "at least one beacon node is needed");
        }
        if self.url.len() > MAX_MEMBERS {
            faults.note("url", format!("at most {MAX_MEMBERS} can be named"));
        }
        for (m, url) in self.url.iter().enumerate() {
            faults.http_url(&format!("url[{m}]"), url);
        }
        let file =
            Path::new(&self.network).extension().is_some_and(|extension| extension == "json");
        if !file && let Err(error) = NetworkConfig::by_name(&self.network) {
            faults.note("network", format!("{error}; or name a file that ends with .json"));
        }
        if self.checkpoint.is_some_and(|root| root.is_zero()) {
            faults.note("checkpoint", "is the root of no block");
        }
        if let Some(file) = &self.store {
            faults.file("store", file);
        }
    }
}

fn max_checkpoint_age() -> Duration {
    Duration::from_secs(Policy::default().max_checkpoint_age)
}
