//! The state transition from outside: blocks, fees, light clients, the index.
#![allow(missing_docs, clippy::result_large_err, clippy::cast_possible_truncation)]

mod support;

use alloy_consensus::{Transaction, TxEip1559, TxReceipt};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_sol_types::{Revert, SolCall, SolError, SolEvent};
use grid_core::{
    ChainId, ChainKey, Family, Level, Security,
    bitcoin::Header,
    confirm::ConfirmationRule,
    grid::{Extension, RecoverableSignature},
    index,
    mmr::{self, Mmr, append_with_nodes},
    modules::{
        ChainRecord, ChainStatus, ClientParams,
        abi::{LIGHT_CLIENTS, LightClients, PROOFS, Proofs, REGISTRY, Registry, SYSTEM_CONTRACTS},
    },
    proof,
    state::{keys, query, tree},
    transition::{self, CallContext, IndexEvent, TransitionError, TxReject},
};
use proptest::prelude::*;
use support::*;

fn two() -> (Wallet, Wallet, Chain) {
    let (a, b) = (Wallet::new(1), Wallet::new(2));
    let chain = Chain::new(&genesis(vec![], &[&a, &b]));
    (a, b, chain)
}

fn with_bitcoin(rule: ConfirmationRule, window: u64) -> (Wallet, ChainKey, Chain, [u8; 80]) {
    let wallet = Wallet::new(1);
    let (params, key) = regtest();
    let chain = Chain::new(&genesis(vec![bitcoin_record(&params, rule, window)], &[&wallet]));
    (wallet, key, chain, params.genesis.0)
}

fn depth(blocks: u64) -> ConfirmationRule {
    ConfirmationRule::Depth { blocks }
}

/// The accumulator's root over headers `0..count`, computed from nothing but the headers.
fn reference_root(key: ChainKey, headers: &[[u8; 80]], count: usize) -> B256 {
    let mut range = Mmr::new();
    for (height, raw) in (0..).zip(&headers[..count]) {
        let header = Header::parse(raw);
        range.append(header.compat(key, height, header.hash()).leaf());
    }
    range.root()
}

fn read(chain: &Chain, to: Address, input: Vec<u8>) -> transition::CallOutcome {
    let context = CallContext { to: Some(to), input: input.into(), ..CallContext::default() };
    transition::call(&chain.state, &context, &chain.parent.header).unwrap()
}

#[test]
fn a_transfer_moves_value_and_pays_burn_and_tip() {
    let (a, b, mut chain) = two();
    let supply = chain.supply();
    let block = chain.step(vec![a.transfer(0, b.address, GRID), a.transfer(1, b.address, 5)]);
    assert_eq!(block.receipts.len(), 2);
    assert!(block.receipts.iter().all(TxReceipt::status));
    assert_eq!(block.block.header.gas_used, 42_000);
    let base = u128::from(block.block.header.base_fee_per_gas.unwrap());
    let tip = 1_000_000_000u128;
    let (gas, before) = (42_000u128, U256::from(1_000 * GRID));
    assert_eq!(chain.account(b.address).balance, before + U256::from(GRID + 5));
    let paid = U256::from(GRID + 5 + gas * (base + tip));
    assert_eq!(chain.account(a.address).balance, before - paid);
    assert_eq!(chain.account(a.address).nonce, 2);
    assert_eq!(chain.account(PROPOSER).balance, U256::from(gas * tip));
    assert_eq!(query::burned(&chain.state).unwrap(), U256::from(gas * base));
    assert_eq!(chain.supply(), supply);
}

