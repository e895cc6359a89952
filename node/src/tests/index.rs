//! Foreign headers: submitted, indexed, proven, reorganised.

use alloy_consensus::TxEnvelope;
use alloy_primitives::B256;
use alloy_sol_types::SolCall as _;
use grid_core::{
    api::{ChainInfo, Locator, ProveAnswer},
    bitcoin::header::Header,
    grid::ValidatorSet,
    modules::abi::{LIGHT_CLIENTS, LightClients::submitBitcoinHeadersCall},
    proof::{self, Anchor, Inclusion, Segment, Trust, TrustAnchor},
};
use serde_json::{Value, json};

use super::support::*;
use crate::NodeHandle;

fn submission(nonce: u64, headers: &[Header]) -> TxEnvelope {
    let call = submitBitcoinHeadersCall { chain: regtest().key().0, headers: raw_headers(headers) };
    sign(nonce, LIGHT_CLIENTS, 0, call.abi_encode().into(), 20_000_000)
}

async fn submit(node: &NodeHandle, nonce: u64, headers: &[Header]) {
    let receipt = send(node, &submission(nonce, headers)).await;
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    // The rule is looked at again at the start of the next block.
    wait_height(node, node.head().height + 1).await;
}

async fn chain_info(node: &NodeHandle) -> ChainInfo {
    let all = ask(node, "grid_chains", json!([])).await;
    let mut all: Vec<ChainInfo> = serde_json::from_value(all).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Asks for a proof of a header and verifies it as a stranger would.
async fn prove(node: &NodeHandle, at: Value) -> u64 {
    let answer = ask(node, "grid_prove", json!([regtest(), at])).await;
    let answer: ProveAnswer = serde_json::from_value(answer).unwrap();
    let trusted: ValidatorSet =
        serde_json::from_value(ask(node, "grid_validators", json!([1])).await).unwrap();
    let height = answer.header.height;
    let proof = proof::build::assemble(
        answer.header,
        answer.source,
        Inclusion::HeaderOnly {},
        Segment::from_abi(&answer.segment).unwrap(),
        Anchor::Certificate { certificate: answer.certificate, validators: answer.validators },
    )
    .unwrap();
    let trust = Trust { chain_id: CHAIN_ID, anchor: TrustAnchor::Validators(trusted) };
    let proven = proof::verify(&proof, &trust).unwrap().into_inner();
    assert_eq!(proven.height, height);
    height
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submitted_headers_are_indexed_and_every_one_of_them_proves() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(config(directory.path())).await;
    let genesis = regtest_genesis();
    let headers = mine(genesis, 40, 1);
    submit(&node, 0, &headers[..25]).await;
    submit(&node, 1, &headers[25..]).await;

    let info = chain_info(&node).await;
    assert_eq!(info.tracked.height, 40);
    assert_eq!(info.tracked.hash, headers[39].hash());
    // Three confirmations: 40 counts as the first.
    let confirmed = info.confirmed.unwrap();
    assert_eq!((confirmed.height, confirmed.hash), (38, headers[37].hash()));
    for height in info.first_height..=38 {
        assert_eq!(prove(&node, json!(height)).await, height);
    }
    assert_eq!(prove(&node, json!("0x10")).await, 16);
    assert_eq!(prove(&node, json!(headers[9].hash())).await, 10);

    let error = node.call("grid_prove", json!([regtest(), 39])).await.unwrap_err();
    assert_eq!(error.code, -32001);
    assert!(
        error.message.contains("not confirmed: confirmed up to 38, tracked up to 40"),
        "{error}"
    );
    let error = node.call("grid_header", json!([regtest(), B256::ZERO])).await.unwrap_err();
    assert!(error.message.contains("not known"), "{error}");
    let error = node.call("grid_header", json!(["eip155:999", 1])).await.unwrap_err();
    assert!(error.message.contains("registered: bip122:"), "{error}");

    let again = submission(2, &headers[..25]);
    let raw = alloy_primitives::hex::encode_prefixed(
        alloy_eips::eip2718::Encodable2718::encoded_2718(&again),
    );
    let error = node.call("eth_sendRawTransaction", json!([raw])).await.unwrap_err();
    assert_eq!(error.data, Some(json!({"refusal": "already-known"})), "{error}");

    let locator: Locator =
        serde_json::from_value(ask(&node, "grid_locator", json!([regtest()])).await).unwrap();
    assert_eq!(locator.best[0].height, 40);
    assert_eq!(locator.best.last().unwrap().height, 0);
    assert!(locator.best.len() < 20);
    stop(node).await;

    let node = start(config(directory.path())).await;
    assert_eq!(prove(&node, json!(16)).await, 16);
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reorganisation_below_the_confirmed_tip_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(config(directory.path())).await;
    let genesis = regtest_genesis();
    let headers = mine(genesis, 20, 1);
    submit(&node, 0, &headers).await;
    assert_eq!(chain_info(&node).await.confirmed.unwrap().height, 18);
    // Five below the confirmed tip, and one block more.
    let branch = mine(headers[12], 8, 2);
    submit(&node, 1, &branch).await;

    let info = chain_info(&node).await;
    assert_eq!((info.tracked.height, info.tracked.hash), (21, branch[7].hash()));
    assert_eq!(info.confirmed.unwrap().height, 19);
    for height in 1..=19 {
        assert_eq!(prove(&node, json!(height)).await, height);
    }
    let old = node.call("grid_header", json!([regtest(), headers[14].hash()])).await.unwrap_err();
    assert!(old.message.contains("not confirmed"), "{old}");
    let new = ask(&node, "grid_header", json!([regtest(), branch[1].hash()])).await;
    assert_eq!(new["height"], 15);
    let logs = json!([{"fromBlock": "0x0", "toBlock": "latest", "address": LIGHT_CLIENTS}]);
    let logs = ask(&node, "eth_getLogs", logs).await;
    assert!(logs.as_array().unwrap().len() >= 4, "{logs}");
    stop(node).await;
}

/// A full batch in one transaction, and the proof of its middle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_headers_in_one_transaction_are_indexed() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(config(directory.path())).await;
    let headers = mine(regtest_genesis(), 2_000, 3);
    submit(&node, 0, &headers).await;
    let mut height = chain_info(&node).await.confirmed.map_or(0, |block| block.height);
    while height < 1_998 {
        // A block confirms a bounded number of headers; the rest follows in the next ones.
        wait_height(&node, node.head().height + 1).await;
        let next = chain_info(&node).await.confirmed.unwrap().height;
        assert!(next > height, "indexing stands still at {height}");
        height = next;
    }
    assert_eq!(prove(&node, json!(1_000)).await, 1_000);
    stop(node).await;
}
