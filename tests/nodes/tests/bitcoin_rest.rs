//! Verified download against the plain download of the same bytes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use grid_adapters::{
    Auth, Endpoint, Member, SourceChain as _, SourceKind,
    bitcoin::{BitcoinSource, Quorum, RestMode},
};
use grid_core::bitcoin::{Checkpoint, NetworkParams};
use grid_test_nodes::{Bitcoind, BitcoindConfig};

/// Headers in the measurement.
const HEADERS: u64 = 40_000;

/// `cargo test --release -p grid-test-nodes --test bitcoin_rest -- --ignored --nocapture`
#[tokio::test]
#[ignore = "a measurement; run it in release mode"]
async fn verified_download_takes_little_longer_than_the_bytes() {
    let bitcoind = Bitcoind::start(BitcoindConfig::default()).await.expect("bitcoind");
    let mut mined = 0;
    while mined < HEADERS {
        bitcoind.mine(1_000).await.expect("mine");
        mined += 1_000;
    }
    let mut starts = Vec::new();
    for height in (0..=HEADERS).step_by(2_000) {
        starts.push(bitcoind.block_hash(height).await.expect("hash"));
    }
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        let begun = Instant::now();
        let bytes = plain(&bitcoind, &starts).await;
        let plain = begun.elapsed();
        assert_eq!(bytes as u64, (HEADERS + 1) * 80);
        let begun = Instant::now();
        let quorum = quorum(&bitcoind);
        assert_eq!(quorum.tip().await.expect("tip").height, HEADERS);
        let verified = begun.elapsed();
        best = (best.0.min(plain), best.1.min(verified));
        println!("plain {plain:?}, verified {verified:?}");
    }
    println!("best: plain {:?}, verified {:?}", best.0, best.1);
    assert!(best.1 < best.0 * 3 / 2, "{best:?}");
}

/// Downloads every header over REST, 2,000 at a time, on one connection; returns the bytes.
async fn plain(bitcoind: &Bitcoind, starts: &[String]) -> usize {
    let client = reqwest::Client::builder().no_proxy().build().expect("client");
    let mut total = 0;
    for hash in starts {
        let url = format!("{}/rest/headers/{hash}.bin?count=2000", bitcoind.url());
        let answer = client.get(url).send().await.expect("answer").bytes().await.expect("body");
        total += answer.len();
    }
    total
}

/// One node, verified from genesis.
fn quorum(bitcoind: &Bitcoind) -> Quorum {
    let endpoint = Endpoint::new(&bitcoind.url(), "a test").expect("url");
    let endpoint = endpoint.with_auth(Auth::Cookie { path: bitcoind.cookie_file() }).expect("auth");
    let params = NetworkParams::regtest();
    let source = BitcoinSource::new(params.chain_id(), endpoint, RestMode::Auto).expect("source");
    let member = Member::new("node".into(), SourceKind::Rpc, Arc::new(source));
    let start = Checkpoint::genesis(&params);
    Quorum::new(vec![member], 1, params, &start).expect("quorum")
}
