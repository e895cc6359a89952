//! Bitcoin headers: full validation beside the same bytes in other hands, and the stored tree.
//!
//! The real headers are mainnet's first 50,000 (`$GRID_TESTDATA/bitcoin/headers`); without them
//! mined ones of regtest take their place. What is wanted: everything besides the hashing below
//! 200 ns a header, a reorganisation of 4,032 blocks in 20 ms, 150 bytes of memory a header.

use std::{alloc::System, hint::black_box, time::Duration};

use alloy_primitives::B256;
use bitcoin::{CompactTarget, Work, block, consensus, params::MAINNET};
use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use grid_core::{
    Level, Security,
    bitcoin::{
        BitcoinClient, Header, HeaderVerifier, NetworkParams,
        header::{sha256d, split},
        multihash::hash_all,
        target,
    },
    header_tree::TipChange,
    index::{self, ChainEntry},
    mmr::Mmr,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW_MS: u64 = 2_000_000_000_000;
/// Headers of one `headers` message.
const BATCH: usize = 2_000;
/// Two difficulty periods.
const DEEP: usize = 4_032;

/// `count` regtest headers on top of `parent`; `salt` keeps branches apart.
fn mined(parent: &[u8; 80], count: usize, salt: u8) -> Vec<[u8; 80]> {
    let mut at = Header::parse(parent);
    let target = target::decode(at.bits).target;
    (0..count)
        .map(|_| {
            let (prev, merkle_root) = (at.hash(), B256::repeat_byte(salt));
            at = Header { version: 4, prev, merkle_root, time: at.time + 600, nonce: 0, ..at };
            while target::hash_number(&at.hash()) > target {
                at.nonce += 1;
            }
            at.to_bytes()
        })
        .collect()
}

/// A network and its headers from the one above genesis on.
fn headers() -> (NetworkParams, Vec<[u8; 80]>) {
    let file = std::env::var_os("GRID_TESTDATA").map(|folder| {
        std::path::Path::new(&folder).join("bitcoin/headers/mainnet_0000000_0049999.bin")
    });
    match file.and_then(|file| std::fs::read(file).ok()).and_then(|bytes| split(&bytes)) {
        Some(all) => (NetworkParams::mainnet(), all[1..].to_vec()),
        None => {
            eprintln!("GRID_TESTDATA has no mainnet headers: measuring mined ones");
            let params = NetworkParams::regtest();
            let headers = mined(&params.genesis.0, 20_000, 7);
            (params, headers)
        }
    }
}

fn regtest() -> BitcoinClient {
    BitcoinClient::from_genesis(NetworkParams::regtest()).expect("built in")
}

fn fed(mut client: BitcoinClient, headers: &[[u8; 80]]) -> BitcoinClient {
    for part in headers.chunks(BATCH) {
        assert_eq!(client.accept_all(part, NOW_MS).added, part.len());
    }
    client
}

/// What a program on rust-bitcoin does without further thought: decode, link, bits, proof of work,
/// chain work. It knows neither median times nor versions nor branches.
fn naive(genesis: &[u8; 80], headers: &[[u8; 80]], retargets: bool) -> Work {
    let decode = |raw: &[u8; 80]| consensus::deserialize::<block::Header>(raw).expect("a header");
    let mut last = decode(genesis);
    let (mut start, mut work) = (last, last.work());
    for (raw, height) in headers.iter().zip(1u64..) {
        let header = decode(raw);
        assert_eq!(header.prev_blockhash, last.block_hash());
        let mut bits = last.bits;
        if retargets && height.is_multiple_of(2_016) {
            let span = u64::from(last.time.saturating_sub(start.time));
            bits = CompactTarget::from_next_work_required(last.bits, span, &MAINNET);
            start = header;
        }
        assert_eq!(header.bits, bits);
        header.validate_pow(header.target()).expect("proof of work");
        work = work + header.work();
        last = header;
    }
    work
}

fn group<'c>(c: &'c mut Criterion, name: &str, headers: usize) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(headers as u64));
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(4));
    group
}

fn validation(c: &mut Criterion) {
    let (params, headers) = headers();
    let client = || BitcoinClient::from_genesis(params.clone()).expect("built in");
    let mut group = group(c, "headers", headers.len());
    group.bench_function("full validation", |b| {
        b.iter_batched(client, |client| fed(client, &headers), BatchSize::PerIteration);
    });
    // The same rules without keeping anything: what `grid bitcoin verify-headers` does.
    group.bench_function("verification of a file", |b| {
        b.iter(|| {
            let mut verifier = HeaderVerifier::new(params.clone(), 0, NOW_MS);
            verifier.verify(&[params.genesis.0]).expect("genesis");
            verifier.verify(&headers).expect("valid");
            verifier.work()
        });
    });
    group.bench_function("hashes of many", |b| b.iter(|| hash_all(&headers)));
    group.bench_function("plain SHA-256d", |b| {
        b.iter(|| {
            headers.iter().map(|header| sha256d(header)).for_each(|hash| _ = black_box(hash))
        });
    });
    group.bench_function("rust-bitcoin, naive loop", |b| {
        b.iter(|| naive(&params.genesis.0, &headers, !params.no_retargeting));
    });
    // What the main chain does besides: every header's leaf in the accumulator, the index root.
    group.bench_function("full validation and index", |b| {
        b.iter_batched(client, |client| index(&fed(client, &headers)), BatchSize::PerIteration);
    });
    group.finish();
}

/// Appends the best branch to an accumulator and computes the index root over it.
fn index(client: &BitcoinClient) -> B256 {
    let tree = client.tree();
    let (base, tip) = (tree.base().height(), tree.tip());
    let mut range = Mmr::default();
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

/// One submission that replaces 4,032 blocks, hashing and all.
fn reorganisation(c: &mut Criterion) {
    let genesis = NetworkParams::regtest().genesis.0;
    let whole = fed(regtest(), &mined(&genesis, DEEP, 7));
    let side = mined(&genesis, DEEP + 1, 8);
    let mut group = group(c, "reorganisation", DEEP);
    group.bench_function("4,032 deep", |b| {
        b.iter_batched_ref(
            || whole.clone(),
            |client| {
                let accepted = client.accept_all(&side, NOW_MS);
                assert!(matches!(accepted.change, TipChange::Reorg(_)), "{accepted:?}");
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn store(c: &mut Criterion) {
    let whole = fed(regtest(), &mined(&NetworkParams::regtest().genesis.0, 4_095, 7));
    let meta = whole.tree().meta();
    let chunks: Vec<(u64, Vec<u8>)> = whole
        .clone()
        .tree_mut()
        .dirty_chunks()
        .into_iter()
        .filter_map(|(number, bytes)| Some((number, bytes?)))
        .collect();
    let mut group = group(c, "tree of 4,096", 4_096);
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

/// Not a time: the memory that tracked headers take, everything included. `tests/memory.rs` holds
/// it to its bound.
fn memory(_: &mut Criterion) {
    let (params, headers) = headers();
    for count in [4_096, headers.len()] {
        let region = Region::new(ALLOCATOR);
        let client = BitcoinClient::from_genesis(params.clone()).expect("built in");
        let client = fed(client, &headers[..count.min(headers.len())]);
        let change = region.change();
        let bytes = change.bytes_allocated - change.bytes_deallocated;
        let kept = client.tree().len();
        println!("memory: {} bytes a header with {kept} headers\n", bytes / kept);
    }
}

criterion_group!(benches, memory, validation, reorganisation, store);
criterion_main!(benches);
