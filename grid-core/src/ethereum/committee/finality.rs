//! What is proven final: the light client under its policy, and the hashes that it asks headers for.

use alloy_primitives::B256;

use super::{
    anchors::{Anchor, Anchors},
    error::CommitteeError,
    evidence::FinalityConflict,
    pending::Pending,
};
use crate::{
    ethereum::sync::{
        Bootstrap, FinalityUpdate, KeyCache, NetworkConfig, Policy, SyncClient, SyncData,
        SyncError, Update,
    },
    header_tree::HeaderTree,
};

/// Everything but the headers. Small enough to work on a copy.
#[derive(Debug, Clone)]
pub(super) struct Finality {
    pub(super) network: NetworkConfig,
    pub(super) policy: Policy,
    /// Hash of the registered start.
    pub(super) start: B256,
    /// The trusted beacon block.
    pub(super) checkpoint: B256,
    pub(super) sync: Option<SyncClient>,
    pub(super) anchors: Anchors,
    pub(super) conflict: Option<FinalityConflict>,
    /// Whether the tree's headers are known to be final: the start alone is not, before the bootstrap came.
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
    pub(super) const fn new(
        network: NetworkConfig,
        policy: Policy,
        start: B256,
        checkpoint: B256,
    ) -> Self {
        Self {
            network,
            policy,
            start,
            checkpoint,
            sync: None,
            anchors: Anchors::empty(),
            conflict: None,
            proven: false,
            may_leave: false,
        }
    }

    /// Takes one object at Unix time `now`, in seconds.
    pub(super) fn take(
        &mut self,
        index: usize,
        data: SyncData,
        keys: &KeyCache,
        held: Held<'_>,
        now: u64,
    ) -> Result<Taken, CommitteeError> {
        if self.is_known(&data) {
            return Ok(Taken::Known);
        }
        let update = match data {
            SyncData::Bootstrap(bootstrap) => {
                self.bootstrap(index, *bootstrap, keys, now)?;
                return Ok(Taken::Moved);
            }
            SyncData::Update(update) => *update,
            SyncData::FinalityUpdate(update) => Update::from(*update),
        };
        self.update(index, update, held, now)
    }

    /// Whether an object has nothing new. Cheap: no signature is looked at.
    pub(super) fn is_known(&self, data: &SyncData) -> bool {
        match (&self.sync, data) {
            (None, _) => false,
            (Some(_), SyncData::Bootstrap(bootstrap)) => {
                bootstrap.header.beacon.root() == self.checkpoint
            }
            (Some(sync), SyncData::Update(update)) => sync.is_known(update),
            (Some(sync), SyncData::FinalityUpdate(update)) => {
                sync.is_known(&Update::from(FinalityUpdate::clone(update)))
            }
        }
    }

    /// The registered start is what the trusted block holds, or nothing starts.
    fn bootstrap(
        &mut self,
        index: usize,
        bootstrap: Bootstrap,
        keys: &KeyCache,
        now: u64,
    ) -> Result<(), CommitteeError> {
        if self.sync.is_some() {
            return Err(CommitteeError::Started { checkpoint: self.checkpoint });
        }
        let found = bootstrap.header.execution_block_hash;
        // Before Capella a beacon block does not show its execution block; the first headers will.
        if !found.is_zero() && found != self.start {
            return Err(CommitteeError::OtherStart { found, start: self.start });
        }
        self.sync = Some(self.trusted(index, bootstrap, keys, now)?);
        self.proven = found == self.start;
        Ok(())
    }

    fn trusted(
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

    /// Starts anew from another trusted block. What is tracked stays; what waits is the caller's.
    pub(super) fn restart(
        &mut self,
        checkpoint: B256,
        bootstrap: Bootstrap,
        held: Held<'_>,
        now: u64,
    ) -> Result<(), CommitteeError> {
        let header = bootstrap.header;
        let known =
            self.sync.as_ref().map_or(0, |sync| sync.store().finalized_header().beacon.slot);
        if self.conflict.is_none() && header.beacon.slot < known {
            return Err(CommitteeError::OldCheckpoint { slot: header.beacon.slot, known });
        }
        self.checkpoint = checkpoint;
        self.sync = Some(self.trusted(0, bootstrap, &KeyCache::new(), now)?);
        self.anchors.clear();
        self.may_leave |= self.conflict.take().is_some();
        let hash = header.execution_block_hash;
        if held.tree.get(&hash).is_some() {
            self.proven = true;
        } else if !hash.is_zero() {
            self.anchors.push(Anchor { slot: header.beacon.slot, hash });
        }
        Ok(())
    }

    fn update(
        &mut self,
        index: usize,
        update: Update,
        held: Held<'_>,
        now: u64,
    ) -> Result<Taken, CommitteeError> {
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
                        let conflict = Box::new(conflict.clone());
                        self.conflict = Some(FinalityConflict::Signed(conflict));
                        Ok(Taken::Conflict)
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
            return self.ask_for(Anchor { slot: header.beacon.slot, hash }, held);
        }
        Ok(Taken::Moved)
    }

    /// A newer final block. It descends from all that was final before, or is the same.
    fn ask_for(&mut self, anchor: Anchor, held: Held<'_>) -> Result<Taken, CommitteeError> {
        let (height, top) = held.top();
        let newest = self.anchors.newest().unwrap_or(top);
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

    /// Keeps evidence, if the policy stops the chain for it.
    pub(super) fn freeze(&mut self, conflict: FinalityConflict) -> Result<Taken, CommitteeError> {
        if !self.policy.freeze_on_conflict {
            return Err(CommitteeError::Frozen);
        }
        self.conflict = Some(conflict);
        Ok(Taken::Conflict)
    }
}