#[test]
fn headers_are_ethereum_headers_with_a_grid_extension() {
    let (_, _, mut chain) = two();
    let before = chain.parent.clone();
    let block = chain.step(vec![]);
    let header = &block.block.header;
    assert_eq!(header.parent_hash, before.hash);
    assert_eq!(header.number, 1);
    assert_eq!(header.hash_slow(), block.hash);
    let extension = Extension::of(header).unwrap();
    assert_eq!(extension.timeMs, START_MS + 1_000);
    assert_eq!(extension.indexRoot, index::index_root(&[]));
    assert_eq!(extension.validatorsHash, block.next_validators.hash());
    // An empty block lets the base fee fall by an eighth.
    assert_eq!(header.base_fee_per_gas, Some(875_000_000));
    let next = chain.step(vec![]);
    assert!(next.block.header.base_fee_per_gas < header.base_fee_per_gas);
    assert_ne!(next.block.header.state_root, header.state_root, "parent hashes are in the state");
}

#[test]
fn bad_candidates_are_dropped_with_the_reason_and_early_ones_are_kept() {
    let (a, b, chain) = two();
    let base = TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        to: TxKind::Call(b.address),
        ..TxEip1559::default()
    };
    let candidates = vec![
        a.sign(TxEip1559 { chain_id: 1, ..base.clone() }),
        a.sign(TxEip1559 { gas_limit: 20_999, ..base.clone() }),
        a.sign(TxEip1559 { to: TxKind::Create, ..base.clone() }),
        a.sign(TxEip1559 { max_priority_fee_per_gas: u128::MAX, ..base.clone() }),
        a.sign(TxEip1559 { max_fee_per_gas: 1, ..base.clone() }),
        a.sign(TxEip1559 { value: U256::MAX, ..base.clone() }),
        a.sign(TxEip1559 { gas_limit: u64::MAX, ..base.clone() }),
        a.sign(TxEip1559 { nonce: 1, ..base.clone() }),
        a.sign(base.clone()),
        a.sign(TxEip1559 { value: U256::from(1), ..base }),
    ];
    let proposal = chain.propose(candidates.clone());
    assert_eq!(proposal.executed.receipts.len(), 1);
    let dropped = proposal.dropped.iter().map(|(hash, _)| *hash).collect::<Vec<_>>();
    let expected = [0, 1, 2, 3, 9].map(|at: usize| *candidates[at].tx_hash());
    assert_eq!(dropped, expected, "{:?}", proposal.dropped);
    assert!(matches!(proposal.dropped[4].1, TxReject::NonceTooLow { expected: 1, found: 0, .. }));
    // The mempool's check agrees, but takes a nonce that is ahead.
    let check = |tx| transition::check(&chain.state, tx, 1_000_000_000);
    assert!(check(&candidates[7]).is_ok() && check(&candidates[8]).is_ok());
    assert!(candidates[..7].iter().all(|tx| check(tx).is_err()));
}

