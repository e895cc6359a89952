//! One Grid chain follows another: two daemons, each with its own chain of one validator.

use grid_test_nodes::{Grid, wait_for};
use serde_json::{Value, json};

use crate::{
    proofs::verify_elsewhere,
    world::{Home, LIMIT, chain, log, wait_confirmed},
};

const OTHER: &str = "eip155:8001";

async fn height(grid: &Grid) -> u64 {
    let tip = grid.call("grid_tip", json!([])).await.expect("tip");
    tip["height"].as_u64().expect("height")
}

#[tokio::test]
async fn a_grid_chain_is_followed_by_its_certificates_and_its_blocks_are_proven() {
    let other = Home::new();
    other.init(&["--chain-id", "8001"].map(String::from)).await.expect("init");
    let mut followed = Grid::start(other.config()).await.expect("start");
    wait_for("a block of the other chain", LIMIT, || async {
        if height(&followed).await > 2 { Ok(()) } else { Err(String::from("no block yet")) }
    })
    .await
    .expect("blocks");

    let home = Home::new();
    let url = format!("http://127.0.0.1:{}", other.rpc_port());
    home.init(&[String::from("--grid"), url]).await.expect("init");
    let mut grid = Grid::start(home.config()).await.expect("start");
    let start = chain(&grid, OTHER).await.expect("registered");
    assert_eq!((&start["family"], &start["security"]), (&json!("grid"), &json!("bft-certificate")));
    let target = height(&followed).await + 20;
    wait_confirmed(&grid, OTHER, target).await;

    // Every indexed header is the other chain's block, with the root of its own index.
    let header = grid.call("grid_header", json!([OTHER, target])).await.expect("header");
    let number = format!("{target:#x}");
    let block = followed.call("eth_getBlockByNumber", json!([number, false])).await.expect("block");
    assert_eq!((&header["blockHash"], &header["stateRoot"]), (&block["hash"], &block["stateRoot"]));
    let shown = followed.call("grid_lightBlock", json!([target])).await.expect("light block");
    let rlp: alloy_primitives::Bytes =
        serde_json::from_value(shown["header"].clone()).expect("RLP");
    let own = grid_core::grid::GridHeader::decode(&rlp).expect("a Grid header");
    assert_eq!(header["indexRoot"], json!(own.extension().indexRoot));

    let proof = home.prove(&["header", OTHER, &target.to_string()], "header.json").await;
    let trust = home.path().join("trust.json").display().to_string();
    let log_of = log(&grid);
    grid.stop().await.expect("stop");
    followed.stop().await.expect("stop");
    let proven: Value = verify_elsewhere(&trust, &proof).await.expect(&log_of);
    assert_eq!((&proven["source"], &proven["height"]), (&json!(OTHER), &json!(target)));
    assert_eq!(
        (&proven["security"], &proven["blockHash"]),
        (&json!("bft-certificate"), &block["hash"])
    );
}
