//! The seam without an engine: two nodes' chains, one proposing, one judging.

use std::path::Path;

use alloy_consensus::transaction::Recovered;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, U256};
use grid_consensus::{Chain as _, Origin, ProposedBlock, Verdict};
use grid_core::{
    genesis,
    grid::{CommitCertificate, RecoverableSignature},
    state::Account,
};
use prometheus::Registry;

use super::*;
use crate::{mempool::MempoolLimits, tests::support::*};

fn chain(directory: &Path) -> GridChain {
    let genesis = genesis::build(&genesis()).unwrap();
    let store = Store::open(directory, &genesis, 1 << 20).unwrap();
    let metrics = NodeMetrics::register(&Registry::new()).unwrap();
    GridChain::new(CHAIN_ID, store, Mempool::new(MempoolLimits::default()), metrics).unwrap()
}

fn certificate(height: u64, block: &ProposedBlock) -> CommitCertificate {
    let signatures = vec![RecoverableSignature::from_bytes([1; 65])];
    CommitCertificate { height, round: 0, block_hash: block.hash, signatures }
}

fn transfer(nonce: u64) -> Vec<u8> {
    sign(nonce, Address::repeat_byte(7), 1, Bytes::new(), 21_000).encoded_2718()
}

fn refused(verdict: Verdict) -> String {
    match verdict {
        Verdict::Invalid(reason) => reason,
        Verdict::Valid => panic!("must be invalid"),
    }
}

#[test]
fn what_one_node_proposes_another_judges_and_both_commit() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (proposer, judge) = (chain(one.path()), chain(two.path()));
    for height in 1..=3u64 {
        proposer.submit(&transfer(height - 1)).unwrap();
        let block = proposer.build(height, address(1)).unwrap();
        assert_eq!(proposer.body(height, block.hash).unwrap(), Some(block.body.clone()));
        let judged =
            judge.validate(height, address(1), block.hash, block.body.clone(), Origin::Live);
        assert_eq!(judged.unwrap(), Verdict::Valid);
        assert_eq!(judge.body(height, block.hash).unwrap(), Some(block.body.clone()));
        let certificate = certificate(height, &block);
        let head = proposer.commit(certificate.clone()).unwrap();
        assert_eq!(judge.commit(certificate.clone()).unwrap(), head);
        assert_eq!((head.height, head.hash), (height, block.hash));
        // The engine may ask again after a crash.
        assert_eq!(judge.commit(certificate.clone()).unwrap(), head);
        assert_eq!(judge.decided(height).unwrap(), Some((block.body, certificate)));
    }
    assert_eq!(proposer.mempool().size().count, 0);
    let view = judge.store().view().unwrap();
    let account = Account::read(&view, &Address::repeat_byte(7)).unwrap();
    assert_eq!(account.balance, U256::from(3));
    assert_eq!(judge.decided(0).unwrap(), None);
    assert_eq!(judge.decided(4).unwrap(), None);
}

#[test]
fn every_wrong_proposal_is_refused_with_its_reason() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (proposer, judge) = (chain(one.path()), chain(two.path()));
    proposer.submit(&transfer(0)).unwrap();
    let block = proposer.build(1, address(1)).unwrap();
    let judged = |height, by, hash, body: Bytes, origin| {
        refused(judge.validate(height, by, hash, body, origin).unwrap())
    };
    let live = Origin::Live;
    let reason = judged(1, address(3), block.hash, block.body.clone(), live);
    assert!(reason.contains("is not the proposer"), "{reason}");
    let reason = judged(2, address(1), block.hash, block.body.clone(), live);
    assert!(reason.contains("height 1"), "{reason}");
    let reason = judged(1, address(1), B256::ZERO, block.body.clone(), live);
    assert!(reason.contains("has hash"), "{reason}");
    let reason = judged(1, address(1), block.hash, Bytes::from_static(b"no"), live);
    assert!(reason.contains("not the RLP of a block"), "{reason}");
    for at in 0..block.body.len() {
        let mut bytes = block.body.to_vec();
        bytes[at] ^= 1;
        judged(1, address(1), block.hash, bytes.into(), live);
    }
    // Nothing of this was kept, and the block itself is still good.
    assert_eq!(judge.body(1, block.hash).unwrap(), None);
    let verdict = judge.validate(1, address(1), block.hash, block.body, live).unwrap();
    assert_eq!(verdict, Verdict::Valid);
}

#[test]
fn a_block_from_the_future_is_refused_live_but_not_when_it_is_decided() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (proposer, judge) = (chain(one.path()), chain(two.path()));
    let view = proposer.store().view().unwrap();
    let parent = read_parent(&view).unwrap();
    let later = now_ms() + MAX_DRIFT_MS + 60_000;
    let made = transition::propose(&parent, &view, Vec::new(), later, address(1)).unwrap();
    let body = Bytes::from(alloy_rlp::encode(&made.executed.block));
    let hash = made.executed.hash;
    let verdict = judge.validate(1, address(1), hash, body.clone(), Origin::Live).unwrap();
    assert!(refused(verdict).contains("ahead of this node's clock"));
    let verdict = judge.validate(1, address(1), hash, body, Origin::Sync).unwrap();
    assert_eq!(verdict, Verdict::Valid);
}

#[test]
fn a_certificate_for_what_is_not_there_fails_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let chain = chain(directory.path());
    let block = chain.build(1, address(1)).unwrap();
    let unknown = ProposedBlock { hash: B256::repeat_byte(9), body: Bytes::new() };
    assert!(chain.commit(certificate(1, &unknown)).unwrap_err().to_string().contains("no body"));
    assert!(chain.replace_certificate(certificate(1, &block)).is_err());
    assert!(chain.build(2, address(1)).is_err());
    assert_eq!(chain.head().height, 0);
    chain.commit(certificate(1, &block)).unwrap();
    let mut better = certificate(1, &block);
    better.signatures.push(RecoverableSignature::from_bytes([2; 65]));
    chain.replace_certificate(better.clone()).unwrap();
    assert_eq!(chain.decided(1).unwrap().unwrap().1, better);
    assert!(chain.commit(certificate(1, &unknown)).is_err(), "another block at a decided height");
}

#[test]
fn the_sender_of_a_waiting_transaction_is_not_recovered_again() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (proposer, judge) = (chain(one.path()), chain(two.path()));
    proposer.submit(&transfer(0)).unwrap();
    let block = proposer.build(1, address(1)).unwrap();
    // The judge's mempool was told a wrong sender; that it believes it shows that it does not look again.
    let transaction = sign(0, Address::repeat_byte(7), 1, Bytes::new(), 21_000);
    let wrong = Recovered::new_unchecked(transaction, address(9));
    let hash = *wrong.tx_hash();
    let account = Account { nonce: 0, balance: U256::MAX };
    judge.mempool().add(wrong, account).unwrap();
    let judged = |chain: &GridChain| {
        chain.validate(1, address(1), block.hash, block.body.clone(), Origin::Live).unwrap()
    };
    let reason = refused(judged(&judge));
    assert!(reason.contains(&address(9).to_string()), "{reason}");
    judge.mempool().remove([&hash]);
    assert_eq!(judged(&judge), Verdict::Valid);
}
