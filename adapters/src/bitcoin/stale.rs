//! Branches that a node knows beside its active chain: `getchaintips`, and each one's headers.
//!
//! The node looks through its whole index for an answer, so it is asked once per tip, together with the
//! tip's header. A branch that the
//! node found invalid is left out: submitting it would help nobody but whoever made it.

use alloy_primitives::B256;
use serde::Deserialize;
use serde_json::json;

use super::{BitcoinSource, header};
use crate::{AdapterError, Branch, RpcError, SourceHeader, SourceTip};

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

    /// Asks for the header of a tip that is new, and about the branches beside it, in one exchange.
    /// Neither is needed for the tip itself, so a failure is only noted.
    pub(super) async fn look_at(&self, tip: SourceTip) {
        if self.branches().at == Some(tip.hash) {
            return;
        }
        match self.ask_about(tip).await {
            Ok(known) => *self.branches() = Branches { at: Some(tip.hash), known },
            Err(error) => tracing::debug!(%error, "no look at the new tip"),
        }
    }

    async fn ask_about(&self, tip: SourceTip) -> Result<Vec<Branch>, AdapterError> {
        let calls = [
            ("getblockheader", json!([header::shown(&tip.hash), false])),
            ("getchaintips", json!([])),
        ];
        let mut answers = self.rpc.batch(&calls).await?.into_iter();
        if let Some(Ok(hex)) = answers.next() {
            let mut one = Vec::with_capacity(1);
            let raw = self.header_bytes(hex.as_str().unwrap_or_default())?;
            self.push(&mut one, tip.height, &raw, Some(&tip.hash))?;
            one.into_iter().for_each(|header| self.known().set_header(header));
        }
        match answers.next() {
            // Without the method there are no branches to be known.
            Some(Err(RpcError::Server { .. })) | None => Ok(Vec::new()),
            Some(tips) => {
                self.beside(
                    tip,
                    serde_json::from_value(tips?)
                        .map_err(|error| self.bad_answer("getchaintips", error.to_string()))?,
                )
                .await
            }
        }
    }

    /// The branches near a tip among those that the node lists.
    async fn beside(
        &self,
        tip: SourceTip,
        mut tips: Vec<ChainTip>,
    ) -> Result<Vec<Branch>, AdapterError> {
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
