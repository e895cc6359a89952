//! Where a run of headers goes: under the section that waits, on top of it, or nowhere.

use alloy_primitives::B256;

use super::{
    error::CommitteeError,
    evidence::FinalityConflict,
    finality::{Finality, Held},
    pending::MAX_PENDING,
};
use crate::ethereum::header::SealedEthHeader;

/// What a run is worth.
#[derive(Debug)]
pub(super) enum Plan {
    /// All its headers are held.
    Known,
    /// It leads down from a wanted hash.
    Below(Vec<SealedEthHeader>),
    /// It continues the section, which is on its way into the tree.
    Above(Vec<SealedEthHeader>),
    /// It shows that something final does not descend from something else that is.
    Conflict(FinalityConflict),
}

impl Finality {
    /// Whether the section that waits stands on the tracked branch and may enter the tree.
    pub(super) fn is_linked(&self, held: Held<'_>) -> bool {
        held.pending.parent().is_some_and(|parent| self.may_stand_on(&parent, held))
    }

    /// On the tip; after a restart on a conflict, on any tracked header.
    fn may_stand_on(&self, parent: &B256, held: Held<'_>) -> bool {
        let tip = held.tree.tip().hash();
        *parent == tip || (self.may_leave && held.tree.get(parent).is_some())
    }

    /// The hash with which a run may end that leaves a gap below.
    pub(super) fn lowest_wanted(&self, held: Held<'_>) -> Option<B256> {
        let under = held.pending.parent().filter(|_| !self.is_linked(held));
        under.or_else(|| self.anchors.hashes().next())
    }

    /// Judges a run of linked headers.
    pub(super) fn plan(
        &self,
        run: Vec<SealedEthHeader>,
        held: Held<'_>,
    ) -> Result<Plan, CommitteeError> {
        let run = without_held(run, held);
        let Some(last) = run.last() else { return Ok(Plan::Known) };
        let (hash, height) = (last.hash, last.header.number);
        let added = u64::try_from(run.len()).unwrap_or(u64::MAX);
        if held.pending.len().saturating_add(added) > MAX_PENDING {
            return Err(CommitteeError::TooManyPending);
        }
        if held.pending.parent() == Some(hash) {
            let above = held.pending.lowest().map_or(0, |(height, _)| height);
            check_number(last, above.saturating_sub(1))?;
            return self.below(run, held);
        }
        let wanted = self.lowest_wanted(held);
        let Some(place) = self.anchors.position(&hash) else {
            return Err(CommitteeError::NotWanted { hash, height, wanted });
        };
        // A final block's ancestors include all that were final before it.
        let passes = |anchor: B256| {
            run.iter().any(|header| header.hash == anchor).then_some(()).ok_or(anchor)
        };
        let passed = self.anchors.hashes().take(place).try_for_each(passes);
        match held.pending.highest() {
            None => {
                let plan = self.below(run, held)?;
                match (passed, plan) {
                    (Err(missed), Plan::Below(run)) => self.missed(missed, hash, &run, held),
                    (_, plan) => Ok(plan),
                }
            }
            Some((top, top_hash)) => {
                let first = run.first().map_or(B256::ZERO, |first| first.header.parent_hash);
                if first != top_hash || !self.is_linked(held) {
                    return Err(CommitteeError::NotWanted { hash, height, wanted });
                }
                check_first(&run, top)?;
                match passed {
                    Ok(()) => Ok(Plan::Above(run)),
                    Err(missed) => self.missed(missed, hash, &run, held),
                }
            }
        }
    }

    /// A run that goes under what waits, or is the first to wait.
    fn below(&self, run: Vec<SealedEthHeader>, held: Held<'_>) -> Result<Plan, CommitteeError> {
        let Some(first) = run.first() else { return Ok(Plan::Known) };
        let (parent, number) = (first.header.parent_hash, first.header.number);
        let tip = held.tree.tip();
        if let Some(below) = held.tree.get(&parent) {
            check_first(&run, below.height())?;
            if self.may_stand_on(&parent, held) {
                return Ok(Plan::Below(run));
            }
            return Ok(self.leaves(&run, held));
        }
        if number > tip.height().saturating_add(1) {
            return Ok(Plan::Below(run));
        }
        if !self.may_leave {
            return Ok(self.leaves(&run, held));
        }
        let base = held.tree.base().height();
        if number <= base { Err(CommitteeError::DeepFork { base }) } else { Ok(Plan::Below(run)) }
    }

    /// A run above the lowest wanted hash, without the wanted hash `missed`: it skips what it should pass, or
    /// stands beside it.
    fn missed(
        &self,
        missed: B256,
        other: B256,
        run: &[SealedEthHeader],
        held: Held<'_>,
    ) -> Result<Plan, CommitteeError> {
        let first = run.first();
        let parent = first.map_or(B256::ZERO, |first| first.header.parent_hash);
        let stands = self.may_stand_on(&parent, held)
            || held.pending.highest().is_some_and(|(_, top)| top == parent);
        if !stands {
            return Err(CommitteeError::Gap { wanted: self.lowest_wanted(held).unwrap_or(missed) });
        }
        let ancestor = first.map_or(other, |first| first.hash);
        let height = held.top().0;
        Ok(Plan::Conflict(FinalityConflict::Branch { height, known: missed, other, ancestor }))
    }

    /// The run shows that what it belongs to does not descend from the tracked tip.
    fn leaves(&self, run: &[SealedEthHeader], held: Held<'_>) -> Plan {
        let tip = held.tree.tip();
        let own = run.last().map_or(B256::ZERO, |last| last.hash);
        let other = held.pending.highest().map_or(own, |(_, hash)| hash);
        let ancestor = run.first().map_or(other, |first| first.hash);
        let (height, known) = (tip.height(), tip.hash());
        Plan::Conflict(FinalityConflict::Branch { height, known, other, ancestor })
    }
}

/// The headers that are not held yet: without those below that the tree has, and those above that wait.
fn without_held(mut run: Vec<SealedEthHeader>, held: Held<'_>) -> Vec<SealedEthHeader> {
    let tracked = run.iter().rposition(|header| held.tree.get(&header.hash).is_some());
    run.drain(..tracked.map_or(0, |at| at.saturating_add(1)));
    while run.last().is_some_and(|last| {
        held.pending.hash_at(last.header.number).is_some_and(|hash| hash == last.hash)
    }) {
        run.pop();
    }
    run
}

fn check_first(run: &[SealedEthHeader], below: u64) -> Result<(), CommitteeError> {
    run.first().map_or(Ok(()), |first| check_number(first, below.saturating_add(1)))
}

const fn check_number(header: &SealedEthHeader, expected: u64) -> Result<(), CommitteeError> {
    let SealedEthHeader { header, hash } = header;
    if header.number == expected {
        Ok(())
    } else {
        Err(CommitteeError::Number { hash: *hash, number: header.number, expected })
    }
}
