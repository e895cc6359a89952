//! Finality by Ethereum's sync committees.

use alloy_primitives::B256;

use super::{
    anchors::Anchor,
    error::{CommitteeError, StoredError},
    evidence::FinalityConflict,
    prover::Proved,
};
use crate::{
    ethereum::sync::{
        Bootstrap, KeyCache, NetworkConfig, Parts, Policy, SyncClient, SyncData, SyncError, Update,
    },
    light_client::Finalized,
};

/// The beacon chain's light client under its policy; `None` until the bootstrap came.
#[derive(Debug, Clone)]
pub(super) struct SyncProver {
    pub(super) network: NetworkConfig,
    pub(super) policy: Policy,
    /// Hash of the registered start.
    pub(super) start: B256,
    /// The trusted beacon block.
    pub(super) checkpoint: B256,
    pub(super) sync: Option<SyncClient>,
}

impl SyncProver {
    pub(super) fn new(
        network: NetworkConfig,
        policy: &Policy,
        start: B256,
        checkpoint: B256,
    ) -> Result<Self, CommitteeError> {
        let off = [
            ("allow_force_update", policy.allow_force_update),
            ("export_optimistic", policy.export_optimistic),
        ];
        match off.into_iter().find(|(_, set)| *set) {
            Some((name, _)) => Err(CommitteeError::Policy(name)),
            None => Ok(Self::waiting(network, policy.clone(), start, checkpoint)),
        }
    }

    /// One that waits for its bootstrap.
    pub(super) const fn waiting(
        network: NetworkConfig,
        policy: Policy,
        start: B256,
        checkpoint: B256,
    ) -> Self {
        Self { network, policy, start, checkpoint, sync: None }
    }

    /// Takes one object at Unix time `now`, in seconds.
    pub(super) fn take(
        &mut self,
        index: usize,
        bytes: &[u8],
        keys: &KeyCache,
        now: u64,
    ) -> Result<Proved, CommitteeError> {
        let data = self.decode(index, bytes)?;
        if self.is_known(&data) {
            return Ok(Proved::Known);
        }
        let update = match data {
            SyncData::Bootstrap(bootstrap) => {
                return self.bootstrap(index, *bootstrap, keys, now).map(Proved::Started);
            }
            SyncData::Update(update) => *update,
            SyncData::FinalityUpdate(update) => Update::from(*update),
        };
        self.update(index, update, now)
    }

    fn decode(&self, index: usize, bytes: &[u8]) -> Result<SyncData, CommitteeError> {
        SyncData::decode(&self.network, bytes)
            .map_err(|error| CommitteeError::Data { index, error })
    }

    pub(super) fn knows(&self, bytes: &[u8]) -> bool {
        SyncData::decode(&self.network, bytes).is_ok_and(|data| self.is_known(&data))
    }

    fn is_known(&self, data: &SyncData) -> bool {
        match (&self.sync, data) {
            (None, _) => false,
            (Some(_), SyncData::Bootstrap(bootstrap)) => {
                bootstrap.header.beacon.root() == self.checkpoint
            }
            (Some(sync), SyncData::Update(update)) => sync.is_known(update),
            (Some(sync), SyncData::FinalityUpdate(update)) => {
                sync.is_known(&Update::from((**update).clone()))
            }
        }
    }

    /// The registered start is what the trusted block holds, or nothing starts. Whether it was shown to be.
    fn bootstrap(
        &mut self,
        index: usize,
        bootstrap: Bootstrap,
        keys: &KeyCache,
        now: u64,
    ) -> Result<bool, CommitteeError> {
        if self.sync.is_some() {
            return Err(CommitteeError::Started { checkpoint: self.checkpoint });
        }
        let found = bootstrap.header.execution_block_hash;
        // Before Capella a beacon block does not show its execution block; the first headers will.
        if !found.is_zero() && found != self.start {
            return Err(CommitteeError::OtherStart { found, start: self.start });
        }
        self.sync = Some(self.trust(index, bootstrap, keys, now)?);
        Ok(found == self.start)
    }

