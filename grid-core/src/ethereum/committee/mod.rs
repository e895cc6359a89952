//! The client of an Ethereum chain that its sync committees prove: what the main chain runs.
//!
//! A [`SyncClient`] checks bootstraps and updates. Each newly finalized beacon block names one
//! execution block, whose hash becomes *wanted*. Headers are taken only in runs that end with a wanted
//! hash, so everything that is ever stored hash-links to something that two thirds of a committee
//! signed: nobody can fill the state with anything else. A run that does not reach the tree waits,
//! and the hash below it is wanted next; so a gap of any length is filled backwards. When the section that
//! waits meets the tree's tip it moves into the tree, a limited number of headers a block.
//!
//! Invariants: every header of the tree and of the section that waits is final; wanted hashes descend from
//! the section, and it from the tree's tip, or the client is frozen with the evidence
//! ([`FinalityConflict`]). A refused submission changes nothing.

mod anchors;
mod error;
mod evidence;
mod finality;
mod pending;
mod run;
mod stored;

use alloy_primitives::{B256, Bytes, U256};

use super::{
    client::MAX_HEADERS_PER_SUBMISSION,
    header::{compat, decode_header, decode_run},
    sync::{KeyCache, NetworkSpec, Policy, SyncData},
};
use crate::{
    ChainKey, CompatHeader,
    api::{BlockRef, SyncStatus},
    header_tree::{HeaderTree, MAX_HEADERS, RawHeader, TrackedHeader},
    light_client::{Accepted, ClientError, Finalized},
};
use finality::{Finality, Held, Taken};
use pending::Pending;
use run::Plan;

pub use anchors::MAX_ANCHORS;
pub use error::{CommitteeError, StoredError};
pub use evidence::FinalityConflict;
pub use pending::MAX_PENDING;

/// The most light-client objects in one submission.
pub const MAX_OBJECTS_PER_SUBMISSION: usize = 16;

/// Follows an Ethereum chain by what its sync committees prove final. See the module's introduction.
#[derive(Debug, Clone)]
pub struct CommitteeClient {
    chain: ChainKey,
    finality: Finality,
    pending: Pending,
    tree: HeaderTree,
    keys: KeyCache,
}

impl CommitteeClient {
    /// A client that waits for the bootstrap of the trusted beacon block `checkpoint`, and whose lowest
    /// header is `start` (RLP), that block's execution header.
    ///
    /// # Errors
    /// [`CommitteeError`] where `start` is not a header, or network or policy cannot be used.
    pub fn new(
        chain: ChainKey,
        network: &NetworkSpec,
        policy: &Policy,
        checkpoint: B256,
        start: &[u8],
    ) -> Result<Self, CommitteeError> {
        let off = [
            ("allow_force_update", policy.allow_force_update),
            ("export_optimistic", policy.export_optimistic),
        ];
        if let Some((name, _)) = off.into_iter().find(|(_, set)| *set) {
            return Err(CommitteeError::Policy(name));
        }
        let sealed = decode_header(start).map_err(CommitteeError::Start)?;
        let header = compat(chain, &sealed);
        let weight = U256::from(header.height);
        let tree =
            HeaderTree::new(TrackedHeader { header, weight, seen: 0, raw: RawHeader::Ethereum });
        let finality = Finality::new(network.config()?, policy.clone(), sealed.hash, checkpoint);
        Ok(Self { chain, finality, pending: Pending::default(), tree, keys: KeyCache::new() })
    }

    /// The same client with committee points that are decompressed already. They change no outcome.
    #[must_use]
    pub fn with_keys(mut self, keys: KeyCache) -> Self {
        self.finality.sync = self.finality.sync.map(|sync| sync.with_keys(keys.clone()));
        self.keys = keys;
        self
    }

    /// The committee points that are decompressed.
    #[must_use]
    pub const fn keys(&self) -> &KeyCache {
        &self.keys
    }

    /// The chain's key.
    #[must_use]
    pub const fn chain(&self) -> ChainKey {
        self.chain
    }

    /// The tracked headers, all final.
    #[must_use]
    pub const fn tree(&self) -> &HeaderTree {
        &self.tree
    }

    /// The tracked headers, to prune or store them.
    pub const fn tree_mut(&mut self) -> &mut HeaderTree {
        &mut self.tree
    }

