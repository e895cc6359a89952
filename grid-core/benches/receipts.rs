//! Receipts: proofs of single ones, and the root over all of a block.
//!
//! The block is the largest of mainnet's (`$GRID_TESTDATA/ethereum/mainnet-blocks`); without the data a made-up one
//! of 301 receipts takes its place. What is wanted: 150,000 receipt proofs a second on one core.

use std::hint::black_box;

use alloy_primitives::{Address, Bytes, hex};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grid_core::{
    ethereum::mpt::{self, OrderedTrie},
    proof::ethereum::{EthereumEvidence, EthereumProof, EthereumRef, EthereumRoots},
};

fn real() -> Option<Vec<Bytes>> {
    let folder = std::path::PathBuf::from(std::env::var_os("GRID_TESTDATA")?);
    let files = std::fs::read_dir(folder.join("ethereum/mainnet-blocks")).ok()?;
    let receipts = files.filter_map(|file| {
        let json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(file.ok()?.path()).ok()?).ok()?;
        serde_json::from_value::<Vec<Bytes>>(json["receipts_eip2718"].clone()).ok()
    });
    receipts.max_by_key(Vec::len)
}

/// Receipts of type 2 with one transfer each.
fn made_up() -> Vec<Bytes> {
    let receipt = |at: u16| {
        let log = hex!(
            "f89b94dac17f958d2ee523a2206206994597c13d831ec7f863a0ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3efa00000000000000000000000000000000000000000000000000000000000000001a00000000000000000000000000000000000000000000000000000000000000002a00000000000000000000000000000000000000000000000000000000000000003"
        );
        let gas = [&[0x82][..], &(at + 0x100).to_be_bytes()].concat();
        let logs = [&[0xf8, 0x9d][..], &log].concat();
        let payload = [&[1][..], &gas, &hex!("b90100"), &[0; 256], &logs].concat();
        let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
        Bytes::from([&[2, 0xf9][..], &length, &payload].concat())
    };
    (0..301).map(receipt).collect()
}

fn bench(c: &mut Criterion) {
    let receipts = real().unwrap_or_else(|| {
        eprintln!("GRID_TESTDATA has no mainnet blocks: measuring made-up receipts");
        made_up()
    });
    let trie = OrderedTrie::new(&receipts);
    let root = trie.root();
    let count = receipts.len() as u64;
    let proofs: Vec<Vec<Bytes>> =
        (0..count).map(|index| trie.prove(index).expect("in range")).collect();
    let mut group = c.benchmark_group(format!("{count} receipts"));
    group.throughput(Throughput::Elements(count));
    group.bench_function("verify a proof of each", |b| {
        b.iter(|| {
            for (index, nodes) in (0..).zip(&proofs) {
                black_box(mpt::verify_receipt(root, index, nodes, None).expect("a good proof"));
            }
        });
    });
    group.bench_function("rebuild the root", |b| {
        b.iter(|| mpt::ordered_trie_root(black_box(&receipts)));
    });
    let mut evidence = EthereumEvidence { receipts, ..EthereumEvidence::default() };
    evidence.nodes.extend(proofs.concat());
    let zero = Default::default();
    let roots = EthereumRoots { transactions: zero, receipts: root, state: zero };
    let build = |facts| EthereumProof::build(facts, &roots, &evidence).expect("facts of the block");
    let all = build((0..count).map(|index| EthereumRef::Receipt { index, log: None }).collect());
    group.bench_function("verify one proof of all", |b| {
        b.iter(|| black_box(&all).show(&roots).expect("a good proof"));
    });
    let logs = build(vec![EthereumRef::Logs { address: Address::ZERO, topic: None }]);
    group.bench_function("verify that a contract has no logs", |b| {
        b.iter(|| black_box(&logs).show(&roots).expect("a good proof"));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
