//! Two finalities that exclude each other, both signed by the committees: the main chain keeps the
//! evidence and freezes that chain, and only that one.

use grid_test_nodes::wait_for;
use serde_json::json;

use super::{
    Light,
    refused::{encoded, submit},
};
use crate::world::{BITCOIN_DEPTH, Chains, LIMIT, bitcoin_arguments, chain, wait_confirmed};

#[tokio::test]
async fn conflicting_finality_freezes_its_chain_and_no_other() {
    let bitcoind = Chains::bitcoin_only().await;
    let light = Light::start_with(async |_| bitcoin_arguments(&bitcoind, "regtest")).await;
    light.transfer().await;
    let height = light.finalize().await;
    // The committees sign another history of the last epochs.
    let slot = light.chain().await["sync"]["finalizedSlot"].as_u64().expect("slot");
    let rival = light.sim.rival(slot).await.expect("rival");
    let other = {
        let (ours, theirs) = (light.sim.chain(), rival.chain());
        assert_ne!(ours.block(slot).expect("ours").root, theirs.block(slot).expect("theirs").root);
        let mut updates = (slot..).map_while(|attested| theirs.update(attested));
        updates.find(|update| update.finalized.beacon.slot == slot).expect("a rival finality")
    };
    let evidence = encoded(&light, &other);
    assert!(submit(&light, &[evidence], &[]).await, "the evidence is taken");
    wait_for("the chain to be frozen", LIMIT, || async {
        let now = light.chain().await;
        if now["status"] == json!("frozen") { Ok(()) } else { Err(now.to_string()) }
    })
    .await
    .expect("frozen");

    // Bitcoin goes on, Ethereum does not, and what was indexed before stays.
    let (before, _) = bitcoind.tip().await.expect("tip");
    bitcoind.mine(5).await.expect("mine");
    wait_confirmed(&light.grid, "bip122:", before + 6 - BITCOIN_DEPTH).await;
    light.transfer().await;
    light.sim.finalize().await.expect("final");
    light.wait_blocks(4).await;
    let frozen = chain(&light.grid, "eip155:").await.expect("chain");
    assert_eq!(frozen["confirmed"]["height"], json!(height));
    light.assert_index_is_anvils().await;
    let status = light.home.run(&["ethereum", "sync-status"]).await.expect("sync-status");
    assert!(status.contains("frozen"), "{status}");
}
