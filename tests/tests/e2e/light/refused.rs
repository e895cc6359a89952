//! What anybody may send to the main chain and it must not take: light-client data with each fault,
//! and headers that are not final.

use alloy_primitives::{Bytes, hex};
use grid_core::ethereum::sync::{Format, SyncData, ssz};
use grid_test_nodes::{
    NodeError,
    beacon::{Fault, data::Update},
    grid::cast,
};
use serde_json::{Value, json};

use super::Light;
use crate::world::{USER_KEY, wait_confirmed};

/// The system contract of light clients.
const LIGHT_CLIENTS: &str = "0x0000000000000000000000000000000000001002";

/// Sends data and headers as anybody can; whether the main chain took them.
pub(super) async fn submit(light: &Light, data: &[Vec<u8>], headers: &[Bytes]) -> bool {
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let data = list(data.iter().map(hex::encode_prefixed).collect());
    let headers = list(headers.iter().map(hex::encode_prefixed).collect());
    let key = light.chain().await["key"].as_str().expect("key").to_owned();
    let rpc = light.grid.rpc().url().to_owned();
    let sent = cast(&[
        "send",
        LIGHT_CLIENTS,
        "submitFinality(bytes32,bytes[],bytes[])",
        &key,
        &data,
        &headers,
        "--private-key",
        USER_KEY,
        "--gas-limit",
        "20000000",
        "--rpc-url",
        &rpc,
        "--json",
    ])
    .await;
    match sent {
        Ok(receipt) => {
            let receipt: Value = serde_json::from_str(&receipt).expect("a receipt");
            receipt["status"] == json!("0x1")
        }
        Err(NodeError::Command { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

/// An update in the main chain's form.
pub(super) fn encoded(light: &Light, update: &Update) -> Vec<u8> {
    let network = light.sim.chain().network().clone();
    let update = ssz::update(&network, Format::Electra, update.value().ssz()).expect("an update");
    SyncData::from(update).encode()
}

#[tokio::test]
async fn forged_data_changes_nothing_whoever_sends_it() {
    let mut light = Light::start().await;
    light.finalize().await;
    // Nobody is there to bring the honest data first.
    light.grid.stop().await.expect("stop");
    let mut node = light.home.config();
    node.command = vec![String::from("node"), String::from("run")];
    light.grid = grid_test_nodes::Grid::start(node).await.expect("the node alone");
    light.transfer().await;
    light.sim.advance(4).await.expect("slots");
    light.sim.finalize().await.expect("final");
    let before = light.chain().await;
    for fault in [
        Fault::Participation(0),
        Fault::ForkVersion,
        Fault::OtherGenesis,
        Fault::SwappedBranches,
        Fault::EditedExecution,
        Fault::Signature,
        Fault::SwappedCommittee,
        Fault::Future(1_000_000),
    ] {
        let data = {
            let chain = light.sim.chain();
            let mut update = chain.newest_update().expect("signed");
            fault.apply(&chain, &mut update);
            update
        };
        let data = encoded(&light, &data);
        assert!(!submit(&light, &[data], &[]).await, "{fault:?} was taken");
    }
    let mut after = light.chain().await;
    after["trackedBytes"] = before["trackedBytes"].clone();
    assert_eq!(after, before, "nothing changed");

    // The same without the fault is taken, from the same hand: it was the fault that was refused.
    let honest = light.sim.chain().newest_update().expect("signed");
    let honest = encoded(&light, &honest);
    assert!(submit(&light, &[honest], &[]).await, "the honest update");
    assert_ne!(light.chain().await["sync"]["finalizedSlot"], before["sync"]["finalizedSlot"]);
}

#[tokio::test]
async fn a_replaced_block_that_was_never_final_is_never_indexed() {
    let light = Light::start().await;
    light.finalize().await;
    light.transfer().await;
    light.sim.advance(2).await.expect("slots");
    let dropped = light.anvil.block_number().await.expect("number");
    let hash = light.anvil.block_hash(dropped).await.expect("hash");
    light.anvil.reorg(2).await.expect("reorg");
    let height = light.sim.finalize().await.expect("final");
    wait_confirmed(&light.grid, "eip155:", height).await;
    assert_ne!(light.anvil.block_hash(dropped).await.expect("hash"), hash);
    light.assert_index_is_anvils().await;
}