#[test]
fn every_header_field_is_compared() {
    let (a, b, chain) = two();
    let good = chain.propose(vec![a.transfer(0, b.address, 1)]).executed.block;
    let validate = |block| transition::validate(&chain.parent, &chain.state, &block);
    assert!(validate(good.clone()).is_ok());
    type Edit = fn(&mut alloy_consensus::Header);
    let edits: [(&str, Edit); 21] = [
        ("parentHash", |h| h.parent_hash.0[0] ^= 1),
        ("number", |h| h.number += 1),
        ("gasLimit", |h| h.gas_limit += 1),
        ("baseFeePerGas", |h| h.base_fee_per_gas = None),
        ("baseFeePerGas", |h| h.base_fee_per_gas = Some(1)),
        ("sha3Uncles", |h| h.ommers_hash.0[0] ^= 1),
        ("difficulty", |h| h.difficulty = U256::from(1)),
        ("mixHash", |h| h.mix_hash.0[0] ^= 1),
        ("nonce", |h| h.nonce.0[0] ^= 1),
        ("gasUsed", |h| h.gas_used += 1),
        ("transactionsRoot", |h| h.transactions_root.0[0] ^= 1),
        ("receiptsRoot", |h| h.receipts_root.0[0] ^= 1),
        ("logsBloom", |h| h.logs_bloom.0[0] ^= 1),
        ("stateRoot", |h| h.state_root.0[0] ^= 1),
        ("stateRoot", |h| h.beneficiary.0[0] ^= 1),
        ("(fields of later forks)", |h| h.withdrawals_root = Some(B256::ZERO)),
        ("(fields of later forks)", |h| h.blob_gas_used = Some(0)),
        ("(fields of later forks)", |h| h.excess_blob_gas = Some(0)),
        ("(fields of later forks)", |h| h.parent_beacon_block_root = Some(B256::ZERO)),
        ("(fields of later forks)", |h| h.requests_hash = Some(B256::ZERO)),
        ("extraData", |h| {
            let mut bytes = h.extra_data.to_vec();
            bytes[2 * 32 + 40] ^= 1;
            h.extra_data = bytes.into();
        }),
    ];
    for (name, edit) in edits {
        let mut bad = good.clone();
        edit(&mut bad.header);
        match validate(bad) {
            Err(TransitionError::Header { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    let mut late = good.clone();
    late.header.timestamp += 1;
    assert!(matches!(validate(late), Err(TransitionError::Extension { which: "block", .. })));
    let mut body = good.clone();
    body.body.withdrawals = Some(Default::default());
    assert!(matches!(validate(body), Err(TransitionError::Body(_))));
    let mut body = good;
    body.body.transactions.push(body.body.transactions[0].clone());
    assert!(matches!(validate(body), Err(TransitionError::Transaction { index: 1, .. })));
}

#[test]
fn time_must_rise() {
    let (_, _, chain) = two();
    let propose = |time| transition::propose(&chain.parent, &chain.state, vec![], time, PROPOSER);
    assert!(matches!(propose(START_MS), Err(TransitionError::Time { .. })));
    assert!(propose(START_MS + 1).is_ok());
    let mut other = chain.parent.clone();
    other.header.number = 9;
    let wrong = transition::propose(&other, &chain.state, vec![], START_MS + 1, PROPOSER);
    assert_eq!(wrong, Err(TransitionError::StateHeight { state: 0, parent: 9 }));
}

#[test]
fn submitted_headers_are_tracked_confirmed_and_indexed_in_the_same_block() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(6), 64);
    let mut headers = vec![genesis];
    headers.extend(mine(&genesis, 20, 1));
    let block = chain.step(vec![wallet.submit(0, key, &headers[1..])]);
    assert!(block.receipts[0].status());
    let entry = &block.entries[0];
    assert_eq!((entry.firstHeight, entry.count), (0, 16), "heights 0 to 15 have six confirmations");
    assert_eq!(entry.tipHash, Header::parse(&headers[15]).hash());
    assert_eq!(entry.accumulatorRoot, reference_root(key, &headers, 16));
    let extension = Extension::of(&block.block.header).unwrap();
    assert_eq!(extension.indexRoot, index::index_root(&block.entries));
    let appended = block
        .index_events
        .iter()
        .filter_map(|event| match event {
            IndexEvent::Appended { header, .. } => Some(header.height),
            _ => None,
        })
        .collect::<Vec<_>>();
    assert_eq!(appended, (0..16).collect::<Vec<_>>());
    let logs = block.receipts[0].logs();
    assert_eq!(logs.len(), 2);
    let tip = LightClients::TipChanged::decode_log(&logs[0]).unwrap();
    assert_eq!((tip.chain, tip.height), (key.0, 20));
    let indexed = LightClients::Indexed::decode_log(&logs[1]).unwrap();
    assert_eq!((indexed.fromHeight, indexed.toHeight), (0, 15));
    // Views, as `cast call` would see them.
    let tip = read(&chain, LIGHT_CLIENTS, LightClients::tipCall { chain: key.0 }.abi_encode());
    let tip = LightClients::tipCall::abi_decode_returns(&tip.output).unwrap();
    assert_eq!((tip.height, tip.blockHash), (20, Header::parse(&headers[20]).hash()));
    let root = read(&chain, LIGHT_CLIENTS, LightClients::indexRootCall {}.abi_encode());
    assert_eq!(B256::from_slice(&root.output), extension.indexRoot);
}

#[test]
fn a_bad_header_reverts_the_whole_submission_with_the_reason() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(1), 64);
    chain.step(vec![]);
    let good = mine(&genesis, 10, 1);
    let mut bad = good.clone();
    // Still meets the target often enough; what breaks is the link of the next header.
    bad[6][40] ^= 1;
    let before = chain.state.clone();
    let block = chain.step(vec![wallet.submit(0, key, &bad)]);
    assert!(!block.receipts[0].status());
    assert!(block.receipts[0].logs().is_empty() && block.index_events.is_empty());
    let changed = block.diff.keys().filter(|key| key[0] == keys::LIGHT_CLIENTS).count();
    assert_eq!(changed, 0, "{:?}", block.diff);
    let reason = transition::call(
        &before,
        &CallContext {
            from: wallet.address,
            to: Some(LIGHT_CLIENTS),
            input: submit_input(key, &bad),
            ..CallContext::default()
        },
        &Chain::new(&support::genesis(vec![], &[])).parent.header,
    )
    .unwrap();
    let text = reason.reverted.unwrap();
    assert_eq!(Revert::abi_decode(&reason.output).unwrap().reason, text);
    assert!(text.starts_with("bip122:"), "{text}");
    // The good ones are still welcome, in the same block as another bad try.
    let block = chain.step(vec![wallet.submit(1, key, &bad), wallet.submit(2, key, &good)]);
    assert_eq!(block.receipts.iter().map(TxReceipt::status).collect::<Vec<_>>(), [false, true]);
    assert_eq!(block.entries[0].count, 11);
}

