//! An Esplora server over a real node: every answer is translated from the node's own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use crate::{Bitcoind, NodeError, rpc::Rpc};

/// Blocks in one answer, as Blockstream's server gives them.
const PAGE: u64 = 10;

/// A running server on a free port of the loopback interface; it ends with its runtime.
#[derive(Debug)]
pub struct Esplora {
    url: String,
    backend: Arc<Backend>,
}

#[derive(Debug)]
struct Backend {
    rpc: Rpc,
    /// Questions that are still answered; the others get status 429.
    allowed: AtomicU64,
}

/// A body, or `None` for what the node does not have.
type Answer = Result<Option<Vec<u8>>, NodeError>;

impl Esplora {
    /// Serves a node's chain below `/api`.
    ///
    /// # Errors
    /// [`NodeError::Io`] when there is no free port.
    pub async fn start(node: &Bitcoind) -> Result<Self, NodeError> {
        let allowed = AtomicU64::new(u64::MAX);
        let backend = Arc::new(Backend { rpc: node.rpc().clone(), allowed });
        let router = Router::new().fallback(answer).with_state(backend.clone());
        let url = crate::serve::on_loopback(router).await?;
        Ok(Self { url: format!("{url}/api"), backend })
    }

    /// Where the API begins.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers so many more questions and the others with status 429.
    pub fn allow(&self, questions: u64) {
        self.backend.allowed.store(questions, Ordering::Relaxed);
    }
}

async fn answer(State(backend): State<Arc<Backend>>, uri: Uri) -> Response {
    let less = |left: u64| left.checked_sub(1);
    if backend.allowed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
        return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], "Too many").into_response();
    }
    let path = uri.path().trim_start_matches("/api/");
    let parts: Vec<&str> = path.split('/').collect();
    match backend.find(&parts).await {
        Ok(Some(body)) => body.into_response(),
        // What the node does not know, it says by an error of its own.
        Ok(None) | Err(NodeError::Rpc { .. }) => {
            (StatusCode::NOT_FOUND, "Block not found").into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

impl Backend {
    async fn find(&self, path: &[&str]) -> Answer {
        match path {
            ["blocks", "tip", "hash"] => self.text("getbestblockhash", json!([])).await,
            ["blocks", "tip", "height"] => {
                let height = self.rpc.call("getblockcount", json!([])).await?;
                Ok(Some(height.to_string().into_bytes()))
            }
            ["blocks", height] => self.page(height.parse().unwrap_or(u64::MAX)).await,
            ["block-height", height] => {
                let height: u64 = height.parse().unwrap_or(u64::MAX >> 1);
                self.text("getblockhash", json!([height])).await
            }
            ["block", hash] => Ok(Some(self.described(hash).await?.to_string().into_bytes())),
            ["block", hash, "header"] => self.text("getblockheader", json!([hash, false])).await,
            ["block", hash, "raw"] => {
                let hex = self.rpc.call("getblock", json!([hash, 0])).await?;
                Ok(bytes(hex.as_str().unwrap_or_default()))
            }
            ["block", hash, "status"] => {
                let header = self.rpc.call("getblockheader", json!([hash])).await?;
                let best = header["confirmations"].as_i64().unwrap_or(-1) >= 0;
                let status = json!({ "in_best_chain": best, "height": header["height"] });
                Ok(Some(status.to_string().into_bytes()))
            }
            ["tx", txid, "status"] => self.status(txid).await,
            ["tx", txid] => {
                let found = self.rpc.call("getrawtransaction", json!([txid, true])).await?;
                Ok(Some(json!({ "txid": found["txid"] }).to_string().into_bytes()))
            }
            _ => Ok(None),
        }
    }

    async fn text(&self, method: &str, params: Value) -> Answer {
        let text = self.rpc.call(method, params).await?;
        Ok(text.as_str().map(|text| text.as_bytes().to_vec()))
    }

    /// A block as Esplora describes it.
    async fn described(&self, hash: &str) -> Result<Value, NodeError> {
        let node = self.rpc.call("getblockheader", json!([hash])).await?;
        let bits = node["bits"].as_str().and_then(|bits| u32::from_str_radix(bits, 16).ok());
        Ok(json!({
            "id": node["hash"], "height": node["height"], "version": node["version"],
            "timestamp": node["time"], "mediantime": node["mediantime"], "bits": bits,
            "nonce": node["nonce"], "merkle_root": node["merkleroot"], "tx_count": node["nTx"],
            "difficulty": node["difficulty"], "previousblockhash": node["previousblockhash"],
        }))
    }

    /// Ten blocks, newest first, of which the first has the height.
    async fn page(&self, from: u64) -> Answer {
        let tip = self.rpc.call("getblockcount", json!([])).await?.as_u64().unwrap_or(0);
        if from > tip {
            return Ok(None);
        }
        let mut blocks = Vec::new();
        for height in (0..=from).rev().take(usize::try_from(PAGE).unwrap_or(1)) {
            let hash = self.rpc.call("getblockhash", json!([height])).await?;
            blocks.push(self.described(hash.as_str().unwrap_or_default()).await?);
        }
        Ok(Some(Value::from(blocks).to_string().into_bytes()))
    }

    async fn status(&self, txid: &str) -> Answer {
        let found = self.rpc.call("getrawtransaction", json!([txid, true])).await?;
        let status = match found["blockhash"].as_str() {
            Some(hash) => {
                let header = self.rpc.call("getblockheader", json!([hash])).await?;
                json!({ "confirmed": true, "block_height": header["height"], "block_hash": hash })
            }
            None => json!({ "confirmed": false }),
        };
        Ok(Some(status.to_string().into_bytes()))
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = (0..hex.len()).step_by(2);
    digits.map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}
