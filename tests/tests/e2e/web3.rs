//! Ethereum's libraries, as they are, against a real node: viem, ethers, alloy, cast.

use std::time::Duration;

use alloy_network::{EthereumWallet, TransactionBuilder as _};
use alloy_primitives::{Address, U256, hex, utils::parse_ether};
use alloy_provider::{Provider as _, ProviderBuilder};
use alloy_rpc_types_eth::{Filter, TransactionRequest};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use grid_core::modules::abi::{STAKING, Staking};
use grid_test_nodes::{Cluster, ClusterConfig, cluster::account::signer, grid::cast, web3};

/// A network of one validator that decides alone.
async fn network() -> Cluster {
    let config = ClusterConfig {
        validators: 1,
        block_interval: Duration::from_millis(250),
        empty_block_interval: Duration::from_millis(250),
        accounts: 2,
        ..ClusterConfig::default()
    };
    Cluster::start(config).await.expect("a network")
}

fn key(at: usize) -> String {
    hex::encode_prefixed(signer(at).to_bytes())
}

/// `HOST:PORT` of the node's JSON-RPC.
fn address(network: &Cluster) -> String {
    network.rpc(0).url().trim_start_matches("http://").trim_end_matches('/').to_owned()
}

#[tokio::test]
async fn viem_and_ethers_work_as_they_are_and_answers_are_as_described() {
    let network = network().await;
    for name in ["viem", "ethers", "openrpc"] {
        let said = web3::script(name, &address(&network), &key(0)).await;
        println!("{}", said.unwrap_or_else(|error| panic!("{name}: {error}")).trim());
    }
}

/// In the way of alloy's book: a provider with all fillers, nothing set by hand.
#[tokio::test]
async fn alloys_provider_fills_calls_waits_and_follows() {
    let network = network().await;
    let wallet = EthereumWallet::from(signer(0));
    let provider = ProviderBuilder::new()
        .wallet(wallet)
        .connect_http(network.rpc(0).url().parse().expect("an address"));
    let read = async |call: Vec<u8>| {
        let request = TransactionRequest::default().with_to(STAKING).with_input(call);
        provider.call(request).await.expect("a call")
    };
    let answer = read(Staking::candidatesCall {}.abi_encode()).await;
    let delegate = Staking::candidatesCall::abi_decode_returns(&answer).expect("delegates")[0];

    let blocks = provider.new_block_filter().await.expect("a filter");
    let value = parse_ether("2").expect("an amount");
    let call = Staking::delegateCall { delegate }.abi_encode();
    let request = TransactionRequest::default().with_to(STAKING).with_value(value).with_input(call);
    let pending = provider.send_transaction(request).await.expect("sent");
    let receipt = pending.with_required_confirmations(2).get_receipt().await.expect("a receipt");
    assert!(receipt.status());
    let filter = Filter::new()
        .address(STAKING)
        .event_signature(Staking::Delegated::SIGNATURE_HASH)
        .topic2(signer(0).address().into_word())
        .from_block(0);
    let logs = provider.get_logs(&filter).await.expect("logs");
    let event = Staking::Delegated::decode_log(&logs[0].inner).expect("an event");
    assert_eq!((event.delegate, event.tokens), (delegate, value));
    let stake = Staking::stakeOfCall { delegate, holder: signer(0).address() };
    let stake = Staking::stakeOfCall::abi_decode_returns(&read(stake.abi_encode()).await);
    // Rewards may have come meanwhile, and shares are rounded.
    let off = stake.expect("a stake").tokens.abs_diff(value);
    assert!(off < parse_ether("0.001").expect("an amount"), "{off}");

    let told = provider.get_filter_changes_dyn(blocks).await.expect("changes");
    assert!(told.as_hashes().expect("hashes").contains(&receipt.block_hash.expect("a block")));
    let fees = provider.estimate_eip1559_fees().await.expect("fees");
    assert!(fees.max_fee_per_gas > 0);
    // A revert is decoded by alloy, and money that is not there is named.
    let fault = provider
        .call(
            TransactionRequest::default()
                .with_to(STAKING)
                .with_input(Staking::unjailCall { delegate: Address::ZERO }.abi_encode()),
        )
        .await
        .expect_err("refused");
    let payload = fault.as_error_resp().expect("an answer");
    assert!(payload.as_revert_data().is_some_and(|data| data.len() > 4), "{payload}");
    let request = TransactionRequest::default()
        .with_from(Address::repeat_byte(0x77))
        .with_to(Address::ZERO)
        .with_value(U256::from(1));
    let fault = provider.estimate_gas(request).await.expect_err("refused");
    assert!(fault.to_string().contains("insufficient funds"), "{fault}");
}

#[tokio::test]
async fn cast_sends_to_a_system_contract_and_reads_it_back() {
    let network = network().await;
    let rpc = network.rpc(0).url().to_owned();
    let cast = async |arguments: &[&str]| {
        let all = [arguments, &["--rpc-url", &rpc]].concat();
        cast(&all).await.unwrap_or_else(|error| panic!("cast {arguments:?}: {error}"))
    };
    let staking = STAKING.to_string();
    assert_eq!(cast(&["code", &staking]).await, "0xfe");
    let delegates = cast(&["call", &staking, "candidates()(address[])"]).await;
    let delegate = delegates.trim_matches(['[', ']']);
    let (key, send) = (key(1), ["delegate(address)", delegate, "--value", "3ether"]);
    let from = signer(1).address().to_string();
    let estimate = [&["estimate", &staking], &send[..], &["--from", &from]].concat();
    let gas: u64 = cast(&estimate).await.parse().expect("a number");
    assert!((21_000..1_000_000).contains(&gas), "{gas}");
    let sent = [&["send", &staking], &send[..], &["--private-key", &key, "--json"]].concat();
    let receipt: serde_json::Value = serde_json::from_str(&cast(&sent).await).expect("a receipt");
    assert_eq!(receipt["status"], "0x1");
    let hash = receipt["transactionHash"].as_str().expect("a hash");
    assert_eq!(cast(&["receipt", hash, "status"]).await, "true");
    assert!(cast(&["tx", hash]).await.contains(&from));
    let stake = ["call", &staking, "stakeOf(address,address)(uint256,uint256)", delegate, &from];
    // About three, in 18 decimals: rewards may have come meanwhile, and shares are rounded.
    let stake = cast(&stake).await;
    assert!(
        stake.lines().all(|part| part.contains("00000000") || part.contains("99999999")),
        "{stake}"
    );
    let event = "Delegated(address indexed,address indexed,uint256,uint256)";
    let logs = cast(&["logs", "--from-block", "0", "--address", &staking, event]).await;
    assert!(logs.contains(hash), "{logs}");
    // 3 GRID as the event's first number.
    assert!(logs.contains("29a2241af62c0000"), "{logs}");
    let block = receipt["blockNumber"].as_str().expect("a block");
    assert!(cast(&["block", block, "--full"]).await.contains(hash));
    assert!(cast(&["gas-price"]).await.parse::<u64>().expect("a price") > 0);
    assert_eq!(cast(&["nonce", &from]).await, "1");
    assert_eq!(cast(&["storage", &staking, "0"]).await, format!("0x{}", "00".repeat(32)));
    assert!(cast(&["rpc", "eth_getBlockReceipts", block]).await.contains(hash));
}
