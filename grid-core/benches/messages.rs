//! Deliveries of messages at block execution: each with its proof against the index, its lists and its record. The aim is 2,000 a second
//! on one core.
#![allow(missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{collections::HashMap, hint::black_box, time::Duration};

use alloy_primitives::{Address, B256};
use alloy_sol_types::SolCall;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grid_core::{
    confirm::ConfirmationRule,
    modules::abi::{MAILBOX, Mailbox},
    proof::facts::{BitcoinFact, from_block},
    transition::{self, RecoveredTx},
};
use support::{
    Chain, PROPOSER, Wallet, bitcoin_record, genesis,
    messages::{Index, block_txs, funding, note, own, spend},
    mine, mine_root, regtest,
};

/// Deliveries in a block.
const MESSAGES: u64 = 200;
/// Gas of each.
const GAS: u64 = 1_000_000;
/// Listed senders and recipients, too.
const POLICY: u8 = 7;

/// A chain that has confirmed a Bitcoin block of messages, and their deliveries.
fn chain() -> (Chain, Vec<RecoveredTx>) {
    let (governor, (network, key)) = (Wallet::new(1), regtest());
    let record = bitcoin_record(&network, ConfirmationRule::Depth { blocks: 2 }, 64);
    let mut description = genesis(vec![record], &[&governor]);
    description.gas_limit = MESSAGES * GAS;
    let (mut chain, mut index) = (Chain::new(&description), Index::default());
    let (id, source, destination) = (network.chain_id(), key.0, own());
    let recipient = Address::repeat_byte(0xac);
    let listed = |account, sender| {
        let call = Mailbox::setListedCall { source, destination, account, sender, listed: true };
        call.abi_encode()
    };
    let route = Mailbox::setRouteCall {
        source,
        destination,
        policy: POLICY,
        maxPayload: 64,
        minDepth: 0,
        mailbox: Address::ZERO,
    };
    let sender = alloy_primitives::keccak256(support::messages::SENDER_SCRIPT);
    let setup = [route.abi_encode(), listed(sender, true), listed(recipient.into_word(), false)];
    let setup = (0..).zip(setup);
    let setup = setup.map(|(nonce, call)| governor.tx(nonce, MAILBOX, 0, GAS, call.into()));
    chain.step(setup.collect());

    let txs: Vec<_> =
        (0..MESSAGES).map(|n| spend(vec![note(n, recipient, &[7; 34], false, 0)])).collect();
    let txs = block_txs(8, &txs);
    let mut headers = mine(&network.genesis.0, 7, 1);
    headers.push(mine_root(&headers[6], txs.tree().root()));
    headers.extend(mine(&headers[7], 2, 1));
    let block = chain.step(vec![governor.submit(3, key, &headers)]);
    index.follow(&block, key);
    let deliver = |(nonce, txid): (u64, &B256)| {
        let fact = BitcoinFact::Data { txid: *txid, output: 0 };
        let inclusion = from_block(&txs, &[fact]).unwrap();
        let proof = index.prove(&block, &id, 8, inclusion).to_abi();
        let call = Mailbox::deliverCall { proof, evidence: funding().into() };
        governor.tx(nonce, MAILBOX, 0, GAS, call.abi_encode().into())
    };
    let deliveries = (4..).zip(&txs.tree().txids()[1..]).map(deliver).collect();
    (chain, deliveries)
}

fn deliveries(c: &mut Criterion) {
    let (chain, txs) = chain();
    let time = chain.time_ms + 1_000;
    let propose =
        || transition::propose(&chain.parent, &chain.state, txs.clone(), time, PROPOSER).unwrap();
    let proposal = propose();
    assert_eq!(proposal.executed.receipts.len(), txs.len(), "{:?}", proposal.dropped);
    assert!(proposal.executed.receipts.iter().all(|receipt| receipt.status()));
    let block = &proposal.executed.block;
    let senders = txs.iter().map(|tx| (*tx.tx_hash(), tx.signer())).collect::<HashMap<_, _>>();
    let known = |hash: &B256| senders.get(hash).copied();
    let mut group = c.benchmark_group("deliveries");
    group.measurement_time(Duration::from_secs(5)).sample_size(20);
    group.throughput(Throughput::Elements(MESSAGES));
    group.bench_function("propose", |b| b.iter(|| black_box(propose())));
    group.bench_function("validate", |b| {
        b.iter(|| black_box(transition::validate(&chain.parent, &chain.state, block).unwrap()));
    });
    group.bench_function("validate, senders known", |b| {
        b.iter(|| {
            let parent = &chain.parent;
            black_box(transition::validate_with(parent, &chain.state, block, &known).unwrap())
        });
    });
    group.finish();
}

criterion_group!(benches, deliveries);
criterion_main!(benches);
