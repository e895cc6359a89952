//! Real nodes of the gossip on loopback, honest and not.

use std::{collections::BTreeMap, path::Path};

use alloy_consensus::TxEnvelope;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, U256};
use grid_core::genesis::{self, Genesis};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::{
    Node, NodeMetrics,
    mempool::{Mempool, MempoolLimits},
    store::Store,
    tests::support::{self, CHAIN_ID, DEADLINE, address, sign_by},
};

mod hostile;
mod rogue;

/// Accounts with money: the seeds of their keys.
const SENDERS: std::ops::RangeInclusive<u8> = 2..=9;
const LOOPBACK: &str = "/ip4/127.0.0.1/tcp/0";

fn genesis() -> Genesis {
    let rich = U256::from(10u64).pow(U256::from(24));
    let alloc: BTreeMap<_, _> = SENDERS.map(|seed| (address(seed), rich)).collect();
    Genesis { alloc, ..support::genesis() }
}

fn chain(folder: &Path, genesis: &Genesis) -> Arc<GridChain> {
    let built = genesis::build(genesis).unwrap();
    let store = Store::open(folder, &built, 1 << 20).unwrap();
    let metrics = NodeMetrics::register(&Registry::new()).unwrap();
    let mempool = Mempool::new(MempoolLimits::default());
    Arc::new(GridChain::new(genesis.chain_id, store, mempool, metrics).unwrap())
}

fn transfer(seed: u8, nonce: u64) -> TxEnvelope {
    sign_by(seed, nonce, Address::repeat_byte(7), 1, Bytes::new(), 21_000)
}

/// A node of the gossip without consensus.
struct Gossiper {
    home: TempDir,
    chain: Arc<GridChain>,
    handle: GossipHandle,
    cancel: CancellationToken,
    task: JoinHandle<Result<(), NodeError>>,
}

impl Gossiper {
    async fn new(peers: &[&Self]) -> Self {
        let addresses = peers.iter().map(|peer| peer.handle.address()).collect();
        Self::with(genesis(), addresses, GossipLimits::default()).await
    }

    async fn with(genesis: Genesis, peers: Vec<String>, limits: GossipLimits) -> Self {
        let home = tempfile::tempdir().unwrap();
        let chain = chain(home.path(), &genesis);
        Self::run(home, chain, LOOPBACK.into(), peers, limits).await
    }

    async fn run(
        home: TempDir,
        chain: Arc<GridChain>,
        listen: String,
        peers: Vec<String>,
        limits: GossipLimits,
    ) -> Self {
        let key_file = home.path().join("gossip.key");
        let config = GossipConfig { listen, peers, limits };
        let gossip = Gossip::start(config, key_file, chain.clone()).await.unwrap();
        let (handle, cancel) = (gossip.handle(), CancellationToken::new());
        let task = tokio::spawn(gossip.run(cancel.clone()));
        Self { home, chain, handle, cancel, task }
    }

    fn submit(&self, transaction: &TxEnvelope) {
        self.chain.submit(&transaction.encoded_2718()).unwrap();
    }

    /// Waits until that many transactions are there.
    async fn has(&self, count: usize) {
        let what =
            || format!("{count} transactions, there are {}", self.chain.mempool().size().count);
        until(what, || self.chain.mempool().size().count >= count).await;
    }

    async fn connected(&self, peers: usize) {
        let what = || format!("{peers} peers, there are {:?}", self.handle.peers());
        until(what, || self.handle.peers().len() == peers).await;
    }

    /// Waits until exactly that many transactions were taken from peers.
    async fn accepted(&self, count: u64) {
        let what = || format!("{count} accepted, there are {}", self.received("accepted"));
        until(what, || self.received("accepted") >= count).await;
        assert_eq!(self.received("accepted"), count);
    }

    fn received(&self, outcome: &str) -> u64 {
        self.chain.metrics().gossip_received_total.with_label_values(&[outcome]).get()
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.chain.metrics().gossip_dropped_total.with_label_values(&[reason]).get()
    }

    async fn stop(self) -> (TempDir, Arc<GridChain>) {
        self.cancel.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap().unwrap();
        (self.home, self.chain)
    }
}

