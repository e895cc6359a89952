//! A small beacon chain signed with real keys, over execution headers of its own. Every block finalizes
//! what it is told to: what no honest chain would say can be said as well.

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, FixedBytes};
use blst::min_pk::{AggregateSignature, SecretKey};
use grid_core::{
    ChainId, Family, Level, Security,
    confirm::ConfirmationRule,
    ethereum::sync::{
        BeaconBlockHeader, Bootstrap, FinalityUpdate, Fork, ForkActivation, LightClientHeader,
        NetworkConfig, Policy, Preset, SharedKeys, SyncAggregate, SyncCommittee, SyncData, Update,
        bls, merkle,
    },
    modules::{ChainRecord, ChainStatus, ClientParams},
    state::{ChainState, MemoryState, StateRead, StateTreeRead, StorageError},
};

use super::START_MS;

/// Members of a test's committee.
pub const MEMBERS: usize = 8;
pub const PERIOD: u64 = 64;
/// The slot at the Grid chain's start; a slot is a second.
pub const NOW: u64 = 100_000;
/// The trusted block, early in a period.
pub const CHECKPOINT: u64 = 1_500 * PERIOD + 1;

const FORKS: [Fork; 7] = [
    Fork::Altair,
    Fork::Bellatrix,
    Fork::Capella,
    Fork::Deneb,
    Fork::Electra,
    Fork::Fulu,
    Fork::Gloas,
];

/// A state that keeps points from block to block.
pub struct Warm<'a>(pub &'a MemoryState, pub &'a SharedKeys);

impl StateRead for Warm<'_> {
    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.0.read(key)
    }

    fn committee_keys(&self) -> Option<&SharedKeys> {
        Some(self.1)
    }
}

impl StateTreeRead for Warm<'_> {
    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.0.tree_node(key)
    }
}

impl ChainState for Warm<'_> {
    fn version(&self) -> u64 {
        self.0.version()
    }
}

/// Execution headers on top of `parent`, a second apart.
pub fn execution(parent: &Header, count: u64, salt: u8) -> Vec<Header> {
    let mut headers = vec![parent.clone()];
    for _ in 0..count {
        let below = headers.last().unwrap();
        headers.push(Header {
            parent_hash: below.hash_slow(),
            number: below.number + 1,
            timestamp: below.timestamp + 1,
            state_root: B256::repeat_byte(salt),
            base_fee_per_gas: Some(7),
            ..Default::default()
        });
    }
    headers.split_off(1)
}

pub fn rlp(headers: &[Header]) -> Vec<Bytes> {
    headers.iter().map(|header| alloy_rlp::encode(header).into()).collect()
}

/// What an update says; the rest follows from it.
#[derive(Debug, Clone, Copy)]
pub struct Says {
    pub attested: u64,
    pub finalized: u64,
    pub execution: B256,
    /// Tells apart the next committees that could be named.
    pub next: u8,
    pub signers: usize,
}

/// A beacon chain with a committee of its own for each period.
#[derive(Debug, Clone)]
pub struct Beacon {
    pub network: NetworkConfig,
    /// The fork version that is signed for.
    pub version: FixedBytes<4>,
    pub start: Header,
}

impl Beacon {
    /// A chain on which `fork` is active from the beginning.
    pub fn new(fork: Fork) -> Self {
        let activation = |fork: &Fork| ForkActivation {
            fork: *fork,
            version: FixedBytes([7, 7, 7, *fork as u8]),
            epoch: 0,
        };
        let forks: Vec<_> = FORKS.iter().filter(|f| **f <= fork).map(activation).collect();
        let version = forks.last().unwrap().version;
        let network = NetworkConfig {
            name: "test".into(),
            preset: Preset { committee_size: MEMBERS, slots_per_epoch: 8, epochs_per_period: 8 },
            seconds_per_slot: 1,
            genesis_time: START_MS / 1_000 - NOW,
            forks,
            ..NetworkConfig::mainnet()
        };
        network.validate().unwrap();
        let start = Header { number: 1_000, base_fee_per_gas: Some(7), ..Default::default() };
        Self { network, version, start }
    }

    /// The same with committees of another size.
    pub fn with_members(mut self, members: usize) -> Self {
        self.network.preset.committee_size = members;
        self
    }

    pub fn record(&self, policy: Policy) -> ChainRecord {
        ChainRecord {
            id: ChainId::eip155(424_242),
            family: Family::Ethereum,
            security: Security::SyncCommittee,
            level: Level::L1,
            measured: false,
            rule: ConfirmationRule::Final,
            status: ChainStatus::Active,
            client: ClientParams::SyncCommittee {
                network: self.network.clone().into(),
                checkpoint: self.checkpoint(CHECKPOINT, self.start.hash_slow()),
                start: alloy_rlp::encode(&self.start).into(),
                policy,
            },
            window: 64,
        }
    }

    fn secrets(&self, period: u64, tag: u8) -> Vec<SecretKey> {
        let secret = |index: u64| {
            let mut seed = [tag; 32];
            seed[..8].copy_from_slice(&period.to_be_bytes());
            seed[8..16].copy_from_slice(&index.to_be_bytes());
            SecretKey::key_gen(&seed, &[]).unwrap()
        };
        (0..self.network.preset.committee_size as u64).map(secret).collect()
    }

    pub fn committee(&self, period: u64, tag: u8) -> SyncCommittee {
        let keys = self.secrets(period, tag);
        let pubkeys = keys.iter().map(|key| FixedBytes(key.sk_to_pk().to_bytes())).collect();
        SyncCommittee { pubkeys, aggregate_pubkey: FixedBytes::repeat_byte(1) }
    }

