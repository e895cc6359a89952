//! Beacon blocks around execution blocks.

use alloy_primitives::B256;
use grid_core::ethereum::sync::{
    BeaconBlockHeader, Fork, NetworkConfig, merkle, payload::ExecutionPayloadHeader,
};

use super::{
    data::Header,
    tree::{self, Tree},
};

/// A checkpoint: an epoch and the block at its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The epoch.
    pub epoch: u64,
    /// Slot of the block.
    pub slot: u64,
    /// Root of the block; zero for genesis.
    pub root: B256,
}

impl Checkpoint {
    /// `hash_tree_root`.
    pub fn node(&self) -> B256 {
        merkle::node(&merkle::uint(self.epoch), &self.root)
    }
}

/// A beacon block with what its light-client data is made from.
#[derive(Debug, Clone)]
pub struct Block {
    /// The fork of its slot.
    pub fork: Fork,
    /// Its header.
    pub header: BeaconBlockHeader,
    /// Its root.
    pub root: B256,
    /// The execution block that it carries.
    pub execution: ExecutionPayloadHeader,
    /// The execution block of the beacon block before.
    pub parent_execution: B256,
    /// What its state calls finalized.
    pub finalized: Checkpoint,
    /// Root of its state's `block_roots`.
    pub block_roots: B256,
    /// Members of the sync committee that signed the block before.
    pub participants: usize,
    /// Tells this history from another one of the same slots.
    pub graffiti: B256,
}

/// Roots of the sync committees of a block's period and of the next one.
#[derive(Debug, Clone, Copy)]
pub struct CommitteeRoots {
    /// Of the block's period.
    pub current: B256,
    /// Of the period after it.
    pub next: B256,
}

impl Block {
    /// Fills in the roots of a block of which everything else is known.
    pub fn seal(mut self, network: &NetworkConfig, committees: CommitteeRoots) -> Self {
        self.header.body_root = self.body().root();
        self.header.state_root = self.state(network, committees).root();
        self.root = self.header.root();
        self
    }

    /// The body down to its fields.
    pub fn body(&self) -> Tree {
        let mut body = Tree::body(self.fork);
        body.set("graffiti", self.graffiti);
        if self.fork >= Fork::Gloas {
            let bid = tree::progressive_root(&self.bid());
            body.set("signed_execution_payload_bid", merkle::node(&bid, &bid_signature()));
        } else if self.fork >= Fork::Capella {
            body.set("execution_payload", self.execution.root(self.fork >= Fork::Deneb));
        }
        body
    }

    /// Fields of `ExecutionPayloadBid`: of the builder's part, only what the execution block tells.
    fn bid(&self) -> [B256; 12] {
        let payload = &self.execution;
        [
            self.parent_execution,
            self.header.parent_root,
            payload.block_hash,
            payload.prev_randao,
            merkle::bytes(payload.fee_recipient.as_slice()),
            merkle::uint(payload.gas_limit),
            B256::ZERO,
            merkle::uint(self.header.slot),
            B256::ZERO,
            B256::ZERO,
            B256::ZERO,
            B256::ZERO,
        ]
    }

    /// The state down to its fields.
    pub fn state(&self, network: &NetworkConfig, committees: CommitteeRoots) -> Tree {
        let BeaconBlockHeader { slot, .. } = self.header;
        let mut state = Tree::state(self.fork);
        state.set("genesis_time", merkle::uint(network.genesis_time));
        state.set("genesis_validators_root", network.genesis_validators_root);
        state.set("slot", merkle::uint(slot));
        state.set("fork", fork_root(network, slot));
        // The state does not know its own root yet.
        let unfinished = BeaconBlockHeader { state_root: B256::ZERO, ..self.header };
        state.set("latest_block_header", unfinished.root());
        state.set("block_roots", self.block_roots);
        state.set("finalized_checkpoint", self.finalized.node());
        state.set("current_sync_committee", committees.current);
        state.set("next_sync_committee", committees.next);
        state.set("latest_block_hash", self.parent_execution);
        state
    }

    /// Its light-client header: `block_to_light_client_header`.
    pub fn light_header(&self) -> Header {
        let (beacon, fork, body) = (self.header, self.fork, self.body());
        let mut payload = ExecutionPayloadHeader::default();
        let branch = match fork {
            Fork::Altair | Fork::Bellatrix => Vec::new(),
            Fork::Capella | Fork::Deneb | Fork::Electra | Fork::Fulu => {
                payload = self.execution.clone();
                body.branch("execution_payload")
            }
            Fork::Gloas => {
                payload.block_hash = self.parent_execution;
                let mut branch = tree::progressive_branch(&self.bid(), 0);
                branch.push(bid_signature());
                branch.extend(body.branch("signed_execution_payload_bid"));
                branch
            }
        };
        Header { fork, beacon, payload, branch }
    }
}

/// Root of a bid's signature, which is the point at infinity, as of a block that its proposer built.
fn bid_signature() -> B256 {
    let mut signature = [0; 96];
    signature[0] = 0xc0;
    merkle::byte_vector(&signature)
}

/// `hash_tree_root` of the `Fork` at a slot.
fn fork_root(network: &NetworkConfig, slot: u64) -> B256 {
    let epoch = network.preset.epoch(slot);
    let current = network.forks.iter().rposition(|fork| fork.epoch <= epoch);
    let since = current.map_or(0, |index| network.forks[index].epoch);
    let previous = current
        .and_then(|index| index.checked_sub(1))
        .map_or(network.genesis_fork_version, |index| network.forks[index].version);
    merkle::root(&[
        merkle::bytes(previous.as_slice()),
        merkle::bytes(network.fork_version(slot).as_slice()),
        merkle::uint(since),
    ])
}
