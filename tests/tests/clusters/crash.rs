//! `kill -9` of one, two and all of four validators under load.

use grid_test_nodes::ClusterConfig;

use crate::support::{HALT, LIMIT, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_validators_survive_one_crash_halt_at_two_and_recover_from_all() {
    let mut world = World::start(ClusterConfig::default()).await;
    world.transfers(0..4);
    world.wait_transfers(32).await;

    // One of four is dead: the others go on, and it catches up.
    world.cluster.kill(0).expect("kill");
    world.cluster.wait_blocks(6, LIMIT).await.expect("three of four go on");
    world.wait_transfers(32).await;
    let missed = world.cluster.height().await;
    world.cluster.start_node(0).await.expect("restart");
    let caught_up = world.cluster.wait_height(0, missed, LIMIT).await.expect("catches up");
    println!("one restarted: caught up {caught_up:?} after its start");
    world.cluster.wait_blocks(2, LIMIT).await.expect("goes on");

    // Two of four are dead: not a single block, until one comes back.
    world.cluster.kill(1).expect("kill");
    world.cluster.kill(2).expect("kill");
    let halted = world.cluster.stands_still(HALT).await.expect("a halt");
    world.cluster.start_node(2).await.expect("restart");
    let recovered = world.cluster.wait_all(halted + 3, LIMIT).await.expect("three go on");
    println!("halted at {halted}: recovered {recovered:?} after the third came back");
    world.cluster.start_node(1).await.expect("restart");
    world.cluster.wait_blocks(2, LIMIT).await.expect("all four go on");

    // All die at once; what they had is on their disks.
    for node in 0..4 {
        world.cluster.kill(node).expect("kill");
    }
    world.start_nodes(0..4).await;
    let recovered = world.cluster.wait_blocks(2, LIMIT).await.expect("from disk");
    println!("all killed: recovered {recovered:?} after the last came back");
    world.wait_transfers(32).await;

    // An orderly stop keeps its time.
    world.cluster.stop(3).await.expect("stops in time");
    world.cluster.start_node(3).await.expect("restart");
    world.cluster.wait_blocks(2, LIMIT).await.expect("goes on");
    world.finish("crashes").await;
}
