//! A store under a [`Policy`]: what a node runs, and the only place that exports a header.
//!
//! Exports are headers that an update with two thirds of a committee proved final. A header that a
//! force update adopted is never exported, though the store counts it as finalized.

use alloy_primitives::B256;

use super::{
    bls::KeyCache,
    conflict::{Conflict, ConflictKind},
    error::SyncError,
    memory::Memory,
    network::NetworkConfig,
    policy::Policy,
    store::{Change, Store},
    types::{Bootstrap, LightClientHeader, SyncCommittee, Update},
};

/// A store, the rules on top of it, and what it exports.
#[derive(Debug, Clone)]
pub struct SyncClient {
    pub(super) network: NetworkConfig,
    pub(super) policy: Policy,
    pub(super) store: Store,
    pub(super) keys: KeyCache,
    pub(super) exported: LightClientHeader,
    pub(super) memory: Memory,
    pub(super) conflict: Option<Box<Conflict>>,
}

impl SyncClient {
    /// Starts from a block that the operator trusts.
    ///
    /// # Errors
    /// [`SyncError`] where the bootstrap does not prove itself, is too old, or the clock is wrong.
    pub fn bootstrap(
        network: NetworkConfig,
        policy: Policy,
        trusted_block_root: &B256,
        bootstrap: Bootstrap,
        now: u64,
    ) -> Result<Self, SyncError> {
        let store = Store::new(&network, trusted_block_root, bootstrap)?;
        let exported = *store.finalized_header();
        Self::resume(network, policy, store, exported, now)
    }

