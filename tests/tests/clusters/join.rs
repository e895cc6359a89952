//! Nodes that begin with nothing: a full node that comes late, and a validator that lost its disk; and an auditor.

use grid_test_nodes::{ClusterConfig, Grid, NodeError};
use serde_json::Value;

use crate::support::{LIMIT, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_full_node_catches_up_and_an_auditor_verifies_what_it_serves() {
    let config = ClusterConfig { full: 1, ..ClusterConfig::default() };
    let mut world = World::start(config).await;
    world.transfers(0..4);
    world.cluster.wait_blocks(20, LIMIT).await.expect("a history");

    let late = world.cluster.validators();
    world.cluster.start_node(late).await.expect("start");
    let height = world.cluster.height().await;
    let caught_up = world.cluster.wait_height(late, height, LIMIT).await.expect("catches up");
    println!("a late full node had {height} blocks {caught_up:?} after its start");
    world.cluster.wait_blocks(3, LIMIT).await.expect("it follows");

    let report = audit(&world, late, "genesis.json").await.expect("the audit passes");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["verified"], true, "{report}");
    assert_eq!(report["executed"], true);
    assert!(report["height"].as_u64() >= Some(height), "{report}");
    assert!(report["transactions"].as_u64() > Some(0), "{report}");
    refuse_another_genesis(&world, late).await;
    world.finish("late joiner").await;
}

/// The operator's nightmare: the disk is gone, the key is not. What it signed before is forgotten, so it must sign nothing
/// for those heights; and then it is a validator again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_that_lost_its_disk_signs_nothing_twice_and_votes_again() {
    let mut world = World::start(ClusterConfig::default()).await;
    world.transfers(0..4);
    world.cluster.wait_blocks(8, LIMIT).await.expect("a history");
    let offender = world.cluster.signer(3).expect("key").address();
    world.cluster.wipe(3).expect("wipe");
    world.cluster.start_node(3).await.expect("start");
    let height = world.cluster.height().await;
    let caught_up = world.cluster.wait_height(3, height, LIMIT).await.expect("catches up");
    println!("a wiped validator had {height} blocks {caught_up:?} after its start");

    // It votes again only above a block that was decided without it, above all that it heard of: with another
    // one killed before that, nobody would go on.
    let beyond = world.cluster.height().await + 3;
    world.cluster.wait_height(3, beyond, LIMIT).await.expect("sees blocks decided without it");
    // Without another one the chain goes on only if it votes.
    world.cluster.kill(0).expect("kill");
    world.cluster.wait_blocks(6, LIMIT).await.expect("the wiped validator votes again");
    world.start_nodes(0..1).await;
    world.cluster.wait_blocks(3, LIMIT).await.expect("all four go on");
    let delegate = world.delegate(offender).await;
    assert!(delegate.candidate && delegate.jailedUntil == 0, "it was slashed");
    world.finish("wiped validator").await;
}

/// `grid audit` of a node with a genesis file beside its own.
async fn audit(world: &World, node: usize, genesis: &str) -> Result<String, NodeError> {
    let genesis = world.cluster.genesis_file().with_file_name(genesis);
    let (rpc, genesis) = (world.cluster.rpc(node), genesis.display().to_string());
    let home = world.cluster.home(node);
    let line = ["--json", "audit", "--rpc", rpc.url(), "--genesis", &genesis, "--execute"];
    Grid::run(home, &line).await
}

/// One more unit on one account is another chain: its first block has another parent.
async fn refuse_another_genesis(world: &World, node: usize) {
    let mut other = world.cluster.genesis().clone();
    let balance = other.alloc.values_mut().next().expect("an account");
    *balance -= alloy_primitives::U256::from(1);
    let file = world.cluster.genesis_file().with_file_name("other.json");
    std::fs::write(file, serde_json::to_string(&other).expect("JSON")).expect("write");
    let error = audit(world, node, "other.json").await.expect_err("another genesis").to_string();
    assert!(error.contains("\"verified\": false") && error.contains("\"height\": 1"), "{error}");
}
