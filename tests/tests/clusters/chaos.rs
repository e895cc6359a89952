//! Seven validators, killed at random points: ten times in the normal run, `GRID_CLUSTER_KILLS` times in the long one.

use std::time::Duration;

use grid_test_nodes::{ClusterConfig, cluster::chaos};

use crate::support::{LIMIT, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seven_validators_killed_at_random_never_fork_and_never_lose_a_block() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let kills: u64 = number("GRID_CLUSTER_KILLS").unwrap_or(10);
    let seed: u64 = number("GRID_CLUSTER_SEED").unwrap_or_else(rand::random);
    println!("GRID_CLUSTER_SEED={seed} GRID_CLUSTER_KILLS={kills}");
    let config = ClusterConfig {
        validators: 7,
        block_interval: Duration::from_secs(1),
        ..ClusterConfig::default()
    };
    let mut world = World::start(config).await;
    world.transfers(0..4);
    let plan = chaos::Plan { seed, kills: Some(kills), time: None, recovery: LIMIT };
    let summary = chaos::run(&mut world.cluster, &plan, |round| {
        let chaos::Round { number, killed, away, recovery, height } = round;
        println!(
            "round {number}: killed {killed:?} for {away:.1?}, recovered in {recovery:.1?} at {height}"
        );
    })
    .await
    .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    println!("{summary:?}");
    assert!(summary.kills >= kills);
    world.wait_transfers(8).await;
    world.finish("chaos").await;
}
