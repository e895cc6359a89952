//! Presets and networks, as data: a network that differs only in these numbers needs no code.
//!
//! Sources: consensus-specs `presets/` and `configs/`, eth-clients/{mainnet,sepolia,hoodi}.

use alloy_primitives::{B256, FixedBytes, b256, fixed_bytes};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::named::{Named, Parameters};

/// The largest sync committee of any preset. Bounds what is decoded.
pub const MAX_COMMITTEE_SIZE: usize = 512;

/// Sizes that are fixed when a network is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preset {
    /// `SYNC_COMMITTEE_SIZE`.
    pub committee_size: usize,
    /// `SLOTS_PER_EPOCH`.
    pub slots_per_epoch: u64,
    /// `EPOCHS_PER_SYNC_COMMITTEE_PERIOD`.
    pub epochs_per_period: u64,
}

impl Preset {
    /// The preset of mainnet and the public test networks.
    pub const MAINNET: Self =
        Self { committee_size: 512, slots_per_epoch: 32, epochs_per_period: 256 };
    /// The preset of the official test vectors and of development networks.
    pub const MINIMAL: Self = Self { committee_size: 32, slots_per_epoch: 8, epochs_per_period: 8 };

    /// Slots of one sync-committee period, which is also `UPDATE_TIMEOUT`.
    #[must_use]
    pub const fn slots_per_period(&self) -> u64 {
        self.slots_per_epoch.saturating_mul(self.epochs_per_period)
    }

    /// `compute_epoch_at_slot`.
    #[must_use]
    pub const fn epoch(&self, slot: u64) -> u64 {
        match slot.checked_div(self.slots_per_epoch) {
            Some(epoch) => epoch,
            None => 0,
        }
    }

    /// `compute_sync_committee_period_at_slot`.
    #[must_use]
    pub const fn period(&self, slot: u64) -> u64 {
        match self.epoch(slot).checked_div(self.epochs_per_period) {
            Some(period) => period,
            None => 0,
        }
    }
}

/// The forks of the beacon chain that matter to a light client, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fork {
    /// The first fork with sync committees.
    Altair,
    /// The merge.
    Bellatrix,
    /// Withdrawals; light-client data gets an execution header.
    Capella,
    /// Blobs.
    Deneb,
    /// A deeper state tree.
    Electra,
    /// No change to light-client data.
    Fulu,
    /// Progressive state and body trees; light-client data carries the execution block's hash.
    Gloas,
}

/// When a fork starts, and the version that signatures are made for from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForkActivation {
    /// The fork.
    pub fork: Fork,
    /// Its version.
    pub version: FixedBytes<4>,
    /// Its first epoch.
    pub epoch: u64,
}

/// A network: everything in which its light-client rules differ from another's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkConfig {
    /// Name in configuration: `mainnet`, `sepolia`, `hoodi`, or another.
    pub name: String,
    /// Sizes.
    pub preset: Preset,
    /// Seconds of one slot.
    pub seconds_per_slot: u64,
    /// Unix time of slot 0, in seconds.
    pub genesis_time: u64,
    /// Root of the genesis validators, part of every signature's domain.
    pub genesis_validators_root: B256,
    /// The version before the first fork.
    pub genesis_fork_version: FixedBytes<4>,
    /// The scheduled forks, in order. A fork that is not listed never starts.
    pub forks: Vec<ForkActivation>,
}

/// Which network a chain's beacon chain is. In JSON: the name of a built-in network, or all numbers
/// of another one.
pub type NetworkSpec = Named<NetworkConfig>;

impl Parameters for NetworkConfig {
    const EXPECTED: &'static str = "the name of an Ethereum network or its numbers";
}

impl NetworkSpec {
    /// The network.
    ///
    /// # Errors
    /// [`NetworkConfigError`] for an unknown name or unusable numbers.
    pub fn config(&self) -> Result<NetworkConfig, NetworkConfigError> {
        match self {
            Self::BuiltIn(name) => NetworkConfig::by_name(name),
            Self::Custom(config) => config.validate().map(|()| NetworkConfig::clone(config)),
        }
    }
}

impl From<NetworkConfig> for NetworkSpec {
    fn from(config: NetworkConfig) -> Self {
        match NetworkConfig::by_name(&config.name) {
            Ok(built_in) if built_in == config => Self::BuiltIn(config.name),
            _ => Self::Custom(Box::new(config)),
        }
    }
}

/// Why a network's numbers cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NetworkConfigError {
    /// No network of that name.
    #[error("unknown ethereum network {0:?}; known are mainnet, sepolia, hoodi")]
    Unknown(String),
    /// A size is zero, or the committee is larger than any preset's.
    #[error(
        "committee size {committee} must be a power of two from 8 to {MAX_COMMITTEE_SIZE}; slots per epoch {slots}, epochs per period {epochs} and seconds per slot {seconds} must be positive"
    )]
    Preset {
        /// Committee size found.
        committee: usize,
        /// Slots of an epoch found.
        slots: u64,
        /// Epochs of a period found.
        epochs: u64,
        /// Seconds of a slot found.
        seconds: u64,
    },
    /// Forks out of order, repeated, or skipped.
    #[error("fork {0:?} must follow its predecessor, without a gap and not at an earlier epoch")]
    ForkOrder(Fork),
}

/// All forks, in order.
const FORKS: [Fork; 7] = [
    Fork::Altair,
    Fork::Bellatrix,
    Fork::Capella,
    Fork::Deneb,
    Fork::Electra,
    Fork::Fulu,
    Fork::Gloas,
];

