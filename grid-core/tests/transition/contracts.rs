//! Registry and proofs.

use alloy_consensus::TxReceipt;
use alloy_primitives::{B256, Bytes, hex};
use alloy_sol_types::{SolCall, SolEvent};
use grid_core::{
    CompatHeader,
    bitcoin::spv,
    mmr,
    mmr::{Mmr, append_with_nodes},
    modules::ChainStatus,
    modules::abi::{LightClients, PROOFS, Proofs, REGISTRY, Registry},
    proof::{
        self, CrossChainProof,
        facts::{BitcoinFact, from_block},
    },
    state::{keys, query},
    transition,
    transition::{ExecutedBlock, IndexEvent, TxReject},
};

use crate::{depth, read, status, support::*, two, with_bitcoin};

#[test]
fn the_governor_registers_pauses_and_resumes_chains() {
    let (governor, other) = (Wallet::new(1), Wallet::new(2));
    let mut chain = Chain::new(&genesis(vec![], &[&governor, &other]));
    let (params, key) = regtest();
    let json = serde_json::to_vec(&bitcoin_record(&params, depth(1), 64)).unwrap();
    let register: Bytes = Registry::registerCall { record: json.into() }.abi_encode().into();
    let call = |wallet: &Wallet, nonce, input: &Bytes| {
        wallet.tx(nonce, REGISTRY, 0, 2_000_000, input.clone())
    };
    let block = chain.step(vec![call(&other, 0, &register), call(&governor, 0, &register)]);
    assert_eq!(block.receipts.iter().map(TxReceipt::status).collect::<Vec<_>>(), [false, true]);
    assert_eq!(block.entries.len(), 1);
    assert_eq!(query::chains(&chain.state).unwrap()[0].id, params.chain_id());
    let headers = mine(&params.genesis.0, 5, 1);
    let block = chain.step(vec![
        governor.submit(1, key, &headers[..3]),
        call(&governor, 2, &register),
        call(&governor, 3, &status(key, ChainStatus::Suspended)),
        governor.submit(4, key, &headers[3..]),
    ]);
    let statuses = block.receipts.iter().map(TxReceipt::status).collect::<Vec<_>>();
    assert_eq!(statuses, [true, false, true, false]);
    assert_eq!(block.entries, []);
    let block = chain.step(vec![call(&governor, 5, &status(key, ChainStatus::Active))]);
    assert_eq!(block.entries[0].count, 4, "the accumulator is still there");
    let block = chain.step(vec![
        governor.submit(6, key, &headers[3..]),
        call(&governor, 7, &status(key, ChainStatus::Terminated)),
        call(&governor, 8, &status(key, ChainStatus::Active)),
    ]);
    assert!(!block.receipts[2].status(), "termination is final");
    assert_eq!(block.entries, []);
}

#[test]
fn a_chain_that_contradicts_itself_is_frozen_and_the_others_go_on() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(1), 64);
    let headers = mine(&genesis, 10, 1);
    chain.step(vec![wallet.submit(0, key, &headers[..8])]);
    // A confirmed tip that the light client does not hold.
    let name = keys::accumulator(key);
    let mut stored = chain.state.values()[&name].clone();
    stored[8..40].fill(0xee);
    let height = chain.parent.header.number;
    chain.state.apply_parts(&[(name, Some(stored))].into(), &Default::default(), height);
    let block = chain.step(vec![wallet.submit(1, key, &headers[8..])]);
    assert!(block.receipts[0].status());
    let logs = block.receipts[0].logs();
    assert!(logs.iter().any(|log| LightClients::Frozen::decode_log(log).is_ok()), "{logs:?}");
    assert_eq!(block.entries, []);
    assert_eq!(query::chains(&chain.state).unwrap()[0].status, ChainStatus::Frozen);
    let more = mine(&headers[9], 1, 1);
    let resume = wallet.tx(3, REGISTRY, 0, 1_000_000, status(key, ChainStatus::Active));
    let block = chain.step(vec![wallet.submit(2, key, &more), resume]);
    let statuses = block.receipts.iter().map(TxReceipt::status).collect::<Vec<_>>();
    assert_eq!(statuses, [false, true]);
    // Nothing was repaired: the next block freezes it again.
    let block = chain.step(vec![]);
    assert!(matches!(block.index_events[..], [IndexEvent::Frozen { .. }]));
}

/// The headers that a block has indexed.
fn appended(block: &ExecutedBlock) -> Vec<CompatHeader> {
    let of = |event: &IndexEvent| match event {
        IndexEvent::Appended { header, .. } => Some(header.clone()),
        _ => None,
    };
    block.index_events.iter().filter_map(of).collect()
}