#[test]
fn what_is_known_costs_nothing() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(6), 64);
    let headers = mine(&genesis, 12, 1);
    let again = wallet.submit(1, key, &headers[2..9]);
    assert_eq!(transition::check(&chain.state, &again, 1), Ok(()));
    chain.step(vec![wallet.submit(0, key, &headers)]);
    assert_eq!(transition::check(&chain.state, &again, 1), Err(TxReject::AlreadyKnown));
    let balance = chain.account(wallet.address);
    let proposal = chain.propose(vec![again.clone()]);
    assert_eq!(proposal.dropped, [(*again.tx_hash(), TxReject::AlreadyKnown)]);
    chain.commit(&proposal.executed);
    assert_eq!(chain.account(wallet.address), balance);
    // An overlapping submission adds what is new.
    let more = mine(headers.last().unwrap(), 3, 1);
    let overlapping = [&headers[5..], &more].concat();
    let block = chain.step(vec![wallet.submit(1, key, &overlapping)]);
    assert!(block.receipts[0].status());
    assert_eq!(block.entries[0].count, 16 - 6 + 1);
}

#[test]
fn a_reorganisation_below_the_confirmed_tip_cuts_back_and_grows_again() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(2), 64);
    let trunk = mine(&genesis, 300, 1);
    chain.step(vec![wallet.submit(0, key, &trunk)]);
    let before = query::accumulator(&chain.state, key).unwrap().unwrap();
    assert_eq!(before.tip_height(), Some(299));
    // The window moved in whole chunks: at least 64 headers are kept below height 299.
    let client = query::light_client(&chain.state, key).unwrap().unwrap();
    assert_eq!(client.tree().base().header.height, 192);
    // Fork 20 below the tip, one header longer.
    let branch = mine(&trunk[279], 21, 2);
    let block = chain.step(vec![wallet.submit(1, key, &branch)]);
    let mut active = vec![genesis];
    active.extend(&trunk[..280]);
    active.extend(&branch);
    let entry = &block.entries[0];
    assert_eq!(entry.count, 301);
    assert_eq!(entry.accumulatorRoot, reference_root(key, &active, 301));
    let expected = IndexEvent::Reverted { chain: key, from: 281, depth: 19 };
    assert!(block.index_events.contains(&expected), "{:?}", block.index_events);
    let logs = block.receipts[0].logs();
    let reorged = LightClients::Reorged::decode_log(&logs[0]).unwrap();
    assert_eq!((reorged.commonHeight, reorged.removed, reorged.added), (280, 20, 21));
    let reverted = LightClients::IndexReverted::decode_log(&logs[2]).unwrap();
    assert_eq!((reverted.fromHeight, reverted.depth), (281, 19));
    // And back again, over the first branch.
    let longer = mine(trunk.last().unwrap(), 5, 1);
    let block = chain.step(vec![wallet.submit(2, key, &longer)]);
    let mut active = vec![genesis];
    active.extend(&trunk);
    active.extend(&longer);
    assert_eq!(block.entries[0].accumulatorRoot, reference_root(key, &active, 305));
}

