//! A network that is cut in two, through proxies between the nodes.

use std::time::Duration;

use grid_test_nodes::ClusterConfig;

use crate::support::{HALT, LIMIT, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halves_halt_three_of_four_go_on_and_both_heal() {
    let config = ClusterConfig { proxied: true, ..ClusterConfig::default() };
    let mut world = World::start(config).await;
    world.transfers(0..4);
    world.wait_transfers(32).await;

    // Two and two: neither half has a quorum.
    world.cluster.separate(&[0, 1], &[2, 3]);
    let halted = world.cluster.stands_still(HALT).await.expect("both halves halt");
    world.cluster.heal();
    let healed = world.cluster.wait_all(halted + 3, LIMIT).await.expect("heals");
    println!("2|2 halted at {halted}, healed after {healed:?}");

    // Three and one: three go on, the one stands still, and catches up.
    world.cluster.separate(&[3], &[0, 1, 2]);
    let (alone, _) = world.cluster.tip(3).await.expect("tip");
    for node in 0..3 {
        world.cluster.wait_height(node, alone + 6, LIMIT).await.expect("three of four go on");
    }
    let (still, _) = world.cluster.tip(3).await.expect("tip");
    assert!(still <= alone + 1, "a node without a quorum went from {alone} to {still}");
    world.cluster.heal();
    let healed = world.cluster.wait_all(alone + 6, LIMIT).await.expect("catches up");
    println!("3|1 healed after {healed:?}");

    // A slow network is slower, and nothing else.
    world.cluster.delay(Duration::from_millis(60));
    world.cluster.wait_blocks(4, LIMIT).await.expect("goes on slowly");
    world.finish("partitions").await;
}