/// The proof of an inclusion in the regtest block of this height, which `block` has indexed.
fn proof_of(block: &ExecutedBlock, height: u64, inclusion: proof::Inclusion) -> CrossChainProof {
    proof_over(&appended(block), block, height, inclusion)
}

/// As [`proof_of`], where the index has all of these headers.
fn proof_over(
    index: &[CompatHeader],
    block: &ExecutedBlock,
    height: u64,
    inclusion: proof::Inclusion,
) -> CrossChainProof {
    let (mut range, mut nodes) = (Mmr::new(), Vec::new());
    for header in index {
        nodes.extend(append_with_nodes(&mut range, header.leaf()).into_iter().map(|n| n.1));
    }
    let source = index.iter().find(|header| header.height == height).unwrap();
    let branch = mmr::prove(&nodes, range.count(), height).unwrap();
    let header = alloy_rlp::encode(&block.block.header);
    let segment = proof::build::segment(branch, &block.entries, 0, header.into()).unwrap();
    let anchor = proof::Anchor::BlockHash { hash: block.hash };
    let id = regtest().0.chain_id();
    proof::build::assemble(source.clone(), id, inclusion, segment, anchor).unwrap()
}

#[test]
fn every_fact_of_a_list_is_recorded_under_its_own_name() {
    // A coinbase of height 17, and a payment.
    let coinbase = "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff020111ffffffff0100f2052a01000000015100000000";
    let payment = "01000000010101010101010101010101010101010101010101010101010101010101010101000000000151ffffffff010700000000000000015100000000";
    let raw = [coinbase, payment].map(|text| hex::decode(text).unwrap());
    let txs = spv::BlockTxs::new(&raw).unwrap();
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(1), 64);
    let mut headers = mine(&genesis, 16, 1);
    headers.push(mine_root(&headers[15], txs.tree().root()));
    headers.extend(mine(&headers[16], 3, 1));
    let block = chain.step(vec![wallet.submit(0, key, &headers)]);
    let (txid, output) = (txs.tree().txids()[1], 0);
    let (tx, paid) = (BitcoinFact::Tx { txid }, BitcoinFact::Payment { txid, output });
    let list = proof_of(&block, 17, from_block(&txs, &[tx, paid]).unwrap());
    let single = proof_of(&block, 17, from_block(&txs, &[paid]).unwrap());
    let submit = |nonce, proof: &CrossChainProof| {
        let input = Proofs::submitCall { proof: proof.to_abi() }.abi_encode();
        wallet.tx(nonce, PROOFS, 0, 1_000_000, input.into())
    };
    let block = chain.step(vec![submit(1, &list)]);
    assert!(block.receipts[0].status());
    // The payment is known from the list.
    let again = submit(2, &single);
    assert_eq!(transition::check(&chain.state, &again, 1), Err(TxReject::AlreadyKnown));
    let told = block.receipts[0].logs().iter().map(|log| Proofs::Proven::decode_log(log).unwrap());
    let told: Vec<B256> = told.map(|event| event.claimHash).collect();
    let names = list.claim.facts().iter().map(|fact| fact.hash(&list.header));
    let expected: Vec<B256> =
        core::iter::once(list.claim.hash(&list.header)).chain(names).collect();
    assert_eq!((told.as_slice(), expected.len()), (expected.as_slice(), 3));
    assert!(expected.contains(&single.claim.hash(&single.header)));
    for hash in expected {
        let at = Proofs::provenAtCall { claimHash: hash }.abi_encode();
        let at = read(&chain, PROOFS, at);
        assert_eq!(Proofs::provenAtCall::abi_decode_returns(&at.output), Ok(2));
    }
}

