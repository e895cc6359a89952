//! JSON-RPC over HTTP, as Ethereum's tools ask.

use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, U256, hex};
use alloy_rpc_types_eth::{Block, FeeHistory, Transaction, TransactionReceipt};
use grid_core::{
    api::{AccountInfo, GridTip},
    grid::{
        CommitCertificate, ValidatorSet,
        light::{HandOver, LightBlock, LightPolicy, TrustedState},
    },
    modules::abi::REGISTRY,
    state::{keys, tree},
};
use serde_json::{Value, json};

use super::support::*;
use crate::NodeHandle;

async fn served(directory: &std::path::Path) -> (NodeHandle, std::net::SocketAddr) {
    let mut config = config(directory);
    config.rpc = Some("127.0.0.1:0".parse().unwrap());
    let node = start(config).await;
    let address = node.rpc_address().unwrap();
    (node, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_over_http_reads_back_through_ethereums_types() {
    let directory = tempfile::tempdir().unwrap();
    let (node, rpc) = served(directory.path()).await;
    let result = |value: Value| value["result"].clone();
    assert_eq!(result(http(rpc, "eth_chainId", json!([])).await), format!("{CHAIN_ID:#x}"));
    let to = Address::repeat_byte(0x55);
    let gas = http(rpc, "eth_estimateGas", json!([{"from": address(2), "to": to, "value": "0x1"}]));
    assert_eq!(result(gas.await), "0x5208");
    let fees = http(rpc, "eth_feeHistory", json!(["0x5", "latest", [20.0, 80.0]])).await;
    let fees: FeeHistory = serde_json::from_value(result(fees)).unwrap();
    assert_eq!(fees.base_fee_per_gas.len(), fees.gas_used_ratio.len() + 1);
    assert_eq!(fees.reward.unwrap().len(), fees.gas_used_ratio.len());

    let transfer = sign(0, to, 5, Bytes::new(), 21_000);
    let raw = hex::encode_prefixed(transfer.encoded_2718());
    let sent = http(rpc, "eth_sendRawTransaction", json!([raw])).await;
    assert_eq!(result(sent), json!(transfer.tx_hash()));
    let expected = receipt(&node, transfer.tx_hash()).await;
    let found = http(rpc, "eth_getTransactionReceipt", json!([transfer.tx_hash()])).await;
    assert_eq!(result(found), expected);

    let receipt: TransactionReceipt = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!((receipt.from, receipt.to), (address(2), Some(to)));
    let block = http(rpc, "eth_getBlockByNumber", json!([expected["blockNumber"], true])).await;
    let block: Block = serde_json::from_value(result(block)).unwrap();
    assert_eq!(block.header.hash, receipt.block_hash.unwrap());
    assert_eq!(block.header.inner.hash_slow(), block.header.hash);
    let listed = block.transactions.into_transactions().next().unwrap();
    let asked = http(rpc, "eth_getTransactionByHash", json!([transfer.tx_hash()])).await;
    let asked: Transaction = serde_json::from_value(result(asked)).unwrap();
    assert_eq!(listed, asked);
    assert_eq!(*asked.inner.inner(), transfer);
    let all = http(rpc, "eth_getBlockReceipts", json!([expected["blockNumber"]])).await;
    assert_eq!(result(all), json!([expected]));
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bad_call_has_its_code_and_its_reason() {
    let directory = tempfile::tempdir().unwrap();
    let (node, rpc) = served(directory.path()).await;
    let low = hex::encode_prefixed(sign(0, Address::ZERO, 1, Bytes::new(), 20_999).encoded_2718());
    let far =
        hex::encode_prefixed(sign(999, Address::ZERO, 1, Bytes::new(), 21_000).encoded_2718());
    let revert = json!([{"to": REGISTRY, "data": "0x12345678"}]);
    let wide = json!([{"fromBlock": "0x0", "toBlock": "0x7fffffff"}]);
    let back = json!([{"fromBlock": "0x5", "toBlock": "0x1"}]);
    let cases = [
        ("eth_nonsense", json!([]), -32601, "not found"),
        ("eth_getBlockByNumber", json!([]), -32602, "parameter 1 (block) is missing"),
        ("eth_getBlockByNumber", json!(["soon", true]), -32602, "parameter 1 (block)"),
        ("eth_getBlockByNumber", json!(["0x1", true, 3]), -32602, "at most 2"),
        ("eth_getBalance", json!(["0x12"]), -32602, "address"),
        ("eth_getBalance", json!([Address::ZERO, "0x0"]), -32000, "not kept"),
        ("eth_sendRawTransaction", json!(["0x02aabb"]), -32602, "not a signed transaction"),
        ("eth_sendRawTransaction", json!([low]), -32000, "intrinsic gas too low"),
        ("eth_sendRawTransaction", json!([far]), -32000, "nonce too high"),
        ("eth_call", revert, 3, "execution reverted"),
        ("eth_getLogs", back, -32602, "above"),
        ("eth_feeHistory", json!(["0x0", "latest", []]), -32602, "must be 1"),
        ("eth_feeHistory", json!(["0x1", "latest", [50.0, 20.0]]), -32602, "rising"),
        ("grid_certificate", json!([0]), -32001, "genesis"),
        ("grid_certificate", json!([4_000_000_000u64]), -32001, "does not exist yet"),
        ("grid_header", json!(["nonsense", 1]), -32602, "no ':'"),
        ("grid_proveState", json!([format!("0x{}", "00".repeat(300))]), -32602, "over the limit"),
    ];
    for (method, params, code, reason) in cases {
        let answer = http(rpc, method, params.clone()).await;
        assert_eq!(answer["error"]["code"], code, "{method} {params}: {answer}");
        let message = answer["error"]["message"].as_str().unwrap().to_lowercase();
        assert!(message.contains(reason), "{method} {params}: {answer}");
    }
    // Above the head is no error in a search.
    assert!(http(rpc, "eth_getLogs", wide).await["result"].is_array());
    let null = http(rpc, "eth_getBlockByNumber", json!(["0x7fffffff", false])).await;
    assert!(null["result"].is_null());
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_get_nothing_over_http() {
    let directory = tempfile::tempdir().unwrap();
    let (node, rpc) = served(directory.path()).await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let (status, _) = post(rpc, "evil.example", call).await;
    assert!(status.contains("403"), "a name that is not loopback's: {status}");
    let (status, body) = post(rpc, "localhost:1", "{ not json").await;
    assert!(status.contains("200") && body.contains("-32700"), "{status} {body}");
    let (status, _) = post_announcing(rpc, "localhost:1", "", 5 << 20).await;
    assert!(status.contains("413"), "{status}");
    let batch: Vec<Value> =
        (0..300).map(|id| json!({"jsonrpc": "2.0", "id": id, "method": "eth_chainId"})).collect();
    let (_, body) = post(rpc, "localhost:1", &json!(batch).to_string()).await;
    assert!(body.contains("-32010"), "{body}");
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grid_answers_verify() {
    let directory = tempfile::tempdir().unwrap();
    let (node, _) = served(directory.path()).await;
    wait_height(&node, 3).await;
    let tip: GridTip = serde_json::from_value(ask(&node, "grid_tip", json!([])).await).unwrap();
    assert_eq!(tip.chain_id, CHAIN_ID);
    let set: ValidatorSet =
        serde_json::from_value(ask(&node, "grid_validators", json!([tip.height])).await).unwrap();
    let certificate: CommitCertificate =
        serde_json::from_value(ask(&node, "grid_certificate", json!([tip.height])).await).unwrap();
    assert_eq!(certificate.block_hash, tip.hash);
    certificate.verify(CHAIN_ID, &set).unwrap();
    light_client_of_the_chain(&node, &tip).await;
    let account = ask(&node, "grid_account", json!([address(2)])).await;
    let account: AccountInfo = serde_json::from_value(account).unwrap();
    assert_eq!((account.nonce, account.pending_nonce), (0, 0));
    assert!(account.balance > U256::ZERO);

    let key = Bytes::from(keys::account(&address(2)));
    let answer = ask(&node, "grid_proveState", json!([key])).await;
    let bytes = |name: &str| -> Bytes { serde_json::from_value(answer[name].clone()).unwrap() };
    let root = serde_json::from_value(answer["stateRoot"].clone()).unwrap();
    tree::verify(root, &key, Some(&bytes("value")), &bytes("proof")).unwrap();
    let absent = Bytes::from(keys::account(&Address::repeat_byte(0xee)));
    let answer = ask(&node, "grid_proveState", json!([absent])).await;
    assert!(answer["value"].is_null());
    stop(node).await;
}

/// From genesis to the newest block by what the node says of itself.
async fn light_client_of_the_chain(node: &crate::NodeHandle, tip: &GridTip) {
    let block = grid_core::genesis::build(&genesis()).unwrap();
    let header = alloy_rlp::encode(&block.block.header);
    let start = TrustedState::new(CHAIN_ID, &header, block.next_validators).unwrap();
    let policy = LightPolicy { trusting_period_ms: u64::MAX, ..LightPolicy::default() };
    let way = ask(node, "grid_handOver", json!([0, tip.height])).await;
    let way: HandOver = serde_json::from_value(way).unwrap();
    let state = way.follow(&start, &policy, tip.time_ms).unwrap();
    assert_eq!((state.height, state.block_hash, way.blocks.len()), (tip.height, tip.hash, 1));
    let shown = ask(node, "grid_lightBlock", json!([1])).await;
    let first: LightBlock = serde_json::from_value(shown).unwrap();
    assert_eq!(start.verify(&first, &policy, tip.time_ms).unwrap().header().number, 1);
    let here = ask(node, "grid_handOver", json!([tip.height, tip.height])).await;
    assert_eq!(here["blocks"], json!([]));
    for (method, params) in [
        ("grid_lightBlock", json!([0])),
        ("grid_lightBlock", json!([u64::MAX])),
        ("grid_handOver", json!([])),
        ("grid_handOver", json!([2, 1])),
        ("grid_handOver", json!([u64::MAX - 1, u64::MAX])),
    ] {
        let refused = node.call(method, params.clone()).await;
        assert!(refused.is_err(), "{method} {params}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pending_nonces_count_the_mempool() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.block_interval = std::time::Duration::from_secs(2);
    let node = start(config).await;
    let mut hashes = Vec::new();
    for nonce in [2, 1, 0] {
        let transfer = sign(nonce, Address::ZERO, 1, Bytes::new(), 21_000);
        let raw = hex::encode_prefixed(transfer.encoded_2718());
        hashes.push(ask(&node, "eth_sendRawTransaction", json!([raw])).await);
    }
    let count = |block: &'static str| {
        let node = &node;
        async move { ask(node, "eth_getTransactionCount", json!([address(2), block])).await }
    };
    assert_eq!(count("pending").await, "0x3");
    let last = serde_json::from_value(hashes[0].clone()).unwrap();
    let found = receipt(&node, &last).await;
    assert_eq!(found["transactionIndex"], "0x2");
    assert_eq!(count("latest").await, "0x3");
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_hear_of_every_block_and_of_matching_logs() {
    let directory = tempfile::tempdir().unwrap();
    let (node, rpc) = served(directory.path()).await;
    let caller = node.caller();
    let methods = caller.methods();
    let topic = vec![json!("newHeads")];
    let mut heads = methods.subscribe("eth_subscribe", topic, 16).await.unwrap();
    let filter = vec![json!("logs"), json!({"address": REGISTRY})];
    let mut logs = methods.subscribe("eth_subscribe", filter, 16).await.unwrap();
    let set_status =
        grid_core::modules::abi::Registry::setStatusCall { chain: regtest().key().0, status: 1 };
    let input = alloy_sol_types::SolCall::abi_encode(&set_status).into();
    let sent = send(&node, &sign(0, REGISTRY, 0, input, 1_000_000)).await;
    let mut last: Option<u64> = None;
    for _ in 0..5 {
        let next = tokio::time::timeout(DEADLINE, heads.next::<alloy_rpc_types_eth::Header>());
        let (header, _) = next.await.unwrap().unwrap().unwrap();
        assert!(last.is_none_or(|height| header.inner.number == height + 1));
        last = Some(header.inner.number);
    }
    let next = tokio::time::timeout(DEADLINE, logs.next::<Value>());
    let (log, _) = next.await.unwrap().unwrap().unwrap();
    assert_eq!(log, sent["logs"][0]);
    let unknown =
        methods.subscribe("eth_subscribe", vec![json!("newTransactionReceipts")], 1).await;
    assert!(unknown.unwrap_err().to_string().contains("known are newHeads"));

    let upgrade = format!(
        "GET / HTTP/1.1\r\nHost: {rpc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    assert_eq!(first_line(rpc, &upgrade).await, "HTTP/1.1 101");
    drop((heads, logs, caller));
    stop(node).await;
}
