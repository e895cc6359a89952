//! SSZ of every format, decoded strictly. What is written is Gloas's form.
//!
//! Lengths depend on the preset and the format, which are data, so the types of `ssz_types` do not
//! fit; offsets and lengths are checked by `ethereum_ssz`'s decoder (docs/adr/0008).

use alloy_primitives::{Address, B256, Bloom, Bytes, FixedBytes, U256};
use ssz::SszDecoderBuilder;

use super::{
    error::DecodeError,
    merkle,
    network::NetworkConfig,
    payload::{ExecutionPayloadHeader, MAX_EXTRA_DATA_BYTES},
    types::{
        BeaconBlockHeader, Bootstrap, FinalityUpdate, LightClientHeader, OptimisticUpdate,
        SyncAggregate, SyncCommittee, Update,
    },
    wire::{self, Execution, Format},
};

/// The most bytes of one object. A full update of mainnet has fewer than 27,000.
pub const MAX_SSZ_BYTES: usize = 32 * 1024;

const BEACON_HEADER: usize = 112;

/// A field's length: a fixed one, or told by an offset.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Fixed(usize),
    Variable,
}
use Part::{Fixed, Variable};

/// Cuts a container into its fields.
pub(super) fn container<'a, const N: usize>(
    what: &'static str,
    bytes: &'a [u8],
    parts: [Part; N],
) -> Result<[&'a [u8]; N], DecodeError> {
    let cut = || {
        let mut builder = SszDecoderBuilder::new(bytes);
        for part in parts {
            match part {
                Fixed(length) => builder.register_type_parameterized(true, length)?,
                Variable => {
                    builder.register_type_parameterized(false, ssz::BYTES_PER_LENGTH_OFFSET)?
                }
            }
        }
        let mut decoder = builder.build()?;
        let mut fields: [&[u8]; N] = [&[]; N];
        for field in &mut fields {
            *field = decoder.decode_next_with(Ok)?;
        }
        Ok(fields)
    };
    cut().map_err(|error: ssz::DecodeError| DecodeError::Ssz { what, reason: format!("{error:?}") })
}

fn limit(bytes: &[u8]) -> Result<(), DecodeError> {
    if bytes.len() > MAX_SSZ_BYTES {
        return Err(DecodeError::TooLarge { found: bytes.len(), most: MAX_SSZ_BYTES });
    }
    Ok(())
}

/// A little-endian number. The caller has cut eight bytes; fewer are filled with zeros.
pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn nodes(bytes: &[u8]) -> Vec<B256> {
    bytes.chunks(32).map(merkle::bytes).collect()
}

pub(super) fn branch<const DEPTH: usize>(
    what: &'static str,
    bytes: &[u8],
) -> Result<[B256; DEPTH], DecodeError> {
    let nodes = nodes(bytes);
    merkle::fill(&nodes).ok_or(DecodeError::Length { what, found: nodes.len(), expected: DEPTH })
}

fn array<const N: usize>(bytes: &[u8]) -> FixedBytes<N> {
    let mut array = FixedBytes::ZERO;
    array.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    array
}

const fn header_part(format: Format) -> Part {
    match format {
        Format::Altair => Fixed(BEACON_HEADER),
        Format::Capella | Format::Deneb | Format::Electra => Variable,
        Format::Gloas => Fixed(GLOAS_HEADER),
    }
}

/// Bytes of a header in Gloas's form.
pub(super) const GLOAS_HEADER: usize = 112 + 32 + 32 * merkle::EXECUTION_DEPTH;

const fn branch_part(depth: usize) -> Part {
    Fixed(depth.saturating_mul(32))
}

pub(super) const fn committee_bytes(network: &NetworkConfig) -> usize {
    keys_bytes(network.preset.committee_size)
}

/// Bytes of the members' keys and of their sum.
const fn keys_bytes(members: usize) -> usize {
    members.saturating_add(1).saturating_mul(48)
}

