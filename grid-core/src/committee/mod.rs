//! The client of a chain whose finality proves itself: what the main chain runs.
//!
//! A prover checks what moves it: of an Ethereum chain, bootstraps and updates by sync committees
//! ([`sync`](crate::ethereum::sync)), where each newly finalized beacon block names one execution block; of another Grid
//! chain, blocks certified by its validators ([`light`](crate::grid::light)). The hash of the newly final block becomes
//! *wanted*. Headers are taken only in runs that end with a wanted
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
mod grid;
mod pending;
mod prover;
mod run;
mod stored;
mod sync;

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, U256};

use crate::{
    ChainKey, CompatHeader,
    api::{BlockRef, SyncStatus},
    ethereum::{
        client::MAX_HEADERS_PER_SUBMISSION,
        header::{compat, decode_header, decode_run},
        sync::{KeyCache, NetworkSpec, Policy},
    },
    header_tree::{HeaderTree, MAX_HEADERS, RawHeader, TrackedHeader},
    light_client::{Accepted, ClientError},
};
use finality::{Finality, Held, Taken};
use pending::Pending;
use prover::Prover;
use run::Plan;

pub use anchors::MAX_ANCHORS;
pub use error::{CommitteeError, StoredError};
pub use evidence::FinalityConflict;
pub use grid::{GRID_BLOCK_KIND, MAX_GRID_STEP, grid_object, read_grid_object};
pub use pending::MAX_PENDING;
pub use prover::CommitteeParams;

/// The most light-client objects in one submission.
pub const MAX_OBJECTS_PER_SUBMISSION: usize = 16;

/// Follows a chain by what its committees prove final. See the module's introduction.
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
        Self::start(chain, CommitteeParams::Sync { network, policy, checkpoint }, start)
    }

    /// A client of any chain whose finality proves itself. Its lowest header is `start` (RLP).
    ///
    /// # Errors
    /// [`CommitteeError`] where `start` is not a header of such a chain, or the parameters cannot be used.
    pub fn start(
        chain: ChainKey,
        params: CommitteeParams<'_>,
        start: &[u8],
    ) -> Result<Self, CommitteeError> {
        let sealed = decode_header(start).map_err(CommitteeError::Start)?;
        let prover = Prover::new(params, (start, sealed.hash))?;
        let index_root = prover.index_root(&sealed.header);
        let header = CompatHeader { indexRoot: index_root, ..compat(chain, &sealed) };
        let weight = U256::from(header.height);
        let tree =
            HeaderTree::new(TrackedHeader { header, weight, seen: 0, raw: RawHeader::Ethereum });
        let finality = Finality::new(prover);
        Ok(Self { chain, finality, pending: Pending::default(), tree, keys: KeyCache::new() })
    }

    /// The same client with committee points that are decompressed already. They change no outcome.
    #[must_use]
    pub fn with_keys(mut self, keys: KeyCache) -> Self {
        self.finality.prover.set_keys(&keys);
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
        self.conflict().map(|conflict| self.finality.prover.encode(conflict))
    }

    /// Takes light-client objects ([`SyncData`](crate::ethereum::sync::SyncData), or [`grid_object`]s) in order, then
    /// a run of RLP headers whose last new one has a wanted hash. Known objects and headers are skipped. Headers wait
    /// until [`Self::settle`] moves them into the tree.
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
        let taken = self.take_all(&mut finality, data, now_ms);
        if let Some(keys) = finality.prover.keys() {
            // Whatever the outcome, what was decompressed once is not paid for again.
            self.keys = keys.clone();
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
        let index_root = |header: &Header| finality.prover.index_root(header);
        match &plan {
            Plan::Above(run) => self.pending.extend_up(run, &index_root),
            _ => self.pending.extend_down(run, &index_root),
        }
        self.apply(finality, &mut accepted);
        Ok(accepted)
    }

    /// Takes objects up to one that contradicts what is final; how many had something new.
    fn take_all(
        &self,
        finality: &mut Finality,
        data: &[Bytes],
        now_ms: u64,
    ) -> Result<usize, CommitteeError> {
        let mut moved = 0usize;
        for (index, bytes) in data.iter().enumerate() {
            match finality.take(index, bytes, &self.keys, self.held(), now_ms)? {
                Taken::Known => (),
                Taken::Moved => moved = moved.saturating_add(1),
                Taken::Conflict => break,
            }
        }
        Ok(moved)
    }

    /// Takes over what was checked, and tells what is final now.
    fn apply(&mut self, finality: Finality, accepted: &mut Accepted) {
        let before = self.finality.prover.finalized().map(|known| known.root);
        self.finality = finality;
        let now = self.finality.prover.finalized();
        accepted.finalized = now.filter(|now| Some(now.root) != before);
    }

    fn freeze(&mut self, finality: Finality, accepted: Accepted) -> Accepted {
        self.finality = finality;
        let conflict = self.conflict().map(FinalityConflict::sides);
        Accepted { conflict, ..accepted }
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
        self.finality.prover.finalized().is_some() && self.finality.conflict.is_none()
    }

    /// Whether [`Self::settle`] would move headers.
    #[must_use]
    pub fn can_settle(&self) -> bool {
        self.exports_or_leaves() && self.finality.is_linked(self.held())
    }

    /// Starts anew from another trusted block: after it fell behind more than is safe, or after its
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
        finality.restart(checkpoint, bootstrap, self.held(), now_ms)?;
        self.finality = finality;
        self.pending.clear();
        Ok(())
    }

    /// Whether a submission has nothing new. Cheap: no signature is looked at.
    #[must_use]
    pub fn knows(&self, data: &[Bytes], headers: &[Bytes]) -> bool {
        let known = |bytes: &Bytes| self.finality.prover.knows(bytes, self.held());
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
        let known = finality.prover.finalized();
        let (period, next_committee_known, loosened) = finality.prover.committees();
        let under = finality.lowest_wanted(self.held());
        let others = finality.anchors.hashes().filter(|hash| Some(*hash) != under);
        let block = |(height, hash)| BlockRef { height, hash };
        let tip = self.tree.tip();
        SyncStatus {
            started: known.is_some(),
            checkpoint: finality.prover.trusted().1,
            finalized_slot: known.map_or(0, |known| known.slot),
            finalized_root: known.map_or(B256::ZERO, |known| known.root),
            finalized_time: finality.prover.finalized_time(),
            expires_at: finality.prover.expires_at(),
            period,
            next_committee_known,
            wanted: under.into_iter().chain(others).collect(),
            pending: self.pending.len(),
            missing_above: block((tip.height(), tip.hash())),
            lowest_pending: self.pending.lowest().map(block),
            loosened,
        }
    }
}
