//! Bitcoin transactions, blocks and merkle blocks.

use alloy_primitives::B256;
use bitcoin::{Block, Transaction, consensus, hashes::Hash as _};
use grid_core::bitcoin::{
    Header,
    spv::{MerkleBlock, RawBlock, climb},
    tx::{MAX_STRIPPED, Tx},
};

/// Reads bytes as a BIP37 merkle block. What is taken rust-bitcoin takes too, with the same matches,
/// and every branch leads to the header's root.
pub fn merkle_block(data: &[u8]) {
    let Ok(ours) = MerkleBlock::parse(data) else { return };
    let theirs: bitcoin::MerkleBlock = consensus::deserialize(data).expect("taken by us");
    assert_eq!(consensus::serialize(&theirs), data, "another spelling was taken");
    let (mut txids, mut indexes) = (Vec::new(), Vec::new());
    theirs.extract_matches(&mut txids, &mut indexes).expect("taken by us");
    let matches: Vec<(B256, u64)> = ours.matches().iter().map(|m| (m.txid, m.index)).collect();
    let expected: Vec<(B256, u64)> = txids
        .iter()
        .zip(&indexes)
        .map(|(txid, index)| (txid.to_byte_array().into(), u64::from(*index)))
        .collect();
    assert_eq!(matches, expected);
    let root = Header::parse(ours.header()).merkle_root;
    for found in ours.matches() {
        assert_eq!(climb(found.txid, found.index, &found.branch), Ok(root));
    }
}

/// Reads bytes as a transaction without witness, and takes the witness off one that has it. Exactly
/// what rust-bitcoin reads and writes alike is taken, but for 64 bytes and more than a block holds.
pub fn transaction(data: &[u8]) {
    let theirs = consensus::deserialize::<Transaction>(data).ok();
    let ours = Tx::from_stripped(data);
    let plain = theirs.as_ref().is_some_and(|tx| {
        consensus::serialize(tx) == data && tx.input.iter().all(|input| input.witness.is_empty())
    });
    let usable = plain && !data.is_empty() && data.len() != 64 && data.len() <= MAX_STRIPPED;
    match (&ours, &theirs) {
        (Ok(ours), Some(theirs)) => {
            assert!(usable, "taken, but not the one form of its transaction");
            assert_eq!(ours.id().0, theirs.compute_txid().to_byte_array());
        }
        (Ok(_), None) => panic!("taken, but no transaction to rust-bitcoin"),
        (Err(error), Some(tx)) => {
            // A transaction without inputs is spelt like one with witness: it has no form of its own.
            assert!(!usable || tx.input.is_empty(), "refused: {error}");
        }
        (Err(_), None) => {}
    }
    match (Tx::id_and_stripped(data), theirs) {
        (Ok((id, stripped)), Some(theirs)) => {
            assert_eq!(id.0, theirs.compute_txid().to_byte_array());
            if let Ok(again) = Tx::from_stripped(&stripped) {
                assert_eq!(again.id(), id);
            }
        }
        (Ok(_), None) => panic!("stripped, but no transaction to rust-bitcoin"),
        (Err(_), _) => {}
    }
}

/// Reads bytes as a block. What is taken rust-bitcoin takes too, under the same root; of several lists
/// with one root only the one without repetitions is taken.
pub fn block(data: &[u8]) {
    let Ok(ours) = RawBlock::parse(data) else { return };
    let theirs: Block = consensus::deserialize(data).expect("taken by us");
    assert_eq!(consensus::serialize(&theirs.header), ours.header);
    assert!(theirs.check_merkle_root());
    let txids: Vec<B256> =
        theirs.txdata.iter().map(|tx| tx.compute_txid().to_byte_array().into()).collect();
    assert_eq!(ours.txs.tree().txids(), txids);
    let root = Header::parse(&ours.header).merkle_root;
    for (index, txid) in (0..).zip(txids).take(4) {
        let branch = ours.txs.tree().branch(index).expect("there is such a transaction");
        assert_eq!(climb(txid, index, &branch), Ok(root));
    }
}
