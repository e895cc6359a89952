//! Evidence that a network's finality contradicts itself, which anyone can check.

use alloy_primitives::B256;

use super::{
    bls::KeyCache,
    error::{DecodeError, SyncError},
    network::NetworkConfig,
    ssz::{self, Part, write},
    store,
    types::{SyncCommittee, Update},
    wire::Format,
};

/// First byte of encoded evidence.
const VERSION: u8 = 1;

/// Committees that evidence may rest on: one for each of its two updates.
const MOST_COMMITTEES: usize = 2;

/// What the two updates contradict each other in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictKind {
    /// Two finalized headers of one slot.
    Finality,
    /// Two next committees of one period.
    NextCommittee,
}

/// What the other update contradicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// A root without a proof: it came with the bootstrap. Of the finalized header, or of the next
    /// committee.
    Root(B256),
    /// A signed update.
    Proof(Box<Update>),
}

/// What evidence rests on: its reader must know these by himself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Premise {
    /// The committee of a period has this root.
    Committee {
        /// The period.
        period: u64,
        /// `hash_tree_root` of the committee.
        root: B256,
    },
    /// The block of a slot with this root is final.
    Finalized {
        /// The slot.
        slot: u64,
        /// The block's root.
        root: B256,
    },
}

/// Two things that cannot both be true, each signed by two thirds of a committee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What they are.
    pub kind: ConflictKind,
    /// What was known first.
    pub known: Known,
    /// The update that contradicts it.
    pub other: Box<Update>,
    /// The committees that signed, by their periods, in order.
    pub committees: Vec<(u64, SyncCommittee)>,
}

impl Conflict {
    /// Slot of the two finalized headers, or of the header whose state names the other committee.
    #[must_use]
    pub const fn slot(&self) -> u64 {
        match self.kind {
            ConflictKind::Finality => self.other.finalized_header.beacon.slot,
            ConflictKind::NextCommittee => self.other.attested_header.beacon.slot,
        }
    }

    /// Root of the finalized header, or of the next committee, that was known.
    #[must_use]
    pub fn known(&self) -> B256 {
        match &self.known {
            Known::Root(root) => *root,
            Known::Proof(update) => self.kind.root_in(update),
        }
    }

    /// Root of the same thing in the other update.
    #[must_use]
    pub fn other(&self) -> B256 {
        self.kind.root_in(&self.other)
    }

    /// The error that reports it.
    #[must_use]
    pub fn error(&self) -> SyncError {
        SyncError::Conflict { slot: self.slot(), known: self.known(), other: self.other() }
    }

    /// Checks the evidence from its bytes alone. `is_known` is asked for everything that it rests on:
    /// the committees, and the known header where it came with a bootstrap.
    ///
    /// # Errors
    /// [`SyncError::Premise`] for what the reader does not know, [`SyncError::NoConflict`] where the
    /// parts do not contradict each other, or the rule that one of the updates breaks.
    pub fn verify(
        &self,
        network: &NetworkConfig,
        keys: &mut KeyCache,
        mut is_known: impl FnMut(&Premise) -> bool,
    ) -> Result<(), SyncError> {
        self.check_subject(network)?;
        self.check_periods(network)?;
        let committees = self.committees.iter().map(|(period, committee)| Premise::Committee {
            period: *period,
            root: committee.root(),
        });
        let first = match (self.kind, &self.known) {
            (ConflictKind::Finality, Known::Root(root)) => {
                Some(Premise::Finalized { slot: self.slot(), root: *root })
            }
            (ConflictKind::NextCommittee, Known::Root(root)) => {
                let period = network.preset.period(self.slot()).saturating_add(1);
                Some(Premise::Committee { period, root: *root })
            }
            _ => None,
        };
        for premise in committees.chain(first) {
            if !is_known(&premise) {
                return Err(SyncError::Premise(premise));
            }
        }
        self.updates().try_for_each(|update| self.check_update(network, update, keys))
    }

    fn updates(&self) -> impl Iterator<Item = &Update> {
        let first = match &self.known {
            Known::Proof(update) => Some(&**update),
            Known::Root(_) => None,
        };
        first.into_iter().chain([&*self.other])
    }

    /// The two are about the same thing, and differ.
    fn check_subject(&self, network: &NetworkConfig) -> Result<(), SyncError> {
        let period = |update: &Update| network.preset.period(update.attested_header.beacon.slot);
        let slot = |update: &Update| update.finalized_header.beacon.slot;
        let same = match self.kind {
            ConflictKind::Finality => {
                self.updates().all(|u| u.has_finality() && slot(u) == slot(&self.other))
            }
            ConflictKind::NextCommittee => self
                .updates()
                .all(|u| u.next_sync_committee.is_some() && period(u) == period(&self.other)),
        };
        if same && self.known() != self.other() { Ok(()) } else { Err(SyncError::NoConflict) }
    }

