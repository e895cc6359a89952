//! The peer-to-peer source of Bitcoin headers against real Bitcoin Core nodes.

use std::{net::SocketAddr, time::Duration};

use alloy_primitives::{B256, hex};
use bitcoin::{
    Network,
    consensus::serialize,
    p2p::{
        Magic,
        message::{NetworkMessage, RawNetworkMessage},
    },
};
use grid_adapters::{
    ProofRequest, SourceChain as _,
    bitcoin::p2p::{P2pConfig, P2pSource, SyncPhase, Timing},
};
use grid_core::{
    bitcoin::{Checkpoint, NetworkParams},
    proof::facts::BitcoinFact,
};
use grid_test_nodes::{Bitcoind, BitcoindConfig, wait_for};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const LIMIT: Duration = Duration::from_secs(120);

async fn node() -> Bitcoind {
    let config = BitcoindConfig { listen: true, ..BitcoindConfig::default() };
    Bitcoind::start(config).await.expect("bitcoind")
}

fn address(node: &Bitcoind) -> SocketAddr {
    node.peer_address().expect("it listens")
}

fn config(nodes: &[&Bitcoind]) -> P2pConfig {
    let retry = Duration::from_millis(100);
    P2pConfig {
        peers: nodes.iter().map(|node| address(node).to_string()).collect(),
        timing: Timing { retry, retry_most: retry * 10, ..Timing::default() },
        ..P2pConfig::default()
    }
}

fn follow(config: P2pConfig) -> P2pSource {
    let params = NetworkParams::regtest();
    let start = Checkpoint::genesis(&params);
    P2pSource::start(params, &start, config).expect("source")
}

fn shown(hash: B256) -> String {
    hex::encode(hash.iter().rev().copied().collect::<Vec<u8>>())
}

fn parse(shown: &str) -> B256 {
    let mut bytes: [u8; 32] = hex::decode(shown).expect("hex").try_into().expect("32 bytes");
    bytes.reverse();
    bytes.into()
}

/// That a transaction is in a block.
fn in_block(txid: B256, block: &str) -> ProofRequest {
    let facts = vec![BitcoinFact::Tx { txid }];
    ProofRequest::Bitcoin { facts, block_hash: Some(parse(block)) }
}

/// Mines many blocks, some at a time: each call has a deadline.
async fn mine_many(node: &Bitcoind, blocks: u64) {
    for from in (0..blocks).step_by(500) {
        node.mine((blocks - from).min(500)).await.expect("mine");
    }
}

/// Mines, and has the node write everything: a kill loses nothing then.
async fn mine_to_disk(node: &mut Bitcoind, blocks: u64) {
    mine_many(node, blocks).await;
    node.stop().await.expect("stop");
    node.restart().await.expect("restart");
}

