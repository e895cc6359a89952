//! How far below its head a node can prove state: most keep the last blocks' only.

use core::time::Duration;
use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use alloy_primitives::{Address, U64};
use serde::de::IgnoredAny;
use serde_json::json;

use super::EthereumSource;
use crate::{AdapterError, RpcError, rpc::Call};

const METHOD: &str = "eth_getProof";

/// Depths that are tried: the head, a final block's, and just within the limits that clients come with.
const TRIED: [u64; 7] = [0, 96, 126, 1_022, 8_190, 89_990, 999_990];

/// How long an answer holds: an operator may change the node behind an address.
const HOLDS: Duration = Duration::from_secs(600);

/// What a node's `eth_getProof` reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofDepth {
    /// It has no such method, or not even the head's state.
    None,
    /// At least so many blocks below its head, and not the whole chain.
    Blocks(u64),
    /// All blocks.
    Archive,
}

/// The last answer and when it came.
#[derive(Debug, Default)]
pub(super) struct Probed(Mutex<Option<(Instant, ProofDepth)>>);

impl Probed {
    fn get(&self) -> Option<ProofDepth> {
        let probed = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        probed.filter(|(at, _)| at.elapsed() < HOLDS).map(|(_, depth)| depth)
    }

    fn set(&self, depth: ProofDepth) {
        let probed = Some((Instant::now(), depth));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = probed;
    }
}

impl EthereumSource {
    /// How far below its head the node proves state: asked once, in one batch, and remembered.
    ///
    /// # Errors
    /// When the node cannot be asked.
    pub async fn proof_depth(&self) -> Result<ProofDepth, AdapterError> {
        if let Some(depth) = self.proof_depth.get() {
            return Ok(depth);
        }
        let head = self.height().await?;
        // The first block's state last: who has it, has all.
        let tried = TRIED.into_iter().filter(|depth| *depth < head);
        let depths: Vec<u64> = tried.chain(head.checked_sub(1)).collect();
        let block = |depth: &u64| format!("{:#x}", head.saturating_sub(*depth));
        let calls: Vec<Call> =
            depths.iter().map(|depth| (METHOD, json!([Address::ZERO, [], block(depth)]))).collect();
        let answers = self.rpc.batch_as::<Option<IgnoredAny>>(&calls).await?;
        let served = answers.iter().take_while(|answer| matches!(answer, Ok(Some(_)))).count();
        if let Some(Err(error)) = answers.get(served)
            && !matches!(error, RpcError::Server { .. })
        {
            return Err(error.clone().into());
        }
        let depth = match served.checked_sub(1) {
            None => ProofDepth::None,
            Some(_) if served == depths.len() => ProofDepth::Archive,
            Some(last) => ProofDepth::Blocks(depths.get(last).copied().unwrap_or(0)),
        };
        tracing::debug!(endpoint = self.rpc.endpoint(), ?depth, "proofs of state");
        self.proof_depth.set(depth);
        Ok(depth)
    }

    async fn height(&self) -> Result<u64, AdapterError> {
        let height: U64 = self.rpc.call_as("eth_blockNumber", json!([])).await?;
        Ok(height.to())
    }

    /// Refuses what the node is known not to reach, so that another one is asked at once. Between two
    /// depths that were tried the node is asked.
    pub(super) async fn require_depth(&self, height: u64) -> Result<(), AdapterError> {
        let limit = match self.proof_depth().await? {
            ProofDepth::Archive => return Ok(()),
            // Its own words say which of the two reasons it is.
            ProofDepth::None => return Ok(()),
            ProofDepth::Blocks(limit) => limit,
        };
        let below = self.height().await?.saturating_sub(height);
        let next = TRIED.into_iter().find(|depth| *depth > limit);
        if next.is_none_or(|next| below < next) {
            return Ok(());
        }
        Err(AdapterError::Unavailable {
            endpoint: self.rpc.endpoint().into(),
            what: format!("the state of block {height}"),
            reason: format!(
                "it proves state some {limit} blocks deep ({METHOD} was tried), the block is {below} \
                 below its head; use a newer block, or a node that keeps more"
            ),
        })
    }
}