#[test]
fn a_proof_is_accepted_once_and_only_unchanged() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(1), 64);
    let headers = mine(&genesis, 20, 1);
    let block = chain.step(vec![wallet.submit(0, key, &headers)]);
    let bytes = proof_of(&block, 7, proof::Inclusion::HeaderOnly {}).to_abi();
    let submit = |nonce, proof: &[u8]| {
        let input = Proofs::submitCall { proof: proof.to_vec().into() }.abi_encode();
        wallet.tx(nonce, PROOFS, 0, 1_000_000, input.into())
    };
    let view = Proofs::verifyCall { proof: bytes.to_vec().into() }.abi_encode();
    let seen = read(&chain, PROOFS, view);
    let seen = Proofs::verifyCall::abi_decode_returns(&seen.output).unwrap();
    assert_eq!((seen.chain, seen.height, seen.security), (key.0, 7, 1));
    let mut changed = bytes.to_vec();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let block = chain.step(vec![submit(1, &changed), submit(2, &bytes)]);
    let statuses = block.receipts.iter().map(TxReceipt::status).collect::<Vec<_>>();
    assert_eq!(statuses, [false, true]);
    let event = Proofs::Proven::decode_log(&block.receipts[1].logs()[0]).unwrap();
    assert_eq!((event.claimHash, event.chain, event.height), (seen.claimHash, key.0, 7));
    let again = submit(3, &bytes);
    assert_eq!(transition::check(&chain.state, &again, 1), Err(TxReject::AlreadyKnown));
    let at = Proofs::provenAtCall { claimHash: seen.claimHash }.abi_encode();
    let at = read(&chain, PROOFS, at);
    assert_eq!(Proofs::provenAtCall::abi_decode_returns(&at.output), Ok(2));
}

#[test]
fn a_reorganisation_marks_a_proven_claim_and_outdates_proofs() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(1), 64);
    let headers = mine(&genesis, 20, 1);
    let block = chain.step(vec![wallet.submit(0, key, &headers)]);
    let proof = |height| proof_of(&block, height, proof::Inclusion::HeaderOnly {}).to_abi();
    let (low, high, late) = (proof(15), proof(18), proof(19));
    let submit = |nonce, proof: &Bytes| {
        let input = Proofs::submitCall { proof: proof.clone() }.abi_encode();
        wallet.tx(nonce, PROOFS, 0, 1_000_000, input.into())
    };
    let done = chain.step(vec![submit(1, &low), submit(2, &high)]);
    let claims: Vec<B256> = done
        .receipts
        .iter()
        .map(|receipt| Proofs::Proven::decode_log(&receipt.logs()[0]).unwrap().claimHash)
        .collect();
    let standing = |chain: &Chain, claim: B256| {
        let outcome = read(chain, PROOFS, Proofs::standingCall { claimHash: claim }.abi_encode());
        Proofs::standingCall::abi_decode_returns(&outcome.output).unwrap()
    };
    let before = standing(&chain, claims[1]);
    assert_eq!((before.provenAt, before.chain, before.height), (2, key.0, 18));
    assert_eq!((before.brokenFrom, before.brokenAt), (0, 0));
    // Four blocks are replaced by five.
    let branch = mine(&headers[15], 5, 2);
    chain.step(vec![wallet.submit(3, key, &branch)]);
    let lost = standing(&chain, claims[1]);
    let tip = grid_core::bitcoin::Header::parse(&headers[19]).hash();
    assert_eq!((lost.provenAt, lost.brokenFrom, lost.brokenAt), (2, 17, 3));
    assert_eq!((lost.depth, lost.tipHash), (4, tip));
    assert_eq!(standing(&chain, claims[0]).brokenFrom, 0, "height 15 is still there");
    // The Grid block of the old proofs is still known.
    let view = Proofs::verifyCall { proof: late.clone() }.abi_encode();
    let reason = read(&chain, PROOFS, view).reverted.unwrap();
    assert!(reason.contains("was cut back to below height 17"), "{reason}");
    let refused = chain.step(vec![submit(4, &late), submit(5, &high)]);
    assert!(refused.receipts.iter().all(|receipt| !receipt.status()));
    // The old branch comes back, and the claim is proven anew.
    let back = chain.step(vec![wallet.submit(6, key, &mine(&headers[19], 3, 1))]);
    assert_eq!(standing(&chain, claims[1]).brokenFrom, 17, "until it is proven again");
    let index = [&appended(&block)[..17], &appended(&back)].concat();
    let anew = proof_over(&index, &back, 18, proof::Inclusion::HeaderOnly {}).to_abi();
    let done = chain.step(vec![submit(7, &anew)]);
    let event = Proofs::Proven::decode_log(&done.receipts[0].logs()[0]).unwrap();
    let stands = standing(&chain, event.claimHash);
    assert_eq!((event.claimHash, stands.provenAt, stands.brokenFrom), (claims[1], 6, 0));
    assert_eq!(transition::check(&chain.state, &submit(8, &anew), 1), Err(TxReject::AlreadyKnown));
}

#[test]
fn proofs_module_refuses_what_is_not_a_proof() {
    let (_, _, chain) = two();
    let input = Proofs::verifyCall { proof: Bytes::from(vec![1; 99]) };
    let outcome = read(&chain, PROOFS, input.abi_encode());
    assert!(outcome.reverted.unwrap().starts_with("proof refused: "));
}
