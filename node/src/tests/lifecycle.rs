//! Starting, stopping, starting again.

use std::net::TcpListener;

use alloy_primitives::{Address, Bytes};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::support::*;
use crate::{Node, NodeError, Role, store::StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_advance_and_a_restart_continues_with_all_state() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(config(directory.path())).await;
    let to = Address::repeat_byte(0x77);
    let transfer = sign(0, to, 12_345, Bytes::new(), 21_000);
    let first = send(&node, &transfer).await;
    assert_eq!(first["status"], "0x1");
    assert_eq!(first["gasUsed"], "0x5208");
    assert_eq!(ask(&node, "eth_getBalance", json!([to, "latest"])).await, "0x3039");
    let head = node.head();
    wait_height(&node, head.height + 3).await;
    let head = node.head();
    let block = ask(&node, "eth_getBlockByHash", json!([first["blockHash"], true])).await;
    stop(node).await;

    let node = start(config(directory.path())).await;
    assert!(node.head().height > head.height);
    assert_eq!(receipt(&node, transfer.tx_hash()).await, first);
    let again = ask(&node, "eth_getBlockByHash", json!([first["blockHash"], true])).await;
    assert_eq!(again, block);
    let second = send(&node, &sign(1, to, 1, Bytes::new(), 21_000)).await;
    assert_eq!(second["status"], "0x1");
    assert_eq!(ask(&node, "eth_getBalance", json!([to, "latest"])).await, "0x303a");
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_genesis_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    stop(start(config(directory.path())).await).await;
    let mut other = config(directory.path());
    other.genesis.gas_limit += 1;
    let error = Node::start(other, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, NodeError::Store(StoreError::OtherGenesis { .. })), "{error}");
    assert!(error.to_string().contains("chain.redb"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named_with_its_configuration_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.rpc = Some(address);
    let error = Node::start(config, CancellationToken::new()).await.unwrap_err().to_string();
    let port = format!("port {} is in use", address.port());
    assert!(error.contains(&port) && error.contains("node.rpc"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(config(directory.path())).await;
    let error = Node::start(config(directory.path()), CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("in use by another process"), "{error}");
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_engine_stops_the_node_with_its_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.role = Role::Validator(key(9));
    let result = match Node::start(config, CancellationToken::new()).await {
        Ok(node) => {
            assert!(node.wait_ready().await.is_err());
            assert!(node.is_stopping());
            tokio::time::timeout(DEADLINE, node.join()).await.unwrap()
        }
        Err(error) => Err(error),
    };
    let error = result.unwrap_err();
    assert!(matches!(error, NodeError::Engine(_)), "{error}");
    assert!(error.to_string().contains(&address(9).to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_there_from_the_start_and_follow_the_chain() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let registry = config.metrics.clone();
    let node = start(config).await;
    send(&node, &sign(0, Address::ZERO, 1, Bytes::new(), 21_000)).await;
    // The receipt is there as soon as the block is durable, the metrics a moment later.
    wait_height(&node, node.head().height + 1).await;
    let value = |name: &str| {
        let families = registry.gather();
        let family = families.iter().find(|one| one.name() == name);
        let metric = family.unwrap_or_else(|| panic!("{name} is missing")).get_metric()[0].clone();
        metric.get_gauge().get_value() + metric.get_counter().get_value()
    };
    assert!(value("grid_node_head_height") >= 1.0);
    assert!(value("grid_node_transactions_total") >= 1.0);
    assert!(value("grid_node_store_bytes") > 0.0);
    assert_eq!(value("grid_node_mempool_refused_total"), 0.0);
    assert_eq!(value("grid_node_index_reverted_total"), 0.0);
    stop(node).await;
}