/// A schedule from the versions and epochs of the forks, in order.
fn schedule(points: &[([u8; 4], u64)]) -> Vec<ForkActivation> {
    FORKS
        .iter()
        .zip(points)
        .map(|(fork, (version, epoch))| ForkActivation {
            fork: *fork,
            version: FixedBytes(*version),
            epoch: *epoch,
        })
        .collect()
}

impl NetworkConfig {
    /// Ethereum.
    #[must_use]
    pub fn mainnet() -> Self {
        Self {
            name: "mainnet".into(),
            preset: Preset::MAINNET,
            seconds_per_slot: 12,
            genesis_time: 1_606_824_023,
            genesis_validators_root: b256!(
                "4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"
            ),
            genesis_fork_version: fixed_bytes!("00000000"),
            forks: schedule(&[
                ([1, 0, 0, 0], 74_240),
                ([2, 0, 0, 0], 144_896),
                ([3, 0, 0, 0], 194_048),
                ([4, 0, 0, 0], 269_568),
                ([5, 0, 0, 0], 364_032),
                ([6, 0, 0, 0], 411_392),
            ]),
        }
    }

    /// The Sepolia test network.
    #[must_use]
    pub fn sepolia() -> Self {
        Self {
            name: "sepolia".into(),
            genesis_time: 1_655_733_600,
            genesis_validators_root: b256!(
                "d8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078"
            ),
            genesis_fork_version: fixed_bytes!("90000069"),
            forks: schedule(&[
                ([0x90, 0, 0, 0x70], 50),
                ([0x90, 0, 0, 0x71], 100),
                ([0x90, 0, 0, 0x72], 56_832),
                ([0x90, 0, 0, 0x73], 132_608),
                ([0x90, 0, 0, 0x74], 222_464),
                ([0x90, 0, 0, 0x75], 272_640),
                ([0x90, 0, 0, 0x76], 353_024),
            ]),
            ..Self::mainnet()
        }
    }

    /// The Hoodi test network.
    #[must_use]
    pub fn hoodi() -> Self {
        Self {
            name: "hoodi".into(),
            genesis_time: 1_742_213_400,
            genesis_validators_root: b256!(
                "212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"
            ),
            genesis_fork_version: fixed_bytes!("10000910"),
            forks: schedule(&[
                ([0x20, 0, 9, 0x10], 0),
                ([0x30, 0, 9, 0x10], 0),
                ([0x40, 0, 9, 0x10], 0),
                ([0x50, 0, 9, 0x10], 0),
                ([0x60, 0, 9, 0x10], 2_048),
                ([0x70, 0, 9, 0x10], 50_688),
            ]),
            ..Self::mainnet()
        }
    }

    /// The built-in network of that name.
    ///
    /// # Errors
    /// [`NetworkConfigError::Unknown`] listing the known names.
    pub fn by_name(name: &str) -> Result<Self, NetworkConfigError> {
        match name {
            "mainnet" => Ok(Self::mainnet()),
            "sepolia" => Ok(Self::sepolia()),
            "hoodi" => Ok(Self::hoodi()),
            _ => Err(NetworkConfigError::Unknown(name.into())),
        }
    }

    /// Checks that the numbers make sense together. Built-in networks do.
    ///
    /// # Errors
    /// A [`NetworkConfigError`] naming the fault.
    pub fn validate(&self) -> Result<(), NetworkConfigError> {
        let Preset { committee_size, slots_per_epoch, epochs_per_period } = self.preset;
        let sized =
            (8..=MAX_COMMITTEE_SIZE).contains(&committee_size) && committee_size.is_power_of_two();
        if !sized || slots_per_epoch == 0 || epochs_per_period == 0 || self.seconds_per_slot == 0 {
            return Err(NetworkConfigError::Preset {
                committee: committee_size,
                slots: slots_per_epoch,
                epochs: epochs_per_period,
                seconds: self.seconds_per_slot,
            });
        }
        let mut previous = 0;
        for (activation, expected) in self.forks.iter().zip(FORKS) {
            if activation.fork != expected || activation.epoch < previous {
                return Err(NetworkConfigError::ForkOrder(activation.fork));
            }
            previous = activation.epoch;
        }
        match self.forks.get(FORKS.len()) {
            Some(extra) => Err(NetworkConfigError::ForkOrder(extra.fork)),
            None => Ok(()),
        }
    }

    /// The fork that is active in an epoch, with its version; none before Altair.
    fn activation(&self, epoch: u64) -> Option<&ForkActivation> {
        self.forks.iter().rev().find(|activation| activation.epoch <= epoch)
    }

    /// The fork that is active at a slot; none before Altair.
    #[must_use]
    pub fn fork_at_slot(&self, slot: u64) -> Option<Fork> {
        self.activation(self.preset.epoch(slot)).map(|activation| activation.fork)
    }

    /// `compute_fork_version` of a slot's epoch.
    #[must_use]
    pub fn fork_version(&self, slot: u64) -> FixedBytes<4> {
        self.activation(self.preset.epoch(slot))
            .map_or(self.genesis_fork_version, |activation| activation.version)
    }

    /// The slot at a Unix time in seconds; 0 before genesis.
    #[must_use]
    pub const fn slot_at(&self, unix_seconds: u64) -> u64 {
        match unix_seconds.saturating_sub(self.genesis_time).checked_div(self.seconds_per_slot) {
            Some(slot) => slot,
            None => 0,
        }
    }

    /// Unix time in seconds at which a slot starts.
    #[must_use]
    pub const fn time_of(&self, slot: u64) -> u64 {
        self.genesis_time.saturating_add(slot.saturating_mul(self.seconds_per_slot))
    }
}
