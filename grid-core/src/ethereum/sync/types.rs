//! Light-client objects, in the one form that fits every fork.

use alloy_primitives::{B256, FixedBytes};
use serde::{Deserialize, Serialize};

use super::{
    json::quoted,
    merkle::{self, CommitteeBranch, ExecutionBranch, FinalityBranch},
    network::NetworkConfig,
};

/// A BLS public key, compressed.
pub type PublicKeyBytes = FixedBytes<48>;

/// `BeaconBlockHeader`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeaconBlockHeader {
    /// The block's slot.
    #[serde(with = "quoted")]
    pub slot: u64,
    /// The proposer's index.
    #[serde(with = "quoted")]
    pub proposer_index: u64,
    /// Root of the parent block.
    pub parent_root: B256,
    /// Root of the state after the block.
    pub state_root: B256,
    /// Root of the block's body.
    pub body_root: B256,
}

impl BeaconBlockHeader {
    /// `hash_tree_root`, which is the block's root.
    #[must_use]
    pub fn root(&self) -> B256 {
        merkle::root(&[
            merkle::uint(self.slot),
            merkle::uint(self.proposer_index),
            self.parent_root,
            self.state_root,
            self.body_root,
        ])
    }
}

/// A beacon header, and the hash of its execution block with the proof in the header's body.
///
/// From Gloas on, the hash is that of the parent payload: the block's own is not yet known to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LightClientHeader {
    /// The beacon block's header.
    pub beacon: BeaconBlockHeader,
    /// The execution block's hash; zero before Capella.
    pub execution_block_hash: B256,
    /// Its proof; zero before Capella.
    pub execution_branch: ExecutionBranch,
}

impl LightClientHeader {
    /// `is_valid_light_client_header`.
    #[must_use]
    pub fn is_valid(&self, network: &NetworkConfig) -> bool {
        // gloas/sync-protocol.md: is_valid_light_client_header
        match merkle::block_hash_gindex(network.fork_at_slot(self.beacon.slot)) {
            Some(gindex) => merkle::verify(
                &self.execution_block_hash,
                &self.execution_branch,
                gindex,
                &self.beacon.body_root,
            ),
            None => {
                self.execution_block_hash.is_zero()
                    && self.execution_branch.iter().all(B256::is_zero)
            }
        }
    }
}

/// `SyncCommittee`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncCommittee {
    /// The members' keys. A validator may be a member more than once.
    pub pubkeys: Vec<PublicKeyBytes>,
    /// Sum of all keys, as the beacon state has it. It is part of the root and not used otherwise.
    pub aggregate_pubkey: PublicKeyBytes,
}

impl SyncCommittee {
    /// Whether this is the default value, which stands for "not known".
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.aggregate_pubkey.is_zero() && self.pubkeys.iter().all(FixedBytes::is_zero)
    }

    /// `hash_tree_root`.
    #[must_use]
    pub fn root(&self) -> B256 {
        let keys: Vec<B256> =
            self.pubkeys.iter().map(|key| merkle::byte_vector(key.as_slice())).collect();
        merkle::node(&merkle::root(&keys), &merkle::byte_vector(self.aggregate_pubkey.as_slice()))
    }
}

/// `SyncAggregate`: who signed, and the sum of the signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncAggregate {
    /// A bit for each member, lowest bit of the first byte first.
    pub bits: Vec<u8>,
    /// The aggregate signature, compressed.
    pub signature: FixedBytes<96>,
}

impl SyncAggregate {
    /// Members that signed.
    #[must_use]
    pub fn participants(&self) -> usize {
        self.bits.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Members that could have signed.
    #[must_use]
    pub const fn members(&self) -> usize {
        self.bits.len().saturating_mul(8)
    }

    /// Whether at least two thirds of the members signed.
    #[must_use]
    pub fn has_supermajority(&self) -> bool {
        self.participants().saturating_mul(3) >= self.members().saturating_mul(2)
    }

    /// A flag for each member, in order.
    pub fn flags(&self) -> impl Iterator<Item = bool> {
        self.bits.iter().flat_map(|byte| (0..8).map(move |bit| (byte >> bit) & 1 == 1))
    }
}

/// `LightClientBootstrap`: what a store starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrap {
    /// The header of the trusted block.
    pub header: LightClientHeader,
    /// The committee of its period.
    pub current_sync_committee: SyncCommittee,
    /// Its proof in the header's state.
    pub current_sync_committee_branch: CommitteeBranch,
}

/// `LightClientUpdate`. A missing next committee is `None`, which the spec writes as all zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The header that is signed.
    pub attested_header: LightClientHeader,
    /// The committee of the period after the attested header's.
    pub next_sync_committee: Option<SyncCommittee>,
    /// Its proof in the attested state; zero where there is none.
    pub next_sync_committee_branch: CommitteeBranch,
    /// The header that the attested state calls finalized.
    pub finalized_header: LightClientHeader,
    /// Its proof in the attested state; zero where there is none.
    pub finality_branch: FinalityBranch,
    /// The signature.
    pub sync_aggregate: SyncAggregate,
    /// The slot at which the signature was made.
    pub signature_slot: u64,
}

impl Update {
    /// `is_sync_committee_update`.
    #[must_use]
    pub fn has_committee(&self) -> bool {
        !self.next_sync_committee_branch.iter().all(B256::is_zero)
    }

    /// `is_finality_update`.
    #[must_use]
    pub fn has_finality(&self) -> bool {
        !self.finality_branch.iter().all(B256::is_zero)
    }

    /// The same without the committee.
    #[must_use]
    pub fn to_finality_update(&self) -> FinalityUpdate {
        FinalityUpdate {
            attested_header: self.attested_header,
            finalized_header: self.finalized_header,
            finality_branch: self.finality_branch,
            sync_aggregate: self.sync_aggregate.clone(),
            signature_slot: self.signature_slot,
        }
    }
}

/// `LightClientFinalityUpdate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalityUpdate {
    /// The header that is signed.
    pub attested_header: LightClientHeader,
    /// The header that the attested state calls finalized.
    pub finalized_header: LightClientHeader,
    /// Its proof in the attested state.
    pub finality_branch: FinalityBranch,
    /// The signature.
    pub sync_aggregate: SyncAggregate,
    /// The slot at which the signature was made.
    pub signature_slot: u64,
}

/// `LightClientOptimisticUpdate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptimisticUpdate {
    /// The header that is signed.
    pub attested_header: LightClientHeader,
    /// The signature.
    pub sync_aggregate: SyncAggregate,
    /// The slot at which the signature was made.
    pub signature_slot: u64,
}

impl From<FinalityUpdate> for Update {
    // altair/sync-protocol.md: process_light_client_finality_update
    fn from(update: FinalityUpdate) -> Self {
        Self {
            attested_header: update.attested_header,
            next_sync_committee: None,
            next_sync_committee_branch: CommitteeBranch::default(),
            finalized_header: update.finalized_header,
            finality_branch: update.finality_branch,
            sync_aggregate: update.sync_aggregate,
            signature_slot: update.signature_slot,
        }
    }
}

impl From<OptimisticUpdate> for Update {
    // altair/sync-protocol.md: process_light_client_optimistic_update
    fn from(update: OptimisticUpdate) -> Self {
        FinalityUpdate {
            attested_header: update.attested_header,
            finalized_header: LightClientHeader::default(),
            finality_branch: FinalityBranch::default(),
            sync_aggregate: update.sync_aggregate,
            signature_slot: update.signature_slot,
        }
        .into()
    }
}
