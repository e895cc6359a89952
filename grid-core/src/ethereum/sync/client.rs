//! A store under a [`Policy`]: what a node runs, and the only place that exports a header.
//!
//! Exports are headers that an update with two thirds of a committee proved final. A header that a
//! force update adopted is never exported, though the store counts it as finalized.

use std::collections::VecDeque;

use alloy_primitives::B256;

use super::{
    bls::KeyCache,
    error::SyncError,
    network::NetworkConfig,
    policy::Policy,
    store::{self, Change, Store},
    types::{Bootstrap, FinalityUpdate, LightClientHeader, Update},
};

/// Finality proofs that are remembered, to notice one that excludes them.
const REMEMBERED: usize = 16;

/// Two things that cannot both be final, each signed by two thirds of a committee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Slot of the conflicting headers, or of the header whose state names another next committee.
    pub slot: u64,
    /// Root that was known: of the finalized header, or of the next committee.
    pub known: B256,
    /// Root that the other update proves.
    pub other: B256,
    /// The proof of what was known; none where it came with the bootstrap or a stored store.
    pub first: Option<Box<FinalityUpdate>>,
    /// The other update.
    pub second: Box<Update>,
}

/// A store, the rules on top of it, and what it exports.
#[derive(Debug)]
pub struct SyncClient {
    network: NetworkConfig,
    policy: Policy,
    store: Store,
    keys: KeyCache,
    exported: LightClientHeader,
    remembered: VecDeque<FinalityUpdate>,
    conflict: Option<Box<Conflict>>,
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
            remembered: VecDeque::new(),
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
        let slot = self.network.slot_at(now);
        let Self { network, store, keys, .. } = self;
        match store.validate(network, &update, slot, keys) {
            Err(SyncError::NextCommitteeMismatch(period)) => {
                return Err(self.other_committee(update, period, slot));
            }
            other => other?,
        }
        if update.sync_aggregate.has_supermajority() && update.has_finality() {
            if let Some((known, first)) = self.excluded_by(&update) {
                let header = &update.finalized_header.beacon;
                let (slot, other) = (header.slot, header.root());
                let (first, second) = (first.map(Box::new), Box::new(update));
                return Err(self.freeze(Conflict { slot, known, other, first, second }));
            }
            self.check_rotation(&update, update.finalized_header.beacon.slot)?;
        }
        let proof = update.to_finality_update();
        let change = self.store.accept(&self.network, update);
        if change.finalized {
            self.exported = proof.finalized_header;
            if self.remembered.len() >= REMEMBERED {
                self.remembered.pop_front();
            }
            self.remembered.push_back(proof);
        }
        Ok(change)
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
        Ok(self.store.force_update(&self.network, self.network.slot_at(now)))
    }

    fn check_frozen(&self) -> Result<(), SyncError> {
        match &self.conflict {
            Some(conflict) if self.policy.freeze_on_conflict => Err(conflict.error()),
            _ => Ok(()),
        }
    }

    fn check_time(&self, now: u64) -> Result<(), SyncError> {
        let finalized = self.store.finalized_header().beacon.slot;
        if self.policy.check_clock && now < self.network.time_of(finalized) {
            return Err(SyncError::ClockBehind { now: self.network.slot_at(now), finalized });
        }
        Ok(())
    }

    /// Weak subjectivity: also to be asked after a long sleep.
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

    /// A known final header at the slot of the update's, with another root, and its proof.
    fn excluded_by(&self, update: &Update) -> Option<(B256, Option<FinalityUpdate>)> {
        let header = &update.finalized_header.beacon;
        let other = |known: &LightClientHeader| {
            (known.beacon.slot == header.slot && known.beacon != *header)
                .then(|| known.beacon.root())
        };
        self.remembered
            .iter()
            .find_map(|proof| {
                other(&proof.finalized_header).map(|root| (root, Some(proof.clone())))
            })
            .or_else(|| other(&self.exported).map(|root| (root, None)))
    }

    /// An update whose next committee is not the known one: a lie, or a conflict if it is signed.
    fn other_committee(&mut self, update: Update, period: u64, slot: u64) -> SyncError {
        let refused = SyncError::NextCommitteeMismatch(period);
        let (Some(known), Some(next)) =
            (self.store.next_sync_committee(), &update.next_sync_committee)
        else {
            return refused;
        };
        let (known, other) = (known.root(), next.root());
        let proven = store::check_next_branch(&self.network, &update, next);
        let alone = Update::from(update.to_finality_update());
        let Self { network, store, keys, .. } = self;
        let signed = update.sync_aggregate.has_supermajority()
            && proven.and_then(|()| store.validate(network, &alone, slot, keys)).is_ok();
        if !signed {
            return refused;
        }
        let (slot, second) = (update.attested_header.beacon.slot, Box::new(update));
        self.freeze(Conflict { slot, known, other, first: None, second })
    }

    fn freeze(&mut self, conflict: Conflict) -> SyncError {
        let error = conflict.error();
        self.conflict.get_or_insert_with(|| Box::new(conflict));
        error
    }
}

impl Conflict {
    const fn error(&self) -> SyncError {
        SyncError::Conflict { slot: self.slot, known: self.known, other: self.other }
    }
}