#[test]
fn a_fork_below_the_window_is_refused_and_the_chain_goes_on() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(2), 64);
    let trunk = mine(&genesis, 400, 1);
    chain.step(vec![wallet.submit(0, key, &trunk)]);
    let branch = mine(&trunk[99], 400, 2);
    let block = chain.step(vec![wallet.submit(1, key, &branch)]);
    assert!(!block.receipts[0].status(), "the parent is no longer held");
    let block = chain.step(vec![wallet.submit(2, key, &mine(&trunk[399], 1, 1))]);
    assert!(block.receipts[0].status());
}

#[test]
fn time_alone_confirms_and_idle_blocks_leave_the_client_alone() {
    let rule = ConfirmationRule::Age { secs: 60 };
    let (wallet, key, mut chain, genesis) = with_bitcoin(rule, 64);
    // A header 30 s old now: confirmed in the block 30 s from now.
    let mut header = Header::parse(&mine(&genesis, 1, 1)[0]);
    header.time = u32::try_from(START_MS / 1_000).unwrap() - 30;
    while header.hash()[31] >= 0x7f {
        header.nonce += 1;
    }
    let block = chain.step(vec![wallet.submit(0, key, &[header.to_bytes()])]);
    assert_eq!(block.entries[0].count, 1, "genesis is old enough");
    let mut counts = Vec::new();
    for _ in 0..32 {
        let block = chain.step(vec![]);
        if !block.index_events.is_empty() {
            counts.push((block.block.header.number, block.entries[0].count));
        } else {
            assert_eq!(block.diff.len(), 1, "an idle block changes the ring of hashes only");
        }
    }
    assert_eq!(counts, [(30, 2)]);
}

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

fn status(key: ChainKey, status: ChainStatus) -> Bytes {
    Registry::setStatusCall { chain: key.0, status: status.code() }.abi_encode().into()
}

#[test]
fn one_block_indexes_a_bounded_number_of_headers_and_the_next_ones_the_rest() {
    let rule = ConfirmationRule::Age { secs: 1_000_000_000 };
    let (wallet, key, mut chain, genesis) = with_bitcoin(rule, 16_384);
    // 10,000 headers of 2011, confirmed by age only once the clock gets there.
    let headers = mine(&genesis, 10_000, 1);
    for (nonce, batch) in (0..).zip(headers.chunks(2_000)) {
        let block = chain.step(vec![wallet.submit(nonce, key, batch)]);
        assert!(block.receipts[0].status());
        assert_eq!(block.entries[0].count, 0);
    }
    let last = u64::from(Header::parse(headers.last().unwrap()).time);
    chain.time_ms = (last + 1_000_000_000) * 1_000;
    let counts = [(); 3].map(|()| chain.step(vec![]).entries[0].count);
    assert_eq!(counts, [8_192, 10_001, 10_001]);
}

