mod crash;

use std::{fs, path::Path};

use grid_core::genesis;

use super::*;
use crate::tests::support;

const CACHE: usize = 1 << 20;

fn open(directory: &Path) -> Result<Store, StoreError> {
    Store::open(directory, &genesis::build(&support::genesis()).unwrap(), CACHE)
}

#[test]
fn a_new_database_holds_genesis_and_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let store = open(directory.path()).unwrap();
        let view = store.view().unwrap();
        assert_eq!(view.height(), 0);
        assert_eq!(view.header(0).unwrap().unwrap().hash_slow(), store.genesis());
        assert_eq!(view.block(0).unwrap().unwrap().header, view.header(0).unwrap().unwrap());
        assert!(view.validators(1).unwrap().is_some());
        assert!(view.validators(2).unwrap().is_none());
        assert!(view.certificate(0).unwrap().is_none());
    }
}

#[test]
fn an_interrupted_creation_is_started_over() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("chain.redb.new"), b"half").unwrap();
    open(directory.path()).unwrap();
    assert!(!directory.path().join("chain.redb.new").exists());
}

#[test]
fn an_open_database_is_not_opened_twice() {
    let directory = tempfile::tempdir().unwrap();
    let _first = open(directory.path()).unwrap();
    assert!(matches!(open(directory.path()), Err(StoreError::InUse(_))));
}

#[test]
fn a_newer_schema_and_another_genesis_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let mut other = support::genesis();
    other.chain_id += 1;
    let other = genesis::build(&other).unwrap();
    let error = Store::open(directory.path(), &other, CACHE).unwrap_err();
    assert!(matches!(error, StoreError::OtherGenesis { .. }), "{error}");

    let db = Database::open(directory.path().join(FILE)).unwrap();
    let write = db.begin_write().unwrap();
    let newer = (tables::SCHEMA + 1).to_be_bytes();
    write.open_table(tables::META).unwrap().insert(tables::META_SCHEMA, newer.as_slice()).unwrap();
    write.commit().unwrap();
    drop(db);
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, StoreError::NewerSchema { .. }), "{error}");
    assert!(error.to_string().contains("upgrade the program"));
}

/// Whatever happened to the file, opening it is an answer that names the file, or the file is sound.
#[test]
fn a_damaged_file_is_an_error_that_names_it_never_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()).unwrap());
    let path = directory.path().join(FILE);
    let good = fs::read(&path).unwrap();
    let mut cases = vec![
        ("empty", Vec::new()),
        ("text", b"this is not a database".repeat(500)),
        ("zeros", vec![0; good.len()]),
        ("random tail", [&good[..good.len() / 2], &[0x5a; 4096]].concat()),
    ];
    for cut in [1, 100, 320, 4_096, good.len() / 2, good.len() - 1] {
        cases.push(("truncated", good[..cut].to_vec()));
    }
    for page in 0..good.len() / 4_096 {
        let mut bytes = good.clone();
        bytes[page * 4_096..(page + 1) * 4_096].fill(0xa5);
        cases.push(("overwritten page", bytes));
    }
    let mut refused = 0;
    for (name, bytes) in cases {
        fs::write(&path, &bytes).unwrap();
        match open(directory.path()) {
            Ok(store) => assert_eq!(store.view().unwrap().height(), 0, "{name}"),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("chain.redb"), "{name}: {text}");
                refused += 1;
            }
        }
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn a_stored_certificate_has_one_encoding() {
    let signature = |byte| grid_core::grid::RecoverableSignature::from_bytes([byte; 65]);
    let certificate = CommitCertificate {
        height: u64::MAX - 1,
        round: 3,
        block_hash: B256::repeat_byte(0x42),
        signatures: vec![signature(1), signature(2)],
    };
    let bytes = tables::encode_certificate(&certificate);
    assert_eq!(tables::decode_certificate(&bytes), Some(certificate));
    for cut in (0..bytes.len()).filter(|cut| ![45, 110].contains(cut)) {
        assert_eq!(tables::decode_certificate(&bytes[..cut]), None, "{cut} bytes");
    }
    let mut other = bytes;
    other[0] = 2;
    assert_eq!(tables::decode_certificate(&other), None);
}

#[test]
fn receipts_are_stored_without_blooms_and_come_back_with_them() {
    use alloy_consensus::{Receipt, ReceiptEnvelope, TxReceipt as _, TxType};
    use alloy_primitives::{Address, Log};

    let types = [TxType::Legacy, TxType::Eip2930, TxType::Eip1559];
    let receipt = |(tx_type, at): (&TxType, usize)| {
        let log = |n: usize| {
            let topics = vec![B256::repeat_byte(1); n];
            Log::new_unchecked(Address::repeat_byte(2), topics, vec![3; n * 40].into())
        };
        let receipt = Receipt {
            status: (at != 1).into(),
            cumulative_gas_used: 21_000 * (at as u64 + 1),
            logs: (0..at).map(log).collect(),
        };
        ReceiptEnvelope::from_typed(*tx_type, receipt.with_bloom())
    };
    let receipts: Vec<_> = types.iter().zip(0..).map(receipt).collect();
    assert!(receipts[2].logs().len() == 2 && !receipts[2].bloom().is_zero());
    let senders = vec![Address::repeat_byte(4); 3];
    let bytes = tables::encode_receipts(&senders, &receipts);
    assert!(bytes.len() < 300, "{}", bytes.len());
    let stored = StoredReceipts { senders, receipts };
    assert_eq!(tables::decode_receipts(&bytes), Ok(stored));
    assert!(tables::decode_receipts(&bytes[1..]).is_err());
    assert_eq!(tables::decode_receipts(&tables::encode_receipts(&[], &[])).unwrap().receipts, []);
}
