//! The store of the spec: what a light client knows, and how an update changes it.
//!
//! Exactly the spec's algorithm, the stricter rules are [`super::client`]'s. `validate` changes
//! nothing; an update that it refuses leaves the store as it was.

use alloy_primitives::B256;

use super::{
    bls::{self, KeyCache},
    error::{DecodeError, SyncError},
    merkle,
    network::NetworkConfig,
    rank::is_better_update,
    ssz::{self, write},
    types::{Bootstrap, LightClientHeader, SyncCommittee, Update},
    wire::Format,
};

/// `LightClientStore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    finalized_header: LightClientHeader,
    current_sync_committee: SyncCommittee,
    next_sync_committee: Option<SyncCommittee>,
    best_valid_update: Option<Box<Update>>,
    optimistic_header: LightClientHeader,
    previous_max_active_participants: u64,
    current_max_active_participants: u64,
}

/// What an update has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// The finalized header is newer.
    pub finalized: bool,
    /// The optimistic header is newer.
    pub optimistic: bool,
    /// The next committee became known.
    pub learned_committee: bool,
    /// The next committee became the current one.
    pub rotated: bool,
}

impl Store {
    /// `initialize_light_client_store`.
    ///
    /// # Errors
    /// [`SyncError`] where the bootstrap is not for the trusted block or its proofs fail.
    pub fn new(
        network: &NetworkConfig,
        trusted_block_root: &B256,
        bootstrap: Bootstrap,
    ) -> Result<Self, SyncError> {
        let Bootstrap { header, current_sync_committee, current_sync_committee_branch } = bootstrap;
        check_header(network, "bootstrap", &header)?;
        let found = header.beacon.root();
        if found != *trusted_block_root {
            return Err(SyncError::UntrustedBootstrap { found, trusted: *trusted_block_root });
        }
        let gindex = merkle::current_committee_gindex(network.fork_at_slot(header.beacon.slot));
        let root = current_sync_committee.root();
        if !merkle::verify(&root, &current_sync_committee_branch, gindex, &header.beacon.state_root)
        {
            return Err(SyncError::CommitteeBranch);
        }
        Ok(Self {
            finalized_header: header,
            current_sync_committee,
            next_sync_committee: None,
            best_valid_update: None,
            optimistic_header: header,
            previous_max_active_participants: 0,
            current_max_active_participants: 0,
        })
    }

    /// The newest finalized header. After a force update it is one that was never final.
    #[must_use]
    pub const fn finalized_header(&self) -> &LightClientHeader {
        &self.finalized_header
    }

    /// The newest header that enough members signed; it may be reorganised.
    #[must_use]
    pub const fn optimistic_header(&self) -> &LightClientHeader {
        &self.optimistic_header
    }

    /// The committee of the finalized header's period.
    #[must_use]
    pub const fn current_sync_committee(&self) -> &SyncCommittee {
        &self.current_sync_committee
    }

    /// The committee of the period after it, where it is known.
    #[must_use]
    pub const fn next_sync_committee(&self) -> Option<&SyncCommittee> {
        self.next_sync_committee.as_ref()
    }

    /// The update that a force update would take.
    #[must_use]
    pub fn best_valid_update(&self) -> Option<&Update> {
        self.best_valid_update.as_deref()
    }

    /// The most participants seen in the previous and in the current period.
    #[must_use]
    pub const fn max_active_participants(&self) -> (u64, u64) {
        (self.previous_max_active_participants, self.current_max_active_participants)
    }

    /// Checks an update against the store, in the order of the spec, the signature last.
    ///
    /// # Errors
    /// [`SyncError`] naming the rule that the update breaks.
    // altair/sync-protocol.md: validate_light_client_update
    pub fn validate(
        &self,
        network: &NetworkConfig,
        update: &Update,
        now_slot: u64,
        keys: &mut KeyCache,
    ) -> Result<(), SyncError> {
        if update.sync_aggregate.participants() == 0 {
            return Err(SyncError::NoParticipants);
        }
        check_header(network, "attested", &update.attested_header)?;
        let signature_period = self.check_slots(network, update, now_slot)?;
        check_finality(network, update)?;
        self.check_committee(network, update)?;
        let committee = if signature_period == self.period(network) {
            &self.current_sync_committee
        } else {
            self.next_sync_committee.as_ref().unwrap_or(&self.current_sync_committee)
        };
        verify_signature(network, committee, update, keys)
    }