    /// Goes on with a stored store, and the header that was exported last. The same age limit holds.
    ///
    /// # Errors
    /// [`SyncError`] where the store is too old, or the clock is wrong.
    pub fn resume(
        network: NetworkConfig,
        policy: Policy,
        store: Store,
        exported: LightClientHeader,
        now: u64,
    ) -> Result<Self, SyncError> {
        let client = Self {
            network,
            policy,
            store,
            keys: KeyCache::new(),
            exported,
            memory: Memory::default(),
            conflict: None,
        };
        client.check_time(now)?;
        client.check_age(now)?;
        Ok(client)
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &NetworkConfig {
        &self.network
    }

    /// The rules on top of the spec.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The store as the spec has it.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The same client with points that are decompressed already.
    #[must_use]
    pub fn with_keys(self, keys: KeyCache) -> Self {
        Self { keys, ..self }
    }

    /// The points that are decompressed, to be given to the next client.
    #[must_use]
    pub fn into_keys(self) -> KeyCache {
        self.keys
    }

    /// The points that are decompressed.
    #[must_use]
    pub const fn keys(&self) -> &KeyCache {
        &self.keys
    }

    /// Whether a finality proof has nothing new and contradicts nothing that is remembered. No signature is
    /// looked at.
    #[must_use]
    pub fn is_known(&self, update: &Update) -> bool {
        let finalized = self.store.finalized_header();
        let period = |header: &LightClientHeader| self.network.preset.period(header.beacon.slot);
        let teaches = self.store.next_sync_committee().is_none()
            && update.next_sync_committee.is_some()
            && period(&update.attested_header) == period(finalized);
        update.has_finality()
            && update.finalized_header.beacon.slot <= finalized.beacon.slot
            && !teaches
            && !self.is_other_committee(update)
            && self.memory.excluding(&self.exported, update).is_none()
    }

    /// The two excluding finalities that were seen, if any.
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict> {
        self.conflict.as_deref()
    }

    /// The newest header that was proven final.
    ///
    /// # Errors
    /// [`SyncError::Conflict`] once frozen.
    pub fn finalized(&self) -> Result<&LightClientHeader, SyncError> {
        self.check_frozen()?;
        Ok(&self.exported)
    }

    /// The newest header that enough members signed. It may be reorganised.
    ///
    /// # Errors
    /// [`SyncError::OptimisticOff`] unless the policy exports it, [`SyncError::Conflict`] once frozen.
    pub fn optimistic(&self) -> Result<&LightClientHeader, SyncError> {
        self.check_frozen()?;
        if self.policy.export_optimistic {
            Ok(self.store.optimistic_header())
        } else {
            Err(SyncError::OptimisticOff)
        }
    }

    /// Takes an update at Unix time `now`, in seconds. Finality and optimistic updates convert into
    /// an [`Update`].
    ///
    /// # Errors
    /// [`SyncError`] naming the rule that refuses it. Nothing has changed then, except that
    /// [`SyncError::Conflict`] keeps the evidence and freezes the exports.
    pub fn process(&mut self, update: impl Into<Update>, now: u64) -> Result<Change, SyncError> {
        let update = update.into();
        self.check_frozen()?;
        self.check_time(now)?;
        self.check_age(now)?;
        let slot = self.network.slot_at(now);
        let Self { network, store, keys, .. } = self;
        let refused = store.validate(network, &update, slot, keys).err();
        // The spec has no use for what comes too late, or differs; it may be evidence all the same.
        if matches!(
            refused,
            None | Some(
                SyncError::Irrelevant { .. }
                    | SyncError::PeriodSkipped { .. }
                    | SyncError::NextCommitteeMismatch(_)
            )
        ) && let Some(conflict) = self.conflict_with(&update, slot)
        {
            let error = conflict.error();
            self.conflict.get_or_insert_with(|| Box::new(conflict));
            return Err(error);
        }
        if let Some(refused) = refused {
            return Err(refused);
        }
        if update.sync_aggregate.has_supermajority() && update.has_finality() {
            self.check_rotation(&update, update.finalized_header.beacon.slot)?;
        }
        Ok(self.accept(update))
    }

    /// Takes an update that is valid.
    fn accept(&mut self, update: Update) -> Change {
        let (proof, branch) = (update.to_finality_update(), update.next_sync_committee_branch);
        let period = |slot| self.network.preset.period(slot);
        let leaves = period(proof.finalized_header.beacon.slot)
            > period(self.store.finalized_header().beacon.slot);
        let committee = leaves.then(|| self.store.current_sync_committee().clone());
        let change = self.store.accept(&self.network, update);
        if change.rotated
            && let Some(committee) = committee
        {
            self.memory.rotated(committee);
        }
        if change.learned_committee {
            self.memory.learned(proof.clone(), branch);
        }
        if change.finalized {
            self.exported = proof.finalized_header;
            self.memory.finalized(proof);
        }
        change
    }

    /// The spec's force update. It moves the store on, and exports nothing.
    ///
    /// # Errors
    /// [`SyncError::ForceUpdateOff`] unless the policy allows it.
    pub fn force_update(&mut self, now: u64) -> Result<Change, SyncError> {
        if !self.policy.allow_force_update {
            return Err(SyncError::ForceUpdateOff);
        }
        self.check_frozen()?;
        self.check_forced_rotation()?;
        let committee = self.store.current_sync_committee().clone();
        let change = self.store.force_update(&self.network, self.network.slot_at(now));
        if change.rotated {
            self.memory.rotated(committee);
        }
        Ok(change)
    }

    fn check_frozen(&self) -> Result<(), SyncError> {
        match &self.conflict {
            Some(conflict) if self.policy.freeze_on_conflict => Err(conflict.error()),
            _ => Ok(()),
        }
    }

    /// Whether the clock can be right. Every update is checked so.
    ///
    /// # Errors
    /// [`SyncError::ClockBehind`] where it is before the finalized header.
    pub fn check_time(&self, now: u64) -> Result<(), SyncError> {
        let finalized = self.store.finalized_header().beacon.slot;
        if self.policy.check_clock && now < self.network.time_of(finalized) {
            return Err(SyncError::ClockBehind { now: self.network.slot_at(now), finalized });
        }
        Ok(())
    }

    /// Weak subjectivity: checked at the start and for every update, as a client may have slept.
    ///
    /// # Errors
    /// [`SyncError::StaleCheckpoint`] where the finalized header is older than the policy allows.
    pub fn check_age(&self, now: u64) -> Result<(), SyncError> {
        let slot = self.store.finalized_header().beacon.slot;
        let age = now.saturating_sub(self.network.time_of(slot));
        let most = self.policy.max_checkpoint_age;
        if most != 0 && age > most {
            return Err(SyncError::StaleCheckpoint { slot, age, most });
        }
        Ok(())
    }

    /// The best update may be taken with its attested header for the finalized one.
    fn check_forced_rotation(&self) -> Result<(), SyncError> {
        let Some(best) = self.store.best_valid_update() else { return Ok(()) };
        let known = self.store.finalized_header().beacon.slot;
        let finalized = best.finalized_header.beacon.slot;
        let attested = best.attested_header.beacon.slot;
        self.check_rotation(best, if finalized > known { finalized } else { attested })
    }

    /// A period is entered with the committee after it, or not at all.
    fn check_rotation(&self, update: &Update, slot: u64) -> Result<(), SyncError> {
        let period = |slot| self.network.preset.period(slot);
        let entered = period(slot);
        let leaves = entered > period(self.store.finalized_header().beacon.slot);
        if self.policy.require_next_committee && leaves && update.next_sync_committee.is_none() {
            return Err(SyncError::RotationWithoutNext(entered));
        }
        Ok(())
    }

    /// The evidence that an update makes with what is known, if it is signed and contradicts it.
    fn conflict_with(&mut self, update: &Update, now: u64) -> Option<Conflict> {
        if update.signature_slot > now {
            return None;
        }
        let conflict = ConflictKind::ALL.into_iter().find_map(|kind| {
            let known = match kind {
                ConflictKind::Finality if update.has_finality() => {
                    self.memory.excluding(&self.exported, update)?
                }
                ConflictKind::NextCommittee if self.is_other_committee(update) => {
                    self.memory.proof_of_next(self.store.next_sync_committee()?)
                }
                _ => return None,
            };
            let mut conflict =
                Conflict { kind, known, other: Box::new(update.clone()), committees: Vec::new() };
            conflict.committees = conflict
                .periods(&self.network)
                .into_iter()
                .map(|period| Some((period, self.committee_of(period)?.clone())))
                .collect::<Option<_>>()?;
            Some(conflict)
        })?;
        let Self { network, keys, .. } = self;
        conflict.verify(network, keys, |_| true).ok()?;
        Some(conflict)
    }

    /// Whether an update names another next committee of the store's period than the known one.
    fn is_other_committee(&self, update: &Update) -> bool {
        let period = |header: &LightClientHeader| self.network.preset.period(header.beacon.slot);
        period(&update.attested_header) == period(self.store.finalized_header())
            && match (&update.next_sync_committee, self.store.next_sync_committee()) {
                (Some(next), Some(known)) => next != known,
                _ => false,
            }
    }

    /// The committee of a period, if it is known: the store's, the one before, and the next one.
    pub(super) fn committee_of(&self, period: u64) -> Option<&SyncCommittee> {
        let current = self.network.preset.period(self.store.finalized_header().beacon.slot);
        if period == current {
            Some(self.store.current_sync_committee())
        } else if period.checked_sub(1) == Some(current) {
            self.store.next_sync_committee()
        } else if period.checked_add(1) == Some(current) {
            self.memory.previous_committee.as_ref()
        } else {
            None
        }
    }
}
