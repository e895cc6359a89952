//! The whole way: from a slot to a proof, through periods, pauses and kills.

use grid_test_nodes::{Grid, wait_for};
use serde_json::{Value, json};

use super::{CHAIN, Light, PERIOD};
use crate::world::{LIMIT, wait_confirmed};

#[tokio::test]
async fn final_headers_are_indexed_under_the_sync_committees_security_and_proofs_say_so() {
    let mut light = Light::start().await;
    let sent = light.transfer().await;
    let height = light.finalize().await;
    light.assert_index_is_anvils().await;
    let chain = light.chain().await;
    assert_eq!(chain["security"], json!("sync-committee"), "{chain}");
    assert_eq!(chain["status"], json!("active"));
    assert_eq!(chain["sync"]["started"], json!(true));
    assert_eq!(chain["sync"]["loosened"], json!([]));
    // What is not final is not tracked either: nobody can spam the light client.
    let newest = light.anvil.block_number().await.expect("number");
    assert!(newest > height);
    assert_eq!(chain["tracked"]["height"], json!(height));

    let status = light.home.run(&["ethereum", "sync-status"]).await.expect("sync-status");
    assert!(status.contains(CHAIN) && status.contains("finalized slot"), "{status}");
    let proof = light.home.prove(&["eth-receipt", &sent, "--log", "0"], "event.json").await;
    light.grid.stop().await.expect("stop");
    light.anvil.stop().await.expect("stop");
    let (proof, trust) = (proof.display().to_string(), light.home.path().join("trust.json"));
    let trust = trust.display().to_string();
    let shown = light.home.run(&["verify", &proof, "--trust", &trust]).await.expect("verified");
    assert!(shown.contains("VERIFIED") && shown.contains("sync-committee"), "{shown}");
    assert!(!shown.contains("ATTESTED"), "{shown}");
}

#[tokio::test]
async fn committees_change_and_the_index_goes_on() {
    let light = Light::start().await;
    for period in 1..=4 {
        light.transfer().await;
        light.sim.advance(PERIOD).await.expect("slots");
        light.finalize().await;
        let sync = light.chain().await["sync"].clone();
        assert!(sync["period"].as_u64() >= Some(period), "{sync}");
    }
    light.assert_index_is_anvils().await;
}

#[tokio::test]
async fn a_daemon_that_was_away_for_periods_catches_up_backwards() {
    let mut light = Light::start().await;
    light.transfer().await;
    let before = light.finalize().await;
    light.grid.stop().await.expect("stop");
    // More periods than one answer holds, and more headers than one call.
    light.anvil.mine(1_500).await.expect("mine");
    light.sim.skip_periods(20).await.expect("periods");
    let after = light.sim.finalize().await.expect("final");
    assert!(after > before + 1_500);
    light.grid.restart().await.expect("restart");
    wait_confirmed(&light.grid, "eip155:", after).await;
    light.assert_index_is_anvils().await;
    let sync = light.chain().await["sync"].clone();
    assert!(sync["period"].as_u64() >= Some(20), "{sync}");
    assert_eq!(sync["pending"], json!(0), "{sync}");
}

#[tokio::test]
async fn a_daemon_killed_while_it_catches_up_goes_on_where_it_was() {
    let mut light = Light::start().await;
    light.finalize().await;
    for round in 0..3 {
        light.grid.process().kill().expect("kill");
        light.anvil.mine(800).await.expect("mine");
        light.sim.skip_periods(3).await.expect("periods");
        let height = light.sim.finalize().await.expect("final");
        light.grid.restart().await.expect("restart after a kill");
        // Killed again as soon as it has begun, and not before.
        wait_begun(&light.grid, height).await;
        if round == 2 {
            wait_confirmed(&light.grid, "eip155:", height).await;
        }
    }
    light.assert_index_is_anvils().await;
}

/// Waits until the light client moves towards a height.
async fn wait_begun(grid: &Grid, height: u64) {
    let first = crate::world::chain(grid, "eip155:").await.expect("chain")["sync"].clone();
    wait_for("the light client's first step", LIMIT, || async {
        let chain: Value = crate::world::chain(grid, "eip155:").await?;
        let done = chain["confirmed"]["height"].as_u64() >= Some(height);
        if done || chain["sync"] != first { Ok(()) } else { Err(chain.to_string()) }
    })
    .await
    .expect("it begins");
}
