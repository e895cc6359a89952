//! Light-client data as nodes of each fork serve it.

use alloy_primitives::{B256, FixedBytes};
use grid_core::ethereum::sync::{
    BeaconBlockHeader, Fork, SyncCommittee, payload::ExecutionPayloadHeader,
};

use super::value::Value;

/// Depth of an execution payload's proof in a body, from Capella to Fulu.
const PAYLOAD_DEPTH: usize = 4;
/// Depth of an execution block hash's proof in a body, from Gloas on.
const BLOCK_HASH_DEPTH: usize = 11;

/// `LightClientHeader`, with all that any fork's form of it needs.
#[derive(Debug, Clone)]
pub struct Header {
    /// The fork of the header's slot.
    pub fork: Fork,
    /// The beacon block's header.
    pub beacon: BeaconBlockHeader,
    /// The execution payload's header, from Capella to Fulu.
    pub payload: ExecutionPayloadHeader,
    /// The proof of the payload in the body, without the proof inside the payload; from Gloas on of
    /// the block hash.
    pub branch: Vec<B256>,
}

impl Header {
    /// The spec's default value: for a finality that is still that of genesis.
    pub fn empty() -> Self {
        let (beacon, payload) = (BeaconBlockHeader::default(), ExecutionPayloadHeader::default());
        Self { fork: Fork::Altair, beacon, payload, branch: Vec::new() }
    }

    /// In the form of a fork that is not older than the header's.
    fn value(&self, version: Fork) -> Value {
        let mut fields = vec![("beacon", beacon(&self.beacon))];
        if version >= Fork::Gloas {
            fields.push(("execution_block_hash", Value::bytes(self.payload.block_hash.as_slice())));
            let inner = match self.fork {
                Fork::Gloas | Fork::Altair | Fork::Bellatrix => Vec::new(),
                fork => self.payload.block_hash_branch(fork >= Fork::Deneb),
            };
            let whole: Vec<B256> = inner.into_iter().chain(self.branch.iter().copied()).collect();
            fields.push(("execution_branch", Value::vector(filled(&whole, BLOCK_HASH_DEPTH))));
        } else if version >= Fork::Capella {
            fields.push(("execution", payload(&self.payload, version >= Fork::Deneb)));
            fields.push(("execution_branch", Value::vector(filled(&self.branch, PAYLOAD_DEPTH))));
        }
        Value::container(fields)
    }
}

/// A branch with zeros in front, as `normalize_merkle_branch` and the upgrades of the spec have it.
/// One that is too deep stays as it is: that is a fault on purpose.
fn filled(branch: &[B256], depth: usize) -> Vec<B256> {
    let mut filled = vec![B256::ZERO; depth.saturating_sub(branch.len())];
    filled.extend(branch);
    filled
}

/// `BeaconBlockHeader`.
pub fn beacon(header: &BeaconBlockHeader) -> Value {
    Value::container([
        ("slot", Value::uint(header.slot)),
        ("proposer_index", Value::uint(header.proposer_index)),
        ("parent_root", Value::bytes(header.parent_root.as_slice())),
        ("state_root", Value::bytes(header.state_root.as_slice())),
        ("body_root", Value::bytes(header.body_root.as_slice())),
    ])
}

/// `ExecutionPayloadHeader`, of Capella's or of Deneb's form.
fn payload(header: &ExecutionPayloadHeader, deneb: bool) -> Value {
    let mut fields = vec![
        ("parent_hash", Value::bytes(header.parent_hash.as_slice())),
        ("fee_recipient", Value::bytes(header.fee_recipient.as_slice())),
        ("state_root", Value::bytes(header.state_root.as_slice())),
        ("receipts_root", Value::bytes(header.receipts_root.as_slice())),
        ("logs_bloom", Value::bytes(header.logs_bloom.as_slice())),
        ("prev_randao", Value::bytes(header.prev_randao.as_slice())),
        ("block_number", Value::uint(header.block_number)),
        ("gas_limit", Value::uint(header.gas_limit)),
        ("gas_used", Value::uint(header.gas_used)),
        ("timestamp", Value::uint(header.timestamp)),
        ("extra_data", Value::byte_list(&header.extra_data)),
        ("base_fee_per_gas", Value::uint256(header.base_fee_per_gas)),
        ("block_hash", Value::bytes(header.block_hash.as_slice())),
        ("transactions_root", Value::bytes(header.transactions_root.as_slice())),
        ("withdrawals_root", Value::bytes(header.withdrawals_root.as_slice())),
    ];
    if deneb {
        fields.push(("blob_gas_used", Value::uint(header.blob_gas_used)));
        fields.push(("excess_blob_gas", Value::uint(header.excess_blob_gas)));
    }
    Value::container(fields)
}

