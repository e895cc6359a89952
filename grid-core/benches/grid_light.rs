//! The light client of a Grid chain: a header and its certificate by 21 validators, the next block and a block further
//! up, signed by as few as needed and by all.
#![allow(missing_docs)]

use std::hint::black_box;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, Signature};
use alloy_sol_types::SolValue;
use criterion::{Criterion, criterion_group, criterion_main};
use grid_core::grid::{
    CommitCertificate, Extension, RecoverableSignature, Validator, ValidatorSet, VoteKind,
    light::{LightBlock, LightPolicy, TrustedState},
    vote_digest,
};
use k256::ecdsa::SigningKey;

const CHAIN_ID: u64 = 7_357;
const START_MS: u64 = 1_700_000_000_000;
const VALIDATORS: u8 = 21;

fn header(number: u64, parent: B256, set: &ValidatorSet) -> Header {
    let time_ms = START_MS + number * 1_000;
    let extension = Extension {
        version: 1,
        timeMs: time_ms,
        indexRoot: B256::repeat_byte(1),
        validatorsHash: set.hash(),
        nextValidatorsHash: set.hash(),
        collectionHash: B256::repeat_byte(2),
        extra: Bytes::new(),
    };
    Header {
        parent_hash: parent,
        number,
        timestamp: time_ms / 1_000,
        base_fee_per_gas: Some(7),
        extra_data: extension.abi_encode().into(),
        ..Header::default()
    }
}

fn block(header: &Header, keys: &[SigningKey], set: &ValidatorSet) -> LightBlock {
    let (height, block_hash) = (header.number, header.hash_slow());
    let digest = vote_digest(VoteKind::Precommit, CHAIN_ID, height, 0, block_hash);
    let sign = |key: &SigningKey| {
        let made = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
        RecoverableSignature::from(Signature::from(made))
    };
    let signatures = keys.iter().map(sign).collect();
    LightBlock {
        header: alloy_rlp::encode(header).into(),
        certificate: CommitCertificate { height, round: 0, block_hash, signatures },
        validators: set.clone(),
        next_validators: None,
    }
}

fn verify(c: &mut Criterion) {
    let mut keys: Vec<_> =
        (1..=VALIDATORS).map(|seed| SigningKey::from_slice(&[seed; 32]).unwrap()).collect();
    keys.sort_by_key(Address::from_private_key);
    let member =
        |key: &SigningKey| Validator { account: Address::from_private_key(key), power: 1_000 };
    let set = ValidatorSet::new(keys.iter().map(member).collect()).unwrap();
    let first = header(1, B256::ZERO, &set);
    let start = TrustedState::new(CHAIN_ID, &alloy_rlp::encode(&first), set.clone()).unwrap();
    let (policy, now) = (LightPolicy::default(), START_MS + 60_000);
    let mut group = c.benchmark_group("grid_light");
    for (place, number) in [("next", 2), ("skipping", 20)] {
        for signers in [15, 21] {
            let header = header(number, start.block_hash, &set);
            let block = block(&header, &keys[..signers], &set);
            group.bench_function(format!("{place}/{signers}_of_21"), |b| {
                b.iter(|| start.verify(black_box(&block), &policy, now).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
