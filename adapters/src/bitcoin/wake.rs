//! `waitfornewblock` as a wake-up: the node answers when its tip changes.
//!
//! It occupies one of the node's RPC threads (16 by default), costs nothing else and needs no other
//! port. Core keeps it out of its help and may drop it; a node without it is polled.

use core::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{BitcoinSource, header};
use crate::{RpcError, SourceTip};

/// Pause after a failure, so that a dead node is not called without end.
const PAUSE: Duration = Duration::from_secs(5);

/// Codes of a method that is not there or not allowed: nothing changes by asking again.
const NEVER: [i64; 2] = [crate::rpc::METHOD_NOT_FOUND, -32600];

/// Bitcoin Core's code for wrong parameters: before version 29 there was no `current_tip`.
const MISC_ERROR: i64 = -1;

#[derive(Debug, Deserialize)]
struct NewBlock {
    hash: String,
    height: u64,
}

/// As long as it lives the node vouches for the tip that it was told.
struct Watch<'a>(&'a BitcoinSource);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.known().forget();
    }
}

impl BitcoinSource {
    /// Returns when the node has another tip than the last one that it was asked for.
    pub(super) async fn wait_for_block(&self) {
        // The node answers well before the exchange's own deadline.
        let deadline = self.rpc.description().limits().timeout;
        loop {
            match self.next_block(deadline).await {
                Ok(true) => return,
                Ok(false) => {}
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

    /// Waits for a while; whether the tip is another one than what is known.
    async fn next_block(&self, deadline: Duration) -> Result<bool, RpcError> {
        const METHOD: &str = "waitfornewblock";
        let millis = u64::try_from((deadline * 3 / 4).as_millis()).unwrap_or(1).max(1);
        let (known, told) = {
            let mut known = self.known();
            let tip = known.newest();
            let told = tip.filter(|_| known.takes_tip());
            if let Some(tip) = told {
                known.waiting(tip, deadline);
            }
            (tip, told)
        };
        let watch = Watch(self);
        let params = match told {
            Some(tip) => json!([millis, header::shown(&tip.hash)]),
            None => json!([millis]),
        };
        let new: NewBlock = match self.rpc.wait_for(METHOD, params).await {
            Err(RpcError::Server { code: MISC_ERROR, .. }) if told.is_some() => {
                self.known().be_plain();
                return Ok(false);
            }
            answer => answer?,
        };
        drop(watch);
        let Some(hash) = header::parse_shown(&new.hash) else { return Ok(false) };
        if told.is_some() {
            self.known().announced(SourceTip { height: new.height, hash });
        }
        Ok(known.is_some_and(|known| known.hash != hash))
    }
}