/// `SyncCommittee`.
fn committee(committee: &SyncCommittee) -> Value {
    Value::container([
        ("pubkeys", Value::vector(&committee.pubkeys)),
        ("aggregate_pubkey", Value::bytes(committee.aggregate_pubkey.as_slice())),
    ])
}

/// `LightClientBootstrap`.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    /// The trusted block's header.
    pub header: Header,
    /// The committee of its period.
    pub committee: SyncCommittee,
    /// Its proof.
    pub branch: Vec<B256>,
}

impl Bootstrap {
    /// The fork whose form it has.
    pub const fn version(&self) -> Fork {
        self.header.fork
    }

    /// As it is served.
    pub fn value(&self) -> Value {
        Value::container([
            ("header", self.header.value(self.version())),
            ("current_sync_committee", committee(&self.committee)),
            ("current_sync_committee_branch", Value::vector(&self.branch)),
        ])
    }
}

/// `LightClientUpdate`, and what a finality or an optimistic update takes from it.
#[derive(Debug, Clone)]
pub struct Update {
    /// The header that is signed.
    pub attested: Header,
    /// The committee after the attested header's period; without one, all zeros are served.
    pub next: Option<SyncCommittee>,
    /// Its proof; zeros without one.
    pub next_branch: Vec<B256>,
    /// The header that the attested state calls finalized.
    pub finalized: Header,
    /// Its proof.
    pub finality_branch: Vec<B256>,
    /// Who signed.
    pub bits: Vec<u8>,
    /// The aggregate signature.
    pub signature: FixedBytes<96>,
    /// The slot of the block with the signature.
    pub signature_slot: u64,
}

impl Update {
    /// The fork whose form it has.
    pub const fn version(&self) -> Fork {
        self.attested.fork
    }

    /// Takes the next committee away, as a node does that has none to tell.
    pub fn without_committee(&mut self) {
        self.next = None;
        self.next_branch.fill(B256::ZERO);
    }

    /// A `LightClientUpdate`.
    pub fn value(&self) -> Value {
        let nobody = || SyncCommittee {
            pubkeys: vec![FixedBytes::ZERO; self.bits.len() * 8],
            aggregate_pubkey: FixedBytes::ZERO,
        };
        let version = self.version();
        Value::container([
            ("attested_header", self.attested.value(version)),
            ("next_sync_committee", committee(&self.next.clone().unwrap_or_else(nobody))),
            ("next_sync_committee_branch", Value::vector(&self.next_branch)),
            ("finalized_header", self.finalized.value(version)),
            ("finality_branch", Value::vector(&self.finality_branch)),
            ("sync_aggregate", self.aggregate()),
            ("signature_slot", Value::uint(self.signature_slot)),
        ])
    }

    /// A `LightClientFinalityUpdate`.
    pub fn finality(&self) -> Value {
        let version = self.version();
        Value::container([
            ("attested_header", self.attested.value(version)),
            ("finalized_header", self.finalized.value(version)),
            ("finality_branch", Value::vector(&self.finality_branch)),
            ("sync_aggregate", self.aggregate()),
            ("signature_slot", Value::uint(self.signature_slot)),
        ])
    }

    /// A `LightClientOptimisticUpdate`.
    pub fn optimistic(&self) -> Value {
        Value::container([
            ("attested_header", self.attested.value(self.version())),
            ("sync_aggregate", self.aggregate()),
            ("signature_slot", Value::uint(self.signature_slot)),
        ])
    }

    fn aggregate(&self) -> Value {
        Value::container([
            ("sync_committee_bits", Value::bytes(&self.bits)),
            ("sync_committee_signature", Value::bytes(self.signature.as_slice())),
        ])
    }
}