    /// Order of slots, reach of the known committees, relevance. Returns the signature's period.
    fn check_slots(
        &self,
        network: &NetworkConfig,
        update: &Update,
        now: u64,
    ) -> Result<u64, SyncError> {
        let signature = update.signature_slot;
        let attested = update.attested_header.beacon.slot;
        let finalized = update.finalized_header.beacon.slot;
        if !(now >= signature && signature > attested && attested >= finalized) {
            return Err(SyncError::SlotOrder { now, signature, attested, finalized });
        }
        let (store, signature) = (self.period(network), network.preset.period(signature));
        let next_known = self.next_sync_committee.is_some();
        if signature != store && !(next_known && Some(signature) == store.checked_add(1)) {
            return Err(SyncError::PeriodSkipped { signature, store, next_known });
        }
        let teaches =
            !next_known && update.has_committee() && network.preset.period(attested) == store;
        let finalized = self.finalized_header.beacon.slot;
        if attested <= finalized && !teaches {
            return Err(SyncError::Irrelevant { attested, finalized });
        }
        Ok(signature)
    }

    /// "Verify that the `next_sync_committee`, if present, …"
    fn check_committee(&self, network: &NetworkConfig, update: &Update) -> Result<(), SyncError> {
        let next = match (&update.next_sync_committee, update.has_committee()) {
            (None, false) => return Ok(()),
            (Some(next), true) => next,
            _ => return Err(SyncError::UnexpectedCommittee),
        };
        let attested = network.preset.period(update.attested_header.beacon.slot);
        if attested == self.period(network)
            && self.next_sync_committee.as_ref().is_some_and(|known| known != next)
        {
            return Err(SyncError::NextCommitteeMismatch(attested));
        }
        check_next_branch(network, update, next)
    }

    fn period(&self, network: &NetworkConfig) -> u64 {
        network.preset.period(self.finalized_header.beacon.slot)
    }

    /// Validates an update and takes from it what the spec takes.
    ///
    /// # Errors
    /// [`SyncError`] of [`Self::validate`]; the store is then unchanged.
    // altair/sync-protocol.md: process_light_client_update
    pub fn process(
        &mut self,
        network: &NetworkConfig,
        update: Update,
        now_slot: u64,
        keys: &mut KeyCache,
    ) -> Result<Change, SyncError> {
        self.validate(network, &update, now_slot, keys)?;
        Ok(self.accept(network, update))
    }

    /// The second half of `process_light_client_update`, for an update that is valid.
    pub(super) fn accept(&mut self, network: &NetworkConfig, update: Update) -> Change {
        let mut change = Change::default();
        let participants = update.sync_aggregate.participants() as u64;
        self.current_max_active_participants =
            self.current_max_active_participants.max(participants);
        let safe =
            self.previous_max_active_participants.max(self.current_max_active_participants) / 2;
        if participants > safe
            && update.attested_header.beacon.slot > self.optimistic_header.beacon.slot
        {
            self.optimistic_header = update.attested_header;
            change.optimistic = true;
        }
        let preset = &network.preset;
        let teaches = self.next_sync_committee.is_none()
            && update.has_committee()
            && update.has_finality()
            && preset.period(update.finalized_header.beacon.slot)
                == preset.period(update.attested_header.beacon.slot);
        let advances = update.finalized_header.beacon.slot > self.finalized_header.beacon.slot;
        if update.sync_aggregate.has_supermajority() && (advances || teaches) {
            self.apply(network, update, &mut change);
            self.best_valid_update = None;
        } else if self
            .best_valid_update
            .as_ref()
            .is_none_or(|best| is_better_update(preset, &update, best))
        {
            self.best_valid_update = Some(Box::new(update));
        }
        change
    }

