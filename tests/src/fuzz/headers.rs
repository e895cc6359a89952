//! Header batches.

use std::cell::RefCell;

use alloy_primitives::{B256, U256};
use bitcoin::{CompactTarget, consensus, hashes::Hash as _};
use grid_core::bitcoin::{BitcoinClient, Header, NetworkParams, header, target};

/// Reads bytes as headers, compares each with what rust-bitcoin reads, and submits them to a regtest
/// client: as they are, and linked to each other so that the rules behind the link are reached too.
pub fn headers(data: &[u8]) {
    let Some(batch) = header::split(data) else {
        assert_ne!(data.len() % Header::SIZE, 0, "whole headers were not split");
        return;
    };
    assert_eq!(batch.concat(), data);
    batch.iter().for_each(same_as_rust_bitcoin);
    submit(&batch);
    submit(&linked(&batch));
}

fn same_as_rust_bitcoin(raw: &[u8; 80]) {
    let ours = Header::parse(raw);
    assert_eq!(ours.to_bytes(), *raw);
    let theirs: bitcoin::block::Header = consensus::deserialize(raw).expect("any 80 bytes are one");
    assert_eq!(ours.hash().0, theirs.block_hash().to_byte_array());
    let (bits, time, nonce) = (theirs.bits.to_consensus(), theirs.time, theirs.nonce);
    assert_eq!((ours.bits, ours.time, ours.nonce), (bits, time, nonce));
    // For unusable targets rust-bitcoin has no answer.
    if let Some(target) = target::valid(ours.bits, &U256::MAX) {
        let theirs = bitcoin::Target::from_compact(CompactTarget::from_consensus(ours.bits));
        assert_eq!(target.to_be_bytes::<32>(), theirs.to_be_bytes());
        assert_eq!(target::work(&target).to_be_bytes::<32>(), theirs.to_work().to_be_bytes());
    }
}

fn submit(batch: &[[u8; 80]]) {
    let mut client = fresh();
    let now = batch.iter().map(|raw| Header::parse(raw).time).max().unwrap_or_default() / 2;
    let now_ms = u64::from(now) * 1000;
    let first = client.accept_all(batch, now_ms);
    assert_eq!(client.tree().len(), first.added + 1, "a header is counted but not stored");
    let tip = client.tree().tip().hash();
    let again = client.accept_all(batch, now_ms);
    assert_eq!(again.added, 0, "what was refused was taken when it came again");
    assert_eq!(client.tree().tip().hash(), tip);
}

/// A client at regtest's genesis, made once.
fn fresh() -> BitcoinClient {
    thread_local! {
        static GENESIS: RefCell<BitcoinClient> = RefCell::new(
            BitcoinClient::from_genesis(NetworkParams::regtest()).expect("regtest is usable"),
        );
    }
    GENESIS.with_borrow(BitcoinClient::clone)
}

/// The same headers, each naming the one before as its parent and with a nonce that meets the least
/// difficulty.
fn linked(batch: &[[u8; 80]]) -> Vec<[u8; 80]> {
    let mut prev: B256 = NetworkParams::regtest().genesis_hash();
    let link = |raw: &[u8; 80]| {
        let mut header = Header { prev, ..Header::parse(raw) };
        // Half of all hashes do; after a hundred tries the header stays as it is.
        for _ in 0..100 {
            if header.hash().0[31] < 0x7f {
                break;
            }
            header.nonce = header.nonce.wrapping_add(1);
        }
        prev = header.hash();
        header.to_bytes()
    };
    batch.iter().map(link).collect()
}
