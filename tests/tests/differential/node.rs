//! Generated headers on regtest, against a running bitcoind's `submitheader`.

use alloy_primitives::{B256, U256, hex};
use grid_core::bitcoin::NetworkParams;
use grid_test_nodes::{Bitcoind, BitcoindConfig, NodeError};
use grid_tests::differential::{Answer, Case, Ours, Submission, generate_on};
use serde_json::{Value, json};

/// Runs of headers for each node: some hundreds of headers.
const STEPS: usize = 40;

/// What the node answers where the parent is unknown. It looks before it judges the proof of work.
const NO_PARENT: &str = "Must submit previous header";

/// Submits headers one by one, at the clock of their submission, and compares each verdict and the
/// height of the best header; then the best header itself.
async fn compare(node: &Bitcoind, case: &Case) -> Result<(), NodeError> {
    let mut ours = Ours::network(&case.params).expect("the parameters are usable");
    let mut last = None;
    for Submission { clock, headers } in &case.submissions {
        drop(node.call("setmocktime", json!([clock])).await?);
        for header in headers {
            let text = hex::encode(header);
            let core = match node.call("submitheader", json!([text])).await {
                Ok(_) => String::new(),
                Err(NodeError::Rpc { message, .. }) => message,
                Err(error) => return Err(error),
            };
            let answer = ours.submit(&Submission { clock: *clock, headers: vec![*header] });
            if core.starts_with(NO_PARENT) {
                let refused = ["prev-blk-not-found", "high-hash"];
                assert!(refused.contains(&answer.reject.as_str()), "{text}: {answer:?}");
            } else {
                assert_eq!(answer.reject, core, "{text} at {clock}");
            }
            let info = node.call("getblockchaininfo", json!([])).await?;
            assert_eq!(info["headers"], answer.height, "{text} at {clock}");
            last = Some(answer);
        }
    }
    same_tip(node, &last.expect("something was submitted")).await
}

/// Our best header is the end of one of the node's branches, with the same height and work.
async fn same_tip(node: &Bitcoind, answer: &Answer) -> Result<(), NodeError> {
    let hash = shown(answer.tip);
    let tips = node.call("getchaintips", json!([])).await?;
    let ends_in = |tip: &Value| tip["hash"] == *hash;
    assert!(tips.as_array().is_some_and(|tips| tips.iter().any(ends_in)), "{hash} in {tips}");
    let header = node.call("getblockheader", json!([hash])).await?;
    assert_eq!(header["height"], answer.height);
    let work = header["chainwork"].as_str().and_then(|work| U256::from_str_radix(work, 16).ok());
    assert_eq!(work, Some(answer.work));
    Ok(())
}

fn shown(mut hash: B256) -> String {
    hash.0.reverse();
    hex::encode(hash)
}

async fn regtest(bip94: bool, seed: u64) -> Result<(), NodeError> {
    let params = NetworkParams {
        bip94,
        bip34_height: 3,
        bip66_height: 10,
        bip65_height: 20,
        ..NetworkParams::regtest()
    };
    let heights = ["bip34@3", "dersig@10", "cltv@20"];
    let mut args: Vec<String> =
        heights.map(|height| format!("-testactivationheight={height}")).to_vec();
    // Core's self-check walks over all headers after each one.
    args.push("-checkblockindex=0".into());
    if bip94 {
        args.push("-test=bip94".into());
    }
    let node = Bitcoind::start(BitcoindConfig { args, ..BitcoindConfig::default() }).await?;
    compare(&node, &generate_on(params, seed, STEPS)).await
}

#[tokio::test]
async fn a_real_node_judges_regtest_headers_alike() {
    regtest(false, 0).await.expect("the node answers");
}

#[tokio::test]
async fn a_real_node_judges_regtest_headers_with_bip94_alike() {
    regtest(true, 1).await.expect("the node answers");
}