/// Looks often, and fails after the deadline with what was waited for.
async fn until(what: impl Fn() -> String, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "no {}", what());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_spread_along_a_line_and_cross_each_link_once() {
    let first = Gossiper::new(&[]).await;
    let middle = Gossiper::new(&[&first]).await;
    let last = Gossiper::new(&[&middle]).await;
    middle.connected(2).await;
    let mut sent = Vec::new();
    for nonce in 0..40 {
        for (seed, at) in [(2, &first), (3, &last), (4, &middle)] {
            let transaction = transfer(seed, nonce);
            at.submit(&transaction);
            sent.push(*transaction.tx_hash());
        }
    }
    for node in [&first, &middle, &last] {
        node.has(120).await;
        assert!(sent.iter().all(|hash| node.chain.mempool().contains(hash)));
        node.accepted(80).await;
        for outcome in ["refused", "useless", "invalid"] {
            assert_eq!(node.received(outcome), 0, "{outcome}");
        }
    }
    let expected = GossipPeer {
        peer_id: first.handle.local_peer_id(),
        address: first.handle.address(),
        outbound: true,
    };
    assert!(middle.handle.peers().contains(&expected), "{:?}", middle.handle.peers());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_late_gets_what_still_waits() {
    let early = Gossiper::new(&[]).await;
    for seed in SENDERS {
        for nonce in 0..200 {
            early.submit(&transfer(seed, nonce));
        }
    }
    let late = Gossiper::new(&[&early]).await;
    late.has(1_600).await;
    assert_eq!(late.chain.mempool().status().queued, 0);
    late.accepted(1_600).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_peer_is_found_again_and_catches_up() {
    let limits = GossipLimits::default();
    let stays = Gossiper::new(&[]).await;
    let away = Gossiper::new(&[&stays]).await;
    let (id, listen) = (away.handle.local_peer_id(), away.handle.address());
    // From now on the one that stays dials the other.
    let (home, chain) = stays.stop().await;
    let stays = Gossiper::run(home, chain, LOOPBACK.into(), vec![listen.clone()], limits).await;
    stays.connected(1).await;
    let (home, chain) = away.stop().await;
    stays.connected(0).await;
    stays.submit(&transfer(2, 0));
    let away = Gossiper::run(home, chain, listen, Vec::new(), limits).await;
    assert_eq!(away.handle.local_peer_id(), id, "the identity is kept");
    away.has(1).await;
    stays.connected(1).await;
    assert!(stays.handle.peers()[0].outbound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_chain_is_turned_away() {
    let ours = Gossiper::new(&[]).await;
    ours.submit(&transfer(2, 0));
    let other = Genesis { gas_limit: support::genesis().gas_limit + 1, ..genesis() };
    let limits = GossipLimits::default();
    let theirs = Gossiper::with(other, vec![ours.handle.address()], limits).await;
    until(|| "drop".into(), || ours.dropped("chain") + theirs.dropped("chain") > 0).await;
    assert_eq!(theirs.chain.mempool().size().count, 0);
    assert!(ours.handle.peers().is_empty() && theirs.handle.peers().is_empty());
    // Another of our own still gets in.
    let friend = Gossiper::new(&[&ours]).await;
    friend.has(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_dial_each_other_and_themselves_are_one_peer_each() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let addresses: Vec<_> =
        [free(), free()].map(|port| format!("/ip4/127.0.0.1/tcp/{port}")).into();
    let mut nodes = Vec::new();
    for listen in &addresses {
        let home = tempfile::tempdir().unwrap();
        let chain = chain(home.path(), &genesis());
        let limits = GossipLimits::default();
        nodes.push(Gossiper::run(home, chain, listen.clone(), addresses.clone(), limits).await);
    }
    for (seed, node) in [2, 3].into_iter().zip(&nodes) {
        node.connected(1).await;
        node.submit(&transfer(seed, 0));
    }
    for node in &nodes {
        node.has(2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unusable_settings_are_named() {
    let home = tempfile::tempdir().unwrap();
    let chain = chain(home.path(), &genesis());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    for (listen, peers, part) in [
        ("127.0.0.1:1", vec![], "listen"),
        ("/ip4/127.0.0.1/udp/1", vec![], "expected a TCP multiaddress"),
        (LOOPBACK, vec!["node1".to_owned()], "peer \"node1\""),
        (taken.as_str(), vec![], taken.as_str()),
    ] {
        let key_file = home.path().join("gossip.key");
        let config = GossipConfig::new(listen, peers);
        let error = Gossip::start(config, key_file, chain.clone()).await.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
