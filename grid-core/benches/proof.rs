//! How long checking a whole proof takes. Aim: at most 100 µs without the signatures for a Bitcoin
//! transaction in a chain of a million headers.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use grid_core::{
    bitcoin::spv,
    proof::{CrossChainProof, Trust, TrustAnchor, verify},
};

use ::grid_core;

// The fixture is shared with the unit tests.
#[allow(unreachable_pub, reason = "the fixture stands in the crate's tests")]
#[path = "../src/proof/tests/fixture.rs"]
mod fixture;

use fixture::{GRID, Validators};

/// A Bitcoin block of 2,500 small transactions: a branch of twelve hashes.
fn large_block() -> Vec<Vec<u8>> {
    let coinbase = fixture::BLOCK_170[0].to_vec();
    let payment = |n: u32| {
        let mut raw = fixture::BLOCK_170[1].to_vec();
        // The spent output is the same each time but for four bytes.
        raw[5..9].copy_from_slice(&n.to_le_bytes());
        raw
    };
    std::iter::once(coinbase).chain((1..2_500).map(payment)).collect()
}

fn bitcoin_proof(validators: &Validators) -> CrossChainProof {
    let txs = spv::BlockTxs::new(&large_block()).expect("a block");
    let roots = [txs.tree().root(), Default::default(), Default::default()];
    let mut header = fixture::header(&fixture::bitcoin(), 170, roots);
    header.height = 200_000;
    let inclusion = txs.prove(1_234).expect("in the block").into();
    fixture::prove(&fixture::bitcoin(), &header, inclusion, (150_000, 200_000), validators)
}

fn bench(c: &mut Criterion) {
    let validators = Validators::new(21);
    let proof = bitcoin_proof(&validators);
    let (_, hash) = proof.grid_block().expect("a grid header");
    let by_hash = Trust { chain_id: GRID, anchor: TrustAnchor::BlockHash(hash) };
    let mut unsigned = proof.clone();
    unsigned.anchor = grid_core::proof::Anchor::BlockHash { hash };

    c.bench_function("large bitcoin block, trusted block hash", |b| {
        b.iter(|| verify(black_box(&unsigned), &by_hash).expect("a good proof"));
    });
    c.bench_function("large bitcoin block, 21 signatures", |b| {
        let trust = validators.trust();
        b.iter(|| verify(black_box(&proof), &trust).expect("a good proof"));
    });
    for (name, proof) in fixture::all_kinds(&Validators::new(1)) {
        let (_, hash) = proof.grid_block().expect("a grid header");
        let trust = Trust { chain_id: GRID, anchor: TrustAnchor::BlockHash(hash) };
        let mut unsigned = proof;
        unsigned.anchor = grid_core::proof::Anchor::BlockHash { hash };
        c.bench_function(&format!("{name} proof, trusted block hash"), |b| {
            b.iter(|| verify(black_box(&unsigned), &trust).expect("a good proof"));
        });
    }
    let abi = proof.to_abi();
    c.bench_function("decode binary", |b| {
        b.iter(|| CrossChainProof::from_abi(black_box(&abi)).expect("canonical"));
    });
    let json = proof.to_json().expect("serialises");
    c.bench_function("decode JSON", |b| {
        b.iter(|| CrossChainProof::from_json(black_box(json.as_bytes())).expect("canonical"));
    });
    c.bench_function("encode binary", |b| b.iter(|| black_box(&proof).to_abi()));
}

criterion_group!(benches, bench);
criterion_main!(benches);