/// Bytes of an update in Gloas's form.
pub(super) const fn gloas_update_bytes(network: &NetworkConfig) -> usize {
    const FIXED: usize =
        2 * GLOAS_HEADER + 32 * (merkle::COMMITTEE_DEPTH + merkle::FINALITY_DEPTH) + 8;
    committee_bytes(network).saturating_add(aggregate_bytes(network)).saturating_add(FIXED)
}

/// Bytes of a finality update in Gloas's form.
pub(super) const fn gloas_finality_update_bytes(network: &NetworkConfig) -> usize {
    const FIXED: usize = 2 * GLOAS_HEADER + 32 * merkle::FINALITY_DEPTH + 8;
    aggregate_bytes(network).saturating_add(FIXED)
}

const fn aggregate_bytes(network: &NetworkConfig) -> usize {
    (network.preset.committee_size / 8).saturating_add(96)
}

fn beacon_header(bytes: &[u8]) -> Result<BeaconBlockHeader, DecodeError> {
    let parts = [Fixed(8), Fixed(8), Fixed(32), Fixed(32), Fixed(32)];
    let [slot, proposer, parent, state, body] = container("beacon header", bytes, parts)?;
    Ok(BeaconBlockHeader {
        slot: number(slot),
        proposer_index: number(proposer),
        parent_root: array(parent),
        state_root: array(state),
        body_root: array(body),
    })
}

pub(super) fn header(
    network: &NetworkConfig,
    format: Format,
    bytes: &[u8],
) -> Result<LightClientHeader, DecodeError> {
    let what = "light-client header";
    let outer = branch_part(format.execution_depth());
    let (beacon, execution) = match format {
        Format::Altair => (bytes, Execution::None),
        Format::Capella | Format::Deneb | Format::Electra => {
            let parts = [Fixed(BEACON_HEADER), Variable, outer];
            let [beacon, payload, siblings] = container(what, bytes, parts)?;
            let payload = payload_header(payload, format >= Format::Deneb)?;
            (beacon, Execution::Payload(Box::new(payload), nodes(siblings)))
        }
        Format::Gloas => {
            let parts = [Fixed(BEACON_HEADER), Fixed(32), outer];
            let [beacon, hash, siblings] = container(what, bytes, parts)?;
            let siblings = Box::new(branch("execution branch", siblings)?);
            (beacon, Execution::BlockHash(array(hash), siblings))
        }
    };
    wire::header(network, beacon_header(beacon)?, execution)
}

/// The fifteen fields of Capella, and Deneb's two.
fn payload_header(bytes: &[u8], deneb: bool) -> Result<ExecutionPayloadHeader, DecodeError> {
    let what = "execution payload header";
    let blob = Fixed(if deneb { 8 } else { 0 });
    let [
        parent_hash,
        fee_recipient,
        state_root,
        receipts_root,
        logs_bloom,
        prev_randao,
        block_number,
        gas_limit,
        gas_used,
        timestamp,
        extra_data,
        base_fee_per_gas,
        block_hash,
        transactions_root,
        withdrawals_root,
        blob_gas_used,
        excess_blob_gas,
    ] = container(
        what,
        bytes,
        [
            Fixed(32),
            Fixed(20),
            Fixed(32),
            Fixed(32),
            Fixed(256),
            Fixed(32),
            Fixed(8),
            Fixed(8),
            Fixed(8),
            Fixed(8),
            Variable,
            Fixed(32),
            Fixed(32),
            Fixed(32),
            Fixed(32),
            blob,
            blob,
        ],
    )?;
    let found = extra_data.len();
    if found > MAX_EXTRA_DATA_BYTES {
        let expected = MAX_EXTRA_DATA_BYTES;
        return Err(DecodeError::Length { what: "extra data", found, expected });
    }
    Ok(ExecutionPayloadHeader {
        parent_hash: array(parent_hash),
        fee_recipient: Address(array(fee_recipient)),
        state_root: array(state_root),
        receipts_root: array(receipts_root),
        logs_bloom: Bloom(array(logs_bloom)),
        prev_randao: array(prev_randao),
        block_number: number(block_number),
        gas_limit: number(gas_limit),
        gas_used: number(gas_used),
        timestamp: number(timestamp),
        extra_data: Bytes::copy_from_slice(extra_data),
        base_fee_per_gas: U256::from_le_bytes(array::<32>(base_fee_per_gas).0),
        block_hash: array(block_hash),
        transactions_root: array(transactions_root),
        withdrawals_root: array(withdrawals_root),
        blob_gas_used: number(blob_gas_used),
        excess_blob_gas: number(excess_blob_gas),
    })
}

