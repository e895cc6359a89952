//! A validator that runs twice: its conflicting votes are found, reported, and cost it stake and seat.

use grid_core::modules::abi::Staking;
use grid_test_nodes::ClusterConfig;

use crate::support::{LIMIT, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_validator_that_signs_twice_is_slashed_jailed_and_voted_out() {
    let config = ClusterConfig { epoch_length: Some(24), ..ClusterConfig::default() };
    let mut world = World::start(config).await;
    let offender = world.cluster.signer(3).expect("key").address();
    let before = world.delegate(offender).await;
    assert!(before.candidate && before.jailedUntil == 0);

    let twin = world.cluster.twin(3).expect("a twin");
    world.start_nodes(twin..twin + 1).await;
    let slashed: Staking::Slashed = world.wait_event(offender).await;
    println!(
        "slashed for height {} by {}: {} of {}",
        slashed.height, slashed.reporter, slashed.tokens, before.tokens
    );
    assert!(!slashed.tokens.is_zero() && slashed.tokens < before.tokens);
    let after = world.delegate(offender).await;
    assert!(!after.candidate, "a jailed delegate is no candidate");
    assert_eq!(after.jailedUntil, slashed.jailedUntil);
    assert!(after.tokens < before.tokens);

    // The rest of the epoch it keeps its seat; then three validators are enough without it.
    world.wait_elected(offender, false).await;
    world.cluster.kill(twin).expect("kill");
    world.cluster.kill(3).expect("kill");
    world.cluster.wait_blocks(4, LIMIT).await.expect("three go on");
    world.finish("double signing").await;
}