    /// The header of a beacon block with an execution block.
    pub fn header(&self, slot: u64, execution: B256, state_root: B256) -> LightClientHeader {
        let gindex = merkle::block_hash_gindex(self.network.fork_at_slot(slot));
        let (body_root, execution_branch) = match gindex {
            Some(gindex) => {
                let tree = Sparse::new([(gindex, execution)]);
                (tree.root(), tree.proof(gindex))
            }
            None => (B256::repeat_byte(1), Default::default()),
        };
        let shown = if gindex.is_some() { execution } else { B256::ZERO };
        LightClientHeader {
            beacon: BeaconBlockHeader { slot, state_root, body_root, ..Default::default() },
            execution_block_hash: shown,
            execution_branch,
        }
    }

    fn state(&self, slot: u64, next: &SyncCommittee, finalized: B256) -> Sparse {
        let fork = self.network.fork_at_slot(slot);
        let current = self.committee(self.network.preset.period(slot), 0);
        Sparse::new([
            (merkle::current_committee_gindex(fork), current.root()),
            (merkle::next_committee_gindex(fork), next.root()),
            (merkle::finalized_root_gindex(fork), finalized),
        ])
    }

    pub fn bootstrap(&self, slot: u64, execution: B256) -> Bootstrap {
        let period = self.network.preset.period(slot);
        let state = self.state(slot, &self.committee(period + 1, 0), B256::ZERO);
        let gindex = merkle::current_committee_gindex(self.network.fork_at_slot(slot));
        Bootstrap {
            header: self.header(slot, execution, state.root()),
            current_sync_committee: self.committee(period, 0),
            current_sync_committee_branch: state.proof(gindex),
        }
    }

    /// The root of the block of that bootstrap.
    pub fn checkpoint(&self, slot: u64, execution: B256) -> B256 {
        self.bootstrap(slot, execution).header.beacon.root()
    }

    pub fn update(&self, says: &Says) -> Update {
        let Says { attested, finalized, execution, next, signers } = *says;
        let fork = self.network.fork_at_slot(attested);
        let next = self.committee(self.network.preset.period(attested) + 1, next);
        let finalized_header = self.header(finalized, execution, B256::repeat_byte(3));
        let state = self.state(attested, &next, finalized_header.beacon.root());
        let attested_header = self.header(attested, execution, state.root());
        let signature_slot = attested + 1;
        Update {
            attested_header,
            next_sync_committee: Some(next),
            next_sync_committee_branch: state.proof(merkle::next_committee_gindex(fork)),
            finalized_header,
            finality_branch: state.proof(merkle::finalized_root_gindex(fork)),
            sync_aggregate: self.sign(signature_slot, signers, &attested_header),
            signature_slot,
        }
    }

    fn sign(&self, slot: u64, signers: usize, header: &LightClientHeader) -> SyncAggregate {
        let root =
            bls::signing_root(&header.beacon, self.version, &self.network.genesis_validators_root);
        let suite = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
        let keys = self.secrets(self.network.preset.period(slot), 0);
        let signatures: Vec<_> =
            keys[..signers].iter().map(|key| key.sign(root.as_slice(), suite, &[])).collect();
        let sum = AggregateSignature::aggregate(&signatures.iter().collect::<Vec<_>>(), false);
        let mut bits = vec![0; self.network.preset.committee_size / 8];
        (0..signers).for_each(|member| bits[member / 8] |= 1 << (member % 8));
        let signature = FixedBytes(sum.unwrap().to_signature().to_bytes());
        SyncAggregate { bits, signature }
    }

    /// The trusted block's bootstrap, as the record names it.
    pub fn first(&self) -> SyncData {
        self.bootstrap(CHECKPOINT, self.start.hash_slow()).into()
    }

    /// An update with the next committee, by all members, attested four slots after what it finalizes.
    pub fn teaches(&self, finalized: u64, execution: B256) -> SyncData {
        self.update(&self.says(finalized, execution)).into()
    }

    /// The same without the committee.
    pub fn finalizes(&self, finalized: u64, execution: B256) -> SyncData {
        FinalityUpdate::into(self.update(&self.says(finalized, execution)).to_finality_update())
    }

    pub fn says(&self, finalized: u64, execution: B256) -> Says {
        Says {
            attested: finalized + 4,
            finalized,
            execution,
            next: 0,
            signers: self.network.preset.committee_size,
        }
    }
}

pub fn bytes(data: &[SyncData]) -> Vec<Bytes> {
    data.iter().map(|object| object.encode().into()).collect()
}

/// An SSZ tree of which only some nodes are not zero.
struct Sparse(BTreeMap<u64, B256>);

impl Sparse {
    fn new<const N: usize>(nodes: [(u64, B256); N]) -> Self {
        Self(BTreeMap::from(nodes))
    }

    fn root(&self) -> B256 {
        self.node(1)
    }

    fn node(&self, gindex: u64) -> B256 {
        let under = |node: u64| {
            let depth = node.ilog2().checked_sub(gindex.ilog2());
            depth.is_some_and(|depth| node >> depth == gindex)
        };
        match self.0.get(&gindex) {
            Some(value) => *value,
            None if self.0.keys().any(|node| under(*node)) => {
                merkle::node(&self.node(2 * gindex), &self.node(2 * gindex + 1))
            }
            None => B256::ZERO,
        }
    }

    fn proof<const DEPTH: usize>(&self, gindex: u64) -> [B256; DEPTH] {
        let depth = gindex.ilog2();
        let siblings: Vec<_> = (0..depth).map(|up| self.node((gindex >> up) ^ 1)).collect();
        merkle::fill(&siblings).unwrap()
    }
}
