//! What a client remembers of the updates that it took, so that it notices one that excludes them.

use std::collections::VecDeque;

use super::{
    conflict::{ConflictKind, Known},
    error::DecodeError,
    merkle::{self, CommitteeBranch},
    network::NetworkConfig,
    ssz::{self, write},
    types::{BeaconBlockHeader, FinalityUpdate, LightClientHeader, SyncCommittee, Update},
    wire::Format,
};

/// Finality proofs that are remembered: two hours of mainnet, where one comes every epoch.
const REMEMBERED: usize = 16;

/// Proofs of the newest finalized headers and of the next committee, and the last committee.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Memory {
    proofs: VecDeque<FinalityUpdate>,
    taught: Option<Taught>,
    pub(super) previous_committee: Option<SyncCommittee>,
}

/// The update that taught the next committee, without the committee: the store has that.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Taught {
    proof: FinalityUpdate,
    branch: CommitteeBranch,
}

impl Memory {
    /// Keeps the proof of a finalized header.
    pub(super) fn finalized(&mut self, proof: FinalityUpdate) {
        if self.proofs.len() >= REMEMBERED {
            self.proofs.pop_front();
        }
        self.proofs.push_back(proof);
    }

    /// Keeps the proof of the next committee.
    pub(super) fn learned(&mut self, proof: FinalityUpdate, branch: CommitteeBranch) {
        self.taught = Some(Taught { proof, branch });
    }

    /// The next committee became the current one.
    pub(super) fn rotated(&mut self, previous: SyncCommittee) {
        self.previous_committee = Some(previous);
        self.taught = None;
    }

    /// A header that is known to be final and stands at the slot of the update's, as another one.
    pub(super) fn excluding(&self, exported: &LightClientHeader, update: &Update) -> Option<Known> {
        let header = &update.finalized_header.beacon;
        // A chain whose finality is still that of genesis names no block, so it excludes none.
        if *header == BeaconBlockHeader::default() {
            return None;
        }
        let excludes =
            |known: &LightClientHeader| known.beacon.slot == header.slot && known.beacon != *header;
        let proof = self.proofs.iter().find(|proof| excludes(&proof.finalized_header));
        proof
            .map(|proof| Known::Proof(Box::new(proof.clone().into())))
            .or_else(|| excludes(exported).then(|| Known::Root(exported.beacon.root())))
    }

    /// The proof of the known next committee, if it was not a stored store's.
    pub(super) fn proof_of_next(&self, next: &SyncCommittee) -> Known {
        match &self.taught {
            None => Known::Root(next.root()),
            Some(Taught { proof, branch }) => Known::Proof(Box::new(Update {
                next_sync_committee: Some(next.clone()),
                next_sync_committee_branch: *branch,
                ..proof.clone().into()
            })),
        }
    }

    /// The remembered proofs, and of the next committee where it is given.
    pub(super) fn updates<'a>(
        &'a self,
        next: Option<&'a SyncCommittee>,
    ) -> impl Iterator<Item = Update> + 'a {
        let taught = next.map(|next| self.proof_of_next(next)).and_then(|known| match known {
            Known::Proof(update) => Some(*update),
            Known::Root(_) => None,
        });
        self.proofs.iter().cloned().map(Update::from).chain(taught)
    }

    /// The newest remembered proof.
    pub(super) fn newest(&self) -> Option<&FinalityUpdate> {
        self.proofs.back()
    }

    /// The proofs, the proof of the next committee and the last committee, in bytes. What there is
    /// not is empty.
    pub(super) fn encode(&self) -> [Vec<u8>; 3] {
        let [mut proofs, mut taught, mut previous] = [const { Vec::new() }; 3];
        for proof in &self.proofs {
            write::finality_update(&mut proofs, proof);
        }
        if let Some(Taught { proof, branch }) = &self.taught {
            write::finality_update(&mut taught, proof);
            write::nodes(&mut taught, branch);
        }
        if let Some(committee) = &self.previous_committee {
            write::committee(&mut previous, committee);
        }
        [proofs, taught, previous]
    }

    /// Reads the bytes of [`Self::encode`].
    pub(super) fn decode(
        network: &NetworkConfig,
        [proofs, taught, previous]: [&[u8]; 3],
    ) -> Result<Self, DecodeError> {
        let what = "memory of a light client";
        let refused = |reason: &str| DecodeError::Ssz { what, reason: reason.into() };
        let one = ssz::gloas_finality_update_bytes(network);
        let proof = |bytes| ssz::finality_update(network, Format::Gloas, bytes);
        if proofs.chunks(one).len() > REMEMBERED {
            return Err(refused("too many proofs"));
        }
        let committee = ssz::committee_bytes(network);
        if !previous.is_empty() && previous.len() != committee {
            return Err(refused("the last committee has another length"));
        }
        let taught = match taught {
            [] => None,
            _ => {
                let parts = [
                    ssz::Part::Fixed(one),
                    ssz::Part::Fixed(32usize.saturating_mul(merkle::COMMITTEE_DEPTH)),
                ];
                let [update, branch] = ssz::container(what, taught, parts)?;
                let branch = ssz::branch("next sync committee branch", branch)?;
                Some(Taught { proof: proof(update)?, branch })
            }
        };
        Ok(Self {
            proofs: proofs.chunks(one).map(proof).collect::<Result<_, _>>()?,
            taught,
            previous_committee: (!previous.is_empty()).then(|| ssz::committee(network, previous)),
        })
    }
}

impl ConflictKind {
    /// The kinds, in the order in which they are looked for.
    pub(super) const ALL: [Self; 2] = [Self::Finality, Self::NextCommittee];
}
