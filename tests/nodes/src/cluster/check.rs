//! What the nodes of a network must agree on, checked block by block with grid-core.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::B256;
use grid_core::{api::RawBlock, audit::Auditor, genesis::Genesis};
use serde_json::json;

use super::seen;
use crate::{NodeError, rpc::Rpc};

/// Blocks asked for at once.
const PAGE: u64 = 128;

/// The chain that all nodes have.
///
/// Each node's own blocks and certificates were walked from genesis (see [`Auditor`]): links, validators by hand-over, more
/// than two thirds of their power. No two nodes have different blocks at a height. The blocks of the first node were
/// executed again, so that its state roots follow from genesis; those of the others are the same by hash.
#[derive(Debug, Clone, Default)]
pub struct Agreement {
    /// By height, from genesis up to the highest node's.
    pub blocks: BTreeMap<u64, B256>,
    /// Height of the lowest node.
    pub lowest: u64,
    /// Transactions in all blocks.
    pub transactions: u64,
    /// How often other validators took over.
    pub hand_overs: u64,
    /// Certificates that were verified, over all nodes.
    pub certificates: u64,
}

impl Agreement {
    /// Walks the chains of these nodes.
    pub(super) async fn of(genesis: &Genesis, nodes: Vec<(usize, Rpc)>) -> Result<Self, NodeError> {
        let mut agreement = Self { lowest: u64::MAX, ..Self::default() };
        for (at, (node, rpc)) in nodes.iter().enumerate() {
            let execute = at == 0;
            let height = agreement.walk(genesis, *node, rpc, execute).await?;
            agreement.lowest = agreement.lowest.min(height);
        }
        Ok(agreement)
    }

    async fn walk(
        &mut self,
        genesis: &Genesis,
        node: usize,
        rpc: &Rpc,
        execute: bool,
    ) -> Result<u64, NodeError> {
        let broken = |why: &dyn std::fmt::Display| NodeError::Broken(format!("node {node}: {why}"));
        let mut auditor = Auditor::new(genesis, execute).map_err(|error| broken(&error))?;
        self.blocks.insert(0, auditor.hash());
        let (tip, tip_hash) = seen::tip(rpc).await?;
        while auditor.height() < tip {
            let page = page(rpc, auditor.height() + 1, tip).await?;
            for raw in &page {
                let block = auditor.follow(raw, now_ms()).map_err(|error| broken(&error))?;
                self.certificates += 1;
                match self.blocks.insert(block.height, block.hash) {
                    Some(other) if other != block.hash => {
                        let (height, hash) = (block.height, block.hash);
                        let why = format!("block {height} is {hash}, another node has {other}");
                        return Err(broken(&why));
                    }
                    Some(_) => {}
                    None => {
                        self.transactions += block.transactions as u64;
                        self.hand_overs += u64::from(block.hand_over);
                    }
                }
            }
        }
        if self.blocks.get(&tip) != Some(&tip_hash) {
            return Err(broken(&format!("its tip {tip} is not {tip_hash} any more")));
        }
        Ok(tip)
    }
}

/// Consecutive blocks from a height, at least one.
async fn page(rpc: &Rpc, from: u64, tip: u64) -> Result<Vec<RawBlock>, NodeError> {
    const METHOD: &str = "grid_rawBlocks";
    let most = PAGE.min(tip + 1 - from);
    let answer = rpc.call(METHOD, json!([from, most])).await?;
    let unexpected = NodeError::unexpected(METHOD, &answer);
    match serde_json::from_value::<Vec<RawBlock>>(answer) {
        Ok(page) if !page.is_empty() => Ok(page),
        _ => Err(unexpected),
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
