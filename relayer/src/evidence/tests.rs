//! What fits into one submission of a chain that proves its finality.

use alloy_primitives::FixedBytes;
use grid_core::{
    CompatHeader,
    ethereum::sync::{
        BeaconBlockHeader, FinalityUpdate, LightClientHeader, SyncAggregate, SyncData, Update,
    },
};

use super::*;

fn hash(height: u64) -> B256 {
    keccak256(height.to_be_bytes())
}

fn headers(from: u64, count: u64, bytes: usize) -> Vec<SourceHeader> {
    let header = |height: u64| SourceHeader {
        compat: CompatHeader {
            chain: ChainId::eip155(1).key().0,
            height,
            blockHash: hash(height),
            parentHash: hash(height - 1),
            time: 0,
            txRoot: B256::ZERO,
            receiptsRoot: B256::ZERO,
            stateRoot: B256::ZERO,
            indexRoot: B256::ZERO,
        },
        raw: vec![1; bytes].into(),
    };
    (from..from + count).map(header).collect()
}

fn update(slot: u64, committee: bool) -> FinalityData {
    let header = LightClientHeader {
        beacon: BeaconBlockHeader { slot, ..BeaconBlockHeader::default() },
        execution_block_hash: hash(slot),
        ..LightClientHeader::default()
    };
    let update = FinalityUpdate {
        attested_header: header,
        finalized_header: header,
        finality_branch: Default::default(),
        sync_aggregate: SyncAggregate { bits: vec![0xff; 64], signature: FixedBytes::ZERO },
        signature_slot: slot + 1,
    };
    let data = if committee {
        SyncData::Update(Box::new(Update::from(update)))
    } else {
        SyncData::FinalityUpdate(Box::new(update))
    };
    FinalityData::of_sync(&data).unwrap()
}

fn decoded(payload: &Bytes) -> LightClients::submitFinalityCall {
    LightClients::submitFinalityCall::abi_decode(payload).unwrap()
}

#[test]
fn a_run_keeps_its_upper_end_and_stays_below_the_size_of_a_transaction() {
    let chain = ChainId::eip155(1);
    let last = BlockRef { height: 1_023, hash: hash(1_023) };
    let run = headers(1, 1_023, 610);
    let item = section(&chain, &run, last, false).unwrap().unwrap();
    assert_eq!(item.last, last);
    assert!(item.from > 1 && item.parent == hash(item.from - 1), "{}", item.from);
    assert!(item.payload.len() <= 512 * 1024 - 4_096, "{} bytes", item.payload.len());
    let call = decoded(&item.payload);
    assert_eq!(call.headers.len() as u64, 1_024 - item.from);
    // A section that must reach the ground is not cut, it waits.
    assert_eq!(section(&chain, &run, last, true).unwrap(), None);
    let short = section(&chain, &run[1_000..], last, true).unwrap().unwrap();
    assert_eq!((short.from, decoded(&short.payload).headers.len()), (1_001, 23));
}

#[test]
fn a_run_that_ends_elsewhere_or_is_not_linked_is_refused() {
    let chain = ChainId::eip155(1);
    let mut run = headers(1, 5, 10);
    let last = BlockRef { height: 5, hash: hash(5) };
    let other = BlockRef { height: 5, hash: hash(77) };
    assert!(matches!(section(&chain, &run, other, false), Err(EvidenceError::OtherEnd { .. })));
    assert!(matches!(section(&chain, &[], last, false), Err(EvidenceError::Empty(_))));
    run[2].compat.parentHash = hash(77);
    assert!(matches!(section(&chain, &run, last, false), Err(EvidenceError::Broken { .. })));
}

#[test]
fn objects_are_cut_by_gas_and_decode_to_what_they_were() {
    let chain = ChainId::eip155(1);
    assert_eq!(offer(&chain, &[]), None);
    let data: Vec<FinalityData> = (1..=16).map(|slot| update(slot, true)).collect();
    let cut = offer(&chain, &data).unwrap();
    let sent = decoded(&cut.item.payload).data;
    assert!(sent.len() > 1 && sent.len() < data.len(), "{} objects", sent.len());
    for (bytes, object) in sent.iter().zip(&data) {
        assert_eq!(*bytes, object.bytes);
    }
    let newest = sent.len() as u64;
    assert_eq!((cut.anchor, cut.item.last.height), (hash(newest), newest));
    // The margin included, the transaction fits into a block of 60M gas.
    let limit = gas_limit(&cut.item.payload, 1);
    let needed = sent.len() as u64 * (200_000 + 512 * 6_000);
    assert!(limit > needed && limit < 60_000_000, "{limit}");
    // Without committees all of them go at once.
    let data: Vec<FinalityData> = (1..=16).map(|slot| update(slot, false)).collect();
    assert_eq!(decoded(&offer(&chain, &data).unwrap().item.payload).data.len(), 16);
}