#[test]
fn state_proofs_show_values_and_absence() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(1), 64);
    let block = chain.step(vec![wallet.submit(0, key, &mine(&genesis, 10, 1))]);
    let root = block.block.header.state_root;
    for key in [keys::account(&wallet.address), keys::accumulator(key), keys::index()] {
        let (value, proof) = tree::prove(&chain.state, &key).unwrap();
        let value = value.unwrap();
        assert_eq!(tree::verify(root, &key, Some(&value), &proof), Ok(()));
        assert!(tree::verify(root, &key, Some(b"other"), &proof).is_err());
        assert!(tree::verify(root, &key, None, &proof).is_err());
        assert!(tree::verify(B256::ZERO, &key, Some(&value), &proof).is_err());
    }
    let absent = keys::account(&Address::repeat_byte(0x77));
    let (value, proof) = tree::prove(&chain.state, &absent).unwrap();
    assert_eq!(value, None);
    assert_eq!(tree::verify(root, &absent, None, &proof), Ok(()));
    assert!(tree::verify(root, &absent, Some(b""), &proof).is_err());
    let large = vec![0; tree::MAX_PROOF_BYTES + 1];
    assert!(tree::verify(root, &absent, None, &large).is_err());
}

#[test]
fn replay_from_genesis_gives_the_same_roots_and_stale_nodes_are_all_named() {
    let (wallet, key, mut chain, genesis_header) = with_bitcoin(depth(3), 64);
    let headers = mine(&genesis_header, 260, 1);
    let mut blocks = Vec::new();
    for (nonce, batch) in (0..).zip(headers.chunks(37)) {
        let transfer = wallet.transfer(2 * nonce + 1, Address::repeat_byte(nonce as u8), 77);
        blocks.push(chain.step(vec![wallet.submit(2 * nonce, key, batch), transfer]));
    }
    let (params, _) = regtest();
    let record = bitcoin_record(&params, depth(3), 64);
    let mut replay = Chain::new(&genesis(vec![record], &[&wallet]));
    for block in &blocks {
        let executed = transition::validate(&replay.parent, &replay.state, &block.block).unwrap();
        assert_eq!(executed.hash, block.hash);
        replay.commit(&executed);
    }
    assert_eq!(replay.state, chain.state);
    // A tree built in one go over the same values has the same root and as many nodes.
    let all = chain.state.values().iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect();
    let (root, batch) = tree::update(&grid_core::state::MemoryState::new(), &all, 0).unwrap();
    assert_eq!(root, chain.parent.header.state_root);
    assert_eq!(batch.nodes.len(), chain.state.tree_nodes());
}

#[test]
fn calls_keep_nothing_and_estimate_what_the_block_charges() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(1), 64);
    let headers = mine(&genesis, 50, 1);
    let context = CallContext {
        from: wallet.address,
        to: Some(LIGHT_CLIENTS),
        input: submit_input(key, &headers),
        ..CallContext::default()
    };
    let outcome = transition::call(&chain.state, &context, &chain.parent.header).unwrap();
    assert_eq!((outcome.reverted.as_deref(), outcome.logs.len()), (None, 2));
    let block =
        chain.step(vec![wallet.tx(0, LIGHT_CLIENTS, 0, outcome.gas_used, context.input.clone())]);
    assert!(block.receipts[0].status());
    assert_eq!(block.block.header.gas_used, outcome.gas_used);
    let short = CallContext { gas: Some(outcome.gas_used - 1), ..context };
    let outcome = transition::call(&chain.state, &short, &chain.parent.header).unwrap();
    assert_eq!(outcome.reverted.as_deref(), Some("out of gas"));
}

