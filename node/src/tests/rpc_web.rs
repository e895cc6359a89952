//! What Ethereum's tools rely on beyond plain calls: filters, words of errors, origins of web pages.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, Bytes, U256};
use grid_consensus::{EnginePeer, EngineStatus};
use grid_core::modules::abi::{PROOFS, REGISTRY, Registry};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::support::*;
use crate::{RpcLimits, health::Health, rpc};

fn set_status(nonce: u64, status: u8) -> alloy_consensus::TxEnvelope {
    let call = Registry::setStatusCall { chain: regtest().key().0, status };
    sign(nonce, REGISTRY, 0, alloy_sol_types::SolCall::abi_encode(&call).into(), 1_000_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_tell_each_thing_once_and_close() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(config(directory.path())).await;
    let blocks = ask(&node, "eth_newBlockFilter", json!([])).await;
    let logs = ask(&node, "eth_newFilter", json!([{ "address": REGISTRY }])).await;
    let others = ask(&node, "eth_newFilter", json!([{ "address": PROOFS }])).await;
    let past = ask(&node, "eth_newFilter", json!([{ "fromBlock": "0x0", "toBlock": "0x1" }])).await;
    let changes = |id: &Value| {
        let id = id.clone();
        let node = &node;
        async move { ask(node, "eth_getFilterChanges", json!([id])).await }
    };
    let receipt = send(&node, &set_status(0, 1)).await;
    assert_eq!(changes(&logs).await, receipt["logs"]);
    assert_eq!(changes(&logs).await, json!([]));
    assert_eq!(changes(&others).await, json!([]));
    assert_eq!(changes(&past).await, json!([]));
    let all = ask(&node, "eth_getFilterLogs", json!([past])).await;
    assert_eq!(all, json!([]));
    let first = changes(&blocks).await;
    let first: Vec<B256> = serde_json::from_value(first).unwrap();
    let hash: B256 = serde_json::from_value(receipt["blockHash"].clone()).unwrap();
    assert!(first.contains(&hash));
    let height = node.heads().borrow().height;
    wait_height(&node, height + 2).await;
    let second: Vec<B256> = serde_json::from_value(changes(&blocks).await).unwrap();
    assert!(!second.is_empty() && second.iter().all(|one| !first.contains(one)));

    assert_eq!(ask(&node, "eth_uninstallFilter", json!([logs])).await, true);
    assert_eq!(ask(&node, "eth_uninstallFilter", json!([logs])).await, false);
    let gone = node.call("eth_getFilterChanges", json!([logs])).await.unwrap_err();
    assert_eq!((gone.code, gone.message.contains("filter not found")), (-32000, true));
    let wrong = node.call("eth_getFilterLogs", json!([blocks])).await.unwrap_err();
    assert_eq!(wrong.code, -32602);
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.rpc_limits.filters = 2;
    let node = start(config).await;
    let open = async || node.call("eth_newBlockFilter", json!([])).await;
    open().await.unwrap();
    open().await.unwrap();
    assert_eq!(open().await.unwrap_err().code, -32005);
    stop(node).await;
}

/// A peer that says that it has this block.
fn peer(height: u64) -> EnginePeer {
    let (peer_id, address, moniker) = ("a".into(), "b".into(), "c".into());
    EnginePeer { peer_id, address, moniker, validator: None, height: Some(height) }
}

#[tokio::test]
async fn subscribers_hear_when_syncing_begins_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (engine, seen) = watch::channel(EngineStatus::default());
    let health = Health {
        chain: Arc::new(chain(directory.path())),
        engine: seen,
        validator: None,
        gossip: None,
        empty_block_interval: Duration::MAX,
    };
    let module = rpc::module(health.chain.clone(), Arc::new(health), &RpcLimits::default());
    let mut told = module.subscribe("eth_subscribe", vec![json!("syncing")], 4).await.unwrap();
    let mut next = async || {
        let next = tokio::time::timeout(DEADLINE, told.next::<Value>()).await.unwrap();
        next.unwrap().unwrap().0
    };
    assert_eq!(next().await, json!(false));
    // Ten blocks are on their way; that a peer has more of them is no news.
    for height in [10, 11, 50] {
        engine.send_replace(EngineStatus { peers: vec![peer(height)], ..EngineStatus::default() });
    }
    let status = next().await;
    assert_eq!((&status["syncing"], &status["currentBlock"]), (&json!(true), &json!("0x0")));
    engine.send_replace(EngineStatus { peers: vec![peer(60)], ..EngineStatus::default() });
    engine.send_replace(EngineStatus { peers: vec![peer(3)], ..EngineStatus::default() });
    assert_eq!(next().await, json!(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_transactions_are_shown_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    // Long enough that what waits is still there when it is asked for.
    config.block_interval = std::time::Duration::from_secs(5);
    let node = start(config).await;
    let filter = ask(&node, "eth_newPendingTransactionFilter", json!([])).await;
    let caller = node.caller();
    let topic = |full: bool| vec![json!("newPendingTransactions"), json!(full)];
    let mut hashes = caller.methods().subscribe("eth_subscribe", topic(false), 4).await.unwrap();
    let mut whole = caller.methods().subscribe("eth_subscribe", topic(true), 4).await.unwrap();
    let to = Address::repeat_byte(0x55);
    let sent = [sign(0, to, 1, Bytes::new(), 21_000), sign(2, to, 1, Bytes::new(), 21_000)];
    for one in &sent {
        let raw = alloy_eips::eip2718::Encodable2718::encoded_2718(one);
        ask(&node, "eth_sendRawTransaction", json!([Bytes::from(raw)])).await;
    }
    let expected = json!([sent[0].tx_hash(), sent[1].tx_hash()]);
    assert_eq!(ask(&node, "eth_getFilterChanges", json!([filter])).await, expected);
    assert_eq!(ask(&node, "eth_getFilterChanges", json!([filter])).await, json!([]));
    let next = tokio::time::timeout(DEADLINE, hashes.next::<B256>()).await.unwrap();
    assert_eq!(next.unwrap().unwrap().0, *sent[0].tx_hash());
    let next = tokio::time::timeout(DEADLINE, whole.next::<Value>()).await.unwrap();
    let (whole, _) = next.unwrap().unwrap();
    assert_eq!((&whole["hash"], &whole["blockHash"]), (&json!(sent[0].tx_hash()), &Value::Null));

    let status = ask(&node, "txpool_status", json!([])).await;
    assert_eq!(status, json!({ "pending": "0x1", "queued": "0x1" }));
    let content = ask(&node, "txpool_content", json!([])).await;
    let sender = address(2).to_checksum(None);
    assert_eq!(content["pending"][&sender]["0"]["hash"], json!(sent[0].tx_hash()));
    assert_eq!(content["queued"][&sender]["2"]["hash"], json!(sent[1].tx_hash()));
    let from = ask(&node, "txpool_contentFrom", json!([address(2)])).await;
    assert_eq!(from["queued"], content["queued"][&sender]);
    let nobody = ask(&node, "txpool_contentFrom", json!([to])).await;
    assert_eq!(nobody, json!({ "pending": {}, "queued": {} }));
    drop(caller);
    stop(node).await;
}

/// Wallets and libraries recognise these words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_use_the_words_that_wallets_look_for() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(config(directory.path())).await;
    let poor = Address::repeat_byte(0x77);
    let to = Address::repeat_byte(0x55);
    let estimate = async |call: Value| node.call("eth_estimateGas", json!([call])).await;
    let cases = [
        (json!({"from": poor, "to": to, "value": "0x1"}), "insufficient funds for transfer"),
        (json!({"from": poor, "to": to, "maxFeePerGas": "0x3b9aca00"}), "insufficient funds"),
        (
            json!({"from": address(2), "to": to, "maxFeePerGas": "0x1"}),
            "max fee per gas less than block base fee",
        ),
        (
            json!({"from": address(2), "to": to, "maxFeePerGas": "0x3b9aca00", "maxPriorityFeePerGas": "0x3b9aca01"}),
            "max priority fee per gas higher than max fee per gas",
        ),
        (json!({"from": address(2), "to": to, "gas": "0x5207"}), "out of gas"),
        (json!({"from": address(2), "data": "0x00"}), "contract creation is not supported"),
    ];
    for (call, words) in cases {
        let error = estimate(call.clone()).await.unwrap_err();
        assert_eq!(error.code, -32000, "{call}: {error}");
        assert!(error.message.contains(words), "{call}: {error}");
    }
    // Who names no price needs no money.
    assert_eq!(estimate(json!({"from": poor, "to": to})).await.unwrap(), "0x5208");
    let error = estimate(json!({"from": poor, "to": to, "gasPrice": "0x1", "maxFeePerGas": "0x1"}));
    assert_eq!(error.await.unwrap_err().code, -32602);

    let data = alloy_sol_types::SolCall::abi_encode(&Registry::setStatusCall {
        chain: regtest().key().0,
        status: 1,
    });
    let call = json!({"from": poor, "to": REGISTRY, "data": Bytes::from(data)});
    let error = node.call("eth_call", json!([call, "latest"])).await.unwrap_err();
    assert_eq!(error.code, 3);
    let data: Bytes = serde_json::from_value(error.data.unwrap()).unwrap();
    let decoded =
        <alloy_sol_types::Revert as alloy_sol_types::SolError>::abi_decode(&data).unwrap();
    assert_eq!(error.message, format!("execution reverted: {}", decoded.reason));

    let proof = node.call("eth_getProof", json!([poor, [], "latest"])).await.unwrap_err();
    assert_eq!((proof.code, proof.message.contains("grid_proveState")), (-32004, true));
    assert_eq!(
        ask(&node, "eth_getUncleByBlockNumberAndIndex", json!(["0x0", "0x0"])).await,
        Value::Null
    );
    let latest = ask(&node, "eth_getBlockByNumber", json!(["latest", false])).await;
    for tag in ["safe", "finalized", "pending"] {
        let other = ask(&node, "eth_getBlockByNumber", json!([tag, false])).await;
        let height = |block: &Value| {
            block["number"].as_str().map(|n| U256::from_str_radix(&n[2..], 16).unwrap())
        };
        assert!(height(&other) >= height(&latest), "{tag}");
    }
    let earliest = ask(&node, "eth_getBlockByNumber", json!(["earliest", true])).await;
    assert_eq!((&earliest["number"], &earliest["transactions"]), (&json!("0x0"), &json!([])));
    stop(node).await;
}

fn request(address: std::net::SocketAddr, method: &str, extra: &str, body: &str) -> String {
    format!(
        "{method} / HTTP/1.1\r\nHost: {address}\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_pages_may_read_only_where_they_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.rpc = Some("127.0.0.1:0".parse().unwrap());
    config.rpc_cors = vec!["https://app.example".into()];
    let node = start(config).await;
    let rpc = node.rpc_address().unwrap();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let ask = async |method: &str, origin: &str, extra: &str, body: &str| {
        let extra = format!("Origin: {origin}\r\nContent-Type: application/json\r\n{extra}");
        exchange(rpc, &request(rpc, method, &extra, body)).await.to_lowercase()
    };
    let allowed = "access-control-allow-origin: https://app.example";
    let answer = ask("POST", "https://app.example", "", call).await;
    assert!(answer.contains(allowed) && answer.contains("0x1bcd"), "{answer}");
    let answer = ask("POST", "https://evil.example", "", call).await;
    assert!(!answer.contains("access-control-allow-origin"), "{answer}");
    let preflight =
        "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n";
    assert!(ask("OPTIONS", "https://app.example", preflight, "").await.contains(allowed));
    let answer = ask("OPTIONS", "https://evil.example", preflight, "").await;
    assert!(!answer.contains("access-control-allow-origin"), "{answer}");
    // A simple request, which browsers send without asking, is not taken at all.
    let plain =
        request(rpc, "POST", "Origin: https://evil.example\r\nContent-Type: text/plain\r\n", call);
    assert!(exchange(rpc, &plain).await.starts_with("HTTP/1.1 415"));

    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let open = async |origin: &str| {
        let text = format!("GET / HTTP/1.1\r\nHost: {rpc}\r\n{origin}{upgrade}\r\n");
        first_line(rpc, &text).await
    };
    assert!(open("").await.contains("101"));
    assert!(open("Origin: https://app.example\r\n").await.contains("101"));
    assert!(open("Origin: https://evil.example\r\n").await.contains("403"));
    stop(node).await;
}

#[tokio::test]
async fn an_origin_that_is_none_is_a_configuration_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.rpc = Some("127.0.0.1:0".parse().unwrap());
    config.rpc_cors = vec!["app.example".into()];
    let started = crate::Node::start(config, tokio_util::sync::CancellationToken::new()).await;
    assert!(started.unwrap_err().to_string().contains("app.example"));
}
