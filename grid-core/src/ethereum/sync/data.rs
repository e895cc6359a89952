//! Light-client data as it travels to the main chain: whatever a beacon node served, in the one form
//! that this crate keeps in memory.
//!
//! A kind byte (0 bootstrap, 1 update, 2 finality update) and the SSZ of the object in Gloas's form,
//! where every field has a fixed length. So an object has one encoding, and bytes that decode
//! encode to themselves.

use super::{
    error::DecodeError,
    network::NetworkConfig,
    ssz::{self, write},
    types::{Bootstrap, FinalityUpdate, Update},
    wire::Format,
};

const BOOTSTRAP: u8 = 0;
const UPDATE: u8 = 1;
const FINALITY_UPDATE: u8 = 2;

/// One object that moves a light client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyncData {
    /// What a client starts from.
    Bootstrap(Box<Bootstrap>),
    /// An update of a period, with the next committee.
    Update(Box<Update>),
    /// An update of the finalized header alone.
    FinalityUpdate(Box<FinalityUpdate>),
}

impl SyncData {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Bootstrap(bootstrap) => {
                let mut out = vec![BOOTSTRAP];
                write::bootstrap(&mut out, bootstrap);
                out
            }
            Self::Update(update) => {
                let mut out = vec![UPDATE];
                write::sized_update(&mut out, update.sync_aggregate.members(), update);
                out
            }
            Self::FinalityUpdate(update) => {
                let mut out = vec![FINALITY_UPDATE];
                write::finality_update(&mut out, update);
                out
            }
        }
    }

    /// Reads the bytes of [`Self::encode`].
    ///
    /// # Errors
    /// [`DecodeError`] for anything but one object of the network's preset.
    pub fn decode(network: &NetworkConfig, bytes: &[u8]) -> Result<Self, DecodeError> {
        let (kind, object) = bytes.split_first().ok_or(DecodeError::Kind(None))?;
        match *kind {
            BOOTSTRAP => ssz::bootstrap(network, Format::Gloas, object)
                .map(|bootstrap| Self::Bootstrap(Box::new(bootstrap))),
            UPDATE => ssz::update(network, Format::Gloas, object)
                .map(|update| Self::Update(Box::new(update))),
            FINALITY_UPDATE => ssz::finality_update(network, Format::Gloas, object)
                .map(|update| Self::FinalityUpdate(Box::new(update))),
            other => Err(DecodeError::Kind(Some(other))),
        }
    }
}

impl From<Bootstrap> for SyncData {
    fn from(bootstrap: Bootstrap) -> Self {
        Self::Bootstrap(Box::new(bootstrap))
    }
}

impl From<Update> for SyncData {
    fn from(update: Update) -> Self {
        Self::Update(Box::new(update))
    }
}

impl From<FinalityUpdate> for SyncData {
    fn from(update: FinalityUpdate) -> Self {
        Self::FinalityUpdate(Box::new(update))
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{B256, FixedBytes};

    use super::{
        super::{
            BeaconBlockHeader, LightClientHeader, NetworkConfig, Preset, SyncAggregate,
            SyncCommittee,
            merkle::{COMMITTEE_DEPTH, FINALITY_DEPTH},
        },
        *,
    };

    fn header(tag: u8) -> LightClientHeader {
        let root = B256::repeat_byte(tag);
        LightClientHeader {
            beacon: BeaconBlockHeader {
                slot: tag.into(),
                proposer_index: 7,
                parent_root: root,
                state_root: root,
                body_root: root,
            },
            execution_block_hash: root,
            execution_branch: [root; 11],
        }
    }

    /// One of each kind, and an update without a committee.
    fn all(members: usize) -> Vec<SyncData> {
        let committee = SyncCommittee {
            pubkeys: vec![FixedBytes::repeat_byte(4); members],
            aggregate_pubkey: FixedBytes::repeat_byte(5),
        };
        let bootstrap = Bootstrap {
            header: header(1),
            current_sync_committee: committee.clone(),
            current_sync_committee_branch: [B256::repeat_byte(2); COMMITTEE_DEPTH],
        };
        let finality = FinalityUpdate {
            attested_header: header(3),
            finalized_header: header(2),
            finality_branch: [B256::repeat_byte(6); FINALITY_DEPTH],
            sync_aggregate: SyncAggregate {
                bits: vec![0xf0; members / 8],
                signature: FixedBytes::repeat_byte(8),
            },
            signature_slot: 4,
        };
        let without = Update::from(finality.clone());
        let update = Update {
            next_sync_committee: Some(committee),
            next_sync_committee_branch: [B256::repeat_byte(9); COMMITTEE_DEPTH],
            ..without.clone()
        };
        vec![bootstrap.into(), update.into(), without.into(), finality.into()]
    }

    #[test]
    fn every_object_of_both_presets_has_one_encoding() {
        for preset in [Preset::MAINNET, Preset::MINIMAL] {
            let network = NetworkConfig { preset, ..NetworkConfig::mainnet() };
            for object in all(preset.committee_size) {
                let bytes = object.encode();
                assert_eq!(SyncData::decode(&network, &bytes).as_ref(), Ok(&object));
                let (mut longer, mut other_kind) = (bytes.clone(), bytes.clone());
                longer.push(0);
                other_kind[0] = 3;
                for wrong in [&longer[..], &bytes[..bytes.len() - 1], &other_kind, &[]] {
                    assert!(SyncData::decode(&network, wrong).is_err());
                }
            }
        }
    }

    #[test]
    fn data_of_another_preset_is_refused() {
        for object in all(Preset::MINIMAL.committee_size) {
            assert!(SyncData::decode(&NetworkConfig::mainnet(), &object.encode()).is_err());
        }
    }
}
