//! The seam without an engine: two nodes' chains, one proposing, one judging.

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use alloy_sol_types::SolCall as _;
use grid_consensus::{Chain as _, Origin, ProposedBlock, Verdict};
use grid_core::{
    grid::{CommitCertificate, RecoverableSignature},
    modules::abi::{LIGHT_CLIENTS, LightClients},
    state::Account,
    transition::Block,
};

use super::*;
use crate::tests::support::*;

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
        let block = proposer.build(height, 0, address(1)).unwrap();
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
    let block = proposer.build(1, 0, address(1)).unwrap();
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
    let later = Clock::default().now_ms() + MAX_DRIFT_MS + 60_000;
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
    let block = chain.build(1, 0, address(1)).unwrap();
    let unknown = ProposedBlock { hash: B256::repeat_byte(9), body: Bytes::new() };
    assert!(chain.commit(certificate(1, &unknown)).unwrap_err().to_string().contains("no body"));
    assert!(chain.replace_certificate(certificate(1, &block)).is_err());
    assert!(chain.build(2, 0, address(1)).is_err());
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
    let block = proposer.build(1, 0, address(1)).unwrap();
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

/// Blocks with transfers and with Bitcoin headers, decided by `proposer`.
fn busy_chain(proposer: &GridChain, heights: u64) {
    let mined = mine(regtest_genesis(), 40, 1);
    let mut nonce = 0;
    for height in 1..=heights {
        for _ in 0..height % 4 {
            proposer.submit(&transfer(nonce)).unwrap();
            nonce += 1;
        }
        let first = usize::try_from(height - 1).unwrap() * 4;
        if let Some(headers) = mined.get(first..first + 4) {
            proposer.submit(&submission(nonce, headers)).unwrap();
            nonce += 1;
        }
        let block = proposer.build(height, 0, address(1)).unwrap();
        proposer.commit(certificate(height, &block)).unwrap();
    }
}

fn submission(nonce: u64, headers: &[grid_core::bitcoin::header::Header]) -> Vec<u8> {
    let input = LightClients::submitBitcoinHeadersCall {
        chain: regtest().key().0,
        headers: raw_headers(headers),
    };
    sign(nonce, LIGHT_CLIENTS, 0, input.abi_encode().into(), 14_000_000).encoded_2718()
}

#[test]
fn a_replay_from_genesis_gives_the_same_roots_receipts_and_index_at_each_height() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (old, new) = (chain(one.path()), chain(two.path()));
    let heights = 14;
    busy_chain(&old, heights);
    for height in 1..=heights {
        // As the engine does for a node that joins later: blocks and certificates of others, nothing else.
        let (body, certificate) = old.decided(height).unwrap().unwrap();
        let hash = certificate.block_hash;
        let verdict = new.validate(height, Address::ZERO, hash, body, Origin::Sync).unwrap();
        assert_eq!(verdict, Verdict::Valid, "height {height}");
        new.commit(certificate).unwrap();
        let (theirs, ours) = (old.store().view().unwrap(), new.store().view().unwrap());
        assert_eq!(ours.receipts(height).unwrap(), theirs.receipts(height).unwrap());
        assert_eq!(ours.header(height).unwrap(), theirs.header(height).unwrap());
        assert_eq!(ours.validators(height).unwrap(), theirs.validators(height).unwrap());
    }
    let (theirs, ours) = (old.store().view().unwrap(), new.store().view().unwrap());
    assert_eq!(ours.contents(), theirs.contents());
    let (first, count) = ours.range(regtest().key()).unwrap().unwrap();
    assert_eq!((first, count), (0, 39), "heights 0 to 38 of 40 have three confirmations");
    // Only the newest state is kept: a tree of the same values has as many nodes.
    let (values, nodes) = ours.contents();
    let all = values.into_iter().map(|(key, value)| (key, Some(value))).collect();
    let fresh = state::tree::update(&state::MemoryState::new(), &all, 0).unwrap();
    assert_eq!(fresh.0, ours.header(heights).unwrap().unwrap().state_root);
    assert_eq!(fresh.1.nodes.len(), nodes.len());
}

#[test]
fn senders_from_the_mempool_give_the_block_that_recovered_ones_give() {
    let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [proposer, knows, recovers] = directories.each_ref().map(|one| chain(one.path()));
    for nonce in 0..40 {
        proposer.submit(&transfer(nonce)).unwrap();
        knows.submit(&transfer(nonce)).unwrap();
    }
    let block = proposer.build(1, 0, address(1)).unwrap();
    for judge in [&knows, &recovers] {
        let judged = judge.validate(1, address(1), block.hash, block.body.clone(), Origin::Live);
        assert_eq!(judged.unwrap(), Verdict::Valid);
    }
    let executed = |chain: &GridChain| chain.executed().get(&block.hash).unwrap();
    assert_eq!(executed(&knows), executed(&recovers));
    assert_eq!(executed(&knows), executed(&proposer));
    assert_eq!(executed(&knows).receipts.len(), 40);
}

#[test]
fn submissions_of_one_chain_leave_half_of_a_block_to_those_who_wait() {
    let directory = tempfile::tempdir().unwrap();
    let chain = chain(directory.path());
    let mined = mine(regtest_genesis(), 8, 1);
    let fund = 10u64.pow(17);
    chain.submit(&sign(0, address(3), fund, Bytes::new(), 21_000).encoded_2718()).unwrap();
    // Gas limits of 14 million in a block of 60: more than four do not fit at all.
    for (nonce, header) in (1..).zip(mined.chunks(1)) {
        chain.submit(&submission(nonce, header)).unwrap();
    }
    let block = chain.build(1, 0, address(1)).unwrap();
    chain.commit(certificate(1, &block)).unwrap();
    let view = chain.store().view().unwrap();
    assert_eq!(view.receipts(1).unwrap().receipts.len(), 5, "nothing else waits");
    // Who waits with a transfer gets in, however little it pays: the flood's sender cannot bar it.
    let cheap = TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 25_000_000,
        max_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::ZERO),
        ..TxEip1559::default()
    };
    let signature = key(3).sign_prehash_recoverable(cheap.signature_hash().as_slice()).unwrap();
    let signed = TxEnvelope::from(cheap.into_signed(Signature::from(signature)));
    chain.submit(&signed.encoded_2718()).unwrap();
    let block = chain.build(2, 0, address(1)).unwrap();
    let body: Block = alloy_rlp::decode_exact(&block.body).unwrap();
    let hashes: Vec<_> = body.body.transactions.iter().map(|one| *one.tx_hash()).collect();
    assert!(hashes.contains(signed.tx_hash()), "{hashes:?}");
}