    const fn held(&self) -> Held<'_> {
        Held { tree: &self.tree, pending: &self.pending }
    }

    /// Whether tracked headers may be shown to others: not before the trusted start was seen to be in
    /// the trusted beacon block, and not on contradicting finality.
    #[must_use]
    pub const fn exports(&self) -> bool {
        self.finality.proven && self.finality.conflict.is_none()
    }

    /// The evidence that stopped the client.
    #[must_use]
    pub const fn conflict(&self) -> Option<&FinalityConflict> {
        self.finality.conflict.as_ref()
    }

    /// The stored form of the evidence that stopped the client.
    #[must_use]
    pub fn evidence(&self) -> Option<Vec<u8>> {
        self.conflict().map(|conflict| conflict.encode(&self.finality.network))
    }

    /// Members of a committee.
    #[must_use]
    pub const fn committee_size(&self) -> usize {
        self.finality.network.preset.committee_size
    }

    /// Takes light-client objects ([`SyncData`]) in order, then a run of RLP headers whose last new one has a
    /// wanted hash. Known objects and headers are skipped. Headers wait until [`Self::settle`] moves them
    /// into the tree.
    pub fn accept(&mut self, data: &[Bytes], headers: &[Bytes], now_ms: u64) -> Accepted {
        self.try_accept(data, headers, now_ms)
            .unwrap_or_else(|error| Accepted::refused(ClientError::Committee(error)))
    }

    fn try_accept(
        &mut self,
        data: &[Bytes],
        headers: &[Bytes],
        now_ms: u64,
    ) -> Result<Accepted, CommitteeError> {
        let many = |found, most| Accepted::refused(ClientError::TooMany { found, most });
        if data.len() > MAX_OBJECTS_PER_SUBMISSION {
            return Ok(many(data.len(), MAX_OBJECTS_PER_SUBMISSION));
        }
        if headers.len() > MAX_HEADERS_PER_SUBMISSION {
            return Ok(many(headers.len(), MAX_HEADERS_PER_SUBMISSION));
        }
        if self.finality.conflict.is_some() {
            return Err(CommitteeError::Frozen);
        }
        let run = decode_run(headers)?;
        let mut finality = self.finality.clone();
        let taken = self.take_all(&mut finality, data, now_ms / 1_000);
        if let Some(sync) = &finality.sync {
            // Whatever the outcome, what was decompressed once is not paid for again.
            self.keys = sync.keys().clone();
        }
        let mut accepted = Accepted { objects: taken?, ..Accepted::default() };
        if finality.conflict.is_some() {
            return Ok(self.freeze(finality, accepted));
        }
        let plan = finality.plan(run, self.held())?;
        let (Plan::Below(run) | Plan::Above(run)) = &plan else {
            if let Plan::Conflict(conflict) = plan {
                finality.freeze(conflict)?;
                return Ok(self.freeze(finality, accepted));
            }
            accepted.known = headers.len();
            self.apply(finality, &mut accepted);
            return Ok(accepted);
        };
        accepted.added = run.len();
        accepted.known = headers.len().saturating_sub(run.len());
        let reached = run.iter().filter_map(|header| finality.anchors.position(&header.hash)).max();
        finality.anchors.remove_first(reached.map_or(0, |at| at.saturating_add(1)));
        match &plan {
            Plan::Above(run) => self.pending.extend_up(run),
            _ => self.pending.extend_down(run),
        }
        self.apply(finality, &mut accepted);
        Ok(accepted)
    }

    /// Takes objects up to one that contradicts what is final; how many had something new.
    fn take_all(
        &self,
        finality: &mut Finality,
        data: &[Bytes],
        now: u64,
    ) -> Result<usize, CommitteeError> {
        let mut moved = 0usize;
        for (index, bytes) in data.iter().enumerate() {
            let data = SyncData::decode(&finality.network, bytes)
                .map_err(|error| CommitteeError::Data { index, error })?;
            match finality.take(index, data, &self.keys, self.held(), now)? {
                Taken::Known => (),
                Taken::Moved => moved = moved.saturating_add(1),
                Taken::Conflict => break,
            }
        }
        Ok(moved)
    }

    /// Takes over what was checked, and tells what is final now.
    fn apply(&mut self, finality: Finality, accepted: &mut Accepted) {
        let before = self.finalized_root();
        self.finality = finality;
        if self.finalized_root() != before
            && let Some(sync) = &self.finality.sync
        {
            let header = sync.store().finalized_header();
            accepted.finalized = Some(Finalized {
                slot: header.beacon.slot,
                root: header.beacon.root(),
                execution: header.execution_block_hash,
            });
        }
    }

    fn freeze(&mut self, finality: Finality, accepted: Accepted) -> Accepted {
        self.finality = finality;
        let conflict = self.conflict().map(FinalityConflict::sides);
        Accepted { conflict, ..accepted }
    }

    fn finalized_root(&self) -> Option<B256> {
        self.finality.sync.as_ref().map(|sync| sync.store().finalized_header().beacon.root())
    }

    /// Moves headers that wait into the tree, lowest first and at most so many, once they stand on it.
    /// Returns how many moved.
    pub fn settle(&mut self, most: u64, now_ms: u64) -> u64 {
        if !self.exports_or_leaves() || !self.finality.is_linked(self.held()) {
            return 0;
        }
        let room = MAX_HEADERS.saturating_sub(self.tree.len());
        let most = most.min(u64::try_from(room).unwrap_or(u64::MAX));
        let headers: Vec<CompatHeader> = self.pending.lowest_headers(self.chain, most).collect();
        let (mut moved, mut reached) = (0u64, None);
        for header in headers {
            let height = header.height;
            // What was proven final last weighs most, whatever its height: see `restart`.
            let weight = self.tree.tip().weight().saturating_add(U256::ONE);
            let raw = RawHeader::Ethereum;
            if self.tree.insert(TrackedHeader { header, weight, seen: now_ms, raw }).is_err() {
                break;
            }
            reached = Some(height);
            (self.finality.may_leave, self.finality.proven) = (false, true);
            moved = moved.saturating_add(1);
        }
        if let Some(height) = reached {
            self.pending.forget_to(height);
        }
        moved
    }

    fn exports_or_leaves(&self) -> bool {
        self.finality.sync.is_some() && self.finality.conflict.is_none()
    }

    /// Whether [`Self::settle`] would move headers.
    #[must_use]
    pub fn can_settle(&self) -> bool {
        self.exports_or_leaves() && self.finality.is_linked(self.held())
    }

    /// Starts anew from another trusted beacon block: after it fell behind more than is safe, or after its
    /// finality contradicted itself. Tracked headers stay, those that wait are dropped. After a
    /// contradiction the next headers may leave the tracked branch, and then weigh more.
    ///
    /// # Errors
    /// [`CommitteeError`] where the bootstrap is not that of the checkpoint, or too old. Nothing has changed then.
    pub fn restart(
        &mut self,
        checkpoint: B256,
        bootstrap: &[u8],
        now_ms: u64,
    ) -> Result<(), CommitteeError> {
        let mut finality = self.finality.clone();
        let data = SyncData::decode(&finality.network, bootstrap)
            .map_err(|error| CommitteeError::Data { index: 0, error })?;
        let SyncData::Bootstrap(bootstrap) = data else {
            return Err(CommitteeError::NotStarted { checkpoint });
        };
        finality.restart(checkpoint, *bootstrap, self.held(), now_ms / 1_000)?;
        self.finality = finality;
        self.pending.clear();
        Ok(())
    }

    /// Whether a submission has nothing new. Cheap: no signature is looked at.
    #[must_use]
    pub fn knows(&self, data: &[Bytes], headers: &[Bytes]) -> bool {
        let network = &self.finality.network;
        let known = |bytes: &Bytes| {
            SyncData::decode(network, bytes).is_ok_and(|data| self.finality.is_known(&data))
        };
        let held = |rlp: &Bytes| {
            decode_header(rlp).is_ok_and(|sealed| {
                self.tree.get(&sealed.hash).is_some()
                    || self.pending.hash_at(sealed.header.number) == Some(sealed.hash)
            })
        };
        data.iter().all(known) && headers.iter().rev().all(held)
    }

    /// Where the client stands.
    #[must_use]
    pub fn status(&self) -> SyncStatus {
        let finality = &self.finality;
        let store = finality.sync.as_ref().map(|sync| sync.store());
        let header = store.map(|store| store.finalized_header().beacon);
        let slot = header.map_or(0, |header| header.slot);
        let under = finality.lowest_wanted(self.held());
        let others = finality.anchors.hashes().filter(|hash| Some(*hash) != under);
        let block = |(height, hash)| BlockRef { height, hash };
        let tip = self.tree.tip();
        SyncStatus {
            started: store.is_some(),
            checkpoint: finality.checkpoint,
            finalized_slot: slot,
            finalized_root: header.map_or(B256::ZERO, |header| header.root()),
            finalized_time: header.map_or(0, |_| finality.network.time_of(slot)),
            period: finality.network.preset.period(slot),
            next_committee_known: store.is_some_and(|s| s.next_sync_committee().is_some()),
            wanted: under.into_iter().chain(others).collect(),
            pending: self.pending.len(),
            missing_above: block((tip.height(), tip.hash())),
            lowest_pending: self.pending.lowest().map(block),
            loosened: finality.policy.loosened().into_iter().map(Into::into).collect(),
        }
    }
}
