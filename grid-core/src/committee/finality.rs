//! What is proven final: the light client under its policy, and the hashes that it asks headers for.

use alloy_primitives::B256;

use super::{
    anchors::{Anchor, Anchors},
    error::CommitteeError,
    evidence::FinalityConflict,
    grid::MAX_GRID_STEP,
    pending::Pending,
    prover::{Proved, Prover},
};
use crate::{ethereum::sync::KeyCache, header_tree::HeaderTree};

/// Everything but the headers. Small enough to work on a copy.
#[derive(Debug, Clone)]
pub(super) struct Finality {
    pub(super) prover: Prover,
    pub(super) anchors: Anchors,
    pub(super) conflict: Option<FinalityConflict>,
    /// Whether the tree's headers are known to be final: the start alone may not be, before it was shown to be.
    pub(super) proven: bool,
    /// After a restart on a conflict, the next headers may leave the tracked branch below its tip.
    pub(super) may_leave: bool,
}

/// The headers that are held.
#[derive(Clone, Copy)]
pub(super) struct Held<'a> {
    pub(super) tree: &'a HeaderTree,
    pub(super) pending: &'a Pending,
}

impl Held<'_> {
    /// Height and hash of the highest header that is proven final.
    pub(super) fn top(&self) -> (u64, B256) {
        let tip = self.tree.tip();
        self.pending.highest().unwrap_or_else(|| (tip.height(), tip.hash()))
    }

    /// The hash of the final header at a height.
    pub(super) fn hash_at(&self, height: u64) -> Option<B256> {
        let tracked = self.tree.best_at(height).map(|tracked| tracked.hash());
        tracked.or_else(|| self.pending.hash_at(height))
    }

    fn contains(&self, hash: &B256) -> bool {
        self.tree.get(hash).is_some() || self.pending.contains(hash)
    }
}

/// What an object did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing: it was known.
    Known,
    /// It moved the client.
    Moved,
    /// It contradicts what is final; the evidence is kept.
    Conflict,
}

impl Finality {
    pub(super) const fn new(prover: Prover) -> Self {
        let proven = prover.is_proven();
        let anchors = Anchors::empty();
        Self { prover, anchors, conflict: None, proven, may_leave: false }
    }

    /// Takes one object at `now_ms`, milliseconds since 1970.
    pub(super) fn take(
        &mut self,
        index: usize,
        bytes: &[u8],
        keys: &KeyCache,
        held: Held<'_>,
        now_ms: u64,
    ) -> Result<Taken, CommitteeError> {
        match self.prover.take(index, bytes, keys, now_ms)? {
            Proved::Known => Ok(Taken::Known),
            Proved::Moved => Ok(Taken::Moved),
            Proved::Started(proven) => {
                self.proven = proven;
                Ok(Taken::Moved)
            }
            Proved::Final(anchor) => self.ask_for(anchor, held),
            Proved::Older(height, other) => self.beside(height, other, held),
            Proved::Conflict(conflict) => {
                self.conflict = Some(conflict);
                Ok(Taken::Conflict)
            }
        }
    }

    /// A block below the newest is final: it is the one that is held at its height, or finality contradicts itself.
    fn beside(
        &mut self,
        height: u64,
        other: B256,
        held: Held<'_>,
    ) -> Result<Taken, CommitteeError> {
        match held.hash_at(height).filter(|known| *known != other && !self.may_leave) {
            Some(known) => {
                let ancestor = other;
                self.freeze(FinalityConflict::Branch { height, known, other, ancestor })
            }
            None => Ok(Taken::Known),
        }
    }

    /// Starts anew from another trusted block. What is tracked stays; what waits is the caller's.
    pub(super) fn restart(
        &mut self,
        checkpoint: B256,
        bytes: &[u8],
        held: Held<'_>,
        now_ms: u64,
    ) -> Result<(), CommitteeError> {
        let froze = self.conflict.is_some();
        let anchor = self.prover.restart(checkpoint, bytes, froze, now_ms)?;
        self.check_reach(&anchor, held.tree.tip().height())?;
        self.conflict = None;
        self.anchors.clear();
        self.may_leave |= froze;
        if held.tree.get(&anchor.hash).is_some() {
            self.proven = true;
        } else if !anchor.hash.is_zero() {
            self.anchors.push(anchor);
        }
        Ok(())
    }

    /// A newer final block. It descends from all that was final before, or is the same.
    fn ask_for(&mut self, anchor: Anchor, held: Held<'_>) -> Result<Taken, CommitteeError> {
        let (height, top) = held.top();
        let newest = self.anchors.newest().copied().unwrap_or(Anchor { slot: height, hash: top });
        self.check_reach(&anchor, newest.slot)?;
        let newest = newest.hash;
        // Zero before Capella; the same again where slots had no execution block.
        if anchor.hash.is_zero() || anchor.hash == newest {
            return Ok(Taken::Moved);
        }
        if held.contains(&anchor.hash) || self.anchors.position(&anchor.hash).is_some() {
            if self.may_leave {
                return Ok(Taken::Moved);
            }
            let (known, other) = (newest, anchor.hash);
            return self.freeze(FinalityConflict::Branch { height, known, other, ancestor: other });
        }
        if self.anchors.push(anchor) {
            Ok(Taken::Moved)
        } else {
            Err(CommitteeError::TooManyAnchors)
        }
    }

    /// The headers below a final block wait until all of them are there, so there must be room for them. Of a beacon
    /// chain only slots are known; what its client can verify is never too far.
    const fn check_reach(&self, anchor: &Anchor, from: u64) -> Result<(), CommitteeError> {
        let (height, most) = (anchor.slot, from.saturating_add(MAX_GRID_STEP));
        if self.prover.slots_are_heights() && height > most {
            return Err(CommitteeError::TooFar { height, most });
        }
        Ok(())
    }

    /// Keeps evidence, if the policy stops the chain for it.
    pub(super) fn freeze(&mut self, conflict: FinalityConflict) -> Result<Taken, CommitteeError> {
        if !self.prover.freezes() {
            return Err(CommitteeError::Frozen);
        }
        self.conflict = Some(conflict);
        Ok(Taken::Conflict)
    }
}