    fn trust(
        &self,
        index: usize,
        bootstrap: Bootstrap,
        keys: &KeyCache,
        now: u64,
    ) -> Result<SyncClient, CommitteeError> {
        let (network, policy) = (self.network.clone(), self.policy.clone());
        SyncClient::bootstrap(network, policy, &self.checkpoint, bootstrap, now)
            .map(|client| client.with_keys(keys.clone()))
            .map_err(|error| CommitteeError::Sync { index, error: Box::new(error) })
    }

    pub(super) fn restart(
        &mut self,
        checkpoint: B256,
        bytes: &[u8],
        froze: bool,
        now: u64,
    ) -> Result<Anchor, CommitteeError> {
        let SyncData::Bootstrap(bootstrap) = self.decode(0, bytes)? else {
            return Err(CommitteeError::NotStarted { checkpoint });
        };
        let header = bootstrap.header;
        let (slot, known) = (header.beacon.slot, self.finalized().map_or(0, |known| known.slot));
        if !froze && slot < known {
            return Err(CommitteeError::OldCheckpoint { slot, known });
        }
        self.checkpoint = checkpoint;
        self.sync = Some(self.trust(0, *bootstrap, &KeyCache::new(), now)?);
        Ok(Anchor { slot, hash: header.execution_block_hash })
    }

    fn update(&mut self, index: usize, update: Update, now: u64) -> Result<Proved, CommitteeError> {
        let refused = |error| CommitteeError::Sync { index, error: Box::new(error) };
        let checkpoint = self.checkpoint;
        let sync = self.sync.as_mut().ok_or(CommitteeError::NotStarted { checkpoint })?;
        sync.check_age(now).map_err(refused)?;
        let aggregate = &update.sync_aggregate;
        if !aggregate.has_supermajority() {
            let (participants, members) = (aggregate.participants(), aggregate.members());
            return Err(CommitteeError::TooFew { index, participants, members });
        }
        let change = match sync.process(update, now) {
            Ok(change) => change,
            Err(error @ SyncError::Conflict { .. }) => {
                return match sync.conflict().filter(|_| self.policy.freeze_on_conflict) {
                    Some(conflict) => {
                        let conflict = FinalityConflict::Signed(Box::new(conflict.clone()));
                        Ok(Proved::Conflict(conflict))
                    }
                    None => Err(refused(error)),
                };
            }
            Err(error) => return Err(refused(error)),
        };
        if !change.finalized && !change.learned_committee {
            return Err(CommitteeError::NoEffect(index));
        }
        let header = *sync.finalized().map_err(refused)?;
        if change.finalized {
            let hash = header.execution_block_hash;
            return Ok(Proved::Final(Anchor { slot: header.beacon.slot, hash }));
        }
        Ok(Proved::Moved)
    }

    pub(super) fn finalized(&self) -> Option<Finalized> {
        let header = self.sync.as_ref()?.store().finalized_header();
        let (slot, root) = (header.beacon.slot, header.beacon.root());
        Some(Finalized { slot, root, execution: header.execution_block_hash })
    }

    pub(super) fn finalized_time(&self) -> u64 {
        self.finalized().map_or(0, |finalized| self.network.time_of(finalized.slot))
    }

    pub(super) fn committees(&self) -> (u64, bool, Vec<String>) {
        let slot = self.finalized().map_or(0, |finalized| finalized.slot);
        let store = self.sync.as_ref().map(SyncClient::store);
        let next = store.is_some_and(|store| store.next_sync_committee().is_some());
        let loosened = self.policy.loosened().into_iter().map(Into::into).collect();
        (self.network.preset.period(slot), next, loosened)
    }

    /// Takes over a stored light client.
    pub(super) fn load(&mut self, parts: &Parts) -> Result<(), StoredError> {
        let (network, policy) = (self.network.clone(), self.policy.clone());
        self.sync = Some(SyncClient::from_parts(network, policy, parts)?);
        Ok(())
    }
}
