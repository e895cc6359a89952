//! kill -9 of the daemon at any moment: nothing indexed is lost, nothing is done twice.

use std::time::{Duration, Instant};

use grid_test_nodes::Grid;
use serde_json::json;

use crate::world::{World, chain, wait_confirmed};

/// How often the daemon is killed.
const KILLS: u64 = 20;
/// Blocks of each chain between two kills.
const BLOCKS: u64 = 15;

#[tokio::test]
async fn killed_twenty_times_while_indexing_it_indexes_everything_once() {
    let mut world = World::start().await;
    let mut seen = 0;
    let mut slowest = Duration::ZERO;
    for kill in 0..KILLS {
        world.chains.bitcoind.mine(BLOCKS).await.expect("mine");
        world.chains.anvil.mine(BLOCKS).await.expect("mine");
        // A different moment each time: while the work of this round goes through its stages.
        tokio::time::sleep(Duration::from_millis(40 * kill)).await;
        world.grid.process().kill().expect("kill");
        let started = Instant::now();
        world.grid.restart().await.expect("restart after a kill");
        slowest = slowest.max(started.elapsed());
        let chain = chain(&world.grid, "bip122:").await.expect("chain");
        let confirmed = chain["confirmed"]["height"].as_u64().unwrap_or_default();
        assert!(confirmed >= seen, "indexed {seen} before the kill and {confirmed} after it");
        seen = confirmed;
    }
    println!("slowest restart to ready after kill -9: {slowest:?}");
    world.wait_indexed().await;
    world.assert_index_is_the_nodes().await;
    for family in ["bip122:", "eip155:"] {
        let chain = chain(&world.grid, family).await.expect("chain");
        let (first, count) = world.grid.indexed(&chain).await.expect("indexed");
        let last = chain["confirmed"]["height"].as_u64().expect("confirmed");
        assert_eq!(first, chain["firstHeight"].as_u64().expect("first"), "{family}");
        assert_eq!(count, last - first + 1, "each height of {family} once");
    }
    no_header_was_brought_twice(&world.grid).await;
}

/// Each submission that took effect moved the tip up: the heights told by `TipChanged` only grow.
async fn no_header_was_brought_twice(grid: &Grid) {
    let filter = json!([{
        "fromBlock": "0x0", "toBlock": "latest",
        "address": "0x0000000000000000000000000000000000001002",
        "topics": [TIP_CHANGED],
    }]);
    let logs = grid.call("eth_getLogs", filter).await.expect("logs");
    let logs = logs.as_array().expect("a list");
    assert!(!logs.is_empty(), "the tips moved");
    let mut last = std::collections::BTreeMap::new();
    for log in logs {
        let chain = log["topics"][1].as_str().expect("chain").to_owned();
        let data = log["data"].as_str().expect("data").trim_start_matches("0x");
        let height = u64::from_str_radix(&data[48..64], 16).expect("height");
        let before = last.insert(chain, height).unwrap_or_default();
        assert!(height > before, "the tip went from {before} to {height}");
    }
}

/// keccak-256 of `TipChanged(bytes32,uint64,bytes32)`.
const TIP_CHANGED: &str = "0x4c6caf3762e3fbda7c3452c209bb681ad5c020242916afb90f1f8bd1ebb31396";

#[tokio::test]
async fn an_orderly_restart_is_ready_soon_and_goes_on() {
    let mut world = World::start().await;
    world.wait_indexed().await;
    world.grid.stop().await.expect("stops within its time");
    world.chains.bitcoind.mine(10).await.expect("mine");
    let started = Instant::now();
    world.grid.restart().await.expect("restart");
    println!("restart to ready: {:?}", started.elapsed());
    let (height, _) = world.chains.bitcoind.tip().await.expect("tip");
    wait_confirmed(&world.grid, "bip122:", height - 2).await;
    world.assert_index_is_the_nodes().await;
}
