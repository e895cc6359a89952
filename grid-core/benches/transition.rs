//! Whole blocks: 2,000 Bitcoin headers verified and indexed, 1,000 transfers, an idle one.
//!
//! `GRID_TESTDATA` (default `../shared/data` from the project's root) supplies real mainnet headers; without it
//! the header benchmark mines its own on regtest rules.
#![allow(missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{collections::HashMap, hint::black_box, path::PathBuf, time::Duration};

use alloy_primitives::{Address, B256};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grid_core::{
    bitcoin::NetworkParams,
    confirm::ConfirmationRule,
    modules::record::DEFAULT_WINDOW,
    transition::{self, RecoveredTx},
};
use support::{Chain, PROPOSER, START_MS, Wallet, bitcoin_record, genesis, mine};

const BATCH: usize = 2_000;
/// Blocks before the measured one: the window is full and the tree prunes.
const WARM_UP: usize = 6;

/// Mainnet's first headers without genesis.
fn mainnet() -> Option<Vec<[u8; 80]>> {
    let root = std::env::var_os("GRID_TESTDATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let bytes = std::fs::read(root.join("bitcoin/headers/mainnet_0000000_0049999.bin")).ok()?;
    let (headers, _) = bytes.as_chunks::<80>();
    Some(headers[1..=BATCH * (WARM_UP + 1)].to_vec())
}

fn measure(c: &mut Criterion, name: &str, items: u64, chain: &Chain, txs: &[RecoveredTx]) {
    let mut group = c.benchmark_group(name);
    group.measurement_time(Duration::from_secs(5)).sample_size(20);
    group.throughput(Throughput::Elements(items));
    let time = chain.time_ms + 1_000;
    let propose =
        || transition::propose(&chain.parent, &chain.state, txs.to_vec(), time, PROPOSER).unwrap();
    let proposal = propose();
    assert_eq!(proposal.executed.receipts.len(), txs.len(), "{:?}", proposal.dropped);
    let block = &proposal.executed.block;
    group.bench_function("propose", |b| b.iter(|| black_box(propose())));
    group.bench_function("validate", |b| {
        b.iter(|| black_box(transition::validate(&chain.parent, &chain.state, block).unwrap()));
    });
    let senders = txs.iter().map(|tx| (*tx.tx_hash(), tx.signer())).collect::<HashMap<_, _>>();
    group.bench_function("validate, senders known", |b| {
        b.iter(|| {
            let known = |hash: &B256| senders.get(hash).copied();
            black_box(
                transition::validate_with(&chain.parent, &chain.state, block, &known).unwrap(),
            )
        });
    });
    group.finish();
}

fn headers(c: &mut Criterion) {
    let (params, headers) = match mainnet() {
        Some(headers) => (NetworkParams::mainnet(), headers),
        None => {
            let params = NetworkParams::regtest();
            let headers = mine(&params.genesis.0, BATCH * (WARM_UP + 1), 1);
            (params, headers)
        }
    };
    let key = params.chain_id().key();
    let wallet = Wallet::new(1);
    let rule = ConfirmationRule::bitcoin();
    let mut chain =
        Chain::new(&genesis(vec![bitcoin_record(&params, rule, DEFAULT_WINDOW)], &[&wallet]));
    let mut batches = headers.chunks(BATCH);
    for nonce in 0..WARM_UP {
        let tx = wallet.submit(nonce as u64, key, batches.next().unwrap());
        chain.step(vec![tx]);
    }
    let tx = wallet.submit(WARM_UP as u64, key, batches.next().unwrap());
    measure(c, "2000_bitcoin_headers", BATCH as u64, &chain, &[tx]);
    let next = headers[BATCH * WARM_UP];
    let one = wallet.submit(WARM_UP as u64, key, &[next]);
    measure(c, "1_bitcoin_header", 1, &chain, &[one]);
    measure(c, "idle", 1, &chain, &[]);
}

fn transfers(c: &mut Criterion) {
    let wallets = (1..=100).map(Wallet::new).collect::<Vec<_>>();
    let chain = Chain::new(&genesis(vec![], &wallets.iter().collect::<Vec<_>>()));
    assert_eq!(chain.time_ms, START_MS);
    let txs = (0..1_000u64)
        .map(|n| {
            let to = Address::left_padding_from(&(n + 0x10_0000).to_be_bytes());
            wallets[(n % 100) as usize].transfer(n / 100, to, 1)
        })
        .collect::<Vec<_>>();
    measure(c, "1000_transfers", 1_000, &chain, &txs);
}

criterion_group!(benches, headers, transfers);
criterion_main!(benches);
