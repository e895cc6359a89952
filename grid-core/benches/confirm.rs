//! What a confirmation rule costs each time that it is due: all rules over the same tree of 2,016 headers.
//!
//! Loading a light client is charged with 100,000 gas, that is at most a millisecond; a rule should be far below it.

use std::hint::black_box;

use alloy_primitives::B256;
use criterion::{Criterion, criterion_group, criterion_main};
use grid_core::{
    bitcoin::{BitcoinClient, Header, NetworkParams, target},
    confirm::ConfirmationRule,
    risk::{self, Ratio},
};

const HEADERS: u32 = 2_016;
const NOW_MS: u64 = 2_000_000_000_000;

/// Headers on top of one, 600 s apart; `salt` keeps branches apart.
fn mined(mut at: Header, count: u32, salt: u8) -> Vec<Header> {
    let target = target::decode(at.bits).target;
    (0..count)
        .map(|_| {
            let (prev, merkle_root) = (at.hash(), B256::repeat_byte(salt));
            at = Header { version: 4, prev, merkle_root, time: at.time + 600, nonce: 0, ..at };
            while target::hash_number(&at.hash()) > target {
                at.nonce += 1;
            }
            at
        })
        .collect()
}

/// A tree of one branch, or with stale branches of one to three headers on it.
fn client(stale: u32) -> BitcoinClient {
    let mut client = BitcoinClient::from_genesis(NetworkParams::regtest()).expect("built in");
    let mut accept = |headers: &[Header]| {
        let bytes: Vec<_> = headers.iter().map(Header::to_bytes).collect();
        assert_eq!(client.accept_all(&bytes, NOW_MS).added, headers.len());
    };
    let best = mined(Header::parse(&NetworkParams::regtest().genesis.0), HEADERS - 1, 1);
    let (first, rest) = best.split_at(1_000);
    accept(first);
    accept(rest);
    for number in 0..stale {
        accept(&mined(best[1_900 + number as usize * 10], 1 + number % 3, 2));
    }
    client
}

fn rules(c: &mut Criterion) {
    let risk = |value, max_loss| ConfirmationRule::Risk {
        value,
        max_loss,
        attacker_share: 100_000,
        spacing: 600,
    };
    let cases = [
        ("depth 6", ConfirmationRule::Depth { blocks: 6 }),
        ("age 60", ConfirmationRule::Age { secs: 60 }),
        ("work 6", ConfirmationRule::Work { blocks: 6 }),
        ("work 1000", ConfirmationRule::Work { blocks: 1_000 }),
        ("risk, 6 confirmations", risk(100_000_000, 100_000)),
        ("risk, 25 confirmations", risk(10_000_000_000_000, 10_000)),
    ];
    for (branches, client) in [("one branch", client(0)), ("ten stale branches", client(10))] {
        let mut group = c.benchmark_group(branches);
        let tip = client.tree().tip().time();
        for (name, rule) in &cases {
            let now = tip * 1_000;
            assert!(rule.confirmed_height(client.tree(), now + 60_000).is_some(), "{name}");
            group.bench_function(*name, |b| {
                b.iter(|| rule.confirmed_height(client.tree(), black_box(now + 60_000)));
            });
        }
        let slow = (tip + 36_000) * 1_000;
        group.bench_function("risk, 6 confirmations, ten hours late", |b| {
            b.iter(|| risk(100_000_000, 100_000).confirmed_height(client.tree(), black_box(slow)));
        });
        group.finish();
    }
}

fn mathematics(c: &mut Criterion) {
    let (weak, strong) = (Ratio::from_ppm(100_000), Ratio::from_ppm(499_999));
    let mut group = c.benchmark_group("probability");
    for (name, share, depth) in [("6", weak, 6), ("100", weak, 100), ("1000, worst", strong, 1_000)]
    {
        group.bench_function(format!("Rosenfeld {name}"), |b| {
            b.iter(|| risk::rosenfeld(black_box(share), depth));
        });
        group.bench_function(format!("Nakamoto {name}"), |b| {
            b.iter(|| risk::nakamoto(black_box(share), depth));
        });
    }
    // The greatest mean that is not 1 at once.
    let kappa = Ratio::of(412, 100);
    group.bench_function("time-conditioned 1000, worst", |b| {
        b.iter(|| risk::time_conditioned(black_box(strong), 1_000, kappa));
    });
    group.finish();
}

criterion_group!(benches, rules, mathematics);
criterion_main!(benches);
