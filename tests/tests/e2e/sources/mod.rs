//! Bitcoin sources against real nodes: storms of reorganisations, competing branches, lies.

mod calls;
mod competing;
mod esplora;
mod kinds;
mod lies;
mod storm;

use std::{sync::Arc, time::Duration};

use grid_adapters::{
    Auth, Endpoint, Limits, Member, SourceChain, SourceKind,
    bitcoin::{BitcoinSource, Quorum, RestMode},
};
use grid_core::bitcoin::{Checkpoint, NetworkParams};
use grid_test_nodes::Bitcoind;

/// A node as a source, at another address than its own where a proxy stands before it.
fn core(node: &Bitcoind, url: &str, timeout: Duration) -> Arc<dyn SourceChain> {
    let limits = Limits { timeout, max_body: 4 << 20, ..Limits::default() };
    let endpoint = Endpoint::new(url, "a test").expect("url").with_limits(limits);
    let endpoint = endpoint.with_auth(Auth::Cookie { path: node.cookie_file() }).expect("auth");
    let id = NetworkParams::regtest().chain_id();
    Arc::new(BitcoinSource::new(id, endpoint, RestMode::Auto).expect("source"))
}

fn node(node: &Bitcoind) -> Arc<dyn SourceChain> {
    core(node, &node.url(), Duration::from_secs(10))
}

/// A quorum over sources, named by their number, verified from genesis.
fn quorum(sources: Vec<Arc<dyn SourceChain>>, agree: usize) -> Quorum {
    let member = |(number, source): (usize, Arc<dyn SourceChain>)| {
        Member::new(number.to_string(), SourceKind::Rpc, source)
    };
    let params = NetworkParams::regtest();
    let start = Checkpoint::genesis(&params);
    let members = sources.into_iter().enumerate().map(member).collect();
    Quorum::new(members, agree, params, &start).expect("quorum")
}

/// A source's tip as Bitcoin's tools show it.
async fn tip(source: &dyn SourceChain) -> (u64, String) {
    let tip = source.tip().await.expect("a tip");
    let mut hash = tip.hash;
    hash.0.reverse();
    (tip.height, format!("{hash:x}").trim_start_matches("0x").to_owned())
}

/// Every header that a source serves is the node's own.
async fn assert_same_chain(source: &dyn SourceChain, node: &Bitcoind) {
    let (height, hash) = node.tip().await.expect("tip");
    assert_eq!(tip(source).await, (height, hash));
    let mut headers = Vec::new();
    loop {
        let part = source.headers(headers.len() as u64, 2_000).await.expect("headers");
        if part.is_empty() {
            break;
        }
        headers.extend(part);
    }
    assert_eq!(headers.len() as u64, height + 1);
    let text = serde_json::json!([height / 2]);
    let hash = node.call("getblockhash", text).await.expect("hash");
    let middle = &headers[usize::try_from(height / 2).expect("small")];
    let raw = node.call("getblockheader", serde_json::json!([hash, false])).await.expect("header");
    assert_eq!(raw, alloy_primitives::hex::encode(&middle.raw));
}