fn junk() -> impl Strategy<Value = Vec<u8>> {
    let selectors = [
        LightClients::submitBitcoinHeadersCall::SELECTOR,
        LightClients::submitAttestedHeadersCall::SELECTOR,
        LightClients::tipCall::SELECTOR,
        Registry::registerCall::SELECTOR,
        Registry::setStatusCall::SELECTOR,
        Proofs::verifyCall::SELECTOR,
        Proofs::submitCall::SELECTOR,
    ];
    let (_, key) = regtest();
    let word = prop_oneof![
        Just(key.0.0),
        (0u64..256).prop_map(|n| U256::from(n).to_be_bytes()),
        any::<[u8; 32]>(),
    ];
    let body = proptest::collection::vec(word, 0..12);
    let tail = proptest::collection::vec(any::<u8>(), 0..40);
    (proptest::sample::select(selectors.to_vec()), body, tail)
        .prop_map(|(selector, body, tail)| [&selector[..], &body.concat(), &tail].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn junk_never_panics_leaves_no_trace_and_conserves_supply(
        inputs in proptest::collection::vec((0usize..3, junk(), 0u128..3), 1..12)
    ) {
        let (wallet, _, mut chain, _) = with_bitcoin(depth(1), 64);
        let supply = chain.supply();
        let txs = (0..)
            .zip(&inputs)
            .map(|(nonce, (to, input, value))| {
                let to = SYSTEM_CONTRACTS[*to];
                wallet.tx(nonce, to, *value, 3_000_000, input.clone().into())
            })
            .collect::<Vec<_>>();
        for tx in &txs {
            let _ = transition::check(&chain.state, tx, 1);
            let context = CallContext {
                from: wallet.address,
                to: tx.to(),
                value: tx.value(),
                input: tx.input().clone(),
                gas: None,
            };
            transition::call(&chain.state, &context, &chain.parent.header).unwrap();
        }
        let block = chain.step(txs);
        prop_assert_eq!(chain.supply(), supply);
        for receipt in block.receipts.iter().filter(|receipt| !receipt.status()) {
            prop_assert!(receipt.logs().is_empty());
        }
        prop_assert_eq!(&block.entries.len(), &1);
    }

    #[test]
    fn transfers_conserve_supply_and_validation_agrees(
        moves in proptest::collection::vec((0usize..4, 0usize..4, 0u128..2_000), 0..40)
    ) {
        let wallets = [1, 2, 3, 4].map(Wallet::new);
        let mut chain = Chain::new(&genesis(vec![], &wallets.each_ref()));
        let supply = chain.supply();
        let mut nonces = [0u64; 4];
        let txs = moves
            .into_iter()
            .map(|(from, to, value)| {
                let nonce = nonces[from];
                nonces[from] += 1;
                wallets[from].transfer(nonce, wallets[to].address, value * GRID)
            })
            .collect::<Vec<_>>();
        // Some cannot pay: their later transactions wait.
        let proposal = chain.propose(txs);
        let validated =
            transition::validate(&chain.parent, &chain.state, &proposal.executed.block).unwrap();
        prop_assert_eq!(&validated, &proposal.executed);
        chain.commit(&validated);
        prop_assert_eq!(chain.supply(), supply);
    }
}

/// Ethereum-like headers after `parent`.
fn eth_headers(
    parent: &alloy_consensus::Header,
    count: u64,
    salt: u8,
) -> Vec<alloy_consensus::Header> {
    let mut headers = vec![parent.clone()];
    for _ in 0..count {
        let below = headers.last().unwrap();
        headers.push(alloy_consensus::Header {
            parent_hash: below.hash_slow(),
            number: below.number + 1,
            timestamp: below.timestamp + 1,
            state_root: B256::repeat_byte(salt),
            base_fee_per_gas: Some(7),
            ..Default::default()
        });
    }
    headers.split_off(1)
}

fn attest(wallets: &[Wallet], key: ChainKey, headers: &[alloy_consensus::Header]) -> Bytes {
    let last = headers.last().unwrap();
    let digest = grid_core::ethereum::attest::digest(key, last.number, &last.hash_slow());
    let signatures = wallets
        .iter()
        .map(|wallet| RecoverableSignature::from(wallet.sign_hash(&digest)).into())
        .collect();
    let headers = headers.iter().map(|header| alloy_rlp::encode(header).into()).collect();
    LightClients::submitAttestedHeadersCall { chain: key.0, headers, signatures }
        .abi_encode()
        .into()
}

#[test]
fn attested_headers_follow_the_longest_signed_branch() {
    let mut signers = [11, 12, 13].map(Wallet::new);
    signers.sort_by_key(|wallet| wallet.address);
    let start = alloy_consensus::Header { base_fee_per_gas: Some(7), ..Default::default() };
    let id = ChainId::eip155(31_337);
    let key = id.key();
    let record = ChainRecord {
        id,
        family: Family::Ethereum,
        security: Security::Attested,
        level: Level::L0,
        rule: ConfirmationRule::Instant,
        status: ChainStatus::Active,
        client: ClientParams::Attested {
            threshold: 2,
            attesters: signers.iter().map(|wallet| wallet.address).collect(),
            start: alloy_rlp::encode(&start).into(),
        },
        window: 128,
    };
    let sender = Wallet::new(1);
    let mut chain = Chain::new(&genesis(vec![record], &[&sender]));
    let submit = |nonce, input: Bytes| sender.tx(nonce, LIGHT_CLIENTS, 0, 5_000_000, input);
    let first = eth_headers(&start, 30, 1);
    let block = chain.step(vec![
        submit(0, attest(&signers[..1], key, &first)),
        submit(1, attest(&signers[1..], key, &first)),
    ]);
    assert_eq!(
        block.receipts.iter().map(TxReceipt::status).collect::<Vec<_>>(),
        [false, true],
        "one of two signatures is not enough"
    );
    assert_eq!((block.entries[0].count, block.entries[0].security), (31, 4));
    // A longer branch from five below the tip.
    let second = eth_headers(&first[24], 6, 2);
    let block = chain.step(vec![submit(2, attest(&signers[..2], key, &second))]);
    assert_eq!(block.entries[0].tipHash, second[5].hash_slow());
    assert_eq!(block.entries[0].count, 32);
    let reverted = IndexEvent::Reverted { chain: key, from: 26, depth: 5 };
    assert!(block.index_events.contains(&reverted), "{:?}", block.index_events);
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

#[test]
fn a_proof_is_accepted_once_and_only_unchanged() {
    let (wallet, key, mut chain, genesis) = with_bitcoin(depth(1), 64);
    let headers = mine(&genesis, 20, 1);
    let block = chain.step(vec![wallet.submit(0, key, &headers)]);
    let (mut range, mut nodes, mut source) = (Mmr::new(), Vec::new(), None);
    for event in &block.index_events {
        if let IndexEvent::Appended { header, .. } = event {
            nodes.extend(append_with_nodes(&mut range, header.leaf()).into_iter().map(|n| n.1));
            source = (header.height == 7).then(|| header.clone()).or(source);
        }
    }
    let branch = mmr::prove(&nodes, range.count(), 7).unwrap();
    let header = alloy_rlp::encode(&block.block.header);
    let segment = proof::build::segment(branch, &block.entries, 0, header.into()).unwrap();
    let anchor = proof::Anchor::BlockHash { hash: block.hash };
    let id = regtest().0.chain_id();
    let proof = proof::build::assemble(
        source.unwrap(),
        id,
        proof::Inclusion::HeaderOnly {},
        segment,
        anchor,
    )
    .unwrap();
    let bytes = proof.to_abi();
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
fn proofs_module_refuses_what_is_not_a_proof() {
    let (_, _, chain) = two();
    let input = Proofs::verifyCall { proof: Bytes::from(vec![1; 99]) };
    let outcome = read(&chain, PROOFS, input.abi_encode());
    assert!(outcome.reverted.unwrap().starts_with("proof refused: "));
}
