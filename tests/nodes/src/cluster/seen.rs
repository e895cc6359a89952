//! What clients were told: blocks that must stay where they were seen.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use alloy_primitives::B256;
use serde_json::{Value, json};

use super::Agreement;
use crate::{NodeError, rpc::Rpc};

/// Blocks that some node called final.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// By height.
    pub blocks: BTreeMap<u64, B256>,
    /// Transactions whose receipts were read.
    pub transactions: u64,
    /// Two blocks at one height: height, first hash, second hash.
    pub contradictions: Vec<(u64, B256, B256)>,
}

impl Seen {
    /// Every block that was seen is in the chain.
    ///
    /// # Errors
    /// [`NodeError::Broken`] with the first that is not.
    pub fn check(&self, agreement: &Agreement) -> Result<(), NodeError> {
        if let Some((height, one, other)) = self.contradictions.first() {
            let why = format!("two blocks at height {height} were served: {one} and {other}");
            return Err(NodeError::Broken(why));
        }
        for (height, hash) in &self.blocks {
            match agreement.blocks.get(height) {
                Some(found) if found == hash => {}
                found => {
                    let why =
                        format!("a client saw {hash} at height {height}, now it is {found:?}");
                    return Err(NodeError::Broken(why));
                }
            }
        }
        Ok(())
    }
}

/// [`Seen`], written by several tasks.
#[derive(Debug, Clone, Default)]
pub struct SharedSeen(Arc<Mutex<Seen>>);

impl SharedSeen {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything until now.
    pub fn read(&self) -> Seen {
        self.lock().clone()
    }

    /// A node called this block final.
    pub fn block(&self, height: u64, hash: B256) {
        let mut seen = self.lock();
        let first = *seen.blocks.entry(height).or_insert(hash);
        if first != hash {
            seen.contradictions.push((height, first, hash));
        }
    }

    /// A transaction is in this block.
    pub fn transaction(&self, height: u64, hash: B256) {
        self.block(height, hash);
        self.lock().transactions += 1;
    }
}

/// Height and hash of a node's newest block.
pub(super) async fn tip(rpc: &Rpc) -> Result<(u64, B256), NodeError> {
    const METHOD: &str = "grid_tip";
    let tip = rpc.call(METHOD, json!([])).await?;
    let hash = tip["hash"].as_str().and_then(|hash| hash.parse().ok());
    tip["height"].as_u64().zip(hash).ok_or_else(|| NodeError::unexpected(METHOD, &tip))
}

/// A receipt, null where there is none.
pub(super) async fn receipt(rpc: &Rpc, hash: B256) -> Result<Value, NodeError> {
    rpc.call("eth_getTransactionReceipt", json!([hash])).await
}
