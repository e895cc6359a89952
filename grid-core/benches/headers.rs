//! Header throughput: what a light client costs the main chain.
//!
//! Wanted on one core: 2,000 Bitcoin headers checked and inserted at well over 400,000 a second;
//! a stored tree of 4,096 headers read in one to two milliseconds.

use std::hint::black_box;

use alloy_primitives::B256;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use grid_core::{
    Level, Security,
    bitcoin::{BitcoinClient, Header, NetworkParams, header::sha256d, target},
    index::{self, ChainEntry},
    mmr::Mmr,
};

const NOW_MS: u64 = 2_000_000_000_000;

fn mined(count: usize) -> Vec<[u8; 80]> {
    let mut at = Header::parse(&NetworkParams::regtest().genesis.0);
    let target = target::decode(at.bits).target;
    (0..count)
        .map(|_| {
            let (prev, merkle_root) = (at.hash(), B256::repeat_byte(7));
            at = Header { version: 4, prev, merkle_root, time: at.time + 600, nonce: 0, ..at };
            while target::hash_number(&at.hash()) > target {
                at.nonce += 1;
            }
            at.to_bytes()
        })
        .collect()
}

fn client() -> BitcoinClient {
    BitcoinClient::from_genesis(NetworkParams::regtest()).expect("built in")
}

fn accept(c: &mut Criterion) {
    let headers = mined(2_000);
    let mut group = c.benchmark_group("headers");
    group.throughput(Throughput::Elements(2_000));
    group.bench_function("accept 2000", |b| {
        b.iter_batched_ref(
            client,
            |client| assert_eq!(client.accept_all(&headers, NOW_MS).added, 2_000),
            BatchSize::LargeInput,
        );
    });
    // What a batch costs besides the block that carries it: every rule checked, every header's leaf in
    // the accumulator, and the new index root. benches/transition.rs measures the whole block.
    group.bench_function("verify and index 2000", |b| {
        b.iter_batched_ref(
            || (client(), Mmr::default()),
            |(client, range)| {
                assert_eq!(client.accept_all(&headers, NOW_MS).added, 2_000);
                black_box(index(client, range))
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("hash 2000", |b| {
        b.iter(|| {
            headers.iter().map(|header| sha256d(header)).for_each(|hash| {
                black_box(hash);
            })
        });
    });
    group.finish();
}

/// Appends the best branch to the accumulator and computes the index root over it.
fn index(client: &BitcoinClient, range: &mut Mmr) -> B256 {
    let tree = client.tree();
    let (base, tip) = (tree.base().height(), tree.tip());
    for height in base..=tip.height() {
        range.append(tree.best_at(height).expect("best branch").compat().leaf());
    }
    index::index_root(&[ChainEntry {
        chain: client.chain().0,
        level: Level::L3.code(),
        security: Security::ProofOfWork.code(),
        firstHeight: base,
        count: range.count(),
        accumulatorRoot: range.root(),
        tipHash: tip.hash(),
    }])
}

fn store(c: &mut Criterion) {
    let mut whole = client();
    for part in mined(4_095).chunks(2_000) {
        assert_eq!(whole.accept_all(part, NOW_MS).added, part.len());
    }
    let meta = whole.tree().meta();
    let mut stored = whole.clone();
    let chunks: Vec<(u64, Vec<u8>)> = stored
        .tree_mut()
        .dirty_chunks()
        .into_iter()
        .filter_map(|(number, bytes)| Some((number, bytes?)))
        .collect();
    let mut group = c.benchmark_group("tree of 4096");
    group.throughput(Throughput::Elements(4_096));
    group.bench_function("load", |b| {
        b.iter_batched(
            || chunks.clone(),
            |chunks| BitcoinClient::load(NetworkParams::regtest(), &meta, chunks),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("store", |b| {
        b.iter_batched_ref(
            || whole.clone(),
            |client| client.tree_mut().dirty_chunks(),
            BatchSize::LargeInput,
        );
    });
    group.bench_function("prune 64", |b| {
        b.iter_batched_ref(
            || whole.clone(),
            |client| client.tree_mut().prune(64),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, accept, store);
criterion_main!(benches);
