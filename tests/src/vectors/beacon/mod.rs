//! Light-client vectors of the beacon chain: the official suites, our own that carry execution
//! blocks of anvil, and real sequences of public networks.
//!
//! A `case.json` names the other files of its folder; its runner reads them, and reports the ones
//! that it did not read. Real data is run together, whichever files it is spread over.

mod case;
mod collection;
mod main_chain;
mod object;
mod proofs;
mod sequence;
mod steps;

pub(super) use case::{case, is_case, member};
pub(super) use sequence::{gathered, is_light_client_ssz};

use alloy_primitives::B256;
use grid_core::ethereum::sync::{Fork, LightClientHeader, NetworkConfig, merkle};

/// `get_lc_execution_root`, by which vectors name a header's execution block.
fn execution_root(network: &NetworkConfig, header: &LightClientHeader) -> B256 {
    // Place of the block hash in the payload's header, and how deep it is there.
    let (gindex, depth) = match network.fork_at_slot(header.beacon.slot) {
        Some(Fork::Gloas) => return header.execution_block_hash,
        Some(Fork::Deneb | Fork::Electra | Fork::Fulu) => (44, 5),
        Some(Fork::Capella) => (28, 4),
        _ => return B256::ZERO,
    };
    let end = merkle::EXECUTION_DEPTH - 4;
    let siblings = &header.execution_branch[end - depth..end];
    merkle::branch_root(&header.execution_block_hash, siblings, gindex)
}
