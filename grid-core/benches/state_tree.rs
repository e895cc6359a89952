//! The state's tree beside the alternative of docs/adr/0003: what a block of changes costs in states of 100,000 and of 1,000,000
//! accounts, how large proofs are, and how fast they are verified.
//!
//! - `jmt`: what Grid uses, with its nodes in a map.
//! - `mpt, rebuilt`: Ethereum's trie built anew from its sorted leaves (crate `alloy-trie`), without stored nodes.
//!
//! `GRID_BENCH_STATE=100000` measures one size only.
#![allow(missing_docs)]

use std::{collections::BTreeMap, hint::black_box, time::Duration};

use alloy_primitives::{Address, B256, keccak256};
use alloy_trie::{HashBuilder, Nibbles, proof::ProofRetainer};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use grid_core::state::{ChainState as _, MemoryState, StateDiff, keys, tree};

/// Changed accounts of a block.
const CHANGES: [u64; 3] = [100, 2_000, 20_000];
/// Accounts that are proven.
const PROVEN: u64 = 1_000;
/// Accounts that the state is filled with at once.
const PART: usize = 50_000;

fn sizes() -> Vec<u64> {
    match std::env::var("GRID_BENCH_STATE") {
        Ok(size) => vec![size.parse().expect("a number of accounts")],
        Err(_) => vec![100_000, 1_000_000],
    }
}

/// The key of the n-th account.
fn key(n: u64) -> Vec<u8> {
    keys::account(&Address::left_padding_from(&n.to_be_bytes()))
}

/// An account as the state has it: nonce and balance.
fn value(n: u64, nonce: u64) -> Vec<u8> {
    [&nonce.to_be_bytes()[..], keccak256(n.to_be_bytes()).as_slice()].concat()
}

/// What a block changes: half of it old accounts all over the state, half new ones, as transfers do.
fn changed(size: u64, count: u64) -> impl Iterator<Item = u64> {
    let old = (0..count / 2).map(move |n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % size);
    old.chain(size..size + count / 2)
}

fn diff(accounts: impl Iterator<Item = u64>, nonce: u64) -> StateDiff {
    accounts.map(|n| (key(n), Some(value(n, nonce)))).collect()
}

fn jmt(size: u64) -> MemoryState {
    let mut state = MemoryState::new();
    for (version, start) in (0u64..).zip((0..size).step_by(PART)) {
        let diff = diff(start..(start + PART as u64).min(size), 0);
        let (_, batch) = tree::update(&state, &diff, version).unwrap();
        state.apply_parts(&diff, &batch, version);
    }
    state
}

fn leaves(size: u64) -> BTreeMap<B256, Vec<u8>> {
    (0..size).map(|n| (keccak256(key(n)), value(n, 0))).collect()
}

fn rebuild(leaves: &BTreeMap<B256, Vec<u8>>, proven: Vec<Nibbles>) -> (B256, HashBuilder) {
    let mut builder = HashBuilder::default();
    if !proven.is_empty() {
        builder = builder.with_proof_retainer(ProofRetainer::new(proven));
    }
    for (path, value) in leaves {
        builder.add_leaf(Nibbles::unpack(path), value);
    }
    (builder.root(), builder)
}

fn updates(c: &mut Criterion) {
    for size in sizes() {
        let mut group = c.benchmark_group(format!("update a state of {size}"));
        group.sample_size(10).measurement_time(Duration::from_secs(5));
        let state = jmt(size);
        let sorted = leaves(size);
        for count in CHANGES {
            group.throughput(Throughput::Elements(count));
            let block = diff(changed(size, count), 1);
            let version = state.version() + 1;
            group.bench_function(BenchmarkId::new("jmt", count), |b| {
                b.iter(|| black_box(tree::update(&state, &block, version).unwrap()));
            });
            group.bench_function(BenchmarkId::new("mpt, rebuilt", count), |b| {
                let change = || {
                    let mut sorted = sorted.clone();
                    sorted.extend(changed(size, count).map(|n| (keccak256(key(n)), value(n, 1))));
                    sorted
                };
                b.iter_batched(
                    change,
                    |sorted| black_box(rebuild(&sorted, Vec::new()).0),
                    BatchSize::PerIteration,
                );
            });
        }
        group.finish();
    }
}

/// Tells mean and greatest size.
fn tell(name: &str, size: u64, bytes: &[usize]) {
    let mean = bytes.iter().sum::<usize>() / bytes.len().max(1);
    let most = bytes.iter().copied().max().unwrap_or(0);
    println!("{name}: proofs in a state of {size} have {mean} bytes on average, {most} at most");
}

fn proofs(c: &mut Criterion) {
    for size in sizes() {
        let mut group = c.benchmark_group(format!("verify a proof in a state of {size}"));
        let state = jmt(size);
        // Nothing changes, so this is the root as it is.
        let root = tree::update(&state, &StateDiff::new(), state.version() + 1).unwrap().0;
        let accounts = || (0..PROVEN).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % size);
        let proven: Vec<_> = accounts()
            .map(|n| {
                let (value, proof) = tree::prove(&state, &key(n)).unwrap();
                (key(n), value, proof)
            })
            .collect();
        tell("jmt", size, &proven.iter().map(|(_, _, proof)| proof.len()).collect::<Vec<_>>());
        let mut all = proven.iter().cycle();
        group.bench_function("jmt", |b| {
            b.iter(|| {
                let (key, value, proof) = all.next().unwrap();
                tree::verify(root, key, value.as_deref(), proof).unwrap();
            });
        });
        let paths: Vec<_> = accounts().map(|n| Nibbles::unpack(keccak256(key(n)))).collect();
        let (root, mut builder) = rebuild(&leaves(size), paths.clone());
        let nodes = builder.take_proof_nodes();
        let proven: Vec<_> = accounts()
            .zip(&paths)
            .map(|(n, path)| {
                let nodes = nodes.matching_nodes_sorted(path);
                (*path, value(n, 0), nodes.into_iter().map(|(_, node)| node).collect::<Vec<_>>())
            })
            .collect();
        let bytes =
            |nodes: &Vec<alloy_primitives::Bytes>| nodes.iter().map(|node| node.len()).sum();
        tell("mpt", size, &proven.iter().map(|(_, _, nodes)| bytes(nodes)).collect::<Vec<_>>());
        let mut all = proven.iter().cycle();
        group.bench_function("mpt", |b| {
            b.iter(|| {
                let (path, value, nodes) = all.next().unwrap();
                alloy_trie::proof::verify_proof(root, *path, Some(value.clone()), nodes).unwrap();
            });
        });
        group.finish();
    }
}

criterion_group!(benches, updates, proofs);
criterion_main!(benches);
