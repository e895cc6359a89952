//! `grid_rawBlocks`: what a node serves passes the audit, in pages, and the limits hold.

use alloy_primitives::{Address, Bytes};
use grid_core::{api::RawBlock, audit::Auditor};
use serde_json::json;

use super::support::*;
use crate::rpc::MAX_RAW_BLOCKS;

/// Far above every block's time.
const NOW_MS: u64 = u64::MAX / 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nodes_own_blocks_pass_the_audit_with_execution_page_by_page() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(config(directory.path())).await;
    for nonce in 0..3 {
        send(&node, &sign(nonce, Address::repeat_byte(0x55), 5, Bytes::new(), 21_000)).await;
    }
    let tip = ask(&node, "grid_tip", json!([])).await;
    let height = tip["height"].as_u64().unwrap();
    let mut auditor = Auditor::new(&genesis(), true).unwrap();
    let mut transactions = 0;
    while auditor.height() < height {
        let page = ask(&node, "grid_rawBlocks", json!([auditor.height() + 1, 2])).await;
        let page: Vec<RawBlock> = serde_json::from_value(page).unwrap();
        assert!((1..=2).contains(&page.len()));
        for raw in &page {
            transactions += auditor.follow(raw, NOW_MS).unwrap().transactions;
        }
    }
    assert!(transactions >= 3);
    assert_eq!(ask(&node, "grid_rawBlocks", json!([u64::MAX, 5])).await, json!([]));
    for (params, words) in [
        (json!([]), "parameter 1 (from) is missing"),
        (json!([0]), "genesis file"),
        (json!([1, MAX_RAW_BLOCKS + 1]), "over the limit"),
        (json!([1, 1, 1]), "at most 2"),
    ] {
        let error = node.call("grid_rawBlocks", params.clone()).await.unwrap_err();
        assert!(error.message.contains(words), "{params}: {error}");
    }
    stop(node).await;
}
