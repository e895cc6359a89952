//! A daemon with a source of every kind.

use grid_test_nodes::{Bitcoind, BitcoindConfig, Esplora, Grid, wait_for};
use serde_json::json;

use super::competing::status;
use crate::world::{
    BITCOIN_DEPTH, FIRST_BLOCKS, Home, LIMIT, assert_bitcoin_index, bitcoin_arguments, log,
    wait_confirmed,
};

#[tokio::test]
async fn a_node_a_peer_an_esplora_server_and_a_file_are_followed_together() {
    let config = BitcoindConfig { listen: true, ..BitcoindConfig::default() };
    let bitcoind = Bitcoind::start(config).await.expect("bitcoind");
    bitcoind.mine(FIRST_BLOCKS).await.expect("mine");
    let server = Esplora::start(&bitcoind).await.expect("server");
    let home = Home::new();
    home.init(&bitcoin_arguments(&bitcoind, "regtest")).await.expect("init");

    let mut headers = Vec::new();
    for height in 0..=FIRST_BLOCKS {
        let hash = bitcoind.block_hash(height).await.expect("hash");
        let hex = bitcoind.call("getblockheader", json!([hash, false])).await.expect("header");
        let hex = hex.as_str().expect("hex");
        headers.extend(alloy_primitives::hex::decode(hex).expect("hex"));
    }
    let file = home.beside("headers.bin");
    std::fs::write(&file, headers).expect("write");
    let peer = bitcoind.peer_address().expect("it accepts peers");
    home.change_config(|text| {
        text.replace("agree = 1", "agree = 3")
            + &format!(
                "\n[[chain.source]]\nkind = \"p2p\"\npeers = [\"{peer}\"]\n\
                 [[chain.source]]\nkind = \"esplora\"\nurl = \"{}\"\n\
                 [[chain.source]]\nkind = \"import\"\nfile = \"{}\"\n",
                server.url(),
                file.display()
            )
    });
    home.run(&["config", "check"]).await.expect("a good configuration");
    let grid = Grid::start(home.config()).await.expect("start");
    wait_confirmed(&grid, "bip122:", FIRST_BLOCKS + 1 - BITCOIN_DEPTH).await;
    // The file stays where it is; the other three agree on what is new.
    bitcoind.mine(4).await.expect("mine");
    wait_confirmed(&grid, "bip122:", FIRST_BLOCKS + 5 - BITCOIN_DEPTH).await;
    assert_bitcoin_index(&grid, &bitcoind).await;
    wait_for("four healthy sources", LIMIT, || async {
        let said = status(&home).await;
        let sources = said["chains"][0]["sources"].as_array().cloned().unwrap_or_default();
        let kinds: Vec<&str> =
            sources.iter().filter_map(|source| source["kind"].as_str()).collect();
        let lags: Vec<u64> =
            sources.iter().filter_map(|source| source["lagBlocks"].as_u64()).collect();
        let healthy = sources.iter().all(|source| source["healthy"] == json!(true));
        let expected = ["rpc", "p2p", "esplora", "import"];
        if kinds == expected && healthy && lags == [0, 0, 0, 4] {
            Ok(())
        } else {
            Err(said.to_string())
        }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}; end of the log:\n{}", log(&grid)));
}
