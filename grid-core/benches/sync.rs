//! The beacon light client over real mainnet data (`$GRID_TESTDATA/ethereum/mainnet-lightclient`).
//!
//! What is wanted: an update of a period in 2.5 ms where the committee's keys are known, and going on
//! from disk in 10 ms. A committee that is met for the first time costs the decompression of its sum and
//! of the absent members' keys on top; `periods, new keys` includes it, and 321 of its periods are a year.

use std::{hint::black_box, path::PathBuf};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use grid_core::ethereum::sync::{
    Bootstrap, KeyCache, NetworkConfig, Policy, Store, SyncClient, SyncData, Update,
    file::{self, Object},
    is_better_update,
};

/// A bootstrap and the updates of the periods after it, with the JSON that holds the updates.
struct Sequence {
    network: NetworkConfig,
    bootstrap: Bootstrap,
    updates: Vec<Update>,
    json: Vec<u8>,
}

fn sequence() -> Option<Sequence> {
    let folder = PathBuf::from(std::env::var_os("GRID_TESTDATA")?)
        .join("ethereum/mainnet-lightclient/helios-capella-2023-08");
    let network = NetworkConfig::mainnet();
    let read = |name| std::fs::read(folder.join(name)).ok();
    let (start, json) = (read("bootstrap.json")?, read("updates.json")?);
    let bootstrap =
        file::read(&network, &start).ok()?.into_iter().find_map(|object| match object {
            Object::Bootstrap(bootstrap) => Some(*bootstrap),
            _ => None,
        })?;
    let updates = file::read(&network, &json).ok()?;
    let updates = updates.iter().filter_map(Object::to_update).collect();
    Some(Sequence { network, bootstrap, updates, json })
}

/// A store that has just started.
fn started(of: &Sequence) -> Store {
    let root = of.bootstrap.header.beacon.root();
    Store::new(&of.network, &root, of.bootstrap.clone()).expect("real data")
}

/// Takes updates, each at the slot of its signature.
fn follow(of: &Sequence, mut store: Store, updates: &[Update], keys: &mut KeyCache) -> Store {
    for update in updates {
        let now = update.signature_slot;
        store.process(&of.network, update.clone(), now, keys).expect("real data");
    }
    store
}

/// Updates of one period, with the keys of its committee known, and of several with new ones.
fn updates(c: &mut Criterion, of: &Sequence) {
    let mut group = c.benchmark_group("sync");
    let mut keys = KeyCache::new();
    let first = &of.updates[..1];
    let before = follow(of, started(of), first, &mut keys);
    let second = &of.updates[1..2];
    follow(of, before.clone(), second, &mut keys);
    group.throughput(Throughput::Elements(1));
    group.bench_function("update of a period, known keys", |b| {
        b.iter_batched(
            || before.clone(),
            |store| follow(of, store, second, &mut keys),
            BatchSize::SmallInput,
        );
    });
    group.throughput(Throughput::Elements(of.updates.len() as u64));
    group.sample_size(10);
    group.bench_function("periods, new keys", |b| {
        b.iter_batched(
            || started(of),
            |store| follow(of, store, &of.updates, &mut KeyCache::new()),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Reading updates, choosing between two, and a whole client on its way to the disk and back.
fn data(c: &mut Criterion, of: &Sequence) {
    let mut group = c.benchmark_group("sync");
    let sent = SyncData::from(of.updates[0].clone()).encode();
    group.throughput(Throughput::Bytes(sent.len() as u64));
    group.bench_function("decode SSZ", |b| {
        b.iter(|| SyncData::decode(&of.network, black_box(&sent)));
    });
    group.throughput(Throughput::Bytes(of.json.len() as u64));
    group.bench_function("decode JSON", |b| {
        b.iter(|| file::read(&of.network, black_box(&of.json)));
    });
    group.throughput(Throughput::Elements(1));
    let (one, other) = (&of.updates[1], &of.updates[2]);
    group.bench_function("rank", |b| {
        b.iter(|| is_better_update(&of.network.preset, black_box(one), black_box(other)));
    });

    let policy = Policy { max_checkpoint_age: 0, ..Policy::default() };
    let root = of.bootstrap.header.beacon.root();
    let now = of.updates.last().map(|update| of.network.time_of(update.signature_slot));
    let now = now.expect("real data");
    let (network, bootstrap) = (of.network.clone(), of.bootstrap.clone());
    let client = SyncClient::bootstrap(network, policy.clone(), &root, bootstrap, now);
    let mut client = client.expect("real data");
    for update in &of.updates {
        client.process(update.clone(), now).expect("real data");
    }
    let stored = client.encode();
    group.bench_function("encode a client", |b| b.iter(|| client.encode()));
    group.bench_function("resume a client", |b| {
        b.iter(|| SyncClient::decode(of.network.clone(), policy.clone(), black_box(&stored)));
    });
    group.sample_size(10);
    group.bench_function("resume a client and verify it again", |b| {
        b.iter(|| {
            let read = SyncClient::decode(of.network.clone(), policy.clone(), black_box(&stored));
            read.expect("its own bytes").verify_stored()
        });
    });
    group.finish();
}

fn sync(c: &mut Criterion) {
    match sequence() {
        Some(of) => {
            updates(c, &of);
            data(c, &of);
        }
        None => println!("SKIPPED: GRID_TESTDATA holds no sequence of mainnet"),
    }
}

criterion_group!(benches, sync);
criterion_main!(benches);