    // altair/sync-protocol.md: apply_light_client_update
    fn apply(&mut self, network: &NetworkConfig, update: Update, change: &mut Change) {
        let store_period = self.period(network);
        let finalized = update.finalized_header;
        let finalized_period = network.preset.period(finalized.beacon.slot);
        if self.next_sync_committee.is_none() {
            // The spec asserts it; `validate` lets no other update through.
            if finalized_period != store_period {
                return;
            }
            self.next_sync_committee = update.next_sync_committee;
            change.learned_committee = self.next_sync_committee.is_some();
        } else if Some(finalized_period) == store_period.checked_add(1) {
            if let Some(next) = self.next_sync_committee.take() {
                self.current_sync_committee = next;
            }
            self.next_sync_committee = update.next_sync_committee;
            self.previous_max_active_participants = self.current_max_active_participants;
            self.current_max_active_participants = 0;
            change.rotated = true;
            change.learned_committee = self.next_sync_committee.is_some();
        }
        if finalized.beacon.slot > self.finalized_header.beacon.slot {
            self.finalized_header = finalized;
            change.finalized = true;
            if finalized.beacon.slot > self.optimistic_header.beacon.slot {
                self.optimistic_header = finalized;
                change.optimistic = true;
            }
        }
    }

    /// Takes the best update that was seen, final or not, once nothing was final for a whole period.
    // altair/sync-protocol.md: process_light_client_store_force_update
    pub fn force_update(&mut self, network: &NetworkConfig, now_slot: u64) -> Change {
        let mut change = Change::default();
        let timeout = network.preset.slots_per_period();
        if now_slot <= self.finalized_header.beacon.slot.saturating_add(timeout) {
            return change;
        }
        if let Some(best) = self.best_valid_update.take() {
            let mut update = *best;
            if update.finalized_header.beacon.slot <= self.finalized_header.beacon.slot {
                update.finalized_header = update.attested_header;
            }
            self.apply(network, update, &mut change);
        }
        change
    }

    /// The store's bytes. Public keys are in it compressed; points are not.
    #[must_use]
    pub fn encode(&self, network: &NetworkConfig) -> Vec<u8> {
        let mut out = vec![
            STORE_VERSION,
            u8::from(self.next_sync_committee.is_some()),
            u8::from(self.best_valid_update.is_some()),
        ];
        out.extend(self.previous_max_active_participants.to_le_bytes());
        out.extend(self.current_max_active_participants.to_le_bytes());
        write::header(&mut out, &self.finalized_header);
        write::header(&mut out, &self.optimistic_header);
        write::committee(&mut out, &self.current_sync_committee);
        if let Some(next) = &self.next_sync_committee {
            write::committee(&mut out, next);
        }
        if let Some(update) = &self.best_valid_update {
            write::update(&mut out, network, update);
        }
        out
    }

    /// Reads the bytes of [`Self::encode`].
    ///
    /// # Errors
    /// [`DecodeError`] for anything but bytes that encode the same again.
    pub fn decode(network: &NetworkConfig, bytes: &[u8]) -> Result<Self, DecodeError> {
        let what = "light-client store";
        let refused = |reason: &str| DecodeError::Ssz { what, reason: reason.into() };
        let (version, next, best) = match bytes {
            [version, next @ (0 | 1), best @ (0 | 1), ..] => (*version, *next == 1, *best == 1),
            _ => return Err(refused("its flags are not 0 or 1")),
        };
        if version != STORE_VERSION {
            return Err(refused("unknown version"));
        }
        let optional =
            |there: bool, length: usize| ssz::Part::Fixed(if there { length } else { 0 });
        let committee = ssz::committee_bytes(network);
        let parts = [
            ssz::Part::Fixed(3),
            ssz::Part::Fixed(8),
            ssz::Part::Fixed(8),
            ssz::Part::Fixed(ssz::GLOAS_HEADER),
            ssz::Part::Fixed(ssz::GLOAS_HEADER),
            ssz::Part::Fixed(committee),
            optional(next, committee),
            optional(best, ssz::gloas_update_bytes(network)),
        ];
        let [_, previous, current, finalized, optimistic, committee, next_committee, update] =
            ssz::container(what, bytes, parts)?;
        let store = Self {
            finalized_header: ssz::header(network, Format::Gloas, finalized)?,
            current_sync_committee: ssz::committee(network, committee),
            next_sync_committee: next.then(|| ssz::committee(network, next_committee)),
            best_valid_update: if best {
                Some(Box::new(ssz::update(network, Format::Gloas, update)?))
            } else {
                None
            },
            optimistic_header: ssz::header(network, Format::Gloas, optimistic)?,
            previous_max_active_participants: ssz::number(previous),
            current_max_active_participants: ssz::number(current),
        };
        Ok(store)
    }
}

