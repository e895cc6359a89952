//! Many foreign chains at once: none delays a block or holds up another.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes};
use grid_core::{
    ChainKey,
    bitcoin::NetworkParams,
    confirm::ConfirmationRule,
    modules::{ChainRecord, ChainStatus, abi::REGISTRY},
    transition::{self, ExecutedBlock, IndexEvent, Shares},
};

use crate::{status, support::*};

const CHAINS: usize = 64;
/// Headers of the chain that floods, and of the others.
const FLOOD: usize = 10_000;
const FEW: usize = 20;
/// Every header is confirmed by time alone, and only once the clock gets there.
const AGE: u64 = 1_000_000_000;

/// Regtest under another name: a chain of its own.
fn network(n: usize) -> NetworkParams {
    let mut params = NetworkParams::regtest();
    params.name = format!("regtest{n}");
    params.genesis.0[4] = n as u8;
    while grid_core::bitcoin::Header::parse(&params.genesis.0).hash()[31] >= 0x7f {
        params.genesis.0[76] += 1;
    }
    params
}

/// How many headers of each chain a block confirmed.
fn confirmed(block: &ExecutedBlock) -> BTreeMap<ChainKey, u64> {
    let mut counts = BTreeMap::new();
    for event in &block.index_events {
        if let IndexEvent::Appended { chain, .. } = event {
            *counts.entry(*chain).or_default() += 1;
        }
    }
    counts
}

/// 64 chains with headers that wait for their time. The first has 10,000, the second is frozen, the third holds as many
/// as its window may.
struct Crowd {
    chain: Chain,
    keys: Vec<ChainKey>,
    ripe_ms: u64,
}

fn crowd() -> Crowd {
    let wallet = Wallet::new(1);
    let rule = || ConfirmationRule::Age { secs: AGE };
    let networks = (0..CHAINS).map(network).collect::<Vec<_>>();
    let record = |(n, params): (usize, &NetworkParams)| -> ChainRecord {
        bitcoin_record(params, rule(), if n == 2 { 4_032 } else { 16_384 })
    };
    let records = networks.iter().enumerate().map(record).collect::<Vec<_>>();
    let keys = records.iter().map(ChainRecord::key).collect::<Vec<_>>();
    let mut chain = Chain::new(&genesis(records, &[&wallet]));
    let (mut nonce, mut ripe) = (0, 0);
    for (n, params) in networks.iter().enumerate() {
        let count = [FLOOD, FEW, 4_032].get(n).copied().unwrap_or(FEW);
        let headers = mine(&params.genesis.0, count, n as u8);
        ripe = ripe.max(grid_core::bitcoin::Header::parse(headers.last().unwrap()).time);
        for batch in headers.chunks(2_000) {
            assert!(chain.step(vec![wallet.submit(nonce, keys[n], batch)]).receipts[0].status());
            nonce += 1;
        }
    }
    let freeze = wallet.tx(nonce, REGISTRY, 0, 2_000_000, status(keys[1], ChainStatus::Frozen));
    assert!(chain.step(vec![freeze]).receipts[0].status());
    Crowd { chain, keys, ripe_ms: (u64::from(ripe) + AGE) * 1_000 }
}

#[test]
fn a_flood_of_one_chain_waits_its_turn_and_every_block_has_a_bounded_start() {
    let Crowd { mut chain, keys, ripe_ms } = crowd();
    chain.time_ms = ripe_ms;
    let mut total = BTreeMap::new();
    let mut complete = BTreeMap::new();
    for number in 1..=8 {
        let counts = confirmed(&chain.step(vec![]));
        assert!(counts.len() <= 16, "{} chains in one block", counts.len());
        assert!(counts.values().sum::<u64>() <= 16_384);
        assert!(counts.values().all(|count| *count <= 8_192));
        for (key, count) in counts {
            let sum: &mut u64 = total.entry(key).or_default();
            *sum += count;
            if *sum > FEW as u64 {
                complete.entry(key).or_insert(number);
            }
        }
    }
    // Genesis headers count: one more than were mined.
    let expected = |n: usize| match n {
        0 => Some(FLOOD as u64 + 1),
        1 => None,
        2 => Some(4_033),
        _ => Some(FEW as u64 + 1),
    };
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(total.get(key).copied(), expected(n), "chain {n}");
    }
    // Four blocks of sixteen chains: whoever has waited longest comes first, so nobody waits for the flood.
    assert!(complete.values().all(|number| *number <= 4), "{complete:?}");
    assert!(confirmed(&chain.step(vec![])).is_empty());
}

#[test]
fn a_chain_alone_uses_what_others_leave() {
    let Crowd { mut chain, keys, ripe_ms } = crowd();
    chain.time_ms = ripe_ms;
    let first = (0..8).find_map(|_| confirmed(&chain.step(vec![])).get(&keys[0]).copied()).unwrap();
    assert!(first >= 1_024, "{first} headers, although the others need next to nothing");
}

#[test]
fn a_block_has_room_for_others_beside_a_chains_submissions() {
    let (a, b) = (Wallet::new(1), Wallet::new(2));
    let (params, key) = regtest();
    let other = network(1).chain_id().key();
    let headers = mine(&params.genesis.0, 1, 1);
    let mut shares = Shares::new(60_000_000);
    let size = 1_000;
    // Submissions have a gas limit of 14 million here.
    let mine_taken = (0..4).filter(|n| shares.take(&a.submit(*n, key, &headers), size)).count();
    assert_eq!(mine_taken, 2);
    assert!(shares.take(&b.submit(0, other, &headers), size));
    assert!(shares.take(&a.transfer(9, Address::ZERO, 1), size), "no submission");
    assert!(!shares.take(&b.submit(1, key, &headers), size), "a chain's share is not a sender's");
    let mut shares = Shares::new(60_000_000);
    assert!(shares.take(&a.submit(0, key, &headers), transition::MAX_BLOCK_BYTES / 2));
    assert!(!shares.take(&a.submit(1, key, &headers), 1), "bytes count as well");
}

#[test]
fn a_submission_is_told_by_its_first_bytes() {
    let wallet = Wallet::new(1);
    let (params, key) = regtest();
    let submission = wallet.submit(0, key, &mine(&params.genesis.0, 1, 1));
    assert_eq!(transition::submission_chain(&submission), Some(key));
    assert_eq!(transition::submission_chain(&wallet.transfer(0, Address::ZERO, 1)), None);
    for short in [Bytes::new(), Bytes::from(vec![0; 36])] {
        let tx = wallet.tx(0, grid_core::modules::abi::LIGHT_CLIENTS, 0, 100_000, short);
        assert_eq!(transition::submission_chain(&tx), None);
    }
}
