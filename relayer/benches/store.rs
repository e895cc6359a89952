//! Items through the whole store: planned, claimed, signed, included, done, in batches as long as a round of a
//! busy lane, on an `SQLite` file with full synchronisation and on a PostgreSQL server that waits for its
//! disk at every commit.
//!
//! `GRID_BENCH_PENDING=1000000` has so many other items planned beforehand.

#![allow(missing_docs)] // criterion's macros

use core::time::Duration;
use std::{cell::Cell, hint::black_box, time::Instant};

use alloy_primitives::{Address, B256, Bytes, keccak256};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use grid_core::{ChainId, api::BlockRef};
use grid_relayer::{
    Store,
    store::{Inclusion, Kind, NewItem, NewTransaction, PostgresConfig, StoreLocation},
};
use grid_test_nodes::Postgres;

const LEASE: Duration = Duration::from_secs(10);
const STALE: Duration = Duration::from_secs(60);

/// Items of one iteration.
const ITEMS: u64 = 512;

/// Call data of a header at the tip of an Ethereum chain.
const PAYLOAD: usize = 700;

fn chain(n: u64) -> ChainId {
    ChainId::eip155(31_337 + n)
}

fn item(chain: ChainId, height: u64) -> NewItem {
    NewItem {
        kind: Kind::Headers,
        chain,
        from: height,
        parent: B256::ZERO,
        last: BlockRef { height, hash: keccak256(height.to_be_bytes()) },
        payload: Bytes::from(vec![7; PAYLOAD]),
    }
}

fn transaction(nonce: u64) -> NewTransaction {
    NewTransaction {
        hash: keccak256(nonce.to_le_bytes()),
        signer: Address::repeat_byte(1),
        nonce,
        raw: Bytes::from(vec![2; PAYLOAD + 120]),
        max_fee: 1_000,
        priority_fee: 1,
    }
}

/// The steps of an item.
const STEPS: [&str; 5] = ["plan", "claim", "sign", "settle", "finish"];

/// Takes the items with these heights from the plan to the end; returns how long each step took.
async fn go(store: &Store, first: u64) -> [Duration; 5] {
    let mut times = [Duration::ZERO; 5];
    let mut last = Instant::now();
    let mut steps = times.iter_mut();
    let mut passed = || {
        let now = Instant::now();
        *steps.next().expect("as many as steps") = now - last;
        last = now;
    };
    let chain = chain(0);
    let now = first;
    let items: Vec<_> = (first..first + ITEMS).map(|height| item(chain.clone(), height)).collect();
    store.plan_all(&items, now, STALE).await.expect("planned");
    passed();
    store.hold_chain("bench", &chain, now, LEASE, Duration::ZERO).await.expect("held");
    let limit = u32::try_from(ITEMS).expect("a small number");
    let claims = store.claim("bench", &chain, limit, now, LEASE).await.expect("claimed");
    assert_eq!(claims.len(), items.len());
    passed();
    let new: Vec<_> = (first..first + ITEMS).map(transaction).collect();
    let batch: Vec<_> = claims.iter().map(Some).zip(&new).collect();
    store.record_transactions(&batch, now).await.expect("signed");
    passed();
    let signer = new[0].signer;
    let live = store.live(&signer).await.expect("read");
    let included: Vec<_> = live
        .iter()
        .map(|live| Inclusion { live, hash: live.transactions[0].hash, block: now })
        .collect();
    store.settle_all_included(&signer, &included, now).await.expect("settled");
    passed();
    let done = store.finish(&chain, first + ITEMS - 1, now).await.expect("finished");
    passed();
    assert_eq!(done, ITEMS);
    times
}

/// Items of other chains that wait all the time.
async fn wait(store: &Store) {
    let pending = std::env::var("GRID_BENCH_PENDING").ok().and_then(|text| text.parse().ok());
    let pending: u64 = pending.unwrap_or(0);
    for first in (0..pending).step_by(4096) {
        let heights = first..pending.min(first + 4096);
        let items: Vec<_> = heights.map(|n| item(chain(1 + n % 10), n)).collect();
        store.plan_all(&items, 1, STALE).await.expect("planned");
    }
}

fn store(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let config = grid_test_nodes::PostgresConfig { durable: true, settings: Vec::new() };
    let server = runtime.block_on(Postgres::start_with(config)).expect("a server");
    let url = PostgresConfig::new(&server.url(), None).expect("a URL");
    let file = StoreLocation::Sqlite(folder.path().join("relayer.db"));
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(ITEMS)).sample_size(20);
    for (name, location) in [("sqlite", file), ("postgres", StoreLocation::Postgres(url))] {
        let store = runtime.block_on(Store::open(&location)).expect("a database");
        runtime.block_on(wait(&store));
        let next = Cell::new(1);
        group.bench_function(BenchmarkId::new("plan to done", name), |bencher| {
            bencher.iter(|| {
                let first = next.replace(next.get() + ITEMS);
                runtime.block_on(go(&store, first))
            });
        });
        for (n, step) in STEPS.into_iter().enumerate() {
            group.bench_function(BenchmarkId::new(step, name), |bencher| {
                bencher.iter_custom(|rounds| {
                    let one = |_| {
                        let first = next.replace(next.get() + ITEMS);
                        runtime.block_on(go(&store, first))[n]
                    };
                    (0..rounds).map(one).sum()
                });
            });
        }
        group.bench_function(BenchmarkId::new("counts", name), |bencher| {
            bencher.iter(|| black_box(runtime.block_on(store.counts())).expect("counted"));
        });
        runtime.block_on(store.close());
    }
    group.finish();
}

criterion_group!(benches, store);
criterion_main!(benches);