    /// The committees are those of the signatures' periods, and no others.
    fn check_periods(&self, network: &NetworkConfig) -> Result<(), SyncError> {
        let given = self.committees.iter().map(|(period, _)| *period);
        if given.eq(self.periods(network)) { Ok(()) } else { Err(SyncError::NoConflict) }
    }

    /// The periods of the signatures, in order.
    pub(super) fn periods(&self, network: &NetworkConfig) -> Vec<u64> {
        let signed = self.updates().map(|update| network.preset.period(update.signature_slot));
        let mut periods: Vec<u64> = signed.collect();
        periods.sort_unstable();
        periods.dedup();
        periods
    }

    /// All that an update proves without a store.
    fn check_update(
        &self,
        network: &NetworkConfig,
        update: &Update,
        keys: &mut KeyCache,
    ) -> Result<(), SyncError> {
        let aggregate = &update.sync_aggregate;
        if !aggregate.has_supermajority() {
            let (participants, members) = (aggregate.participants(), aggregate.members());
            return Err(SyncError::FewParticipants { participants, members });
        }
        let signature = update.signature_slot;
        let attested = update.attested_header.beacon.slot;
        let finalized = update.finalized_header.beacon.slot;
        if !(signature > attested && attested >= finalized) {
            return Err(SyncError::SlotOrder { now: signature, signature, attested, finalized });
        }
        store::verify_proofs(network, update)?;
        let period = network.preset.period(signature);
        let committee = self.committees.iter().find(|(of, _)| *of == period);
        let (_, committee) = committee.ok_or(SyncError::NoConflict)?;
        store::verify_signature(network, committee, update, keys)
    }

    /// The evidence's bytes, with the updates in Gloas's form.
    #[must_use]
    pub fn encode(&self, network: &NetworkConfig) -> Vec<u8> {
        let mut known = Vec::new();
        match &self.known {
            Known::Root(root) => known.extend(root),
            Known::Proof(update) => write::update(&mut known, network, update),
        }
        let mut other = Vec::new();
        write::update(&mut other, network, &self.other);
        let mut committees = Vec::new();
        for (period, committee) in &self.committees {
            committees.extend(period.to_le_bytes());
            write::committee(&mut committees, committee);
        }
        let mut out = vec![VERSION, u8::from(self.kind == ConflictKind::NextCommittee)];
        out.extend(other);
        write::variable(&mut out, &[known, committees]);
        out
    }

    /// Reads the bytes of [`Self::encode`]. [`Self::verify`] says what they are worth.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but bytes that encode the same again.
    pub fn decode(network: &NetworkConfig, bytes: &[u8]) -> Result<Self, DecodeError> {
        let what = "evidence of a conflict";
        let refused = |reason: &str| DecodeError::Ssz { what, reason: reason.into() };
        let update_bytes = ssz::gloas_update_bytes(network);
        let parts = [
            Part::Fixed(1),
            Part::Fixed(1),
            Part::Fixed(update_bytes),
            Part::Variable,
            Part::Variable,
        ];
        let [version, kind, other, known, committees] = ssz::container(what, bytes, parts)?;
        if version != [VERSION] {
            return Err(refused("unknown version"));
        }
        let update = |bytes| ssz::update(network, Format::Gloas, bytes).map(Box::new);
        let entry = ssz::committee_bytes(network).saturating_add(8);
        let count = committees.len().checked_div(entry).unwrap_or_default();
        if count.checked_mul(entry) != Some(committees.len()) || count > MOST_COMMITTEES {
            return Err(refused("it must hold at most two whole committees"));
        }
        Ok(Self {
            kind: match kind {
                [0] => ConflictKind::Finality,
                [1] => ConflictKind::NextCommittee,
                _ => return Err(refused("unknown kind")),
            },
            known: match <[u8; 32]>::try_from(known) {
                Ok(root) => Known::Root(B256::new(root)),
                Err(_) => Known::Proof(update(known)?),
            },
            other: update(other)?,
            committees: committees
                .chunks(entry)
                .map(|bytes| {
                    let (period, committee) = bytes.split_at(bytes.len().min(8));
                    (ssz::number(period), ssz::committee(network, committee))
                })
                .collect(),
        })
    }
}

impl ConflictKind {
    fn root_in(self, update: &Update) -> B256 {
        match self {
            Self::Finality => update.finalized_header.beacon.root(),
            Self::NextCommittee => {
                update.next_sync_committee.as_ref().map(SyncCommittee::root).unwrap_or_default()
            }
        }
    }
}
