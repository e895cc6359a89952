//! The chain machine: from execution blocks to a beacon chain with finality and light-client data.
//!
//! Pure: no clock, no sockets. The same calls give the same chain.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use alloy_primitives::{B256, FixedBytes};
use bitcoin_hashes::{Hash as _, sha256};
use grid_core::ethereum::sync::{
    BeaconBlockHeader, Fork, NetworkConfig, SyncCommittee, merkle, payload::ExecutionPayloadHeader,
};

use super::{
    block::{Block, Checkpoint, CommitteeRoots},
    committee::{Validators, participation},
    data::{Bootstrap, Header, Update},
};

/// `MAX_BLOBS_PER_BLOCK_ELECTRA`, part of the digest of Fulu's and later forks' data.
pub const MAX_BLOBS_PER_BLOCK_ELECTRA: u64 = 9;

/// `DOMAIN_SYNC_COMMITTEE`.
const DOMAIN: [u8; 4] = [7, 0, 0, 0];

/// What a chain is made from.
#[derive(Debug, Clone)]
pub struct ChainConfig {
    /// The network: sizes, times and forks.
    pub network: NetworkConfig,
    /// Epochs from a block to the newest finalized one; 2 on a healthy real network.
    pub finality_lag: u64,
    /// Where the validators' keys come from.
    pub seed: u64,
}

/// How an update compares with others of its period, by `is_better_update`.
type Rank = (bool, usize, bool, bool, usize, Reverse<u64>, Reverse<u64>);

/// A beacon chain.
#[derive(Debug, Clone)]
pub struct Chain {
    config: ChainConfig,
    validators: Arc<Validators>,
    committees: BTreeMap<u64, Arc<(SyncCommittee, B256)>>,
    blocks: BTreeMap<u64, Block>,
    slots: BTreeMap<B256, u64>,
    /// `block_roots` of the newest state.
    recent: Vec<B256>,
    /// Slot of the attested block of each period's best update, and its rank.
    best: BTreeMap<u64, (Rank, u64)>,
    /// Epoch beyond which nothing becomes final.
    stalled: Option<u64>,
    participants: usize,
    graffiti: B256,
}

impl Chain {
    /// A chain without a block.
    pub fn new(config: ChainConfig) -> Self {
        let members = config.network.preset.committee_size;
        // SLOTS_PER_HISTORICAL_ROOT of the minimal preset and of mainnet's.
        let recent = if members == 512 { 8192 } else { 64 };
        Self {
            validators: Arc::new(Validators::new(config.seed, members)),
            committees: BTreeMap::new(),
            blocks: BTreeMap::new(),
            slots: BTreeMap::new(),
            recent: vec![B256::ZERO; recent],
            best: BTreeMap::new(),
            stalled: None,
            participants: members,
            graffiti: B256::ZERO,
            config,
        }
    }

    /// Sizes, times and forks.
    pub const fn network(&self) -> &NetworkConfig {
        &self.config.network
    }

    /// Epochs from a block to the newest finalized one.
    pub const fn finality_lag(&self) -> u64 {
        self.config.finality_lag
    }

    /// From now on so many members of each committee sign.
    pub const fn set_participants(&mut self, participants: usize) {
        self.participants = participants;
    }

    /// From now on nothing more becomes final, or (`false`) everything does that could have.
    pub fn stall_finality(&mut self, stall: bool) {
        let newest = self.head().map_or(0, |head| head.finalized.epoch);
        self.stalled = stall.then_some(newest);
    }

    /// Another history: this one's blocks before a slot, and others from there on.
    #[must_use]
    pub fn fork_before(&self, slot: u64) -> Self {
        let mut fork = Self::new(self.config.clone());
        fork.validators = Arc::clone(&self.validators);
        for (at, block) in self.blocks.range(..slot) {
            fork.add(*at, block.execution.clone());
        }
        fork.graffiti = merkle::node(&self.graffiti, &merkle::uint(slot));
        fork
    }

    /// The newest block.
    pub fn head(&self) -> Option<&Block> {
        self.blocks.values().next_back()
    }

