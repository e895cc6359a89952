//! Branches that a node knows beside its active chain: `getchaintips`, and each one's headers.
//!
//! The node looks through its whole index for an answer, so it is asked once per tip. A branch that the
//! node found invalid is left out: submitting it would help nobody but whoever made it.

use alloy_primitives::B256;
use serde::Deserialize;
use serde_json::json;

use super::{BitcoinSource, header};
use crate::{AdapterError, Branch, SourceHeader, SourceTip};

/// A branch that ends further below the tip is history.
const NEAR: u64 = 144;

/// Most branches asked about: a node of many years knows hundreds, nearly all of them old.
const MAX_BRANCHES: usize = 8;

/// One entry of `getchaintips`.
#[derive(Debug, Deserialize)]
struct ChainTip {
    height: u64,
    hash: String,
    branchlen: u64,
    status: String,
}

/// What is known about the branches at a tip.
#[derive(Debug, Default)]
pub(super) struct Branches {
    /// The tip at which the node was asked.
    at: Option<B256>,
    known: Vec<Branch>,
}

impl BitcoinSource {
    /// The branches as last asked for.
    pub(super) fn known_branches(&self) -> Vec<Branch> {
        self.branches().known.clone()
    }

    /// Asks about branches when the tip is another than last time. They are no part of the active chain,
    /// so a failure is only noted.
    pub(super) async fn look_for_branches(&self, tip: SourceTip) {
        if self.branches().at == Some(tip.hash) {
            return;
        }
        match self.ask_for_branches(tip).await {
            Ok(known) => *self.branches() = Branches { at: Some(tip.hash), known },
            Err(error) => tracing::debug!(%error, "no list of branches"),
        }
    }

    async fn ask_for_branches(&self, tip: SourceTip) -> Result<Vec<Branch>, AdapterError> {
        let mut tips: Vec<ChainTip> = self.rpc.call_as("getchaintips", json!([])).await?;
        let near = |at: &ChainTip| {
            !matches!(at.status.as_str(), "active" | "invalid")
                && at.height.saturating_add(NEAR) >= tip.height
                && (1..=NEAR).contains(&at.branchlen)
        };
        tips.retain(near);
        tips.sort_by_key(|tip| core::cmp::Reverse(tip.height));
        tips.truncate(MAX_BRANCHES);
        let before = self.known_branches();
        let mut branches = Vec::with_capacity(tips.len());
        for tip in tips {
            let hash = self.hash("getchaintips", &tip.hash)?;
            let same = |branch: &&Branch| {
                branch.headers.last().is_some_and(|last| last.compat.blockHash == hash)
                    && branch.headers.len() as u64 == tip.branchlen
            };
            branches.push(match before.iter().find(same) {
                Some(known) => known.clone(),
                None => self.branch(&tip, hash).await?,
            });
        }
        Ok(branches)
    }

    /// The headers of a branch, from its end down: each one names the next.
    async fn branch(&self, tip: &ChainTip, end: B256) -> Result<Branch, AdapterError> {
        let mut down: Vec<SourceHeader> = Vec::new();
        let mut asked = end;
        let lowest = tip.height.saturating_sub(tip.branchlen).saturating_add(1);
        for height in (lowest..=tip.height).rev() {
            let params = json!([header::shown(&asked), false]);
            let hex: String = self.rpc.call_as("getblockheader", params).await?;
            let mut one = Vec::with_capacity(1);
            self.push(&mut one, height, &self.header_bytes(&hex)?, Some(&asked))?;
            for header in one {
                asked = header.compat.parentHash;
                down.push(header);
            }
        }
        down.reverse();
        let fork = SourceTip { height: lowest.saturating_sub(1), hash: asked };
        Ok(Branch { fork, headers: down, members: Vec::new() })
    }
}
