//! `waitfornewblock` as a wake-up: the node answers when its tip changes.
//!
//! It occupies one of the node's RPC threads (16 by default), costs nothing else and needs no other
//! port. Core keeps it out of its help and may drop it; a node without it is polled.

use core::time::Duration;

use alloy_primitives::B256;
use serde::Deserialize;
use serde_json::json;

use super::{BitcoinSource, header};
use crate::RpcError;

/// Pause after a failure, so that a dead node is not called without end.
const PAUSE: Duration = Duration::from_secs(5);

/// Codes of a method that is not there or not allowed: nothing changes by asking again.
const NEVER: [i64; 2] = [crate::rpc::METHOD_NOT_FOUND, -32600];

#[derive(Debug, Deserialize)]
struct NewBlock {
    hash: String,
}

impl BitcoinSource {
    /// Returns when the node has another tip than the last one that it was asked for.
    pub(super) async fn wait_for_block(&self) {
        // The node answers well before the exchange's own deadline.
        let limit = self.rpc.description().limits().timeout * 3 / 4;
        let millis = u64::try_from(limit.as_millis()).unwrap_or(1).max(1);
        loop {
            match self.rpc.call_as::<NewBlock>("waitfornewblock", json!([millis])).await {
                Ok(new) => {
                    if header::parse_shown(&new.hash).is_some_and(|hash| !self.is_last_tip(&hash)) {
                        return;
                    }
                }
                Err(RpcError::Server { code, .. }) if NEVER.contains(&code) => {
                    core::future::pending::<()>().await;
                }
                Err(RpcError::Status { status: 403, .. }) => core::future::pending::<()>().await,
                Err(error) => {
                    tracing::debug!(%error, "no wake-up");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn is_last_tip(&self, hash: &B256) -> bool {
        self.last_tip().is_none_or(|last| last == *hash)
    }
}