    /// All blocks, by slot.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.values()
    }

    /// The block at a slot.
    pub fn block(&self, slot: u64) -> Option<&Block> {
        self.blocks.get(&slot)
    }

    /// The newest block not after a slot.
    pub fn block_until(&self, slot: u64) -> Option<&Block> {
        self.blocks.range(..=slot).next_back().map(|(_, block)| block)
    }

    /// The block with a root.
    pub fn by_root(&self, root: &B256) -> Option<&Block> {
        self.slots.get(root).and_then(|slot| self.blocks.get(slot))
    }

    /// The newest finalized block that is not genesis.
    pub fn finalized(&self) -> Option<&Block> {
        self.head().and_then(|head| self.by_root(&head.finalized.root))
    }

    /// Adds a block around an execution block; returns its root.
    ///
    /// # Panics
    /// When the slot is not after the newest block's, or the network has no fork there.
    pub fn add(&mut self, slot: u64, execution: ExecutionPayloadHeader) -> B256 {
        let parent =
            self.head().map(|head| (head.header.slot, head.root, head.execution.block_hash));
        assert!(parent.is_none_or(|(last, ..)| last < slot), "slot {slot} has passed");
        if let Some((last, root, _)) = parent {
            let kept = self.recent.len() as u64;
            for passed in last.max(slot.saturating_sub(kept))..slot {
                let index = usize::try_from(passed % kept).unwrap_or_default();
                self.recent[index] = root;
            }
        }
        let (parent_root, parent_execution) =
            parent.map_or((B256::ZERO, execution.parent_hash), |(_, root, hash)| (root, hash));
        let proposer_index = slot % (2 * self.network().preset.committee_size as u64);
        let block = Block {
            fork: self.network().fork_at_slot(slot).expect("a fork is active"),
            header: BeaconBlockHeader {
                slot,
                proposer_index,
                parent_root,
                ..BeaconBlockHeader::default()
            },
            root: B256::ZERO,
            execution,
            parent_execution,
            finalized: self.checkpoint(slot),
            block_roots: merkle::root(&self.recent),
            participants: self.participants,
            graffiti: self.graffiti,
        };
        let committees = self.committee_roots(slot);
        let block = block.seal(&self.config.network, committees);
        let root = block.root;
        self.slots.insert(root, slot);
        self.blocks.insert(slot, block);
        if let Some((attested, ..)) = parent {
            self.rank(attested, slot);
        }
        root
    }

    /// Takes the blocks from a slot on away, as a real chain does whose head was orphaned. What is final
    /// stays: a slot that is not after the finalized one does nothing.
    pub fn rewind(&mut self, slot: u64) {
        if self.head().is_none_or(|head| slot <= head.finalized.slot || slot == 0) {
            return;
        }
        for block in self.blocks.split_off(&slot).values() {
            self.slots.remove(&block.root);
        }
        let Some(last) = self.head().map(|head| head.header.slot) else { return };
        let kept = self.recent.len() as u64;
        for passed in last.saturating_sub(kept)..last {
            let root = self.block_until(passed).map_or(B256::ZERO, |block| block.root);
            self.recent[usize::try_from(passed % kept).unwrap_or_default()] = root;
        }
        // The updates of this period and later ones may have been signed by what is gone.
        let period = self.network().preset.period(last);
        self.best.retain(|known, _| *known < period);
        let first = period * self.network().preset.slots_per_period();
        let slots: Vec<u64> = self.blocks.range(first..).map(|(slot, _)| *slot).collect();
        slots.windows(2).for_each(|pair| self.rank(pair[0], pair[1]));
    }

    /// What the state of a new block at a slot calls finalized.
    fn checkpoint(&self, slot: u64) -> Checkpoint {
        let preset = &self.network().preset;
        let reached = preset.epoch(slot).saturating_sub(self.config.finality_lag);
        let epoch = self.stalled.map_or(reached, |stalled| stalled.min(reached));
        match self.block_until(epoch * preset.slots_per_epoch) {
            Some(block) if block.header.slot > 0 => {
                Checkpoint { epoch, slot: block.header.slot, root: block.root }
            }
            _ => Checkpoint::default(),
        }
    }

    fn committee_roots(&mut self, slot: u64) -> CommitteeRoots {
        let period = self.network().preset.period(slot);
        for period in [period, period + 1] {
            let validators = &self.validators;
            self.committees.entry(period).or_insert_with(|| {
                let committee = validators.committee(period);
                let root = committee.root();
                Arc::new((committee, root))
            });
        }
        self.known_roots(period)
    }

    /// Of a period that has a block.
    fn known_roots(&self, period: u64) -> CommitteeRoots {
        CommitteeRoots {
            current: self.committees[&period].1,
            next: self.committees[&(period + 1)].1,
        }
    }

    /// The committee of a period up to the one after the newest block's.
    pub fn committee(&self, period: u64) -> Option<&SyncCommittee> {
        self.committees.get(&period).map(|known| &known.0)
    }

    /// Keeps the update of an attested block if it is its period's best.
    fn rank(&mut self, attested: u64, signature: u64) {
        let preset = self.config.network.preset;
        let period = preset.period(attested);
        let (attested_block, child) = (&self.blocks[&attested], &self.blocks[&signature]);
        let participants = child.participants;
        let majority = participants * 3 >= preset.committee_size * 2;
        let rank = (
            majority,
            if majority { 0 } else { participants },
            period == preset.period(signature),
            period == preset.period(attested_block.finalized.slot),
            participants,
            Reverse(attested),
            Reverse(signature),
        );
        if participants > 0 && self.best.get(&period).is_none_or(|(best, _)| *best < rank) {
            self.best.insert(period, (rank, attested));
        }
    }

    /// The bootstrap of a block.
    pub fn bootstrap(&self, root: &B256) -> Option<Bootstrap> {
        let block = self.by_root(root)?;
        let period = self.network().preset.period(block.header.slot);
        let state = block.state(self.network(), self.known_roots(period));
        Some(Bootstrap {
            header: block.light_header(),
            committee: self.committee(period)?.clone(),
            branch: state.branch("current_sync_committee"),
        })
    }

    /// The update that attests a block, once the next block has signed it.
    pub fn update(&self, attested: u64) -> Option<Update> {
        let block = self.block(attested)?;
        let (signature_slot, child) = self.blocks.range(attested + 1..).next()?;
        let preset = &self.network().preset;
        let period = preset.period(attested);
        let state = block.state(self.network(), self.known_roots(period));
        let finalized =
            self.by_root(&block.finalized.root).map_or_else(Header::empty, Block::light_header);
        let mut finality_branch = vec![merkle::uint(block.finalized.epoch)];
        finality_branch.extend(state.branch("finalized_checkpoint"));
        let mut update = Update {
            attested: block.light_header(),
            next: self.committee(period + 1).cloned(),
            next_branch: state.branch("next_sync_committee"),
            finalized,
            finality_branch,
            bits: participation(preset.committee_size, child.participants, *signature_slot),
            signature: FixedBytes::ZERO,
            signature_slot: *signature_slot,
        };
        // The committee that signs must be the one that the attested state calls current.
        if preset.period(*signature_slot) != period {
            update.without_committee();
        }
        self.sign(&mut update, self.signing_version(*signature_slot), self.genesis());
        Some(update)
    }

    /// The best update of a period.
    pub fn best_update(&self, period: u64) -> Option<Update> {
        self.best.get(&period).and_then(|(_, attested)| self.update(*attested))
    }

    /// The update of the newest block that has been signed.
    pub fn newest_update(&self) -> Option<Update> {
        let (attested, _) = self.blocks.iter().rev().nth(1)?;
        self.update(*attested)
    }

    fn genesis(&self) -> B256 {
        self.network().genesis_validators_root
    }

    /// The version of signatures in blocks of a slot: that of the slot before.
    fn signing_version(&self, signature_slot: u64) -> FixedBytes<4> {
        self.network().fork_version(signature_slot.max(1) - 1)
    }

    /// Signs an update's attested header again, as its bits say, with a version and genesis.
    pub fn sign(&self, update: &mut Update, version: FixedBytes<4>, genesis: B256) {
        // phase0/beacon-chain.md: compute_domain, compute_signing_root
        let fork_data = merkle::node(&merkle::bytes(version.as_slice()), &genesis);
        let domain = merkle::bytes(&[&DOMAIN[..], &fork_data[..28]].concat());
        let message = merkle::node(&update.attested.beacon.root(), &domain);
        let period = self.network().preset.period(update.signature_slot);
        update.signature = self.validators.sign(period, &update.bits, &message);
    }

    /// Signs an update again, honestly.
    pub fn sign_again(&self, update: &mut Update) {
        self.sign(update, self.signing_version(update.signature_slot), self.genesis());
    }

    /// The digest of a fork's data, by which SSZ pages of updates tell their form.
    pub fn digest(&self, slot: u64) -> [u8; 4] {
        let network = self.network();
        let version = network.fork_version(slot);
        let data = merkle::node(&merkle::bytes(version.as_slice()), &self.genesis());
        let start = |fork| network.forks.iter().find(|known| known.fork == fork).map(|f| f.epoch);
        let mut digest: [u8; 4] = [data[0], data[1], data[2], data[3]];
        // fulu: compute_fork_digest, with an empty blob schedule
        if network.fork_at_slot(slot) >= Some(Fork::Fulu) {
            let electra = start(Fork::Electra).unwrap_or(u64::MAX);
            let blobs = MAX_BLOBS_PER_BLOCK_ELECTRA.to_le_bytes();
            let parameters = sha256::Hash::hash(&[electra.to_le_bytes(), blobs].concat());
            digest.iter_mut().zip(parameters.as_byte_array()).for_each(|(to, from)| *to ^= from);
        }
        digest
    }
}
