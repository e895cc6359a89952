//! A power cut at every point of a commit: what the disk had not confirmed may be there, in parts, or not at all.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use alloy_consensus::transaction::Recovered;
use alloy_primitives::{Address, Bytes};
use grid_core::{
    grid::RecoverableSignature,
    state::{Account, keys, tree},
    transition::{self, ExecutedBlock, Parent},
};
use redb::StorageBackend;

use super::*;

/// What redb asks of a disk.
#[derive(Debug, Clone)]
enum Op {
    Write(usize, Vec<u8>),
    Length(usize),
    Sync,
}

#[derive(Debug, Default)]
struct Disk {
    bytes: Vec<u8>,
    /// Everything since the recording began.
    ops: Vec<Op>,
}

impl Disk {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Write(offset, data) => {
                if let Some(target) = self.bytes.get_mut(*offset..*offset + data.len()) {
                    target.copy_from_slice(data);
                }
            }
            Op::Length(length) => self.bytes.resize(*length, 0),
            Op::Sync => {}
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<Disk>>);

impl Recorder {
    fn of(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Disk { bytes, ops: Vec::new() })))
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap()
    }

    fn act(&self, op: Op) {
        let mut disk = self.disk();
        disk.apply(&op);
        disk.ops.push(op);
    }

    /// The database on this disk. Like the real one, it is not asked to check every page.
    fn open(&self) -> Store {
        let db = redb::Builder::new().create_with_backend(self.clone()).unwrap();
        let genesis = genesis::build(&support::genesis()).unwrap();
        Store { db, path: PathBuf::new(), genesis: genesis.hash, keys: SharedKeys::default() }
    }
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let disk = self.disk();
        let bytes = disk.bytes.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.act(Op::Length(usize::try_from(length).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.act(Op::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.act(Op::Write(usize::try_from(offset).unwrap(), data.to_vec()));
        Ok(())
    }
}

/// The next block, with some transfers.
fn next(store: &Store) -> (ExecutedBlock, CommitCertificate) {
    let view = store.view().unwrap();
    let height = view.height();
    let parent = Parent::new(view.header(height).unwrap().unwrap());
    let transfers = (height * 5..height * 5 + 5).map(|nonce| {
        let to = Address::left_padding_from(&nonce.to_be_bytes());
        let signed = support::sign(nonce, to, 1, Bytes::new(), 21_000);
        Recovered::new_unchecked(signed, support::address(2))
    });
    let time = 1_700_000_000_000 + (height + 1) * 1_000;
    let made = transition::propose(&parent, &view, transfers.collect(), time, support::address(1))
        .unwrap();
    assert_eq!(made.executed.receipts.len(), 5);
    let certificate = CommitCertificate {
        height: height + 1,
        round: 0,
        block_hash: made.executed.hash,
        signatures: vec![RecoverableSignature::from_bytes([1; 65])],
    };
    (made.executed, certificate)
}

/// Every part of the database is that of its newest block.
fn assert_sound(store: &Store) -> u64 {
    let view = store.view().unwrap();
    let height = view.height();
    let block = view.block(height).unwrap().unwrap();
    assert_eq!(view.block_height(&block.header.hash_slow()).unwrap(), Some(height));
    assert_eq!(view.certificate(height).unwrap().map(|one| one.height), Some(height));
    let receipts = view.receipts(height).unwrap();
    assert_eq!(
        alloy_consensus::proofs::calculate_receipt_root(&receipts.receipts),
        block.header.receipts_root
    );
    for (transaction, at) in block.body.transactions.iter().zip(0..) {
        assert_eq!(view.transaction(transaction.tx_hash()).unwrap(), Some((height, at)));
    }
    for sender in [support::address(1), support::address(2)] {
        let key = keys::account(&sender);
        let (value, proof) = tree::prove(&view, &key).unwrap();
        tree::verify(block.header.state_root, &key, value.as_deref(), &proof).unwrap();
    }
    let account = Account::read(&view, &support::address(2)).unwrap();
    assert_eq!(account.nonce, height * 5);
    height
}

/// The disk after a cut behind `ops[..at]`: what was synced is there; of the rest every write for which `survives` holds.
fn cut(base: &[u8], ops: &[Op], at: usize, survives: impl Fn(usize) -> bool) -> Vec<u8> {
    let synced = ops[..at].iter().rposition(|op| matches!(op, Op::Sync)).unwrap_or(0);
    let mut disk = Disk { bytes: base.to_vec(), ops: Vec::new() };
    for (number, op) in ops[..at].iter().enumerate() {
        // A file's length and its data are separate; growing is what redb does first.
        if number < synced || matches!(op, Op::Length(_)) || survives(number) {
            disk.apply(op);
        }
    }
    disk.bytes
}

#[test]
fn a_cut_anywhere_in_a_commit_leaves_the_block_before_or_the_block() {
    let recorder = Recorder::default();
    let store = recorder.open();
    store.commit_genesis(&genesis::build(&support::genesis()).unwrap()).unwrap();
    for _ in 0..3 {
        let (block, certificate) = next(&store);
        store.commit(&block, &certificate).unwrap();
    }
    let before = store.view().unwrap().height();
    let base = {
        let mut disk = recorder.disk();
        disk.ops.clear();
        disk.bytes.clone()
    };
    let (block, certificate) = next(&store);
    let body = alloy_rlp::encode(&block.block);
    store.put_body(before + 1, block.hash, &body).unwrap();
    let bodied = recorder.disk().ops.len();
    store.commit(&block, &certificate).unwrap();
    let ops = recorder.disk().ops.clone();
    assert!(ops.iter().filter(|op| matches!(op, Op::Sync)).count() >= 2, "each write is synced");
    let mut seen = [0; 2];
    for at in 0..=ops.len() {
        for pattern in 0..4usize {
            let image = cut(&base, &ops, at, |number| match pattern {
                0 => false,
                1 => true,
                _ => (number.wrapping_mul(2_654_435_761) >> 7) % 2 == pattern % 2,
            });
            let store = Recorder::of(image).open();
            let height = assert_sound(&store);
            assert!(height == before || height == before + 1, "{height}");
            seen[usize::from(height > before)] += 1;
            if at >= bodied && height == before {
                assert_eq!(
                    store.body(before + 1, block.hash).unwrap().map(|one| one.to_vec()),
                    Some(body.clone()),
                    "a body is durable before the engine hears of it"
                );
            }
            if at == ops.len() {
                assert_eq!(height, before + 1, "what commit returned for is durable");
            }
            if height == before && pattern == 0 {
                store.commit(&block, &certificate).unwrap();
                assert_eq!(assert_sound(&store), before + 1);
            }
        }
    }
    assert!(seen[0] > 10 && seen[1] > 0, "{seen:?}");
}
