//! An Ethereum chain through whole blocks of the main chain: catching up with execution headers, a new
//! period with 512 keys, and loading the light client back from the state.
#![allow(missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use alloy_consensus::Header;
use alloy_primitives::{B64, B256, Bytes};
use alloy_sol_types::SolCall;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grid_core::{
    ChainKey,
    ethereum::sync::{Fork, Policy, SharedKeys, SyncData},
    modules::abi::{LIGHT_CLIENTS, LightClients},
    state::query,
    transition::{self, RecoveredTx},
};
use support::{
    Chain, PROPOSER, Wallet,
    beacon::{Beacon, CHECKPOINT, PERIOD, Warm, bytes, rlp},
    genesis,
};

/// Headers of one submission of mainnet's size: 512 KiB of call data hold some 700.
const RUN: usize = 650;
/// The window of a record that does not say otherwise.
const WINDOW: u64 = 4_032;

/// Headers of mainnet's size and form since Prague, a second apart.
fn headers(parent: &Header, count: usize) -> Vec<Header> {
    let mut headers = vec![parent.clone()];
    for _ in 0..count {
        let below = headers.last().unwrap();
        let hash = below.hash_slow();
        headers.push(Header {
            parent_hash: hash,
            number: below.number + 1,
            timestamp: below.timestamp + 1,
            state_root: hash,
            gas_limit: 45_000_000,
            gas_used: 22_000_000,
            extra_data: Bytes::from_static(b"a builder of blocks"),
            mix_hash: hash,
            nonce: B64::ZERO,
            base_fee_per_gas: Some(1_000_000_000),
            withdrawals_root: Some(hash),
            blob_gas_used: Some(786_432),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(hash),
            requests_hash: Some(hash),
            ..Default::default()
        });
    }
    headers.split_off(1)
}

/// A main chain that follows a beacon chain with mainnet's committees.
struct World {
    beacon: Beacon,
    chain: Chain,
    wallet: Wallet,
    key: ChainKey,
    nonce: u64,
    keys: SharedKeys,
}

impl World {
    fn new() -> Self {
        let beacon = Beacon::new(Fork::Electra).with_members(512);
        let wallet = Wallet::new(1);
        let mut record = beacon.record(Policy::default());
        record.window = WINDOW;
        let key = record.key();
        let chain = Chain::new(&genesis(vec![record], &[&wallet]));
        let mut world = Self { beacon, chain, wallet, key, nonce: 0, keys: SharedKeys::default() };
        let first = world.beacon.first();
        world.submit(&[first], &[]);
        world
    }

    fn tx(&self, data: &[SyncData], headers: &[Header]) -> RecoveredTx {
        let call = LightClients::submitFinalityCall {
            chain: self.key.0,
            data: bytes(data),
            headers: rlp(headers),
        };
        self.wallet.tx(self.nonce, LIGHT_CLIENTS, 0, 50_000_000, call.abi_encode().into())
    }

    fn submit(&mut self, data: &[SyncData], headers: &[Header]) {
        let tx = self.tx(data, headers);
        self.nonce += 1;
        let executed = self.propose(vec![tx]);
        assert!(executed.receipts[0].status());
        self.chain.commit(&executed);
    }

    fn propose(&self, txs: Vec<RecoveredTx>) -> transition::ExecutedBlock {
        let warm = Warm(&self.chain.state, &self.keys);
        let time = self.chain.time_ms + 1_000;
        transition::propose(&self.chain.parent, &warm, txs, time, PROPOSER).unwrap().executed
    }

    fn validate(&self, block: &transition::Block) -> transition::ExecutedBlock {
        let warm = Warm(&self.chain.state, &self.keys);
        transition::validate(&self.chain.parent, &warm, block).unwrap()
    }
}

fn measure(c: &mut Criterion, name: &str, items: u64, world: &World, txs: &[RecoveredTx]) {
    let executed = world.propose(txs.to_vec());
    assert!(executed.receipts.iter().all(|receipt| receipt.status()));
    let mut group = c.benchmark_group(name);
    group.sample_size(20).throughput(Throughput::Elements(items));
    group.bench_function("propose", |b| b.iter(|| black_box(world.propose(txs.to_vec()))));
    group.bench_function("validate", |b| {
        b.iter(|| black_box(world.validate(&executed.block)));
    });
    group.finish();
}

/// Runs on the tip, with a full window; then backwards, and a whole block of headers entering the tree.
fn catch_up(c: &mut Criterion) {
    let mut world = World::new();
    let all = headers(&world.beacon.start, 20 * RUN);
    let mut slot = CHECKPOINT;
    let mut runs = all.chunks(RUN);
    for _ in 0..8 {
        let run = runs.next().unwrap();
        slot += 4;
        let update = world.beacon.teaches(slot, run[RUN - 1].hash_slow());
        world.submit(&[update], run);
    }
    let run = runs.next().unwrap();
    let update = world.beacon.finalizes(slot + 4, run[RUN - 1].hash_slow());
    let tx = world.tx(&[update], run);
    measure(c, "650_headers_on_the_tip", RUN as u64, &world, &[tx]);

    let rest = &all[8 * RUN..];
    let update = world.beacon.finalizes(slot + 8, rest[rest.len() - 1].hash_slow());
    world.submit(&[update], &[]);
    let mut backwards = rest.rchunks(RUN);
    let lowest = backwards.next_back().unwrap();
    let last = backwards.next_back().unwrap();
    backwards.for_each(|run| world.submit(&[], run));
    let tx = world.tx(&[], last);
    measure(c, "650_headers_backwards", RUN as u64, &world, &[tx]);
    world.submit(&[], last);
    let tx = world.tx(&[], lowest);
    measure(c, "7800_headers_enter", rest.len() as u64, &world, &[tx]);
}

fn period(c: &mut Criterion) {
    let mut world = World::new();
    let all = headers(&world.beacon.start, 3);
    for (n, header) in (0u64..).zip(&all[..2]) {
        let update = world.beacon.teaches(CHECKPOINT + n * PERIOD + 5, header.hash_slow());
        world.submit(&[update], core::slice::from_ref(header));
    }
    let update = world.beacon.teaches(CHECKPOINT + 2 * PERIOD + 5, all[2].hash_slow());
    let tx = world.tx(&[update], &all[2..]);
    measure(c, "period_update_512_keys", 1, &world, &[tx]);
    let finality = world.beacon.finalizes(CHECKPOINT + PERIOD + 9, all[2].hash_slow());
    let tx = world.tx(&[finality], &all[2..]);
    measure(c, "finality_update", 1, &world, &[tx]);
}

fn resume(c: &mut Criterion) {
    let mut world = World::new();
    let all = headers(&world.beacon.start, 8 * RUN);
    let mut slot = CHECKPOINT;
    for run in all.chunks(RUN) {
        slot += 4;
        let update = world.beacon.teaches(slot, run[RUN - 1].hash_slow());
        world.submit(&[update], run);
    }
    let load = || query::light_client(&world.chain.state, world.key).unwrap().unwrap();
    assert_eq!(load().tip().hash(), all[8 * RUN - 1].hash_slow());
    assert!(load().tree().len() as u64 >= WINDOW);
    assert_ne!(load().sync_status().unwrap().finalized_root, B256::ZERO);
    c.bench_function("resume_4032_headers", |b| b.iter(|| black_box(load())));
}

criterion_group!(benches, catch_up, period, resume);
criterion_main!(benches);