/// The caller has cut the committee's bytes.
pub(super) fn committee(network: &NetworkConfig, bytes: &[u8]) -> SyncCommittee {
    let (keys, aggregate) =
        bytes.split_at(network.preset.committee_size.saturating_mul(48).min(bytes.len()));
    SyncCommittee {
        pubkeys: keys.chunks(48).map(array).collect(),
        aggregate_pubkey: array(aggregate),
    }
}

fn aggregate(network: &NetworkConfig, bytes: &[u8]) -> SyncAggregate {
    let (bits, signature) = bytes.split_at((network.preset.committee_size / 8).min(bytes.len()));
    SyncAggregate { bits: bits.to_vec(), signature: array(signature) }
}

/// Decodes a bootstrap.
///
/// # Errors
/// [`DecodeError`] for anything but one strictly encoded object of that format.
pub fn bootstrap(
    network: &NetworkConfig,
    format: Format,
    bytes: &[u8],
) -> Result<Bootstrap, DecodeError> {
    limit(bytes)?;
    let parts = [
        header_part(format),
        Fixed(committee_bytes(network)),
        branch_part(format.committee_depth()),
    ];
    let [head, current, proof] = container("bootstrap", bytes, parts)?;
    Ok(Bootstrap {
        header: header(network, format, head)?,
        current_sync_committee: committee(network, current),
        current_sync_committee_branch: branch("current sync committee branch", proof)?,
    })
}

/// Decodes an update with its committee.
///
/// # Errors
/// [`DecodeError`] for anything but one strictly encoded object of that format.
pub fn update(
    network: &NetworkConfig,
    format: Format,
    bytes: &[u8],
) -> Result<Update, DecodeError> {
    limit(bytes)?;
    let parts = [
        header_part(format),
        Fixed(committee_bytes(network)),
        branch_part(format.committee_depth()),
        header_part(format),
        branch_part(format.finality_depth()),
        Fixed(aggregate_bytes(network)),
        Fixed(8),
    ];
    let [attested, next, next_proof, finalized, finality, signed, slot] =
        container("update", bytes, parts)?;
    let next = committee(network, next);
    Ok(Update {
        attested_header: header(network, format, attested)?,
        next_sync_committee: (!next.is_default()).then_some(next),
        next_sync_committee_branch: branch("next sync committee branch", next_proof)?,
        finalized_header: header(network, format, finalized)?,
        finality_branch: branch("finality branch", finality)?,
        sync_aggregate: aggregate(network, signed),
        signature_slot: number(slot),
    })
}

/// Decodes a finality update.
///
/// # Errors
/// [`DecodeError`] for anything but one strictly encoded object of that format.
pub fn finality_update(
    network: &NetworkConfig,
    format: Format,
    bytes: &[u8],
) -> Result<FinalityUpdate, DecodeError> {
    limit(bytes)?;
    let parts = [
        header_part(format),
        header_part(format),
        branch_part(format.finality_depth()),
        Fixed(aggregate_bytes(network)),
        Fixed(8),
    ];
    let [attested, finalized, finality, signed, slot] = container("finality update", bytes, parts)?;
    Ok(FinalityUpdate {
        attested_header: header(network, format, attested)?,
        finalized_header: header(network, format, finalized)?,
        finality_branch: branch("finality branch", finality)?,
        sync_aggregate: aggregate(network, signed),
        signature_slot: number(slot),
    })
}

