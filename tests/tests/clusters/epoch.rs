//! Epochs: a validator is replaced by stake, and the chain depends on the new one.

use alloy_primitives::{Bytes, U256};
use grid_core::modules::abi::Staking;
use grid_test_nodes::{ClusterConfig, cluster::account};

use crate::support::{LIMIT, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stake_replaces_a_validator_and_the_new_one_carries_the_chain() {
    let config = ClusterConfig { full: 1, epoch_length: Some(16), ..ClusterConfig::default() };
    let mut world = World::start(config).await;
    let (leaving, joining) = (3, 4);
    world.cluster.promote(joining).await.expect("a key");
    world.start_nodes(joining..joining + 1).await;
    let newcomer = world.cluster.signer(joining).expect("key");
    let leaver = world.cluster.signer(leaving).expect("key");

    // The newcomer gets funds and bonds as much as the others have.
    let bond = world.delegate(leaver.address()).await.tokens;
    let funds = bond + U256::from(10).pow(U256::from(20));
    let treasury = account::signer(0);
    world.send(&treasury, newcomer.address(), funds, Bytes::new()).await;
    let register = Staking::registerCall { owner: newcomer.address(), commission: 1_000 };
    world.stake(&newcomer, bond, &register).await;
    world.wait_elected(newcomer.address(), true).await;
    println!("elected beside the others at height {}", world.cluster.height().await);

    // The leaver takes its bond out.
    let owner = world.delegate(leaver.address()).await.owner;
    assert_eq!(owner, leaver.address(), "a validator of localnet owns itself");
    let stake = Staking::stakeOfCall { delegate: leaver.address(), holder: owner };
    let shares = world.read(&stake).await.shares;
    let undelegate = Staking::undelegateCall { delegate: leaver.address(), shares };
    world.stake(&leaver, U256::ZERO, &undelegate).await;
    world.wait_elected(leaver.address(), false).await;
    println!("left at height {}", world.cluster.height().await);

    // With the leaver and one old validator dead, three of four remain: the newcomer must vote.
    world.cluster.kill(leaving).expect("kill");
    world.cluster.kill(0).expect("kill");
    world.cluster.wait_blocks(6, LIMIT).await.expect("the newcomer carries the chain");
    world.start_nodes(0..1).await;
    world.start_nodes(leaving..leaving + 1).await;
    let agreement = world.finish("epochs").await;
    assert!(agreement.hand_overs >= 2, "{} hand-overs", agreement.hand_overs);
}
