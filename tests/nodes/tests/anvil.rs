//! anvil under this library's control.

use std::time::Duration;

use grid_test_nodes::{Anvil, AnvilConfig, NodeError, Token, grid};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn mines_on_request_and_carries_token_transfers() {
    let anvil = Anvil::start(AnvilConfig::default()).await.expect("start");
    let token = Token::deploy(&anvil).await.expect("deploy");
    let to = anvil.account(1).expect("account").to_owned();
    let hash = token.transfer(&anvil, &to, 5).await.expect("transfer");
    let receipt = anvil.receipt(&hash, LIMIT).await.expect("receipt");
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(receipt["logs"][0]["address"], json!(token.address));
    assert_eq!(receipt["logs"][0]["topics"].as_array().map(Vec::len), Some(3));
    let before = anvil.block_number().await.expect("number");
    anvil.mine(3).await.expect("mine");
    assert_eq!(anvil.block_number().await.expect("number"), before + 3);
    // `cast` is the control: another program sees the same chain.
    let seen = grid::cast(&["block-number", "--rpc-url", &anvil.url()]).await.expect("cast");
    assert_eq!(seen, (before + 3).to_string());
}

#[tokio::test]
async fn replaces_and_takes_back_blocks() {
    let anvil = Anvil::start(AnvilConfig::default()).await.expect("start");
    anvil.mine(10).await.expect("mine");
    let kept = anvil.block_hash(5).await.expect("hash");
    let replaced = anvil.block_hash(6).await.expect("hash");
    anvil.reorg(5).await.expect("reorg");
    assert_eq!(anvil.block_number().await.expect("number"), 10);
    assert_eq!(anvil.block_hash(5).await.expect("hash"), kept);
    assert_ne!(anvil.block_hash(6).await.expect("hash"), replaced);
    anvil.rollback(5).await.expect("rollback");
    assert_eq!(anvil.block_number().await.expect("number"), 5);
}

#[tokio::test]
async fn goes_on_with_its_chain_after_a_restart() {
    let config = AnvilConfig { keep_state: true, ..AnvilConfig::default() };
    let mut anvil = Anvil::start(config).await.expect("start");
    let token = Token::deploy(&anvil).await.expect("deploy");
    let to = anvil.account(1).expect("account").to_owned();
    let hash = token.transfer(&anvil, &to, 5).await.expect("transfer");
    anvil.receipt(&hash, LIMIT).await.expect("receipt");
    anvil.mine(3).await.expect("mine");
    let number = anvil.block_number().await.expect("number");
    let tip = anvil.block_hash(number).await.expect("hash");
    anvil.stop().await.expect("stop");
    anvil.restart().await.expect("restart");
    assert_eq!(anvil.block_number().await.expect("number"), number);
    assert_eq!(anvil.block_hash(number).await.expect("hash"), tip);
    let receipt = anvil.receipt(&hash, LIMIT).await.expect("receipt");
    assert_eq!(receipt["status"], "0x1");
    token.transfer(&anvil, &to, 5).await.expect("transfer after restart");
}

#[tokio::test]
async fn a_failed_start_shows_the_log() {
    let first = Anvil::start(AnvilConfig::default()).await.expect("start");
    let port = first.url().rsplit(':').next().and_then(|p| p.parse().ok());
    // Another chain id: the answer of the first node must not be taken for the second's.
    let config = AnvilConfig { port, chain_id: 5, ..AnvilConfig::default() };
    let error = Anvil::start(config).await.expect_err("the port is taken");
    assert!(matches!(error, NodeError::Ended { .. }), "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
}