/// Decodes an optimistic update.
///
/// # Errors
/// [`DecodeError`] for anything but one strictly encoded object of that format.
pub fn optimistic_update(
    network: &NetworkConfig,
    format: Format,
    bytes: &[u8],
) -> Result<OptimisticUpdate, DecodeError> {
    limit(bytes)?;
    let parts = [header_part(format), Fixed(aggregate_bytes(network)), Fixed(8)];
    let [attested, signed, slot] = container("optimistic update", bytes, parts)?;
    Ok(OptimisticUpdate {
        attested_header: header(network, format, attested)?,
        sync_aggregate: aggregate(network, signed),
        signature_slot: number(slot),
    })
}

/// Writing Gloas's form, in which every object has a fixed length: fields follow each other.
pub(super) mod write {
    use super::{
        B256, Bootstrap, FinalityUpdate, LightClientHeader, NetworkConfig, SyncAggregate,
        SyncCommittee, Update,
    };

    pub(in super::super) fn header(out: &mut Vec<u8>, header: &LightClientHeader) {
        let beacon = &header.beacon;
        out.extend(beacon.slot.to_le_bytes());
        out.extend(beacon.proposer_index.to_le_bytes());
        nodes(out, &[beacon.parent_root, beacon.state_root, beacon.body_root]);
        out.extend(header.execution_block_hash);
        nodes(out, &header.execution_branch);
    }

    pub(in super::super) fn committee(out: &mut Vec<u8>, committee: &SyncCommittee) {
        committee.pubkeys.iter().for_each(|key| out.extend(key));
        out.extend(committee.aggregate_pubkey);
    }

    pub(in super::super) fn bootstrap(out: &mut Vec<u8>, bootstrap: &Bootstrap) {
        header(out, &bootstrap.header);
        committee(out, &bootstrap.current_sync_committee);
        nodes(out, &bootstrap.current_sync_committee_branch);
    }

    pub(in super::super) fn finality_update(out: &mut Vec<u8>, update: &FinalityUpdate) {
        header(out, &update.attested_header);
        header(out, &update.finalized_header);
        nodes(out, &update.finality_branch);
        aggregate(out, &update.sync_aggregate);
        out.extend(update.signature_slot.to_le_bytes());
    }

    pub(in super::super) fn update(out: &mut Vec<u8>, network: &NetworkConfig, update: &Update) {
        sized_update(out, network.preset.committee_size, update);
    }

    /// As [`update`], of a network with committees of that many members.
    pub(in super::super) fn sized_update(out: &mut Vec<u8>, members: usize, update: &Update) {
        header(out, &update.attested_header);
        match &update.next_sync_committee {
            Some(next) => committee(out, next),
            None => out.resize(out.len().saturating_add(super::keys_bytes(members)), 0),
        }
        nodes(out, &update.next_sync_committee_branch);
        header(out, &update.finalized_header);
        nodes(out, &update.finality_branch);
        aggregate(out, &update.sync_aggregate);
        out.extend(update.signature_slot.to_le_bytes());
    }

    /// Ends a container, of which the fields of fixed length are written, with its other fields.
    pub(in super::super) fn variable(out: &mut Vec<u8>, fields: &[Vec<u8>]) {
        let mut offset = fields.len().saturating_mul(4).saturating_add(out.len());
        for field in fields {
            // What is written here is far below four gigabytes.
            out.extend(u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes());
            offset = offset.saturating_add(field.len());
        }
        fields.iter().for_each(|field| out.extend(field));
    }

    fn aggregate(out: &mut Vec<u8>, aggregate: &SyncAggregate) {
        out.extend(&aggregate.bits);
        out.extend(aggregate.signature);
    }

    pub(in super::super) fn nodes(out: &mut Vec<u8>, nodes: &[B256]) {
        nodes.iter().for_each(|node| out.extend(node));
    }
}
