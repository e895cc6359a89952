//! Ethereum's tools against the main chain: cast, and alloy's provider.

use alloy_network::{EthereumWallet, TransactionBuilder as _};
use alloy_primitives::{U256, address};
use alloy_provider::{Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::{Filter, TransactionRequest};
use alloy_signer_local::PrivateKeySigner;
use grid_test_nodes::grid::cast;

use crate::world::{USER, USER_KEY, World};

/// The system contract of light clients and index.
const LIGHT_CLIENTS: &str = "0x0000000000000000000000000000000000001002";
/// Somebody without money.
const OTHER: &str = "0x00000000000000000000000000000000deadbeef";

#[tokio::test]
async fn cast_reads_sends_and_finds_logs() {
    let world = World::start().await;
    world.wait_indexed().await;
    let rpc = world.grid.rpc().url().to_owned();
    let cast = |arguments: &[&str]| {
        let mut all: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        all.extend([String::from("--rpc-url"), rpc.clone()]);
        async move {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            cast(&all).await.expect("cast")
        }
    };
    let number: u64 = cast(&["block-number"]).await.parse().expect("a number");
    assert!(number > 0);
    let block = cast(&["block", "latest"]).await;
    assert!(block.contains("hash") && block.contains("stateRoot"), "{block}");
    assert_eq!(cast(&["chain-id"]).await, "4700000");
    let before = cast(&["balance", OTHER]).await;
    assert_eq!(before, "0");
    let sent =
        cast(&["send", OTHER, "--value", "1ether", "--private-key", USER_KEY, "--json"]).await;
    let receipt: serde_json::Value = serde_json::from_str(&sent).expect("a receipt");
    assert_eq!(receipt["status"], "0x1", "{sent}");
    assert_eq!(cast(&["balance", OTHER, "--ether"]).await, "1.000000000000000000");
    assert_eq!(cast(&["nonce", USER]).await, "1");
    let event = "Indexed(bytes32 indexed,uint64,uint64)";
    let logs = cast(&["logs", "--from-block", "0", "--address", LIGHT_CLIENTS, event]).await;
    assert!(logs.contains("transactionHash"), "{logs}");
    let root = cast(&["call", LIGHT_CLIENTS, "indexRoot()(bytes32)"]).await;
    assert!(root.len() == 66 && !root.ends_with(&"0".repeat(64)), "{root}");
}

#[tokio::test]
async fn alloys_provider_reads_sends_and_finds_logs() {
    let world = World::start().await;
    world.wait_indexed().await;
    let signer: PrivateKeySigner = USER_KEY.parse().expect("a key");
    let provider = ProviderBuilder::new()
        .wallet(EthereumWallet::from(signer))
        .connect_http(world.grid.rpc().url().parse().expect("an address"));
    assert_eq!(provider.get_chain_id().await.expect("chain id"), 4_700_000);
    let number = provider.get_block_number().await.expect("number");
    let block = provider.get_block_by_number(number.into()).await.expect("block").expect("some");
    assert_eq!(block.header.number, number);
    // The header hashes to what the node says: alloy computes it again.
    assert_eq!(block.header.inner.hash_slow(), block.header.hash);
    let to = address!("00000000000000000000000000000000deadbeef");
    let transaction = TransactionRequest::default().with_to(to).with_value(U256::from(5));
    let pending = provider.send_transaction(transaction).await.expect("send");
    let receipt = pending.get_receipt().await.expect("receipt");
    assert!(receipt.status());
    assert_eq!(provider.get_balance(to).await.expect("balance"), U256::from(5));
    let filter = Filter::new()
        .from_block(0)
        .address(LIGHT_CLIENTS.parse::<alloy_primitives::Address>().expect("address"));
    assert!(!provider.get_logs(&filter).await.expect("logs").is_empty());
}
