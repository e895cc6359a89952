//! Reorganisations deeper than the confirmation rules, on both chains, while the daemon runs.

use std::time::Duration;

use grid_test_nodes::wait_for;
use serde_json::json;

use crate::world::{World, wait_bitcoin_tip, wait_tip};

#[tokio::test]
async fn five_blocks_are_replaced_on_bitcoin() {
    let world = World::start().await;
    let txid = world.chains.payment().await;
    world.chains.bitcoind.mine(5).await.expect("mine");
    world.wait_indexed().await;
    let before = world.home.prove(&["btc-tx", &txid], "before.json").await;
    let (height, old_tip) = world.chains.bitcoind.tip().await.expect("tip");

    let first = world.chains.bitcoind.reorg(5).await.expect("reorg");
    let (_, new_tip) = world.chains.bitcoind.tip().await.expect("tip");
    assert_ne!(old_tip, new_tip);
    wait_bitcoin_tip(&world.grid, &new_tip).await;
    world.wait_indexed().await;
    world.assert_index_is_the_nodes().await;

    // The old branch again, with more blocks: back and forth over the same fork.
    world
        .chains
        .bitcoind
        .invalidate_block(&world.chains.bitcoind.block_hash(height - 4).await.expect("hash"))
        .await
        .expect("invalidate");
    world.chains.bitcoind.reconsider_block(&first).await.expect("reconsider");
    world.chains.bitcoind.mine(3).await.expect("mine");
    let (_, tip) = world.chains.bitcoind.tip().await.expect("tip");
    wait_bitcoin_tip(&world.grid, &tip).await;
    world.wait_indexed().await;
    world.assert_index_is_the_nodes().await;

    // A proof made before verifies against its own, final Grid block; that is what it says.
    let trust = world.home.path().join("trust.json").display().to_string();
    let file = before.display().to_string();
    world.home.run(&["verify", &file, "--trust", &trust]).await.expect("an old proof verifies");
}

#[tokio::test]
async fn five_blocks_are_replaced_on_ethereum() {
    let world = World::start().await;
    world.chains.transfer().await;
    world.chains.anvil.mine(8).await.expect("mine");
    world.wait_indexed().await;
    let number = world.chains.anvil.block_number().await.expect("number");
    let old = world.chains.anvil.block_hash(number).await.expect("hash");
    world.chains.anvil.reorg(5).await.expect("reorg");
    // The new branch has the old one's length, and the first seen wins until it grows.
    world.chains.anvil.mine(3).await.expect("mine");
    assert_ne!(world.chains.anvil.block_hash(number).await.expect("hash"), old);
    let newest = world.chains.anvil.block_number().await.expect("number");
    let tip = world.chains.anvil.block_hash(newest).await.expect("hash");
    wait_tip(&world.grid, "eip155:", &tip).await;
    world.wait_indexed().await;
    world.assert_index_is_the_nodes().await;
}

#[tokio::test]
async fn blocks_that_anvil_takes_back_are_followed_when_it_grows_again() {
    let world = World::start().await;
    world.chains.anvil.mine(8).await.expect("mine");
    world.wait_indexed().await;
    world.chains.anvil.rollback(5).await.expect("rollback");
    // Shorter than before: nothing is lost meanwhile, and the daemon goes on.
    let grid = &world.grid;
    let first = grid.call("eth_blockNumber", json!([])).await.expect("number");
    wait_for("two more Grid blocks", Duration::from_secs(30), || async {
        let now = grid.call("eth_blockNumber", json!([])).await.map_err(|e| e.to_string())?;
        if now != first { Ok(()) } else { Err(now.to_string()) }
    })
    .await
    .expect("the main chain goes on");
    world.chains.transfer().await;
    world.chains.anvil.mine(9).await.expect("mine");
    world.wait_indexed().await;
    world.assert_index_is_the_nodes().await;
}