/// Waits until the source has the node's tip.
async fn agrees(source: &P2pSource, node: &Bitcoind) -> u64 {
    wait_for("the source to have the node's tip", LIMIT, || async {
        let expected = node.tip().await.map_err(|error| error.to_string())?;
        match source.tip().await {
            Ok(tip) if (tip.height, shown(tip.hash)) == expected => Ok(tip.height),
            Ok(tip) => Err(format!("source at {} {}", tip.height, shown(tip.hash))),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
    .expect("agreement")
}

/// Compares every header with the node's.
async fn same_headers(source: &P2pSource, node: &Bitcoind) {
    let (height, _) = node.tip().await.expect("tip");
    let mut from = 0;
    while from <= height {
        let headers = source.headers(from, 2_000).await.expect("headers");
        let first = node.block_hash(from).await.expect("hash");
        assert_eq!(shown(headers[0].compat.blockHash), first);
        for pair in headers.windows(2) {
            assert_eq!(pair[1].compat.parentHash, pair[0].compat.blockHash);
        }
        from += headers.len() as u64;
    }
    assert_eq!(from, height + 1);
}

#[tokio::test]
async fn syncs_follows_and_proves() {
    let node = node().await;
    mine_many(&node, 2_500).await;
    let source = follow(config(&[&node]));
    assert_eq!(agrees(&source, &node).await, 2_500);
    same_headers(&source, &node).await;
    assert_eq!(source.progress().phase, SyncPhase::Synced);
    // Each new block is pushed.
    for _ in 0..3 {
        node.mine(1).await.expect("mine");
        tokio::time::timeout(LIMIT, source.changed()).await.expect("woken by the announcement");
        agrees(&source, &node).await;
    }
    let txid = node.pay(None, 50_000).await.expect("pay");
    let block = node.mine(1).await.expect("mine").remove(0);
    agrees(&source, &node).await;
    let request = in_block(parse(&txid), &block);
    let material = source.proof_material(request).await.expect("proof");
    assert_eq!((material.header.height, shown(material.header.blockHash)), (2_504, block));
    let old = node.block_hash(7).await.expect("hash");
    let of = node.call("getblock", json!([old])).await.expect("block");
    let txid = parse(of["tx"][0].as_str().expect("coinbase"));
    let request = in_block(txid, &old);
    assert_eq!(source.proof_material(request).await.expect("coinbase").header.height, 7);
    let elsewhere = in_block(B256::ZERO, &old);
    let error = source.proof_material(elsewhere).await.unwrap_err();
    assert!(error.to_string().contains("does not know transaction"), "{error}");
}

#[tokio::test]
async fn takes_the_heavier_of_two_competing_branches() {
    let (one, two) = (node().await, node().await);
    one.mine(20).await.expect("mine");
    // The same first blocks in both nodes, which are not connected to each other.
    for height in 1..=20 {
        let hash = one.block_hash(height).await.expect("hash");
        let raw = one.call("getblock", json!([hash, 0])).await.expect("block");
        two.call("submitblock", json!([raw])).await.expect("submit");
    }
    let source = follow(config(&[&one, &two]));
    agrees(&source, &one).await;
    one.mine(5).await.expect("mine");
    agrees(&source, &one).await;
    // The second node's branch overtakes, then the first one's again.
    two.reorg(3).await.expect("reorg");
    two.mine(8).await.expect("mine");
    agrees(&source, &two).await;
    same_headers(&source, &two).await;
    one.mine(10).await.expect("mine");
    agrees(&source, &one).await;
    same_headers(&source, &one).await;
}

#[tokio::test]
async fn survives_storms_of_invalidated_and_reconsidered_blocks() {
    let node = node().await;
    node.mine(200).await.expect("mine");
    let source = follow(config(&[&node]));
    agrees(&source, &node).await;
    for round in 1..=12 {
        let (height, _) = node.tip().await.expect("tip");
        let first = node.block_hash(height - 10 * round + 1).await.expect("hash");
        node.invalidate_block(&first).await.expect("invalidate");
        // The branch that was taken back returns, and most times loses against a longer one.
        node.reconsider_block(&first).await.expect("reconsider");
        if round % 3 != 0 {
            node.reorg(10 * round).await.expect("reorg");
        }
    }
    node.mine(1).await.expect("mine");
    agrees(&source, &node).await;
    same_headers(&source, &node).await;
    // Deeper than a day of blocks: through the two-phase download.
    node.mine(300).await.expect("mine");
    agrees(&source, &node).await;
    node.reorg(400).await.expect("reorg");
    agrees(&source, &node).await;
    same_headers(&source, &node).await;
}

#[tokio::test]
async fn goes_on_when_nodes_are_killed_and_return() {
    let (mut one, two) = (node().await, node().await);
    mine_to_disk(&mut one, 3_000).await;
    let source = follow(config(&[&one, &two]));
    agrees(&source, &one).await;
    one.process().kill().expect("kill");
    let lost = wait_for("the loss to be noticed", LIMIT, || async {
        let peers = source.progress().peers;
        if peers == 1 { Ok(()) } else { Err(format!("{peers} peers")) }
    });
    lost.await.expect("noticed");
    assert_eq!(source.tip().await.expect("the other node is there").height, 3_000);
    one.restart().await.expect("restart");
    one.mine(2).await.expect("mine");
    assert_eq!(agrees(&source, &one).await, 3_002);
}

#[tokio::test]
async fn a_node_killed_in_a_download_is_taken_up_again() {
    let mut node = node().await;
    mine_to_disk(&mut node, 8_000).await;
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("headers");
    let with_file = P2pConfig { headers_file: Some(file.clone()), ..config(&[&node]) };
    let source = follow(with_file);
    // Headers come in messages of 2,000: the kill lands between two of them, or after the last.
    wait_for("the first headers", LIMIT, || async {
        let height = source.progress().height;
        if height > 0 { Ok(()) } else { Err(format!("{height}")) }
    })
    .await
    .expect("started");
    node.process().kill().expect("kill");
    node.restart().await.expect("restart");
    assert_eq!(agrees(&source, &node).await, 8_000);
    same_headers(&source, &node).await;
    assert_eq!(std::fs::metadata(&file).expect("file").len(), 8_001 * 80);
}

#[tokio::test]
async fn a_node_of_another_network_is_refused() {
    let node = node().await;
    let params = NetworkParams::mainnet();
    let start = Checkpoint::genesis(&params);
    let source = P2pSource::start(params, &start, config(&[&node])).expect("source");
    let error = source.tip().await.expect_err("no mainnet there").to_string();
    assert!(error.contains("nodes of another network"), "{error}");
}

/// The same headers over the same protocol, not even decoded: what the node and the wire take.
async fn bytes_alone(address: SocketAddr, count: usize) -> usize {
    let genesis = bitcoin::blockdata::constants::genesis_block(Network::Regtest).block_hash();
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connect");
    let frame = |message| serialize(&RawNetworkMessage::new(Magic::REGTEST, message));
    let nowhere = bitcoin::p2p::Address::new(&address, bitcoin::p2p::ServiceFlags::NONE);
    let version = bitcoin::p2p::message_network::VersionMessage {
        version: 70_016,
        services: bitcoin::p2p::ServiceFlags::NONE,
        timestamp: 0,
        receiver: nowhere.clone(),
        sender: nowhere,
        nonce: 7,
        user_agent: "/bytes/".into(),
        start_height: 0,
        relay: false,
    };
    stream.write_all(&frame(NetworkMessage::Version(version))).await.expect("version");
    let (mut headers, mut last, mut payload) = (0, genesis, Vec::new());
    while headers < count {
        let mut start = [0; 24];
        stream.read_exact(&mut start).await.expect("frame");
        let length = u32::from_le_bytes(start[16..20].try_into().expect("4 bytes")) as usize;
        payload.resize(length, 0);
        stream.read_exact(&mut payload).await.expect("payload");
        let reply = match &start[4..12] {
            b"version\0" => frame(NetworkMessage::Verack),
            b"verack\0\0" | b"headers\0" => {
                if start[4] == b'h' {
                    let entries = &payload[payload.len() % 81..];
                    headers += entries.len() / 81;
                    last = bitcoin::block::Header::block_hash(
                        &bitcoin::consensus::deserialize(&entries[entries.len() - 81..][..80])
                            .expect("header"),
                    );
                }
                frame(NetworkMessage::GetHeaders(
                    bitcoin::p2p::message_blockdata::GetHeadersMessage::new(
                        vec![last],
                        bitcoin::hashes::Hash::all_zeros(),
                    ),
                ))
            }
            _ => continue,
        };
        stream.write_all(&reply).await.expect("request");
    }
    headers
}

/// Run by hand, in release: `cargo test --release -p grid-test-nodes --test bitcoin_p2p -- --ignored
/// --nocapture`. `GRID_SPEED_HEADERS` changes the number of headers.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: minutes of mining"]
async fn header_sync_beside_the_bytes_alone() {
    let count = std::env::var("GRID_SPEED_HEADERS").ok().and_then(|text| text.parse().ok());
    let count: u64 = count.unwrap_or(40_000);
    let node = node().await;
    mine_many(&node, count).await;
    let total = usize::try_from(count).expect("fits");
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let started = std::time::Instant::now();
        assert_eq!(bytes_alone(address(&node), total).await, total);
        let bytes = started.elapsed();
        let started = std::time::Instant::now();
        let source = follow(config(&[&node]));
        source.changed().await;
        let synced = started.elapsed();
        assert_eq!(source.tip().await.expect("tip").height, count);
        println!("{count} headers: bytes alone {bytes:?}, verified and stored {synced:?}");
        ratios.push(synced.as_secs_f64() / bytes.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    println!("ratio, median of five: {:.2}", ratios[2]);
    assert!(ratios[2] < 1.5, "goal: within 1.5 times the bytes alone");
}
