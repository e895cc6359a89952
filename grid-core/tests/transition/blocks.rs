//! Blocks, fees, headers, state proofs, replay.

use alloy_consensus::{TxEip1559, TxReceipt};
use alloy_primitives::{Address, B256, TxKind, U256};
use grid_core::{
    grid::Extension,
    index,
    modules::abi::LIGHT_CLIENTS,
    state::{keys, query, tree},
    transition,
    transition::{CallContext, TransitionError, TxReject},
};

use crate::{depth, support::*, two, with_bitcoin};

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

/// A path has one step more for each doubling of the state, a step has 65 bytes, and what stands around it less than 200. So a
/// state of a million values (2^20) has proofs of about 1.5 KB: `benches/state_tree.rs` measures it.
#[test]
fn a_state_proof_grows_by_one_step_for_each_doubling() {
    for doublings in [8u32, 11, 14] {
        let all = (0..1u64 << doublings)
            .map(|n| {
                (keys::account(&Address::left_padding_from(&n.to_be_bytes())), Some(vec![7; 40]))
            })
            .collect();
        let mut state = grid_core::state::MemoryState::new();
        let (root, batch) = tree::update(&state, &all, 0).unwrap();
        state.apply_parts(&all, &batch, 0);
        let sizes = all.keys().take(200).map(|key| {
            let (value, proof) = tree::prove(&state, key).unwrap();
            assert_eq!(tree::verify(root, key, value.as_deref(), &proof), Ok(()));
            proof.len()
        });
        let mean = sizes.sum::<usize>() / 200;
        let expected = 65 * doublings as usize;
        assert!((expected..expected + 200).contains(&mean), "{mean} bytes at 2^{doublings}");
    }
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
