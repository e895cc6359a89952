//! Networks for development and tests.

use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::{B256, FixedBytes};
use grid_core::ethereum::sync::{Fork, ForkActivation, NetworkConfig, Preset};

/// All forks, in order.
pub const FORKS: [Fork; 7] = [
    Fork::Altair,
    Fork::Bellatrix,
    Fork::Capella,
    Fork::Deneb,
    Fork::Electra,
    Fork::Fulu,
    Fork::Gloas,
];

/// Unix time in seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Fulu from the start, slots of a second, the given sizes; genesis at a Unix time.
pub fn development(preset: Preset, genesis_time: u64) -> NetworkConfig {
    let mut network = with_forks(preset, genesis_time, &[0; 6]);
    network.name = String::from("development");
    network
}

/// A network whose forks, from Altair on, begin at the given epochs.
pub fn with_forks(preset: Preset, genesis_time: u64, epochs: &[u64]) -> NetworkConfig {
    let forks = FORKS.iter().zip(epochs).zip(1..);
    NetworkConfig {
        name: String::from("simulated"),
        preset,
        seconds_per_slot: 1,
        genesis_time,
        genesis_validators_root: B256::repeat_byte(0x47),
        genesis_fork_version: FixedBytes([0, 0, 0, 0x47]),
        forks: forks
            .map(|((fork, epoch), number)| ForkActivation {
                fork: *fork,
                version: FixedBytes([number, 0, 0, 0x47]),
                epoch: *epoch,
            })
            .collect(),
    }
}
