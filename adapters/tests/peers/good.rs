//! What the source does with honest peers: follow, push, compare, remember.

use std::{sync::Arc, time::Duration};

use bitcoin::p2p::message::NetworkMessage;
use grid_adapters::{ProofRequest, SourceChain as _, bitcoin::p2p::SyncPhase};
use grid_core::{bitcoin::Header, proof::facts::BitcoinFact};
use tokio::sync::watch;

use crate::fake::{Fake, LIMIT, branch, config, follow, genesis, in_sync, until, wire, with_file};

#[tokio::test]
async fn follows_the_whole_chain_and_hands_it_out_verified() {
    let chain = branch(&genesis(), 4_321, 1);
    let peer = Fake::honest(chain.clone()).await;
    let source = follow(config(&[&peer]));
    let tip = in_sync(&source).await;
    assert_eq!((tip.height, tip.hash), (4_321, Header::parse(&chain[4_320]).hash()));
    let headers = source.headers(2_000, 5_000).await.expect("headers");
    assert_eq!(headers.len(), 2_000);
    for (header, raw) in headers.iter().zip(&chain[1_999..]) {
        assert_eq!(header.raw.as_ref(), raw);
        assert_eq!(header.compat.blockHash, Header::parse(raw).hash());
    }
    assert!(source.headers(4_322, 1).await.expect("none").is_empty());
    let progress = source.progress();
    assert_eq!((progress.phase, progress.height, progress.peers), (SyncPhase::Synced, 4_321, 1));
}

#[tokio::test]
async fn a_pushed_header_moves_the_tip_and_wakes_the_waiting() {
    let chain = Arc::new(branch(&genesis(), 20, 1));
    let (push, pushed) = watch::channel(10);
    let serve = chain.clone();
    let peer = Fake::start(move |mut conn| {
        let (chain, mut pushed) = (serve.clone(), pushed.clone());
        async move {
            assert!(conn.handshake().await);
            // Answers once with ten headers, then announces what it is told to.
            while let Some(message) = conn.next().await {
                if matches!(message, NetworkMessage::GetHeaders(_)) {
                    conn.send(NetworkMessage::Headers(wire(&chain[..10]))).await;
                    break;
                }
            }
            while pushed.changed().await.is_ok() {
                let height: usize = *pushed.borrow_and_update();
                conn.send(NetworkMessage::Headers(wire(&chain[height - 1..height]))).await;
            }
        }
    })
    .await;
    let mut config = config(&[&peer]);
    config.timing.ping_every = LIMIT;
    let source = follow(config);
    assert_eq!(in_sync(&source).await.height, 10);
    for height in 11..=20 {
        push.send(height).unwrap();
        tokio::time::timeout(LIMIT, source.changed()).await.expect("woken");
        assert_eq!(source.tip().await.expect("tip").height, height as u64);
    }
    let waiting = tokio::time::timeout(Duration::from_millis(50), source.changed()).await;
    assert!(waiting.is_err(), "woken without news");
}

#[tokio::test]
async fn the_branch_of_most_work_wins_whoever_shows_it() {
    let long = branch(&genesis(), 3_000, 1);
    let longer = branch(&long[499], 2_600, 2);
    let other = [&long[..500], &longer].concat();
    let (one, two) = (Fake::honest(long).await, Fake::honest(other.clone()).await);
    let source = follow(config(&[&one, &two]));
    let expected = Header::parse(&other[3_099]).hash();
    let tip = async {
        loop {
            match source.tip().await {
                Ok(tip) if tip.hash == expected => return tip,
                _ => source.changed().await,
            }
        }
    };
    assert_eq!(tokio::time::timeout(LIMIT, tip).await.expect("the longer one").height, 3_100);
    let header = source.headers(501, 1).await.expect("header").remove(0);
    assert_eq!(header.raw.as_ref(), longer[0]);
}

