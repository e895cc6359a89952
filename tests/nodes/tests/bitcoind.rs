//! Bitcoin Core under this library's control.

use grid_test_nodes::{Bitcoind, BitcoindConfig, rpc};
use serde_json::json;

/// Satoshis.
const AMOUNT: u64 = 1_000_000;

#[tokio::test]
async fn mines_pays_and_answers_rest() {
    let node = Bitcoind::start(BitcoindConfig::default()).await.expect("start");
    assert_eq!(node.mine(103).await.expect("mine").len(), 103);
    // More payments in a block than there are mature rewards: change is spent again when mined.
    let first = node.pay(None, AMOUNT).await.expect("pay");
    let second = node.pay(None, AMOUNT).await.expect("pay");
    let mined = node.mine(1).await.expect("mine").remove(0);
    let block = node.call("getblock", json!([mined])).await.expect("block");
    let txs = block["tx"].as_array().expect("transactions");
    assert!(txs.contains(&json!(first)) && txs.contains(&json!(second)), "{block}");
    for _ in 0..4 {
        node.pay(None, AMOUNT).await.expect("pay from change");
    }
    let (height, hash) = node.tip().await.expect("tip");
    assert_eq!((height, &hash), (104, &mined));
    let url = format!("{}/rest/headers/{hash}.json?count=1", node.url());
    let (status, text) = rpc::get(&url).await.expect("REST");
    assert_eq!(status, 200);
    assert!(text.contains(&hash));
}

#[tokio::test]
async fn replaces_blocks_and_mines_their_payments_again() {
    let node = Bitcoind::start(BitcoindConfig::default()).await.expect("start");
    node.mine(105).await.expect("mine");
    let txid = node.pay(None, AMOUNT).await.expect("pay");
    node.mine(3).await.expect("mine");
    let old = node.block_hash(104).await.expect("hash");
    let first = node.reorg(5).await.expect("reorg");
    assert_eq!(first, old);
    let (height, _) = node.tip().await.expect("tip");
    assert_eq!(height, 109);
    assert_ne!(node.block_hash(104).await.expect("hash"), old);
    let transaction = node.call("getrawtransaction", json!([txid, true])).await.expect("indexed");
    assert!(transaction["confirmations"].as_u64() >= Some(1), "{transaction}");
    node.pay(None, AMOUNT).await.expect("pay after the reorganisation");
}

#[tokio::test]
async fn goes_on_after_a_stop_and_after_a_kill() {
    let login = Some((String::from("user"), String::from("pass word")));
    let config = BitcoindConfig { login, ..BitcoindConfig::default() };
    let mut node = Bitcoind::start(config).await.expect("start");
    node.mine(10).await.expect("mine");
    node.stop().await.expect("stop");
    node.restart().await.expect("restart");
    assert_eq!(node.tip().await.expect("tip").0, 10);
    node.process().kill().expect("kill");
    node.restart().await.expect("restart after a kill");
    node.mine(1).await.expect("mine");
}
