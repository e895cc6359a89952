//! A validator whose clock is wrong.

use std::{
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use grid_core::grid::{Extension, Validator};
use tokio_util::sync::CancellationToken;

use super::support::*;
use crate::{Clock, Net, Node, NodeConfig, NodeHandle, Role, chain::MAX_DRIFT_MS};

const COUNT: usize = 4;
/// The one whose clock is moved.
const WRONG: usize = 3;
/// Far beyond the tolerated drift.
const SKEW_MS: i64 = 60_000;

fn seed(node: usize) -> u8 {
    10 + u8::try_from(node).unwrap()
}

/// Four validators over libp2p; the last one's clock is off by `skew`.
async fn network(directory: &Path, skew: &Arc<AtomicI64>) -> Vec<NodeHandle> {
    let listeners: Vec<_> = (0..COUNT).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<String> = listeners
        .iter()
        .map(|one| format!("/ip4/127.0.0.1/tcp/{}", one.local_addr().unwrap().port()))
        .collect();
    drop(listeners);
    let mut genesis = genesis();
    genesis.validators =
        (0..COUNT).map(|node| Validator { account: address(seed(node)), power: 1 }).collect();
    genesis.validators.sort_by_key(|validator| validator.account);
    let mut nodes = Vec::new();
    for node in 0..COUNT {
        let mut config = NodeConfig::new(
            directory.join(node.to_string()),
            genesis.clone(),
            Role::Validator(key(seed(node))),
        );
        config.moniker = format!("skew-{node}");
        config.block_interval = Duration::from_millis(100);
        config.empty_block_interval = config.block_interval;
        let peers = (0..COUNT).filter(|other| *other != node).map(|other| addresses[other].clone());
        config.net =
            Net::P2p { listen: addresses[node].clone(), peers: peers.collect(), peers_only: false };
        if node == WRONG {
            let skew = Arc::clone(skew);
            config.clock = Clock::new(move || {
                Clock::default().now_ms().saturating_add_signed(skew.load(Ordering::Relaxed))
            });
        }
        // None is ready before most of them run.
        nodes.push(Node::start(config, CancellationToken::new()).await.unwrap());
    }
    nodes
}

/// Lets every node commit `blocks` more, and compares them; who proposed them, and their times.
async fn grow(nodes: &[NodeHandle], blocks: u64) -> Vec<(alloy_primitives::Address, u64)> {
    let from = nodes.iter().map(|node| node.heads().borrow().height).max().unwrap() + 1;
    let mut grown = Vec::new();
    for node in nodes {
        wait_height(node, from + blocks).await;
    }
    for height in from..=from + blocks {
        let headers: Vec<_> = nodes
            .iter()
            .map(|node| node.chain().store().view().unwrap().header(height).unwrap().unwrap())
            .collect();
        assert!(headers.windows(2).all(|pair| pair[0] == pair[1]), "nodes differ at {height}");
        let time_ms = Extension::of(&headers[0]).unwrap().timeMs;
        grown.push((headers[0].beneficiary, time_ms));
    }
    grown
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_a_minute_off_stops_nobody_and_moves_no_block_time() {
    let directory = tempfile::tempdir().unwrap();
    let skew = Arc::new(AtomicI64::new(0));
    let nodes = network(directory.path(), &skew).await;
    grow(&nodes, 4).await;
    for offset in [SKEW_MS, -SKEW_MS] {
        skew.store(offset, Ordering::Relaxed);
        // The block that was under way when the clock moved may still be of before.
        grow(&nodes, 1).await;
        let grown = grow(&nodes, 10).await;
        let now_ms = Clock::default().now_ms();
        assert!(grown.is_sorted_by(|one, next| one.1 < next.1), "{grown:?}");
        for (proposer, time_ms) in grown {
            assert!(time_ms <= now_ms + MAX_DRIFT_MS, "{time_ms} ms is of the future");
            let fast = offset > 0 && proposer == address(seed(WRONG));
            assert!(!fast, "a block of the future was accepted");
        }
    }
    // Once the clock is right again its blocks are wanted again.
    skew.store(0, Ordering::Relaxed);
    let mut proposers = Vec::new();
    while !proposers.contains(&address(seed(WRONG))) {
        proposers.extend(grow(&nodes, 8).await.into_iter().map(|(proposer, _)| proposer));
        assert!(proposers.len() < 100, "it proposes nothing any more");
    }
    for node in nodes {
        stop(node).await;
    }
}
