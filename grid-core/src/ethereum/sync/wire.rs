//! The formats in which light-client data is served, and their one form in memory.
//!
//! The format changes at Capella, Deneb, Electra and Gloas only. Gloas's holds all that a client
//! needs: the execution block's hash and a proof. Everything older is brought to it when it is
//! decoded, as `upgrade_lc_*_to_gloas` does, so a store has one form for all forks. What the
//! upgrade would drop without a look (fields that the header's fork does not have) is refused here.

use alloy_primitives::B256;

use super::{
    error::DecodeError,
    merkle::{self, ExecutionBranch},
    network::{Fork, NetworkConfig},
    payload::ExecutionPayloadHeader,
    types::{BeaconBlockHeader, LightClientHeader},
};

/// A format of light-client data, named after the fork that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// Beacon headers only. Bellatrix too.
    Altair,
    /// With the execution payload's header.
    Capella,
    /// With blob gas in it.
    Deneb,
    /// Deeper branches. Fulu too.
    Electra,
    /// The execution block's hash instead of the payload's header.
    Gloas,
}

impl Format {
    /// The format of the `version` that a beacon node answers with.
    ///
    /// # Errors
    /// [`DecodeError::Version`] for an unknown name.
    pub fn by_version(version: &str) -> Result<Self, DecodeError> {
        match version {
            "altair" | "bellatrix" => Ok(Self::Altair),
            "capella" => Ok(Self::Capella),
            "deneb" => Ok(Self::Deneb),
            "electra" | "fulu" => Ok(Self::Electra),
            "gloas" => Ok(Self::Gloas),
            _ => Err(DecodeError::Version(version.chars().take(32).collect())),
        }
    }

    /// The format that a fork's nodes serve.
    #[must_use]
    pub const fn of(fork: Fork) -> Self {
        match fork {
            Fork::Altair | Fork::Bellatrix => Self::Altair,
            Fork::Capella => Self::Capella,
            Fork::Deneb => Self::Deneb,
            Fork::Electra | Fork::Fulu => Self::Electra,
            Fork::Gloas => Self::Gloas,
        }
    }

    /// Nodes of a finality branch.
    #[must_use]
    pub const fn finality_depth(self) -> usize {
        match self {
            Self::Altair | Self::Capella | Self::Deneb => 6,
            Self::Electra => 7,
            Self::Gloas => 9,
        }
    }

    /// Nodes of a sync committee's branch.
    #[must_use]
    pub const fn committee_depth(self) -> usize {
        match self {
            Self::Altair | Self::Capella | Self::Deneb => 5,
            Self::Electra => 6,
            Self::Gloas => 11,
        }
    }

    /// Nodes of a header's execution branch.
    #[must_use]
    pub const fn execution_depth(self) -> usize {
        match self {
            Self::Altair => 0,
            Self::Capella | Self::Deneb | Self::Electra => 4,
            Self::Gloas => merkle::EXECUTION_DEPTH,
        }
    }
}

/// What a served header says about its execution block.
#[derive(Debug, Clone)]
pub(super) enum Execution {
    /// Altair: nothing.
    None,
    /// Capella to Fulu: the payload's header and its proof in the body.
    Payload(Box<ExecutionPayloadHeader>, Vec<B256>),
    /// From Gloas on: the block's hash and its proof in the body.
    BlockHash(B256, Box<ExecutionBranch>),
}

/// Brings a served header to the form of Gloas.
// gloas/fork.md: upgrade_lc_header_to_gloas
pub(super) fn header(
    network: &NetworkConfig,
    beacon: BeaconBlockHeader,
    execution: Execution,
) -> Result<LightClientHeader, DecodeError> {
    let plain = LightClientHeader { beacon, ..LightClientHeader::default() };
    let (payload, outer) = match execution {
        Execution::None => return Ok(plain),
        Execution::BlockHash(execution_block_hash, branch) => {
            return Ok(LightClientHeader {
                execution_block_hash,
                execution_branch: *branch,
                ..plain
            });
        }
        Execution::Payload(payload, outer) => (payload, outer),
    };
    let empty = *payload == ExecutionPayloadHeader::default() && outer.iter().all(B256::is_zero);
    if empty && plain == LightClientHeader::default() {
        return Ok(plain);
    }
    let slot = beacon.slot;
    let fork = network.fork_at_slot(slot);
    if fork < Some(Fork::Capella) {
        return if empty {
            Ok(plain)
        } else {
            Err(DecodeError::ForeignField { slot, what: "an execution payload" })
        };
    }
    let deneb = fork >= Some(Fork::Deneb);
    if !deneb && (payload.blob_gas_used, payload.excess_blob_gas) != (0, 0) {
        return Err(DecodeError::ForeignField { slot, what: "blob gas" });
    }
    let mut branch = payload.block_hash_branch(deneb);
    branch.extend(outer);
    let found = branch.len();
    let execution_branch = merkle::fill(&branch).ok_or(DecodeError::Length {
        what: "execution branch",
        found,
        expected: merkle::EXECUTION_DEPTH,
    })?;
    Ok(LightClientHeader { execution_block_hash: payload.block_hash, execution_branch, ..plain })
}