#[tokio::test]
async fn a_restart_goes_on_from_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let chain = branch(&genesis(), 4_500, 1);
    {
        let peer = Fake::honest(chain[..4_100].to_vec()).await;
        let source = follow(with_file(config(&[&peer]), &file));
        assert_eq!(in_sync(&source).await.height, 4_100);
    }
    // The lock is gone when the owner has ended.
    let length = || std::fs::metadata(&file).unwrap().len();
    assert_eq!(length(), 4_101 * 80);
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (count, served) = (asked.clone(), chain.clone());
    let peer = Fake::start(move |mut conn| {
        let (count, chain) = (count.clone(), served.clone());
        async move {
            assert!(conn.handshake().await);
            let Some(NetworkMessage::GetHeaders(request)) = conn.next().await else { return };
            let locator: Vec<[u8; 32]> =
                request.locator_hashes.iter().map(|hash| *hash.as_ref()).collect();
            let headers = crate::fake::after(&chain, &locator);
            count.store(headers.len(), std::sync::atomic::Ordering::SeqCst);
            conn.send(NetworkMessage::Headers(wire(headers))).await;
            conn.serve(&chain).await;
        }
    })
    .await;
    let mut source = None;
    until("the file is free", || {
        let params = grid_core::bitcoin::NetworkParams::regtest();
        let start = grid_core::bitcoin::Checkpoint::genesis(&params);
        let config = with_file(config(&[&peer]), &file);
        source = grid_adapters::bitcoin::p2p::P2pSource::start(params, &start, config).ok();
        source.is_some()
    })
    .await;
    assert_eq!(in_sync(&source.unwrap()).await.height, 4_500);
    // From the block below the tip.
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 401);
    assert_eq!(length(), 4_501 * 80);
}

#[tokio::test]
async fn a_transaction_needs_its_block_named() {
    let peer = Fake::honest(branch(&genesis(), 3, 1)).await;
    let source = follow(config(&[&peer]));
    in_sync(&source).await;
    let facts = || vec![BitcoinFact::Tx { txid: [7; 32].into() }];
    let request = ProofRequest::Bitcoin { facts: facts(), block_hash: None };
    let error = source.proof_material(request).await.unwrap_err();
    assert!(error.to_string().contains("name the block"), "{error}");
    let block_hash = Some([8; 32].into());
    let request = ProofRequest::Bitcoin { facts: facts(), block_hash };
    let error = source.proof_material(request).await.unwrap_err();
    assert!(error.to_string().contains("does not know block 0808"), "{error}");
}

#[tokio::test]
async fn a_peer_that_cuts_the_line_in_a_download_is_replaced() {
    let chain = branch(&genesis(), 6_500, 1);
    let (first, rest) = (Arc::new(chain.clone()), chain.clone());
    let cutting = Fake::start(move |mut conn| {
        let chain = first.clone();
        async move {
            assert!(conn.handshake().await);
            for part in chain.chunks(2_000).take(2) {
                while !matches!(conn.next().await, Some(NetworkMessage::GetHeaders(_)) | None) {}
                conn.send(NetworkMessage::Headers(wire(part))).await;
            }
        }
    })
    .await;
    let good = Fake::honest(rest).await;
    let source = follow(config(&[&cutting, &good]));
    assert_eq!(in_sync(&source).await.height, 6_500);
}

#[tokio::test]
async fn a_stale_tip_brings_in_another_peer() {
    let chain = branch(&genesis(), 50, 1);
    let old = Fake::honest(chain[..40].to_vec()).await;
    // In another network group: of one, one peer is enough.
    let new = Fake::honest_at([127, 1, 0, 1], chain.clone()).await;
    let near = Fake::honest(chain).await;
    let mut config = config(&[&old]);
    config.max_peers = 1;
    config.timing.stale_tip = Duration::from_millis(300);
    config.timing.extra_peer = Duration::from_millis(500);
    // The others are known only by name, as if from DNS.
    config.dns = Some(true);
    config.dns_seeds = vec![new.address.to_string(), near.address.to_string()];
    let source = follow(config);
    assert_eq!(in_sync(&source).await.height, 40);
    assert_eq!(new.connections(), 0, "one connection is configured");
    tokio::time::timeout(LIMIT, source.changed()).await.expect("the hidden blocks");
    assert_eq!(source.tip().await.expect("tip").height, 50);
    until("back to one connection", || source.progress().peers == 1).await;
    assert_eq!(near.connections(), 0, "its group has a connection");
}

#[tokio::test]
async fn dropping_the_source_ends_its_connections() {
    let (closed, mut seen) = watch::channel(false);
    let chain = branch(&genesis(), 3, 1);
    let peer = Fake::start(move |mut conn| {
        let (closed, chain) = (closed.clone(), chain.clone());
        async move {
            assert!(conn.handshake().await);
            conn.serve(&chain).await;
            closed.send_replace(true);
        }
    })
    .await;
    let source = follow(config(&[&peer]));
    in_sync(&source).await;
    drop(source);
    let ended = tokio::time::timeout(LIMIT, seen.wait_for(|closed| *closed)).await;
    assert!(ended.is_ok(), "still connected");
}