/// Bytes of a stored store before its committees: version and flags, counters, two headers.
pub(super) const STORE_HEAD: usize = 3 + 2 * 8 + 2 * ssz::GLOAS_HEADER;

/// First byte of a stored store.
const STORE_VERSION: u8 = 1;

fn check_header(
    network: &NetworkConfig,
    which: &'static str,
    header: &LightClientHeader,
) -> Result<(), SyncError> {
    if header.is_valid(network) {
        Ok(())
    } else {
        Err(SyncError::ExecutionBranch { which, slot: header.beacon.slot })
    }
}

/// Checks what an update proves by itself: its headers, finality and next committee lead to the
/// attested header. No store is needed and no signature looked at.
///
/// # Errors
/// [`SyncError`] naming the proof that fails.
pub fn verify_proofs(network: &NetworkConfig, update: &Update) -> Result<(), SyncError> {
    check_header(network, "attested", &update.attested_header)?;
    check_finality(network, update)?;
    match (&update.next_sync_committee, update.has_committee()) {
        (None, false) => Ok(()),
        (Some(next), true) => check_next_branch(network, update, next),
        _ => Err(SyncError::UnexpectedCommittee),
    }
}

/// Checks that the participants of a committee signed an update's attested header.
///
/// # Errors
/// [`SyncError`] of [`KeyCache::verify`].
pub fn verify_signature(
    network: &NetworkConfig,
    committee: &SyncCommittee,
    update: &Update,
    keys: &mut KeyCache,
) -> Result<(), SyncError> {
    let fork_version = network.fork_version(update.signature_slot.max(1).saturating_sub(1));
    let signing_root = bls::signing_root(
        &update.attested_header.beacon,
        fork_version,
        &network.genesis_validators_root,
    );
    keys.verify(committee, &update.sync_aggregate, update.signature_slot, &signing_root)
}

/// "Verify that the `finality_branch`, if present, …"
fn check_finality(network: &NetworkConfig, update: &Update) -> Result<(), SyncError> {
    let header = &update.finalized_header;
    let slot = header.beacon.slot;
    let empty = *header == LightClientHeader::default();
    let finalized_root = match (update.has_finality(), slot) {
        (false, _) if empty => return Ok(()),
        // The finalized root of genesis is a zero hash.
        (true, 0) if empty => B256::ZERO,
        (false, _) | (true, 0) => return Err(SyncError::UnexpectedFinalizedHeader(slot)),
        (true, _) => {
            check_header(network, "finalized", header)?;
            header.beacon.root()
        }
    };
    let attested = &update.attested_header.beacon;
    let gindex = merkle::finalized_root_gindex(network.fork_at_slot(attested.slot));
    if merkle::verify(&finalized_root, &update.finality_branch, gindex, &attested.state_root) {
        Ok(())
    } else {
        Err(SyncError::FinalityBranch(slot))
    }
}

/// Whether the next committee is the one in the attested state.
fn check_next_branch(
    network: &NetworkConfig,
    update: &Update,
    next: &SyncCommittee,
) -> Result<(), SyncError> {
    let attested = &update.attested_header.beacon;
    let gindex = merkle::next_committee_gindex(network.fork_at_slot(attested.slot));
    let branch = &update.next_sync_committee_branch;
    if merkle::verify(&next.root(), branch, gindex, &attested.state_root) {
        Ok(())
    } else {
        Err(SyncError::NextCommitteeBranch)
    }
}
