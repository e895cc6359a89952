//! The head and the headers below it.

use alloy_consensus::Header;
use alloy_primitives::B256;
use grid_core::ethereum::{HeaderRules, RuleError, SealedEthHeader};
use serde_json::json;

use super::{
    EthereumSource,
    beacon::BeaconError,
    header::{self, RpcHeader},
};
use crate::{AdapterError, RpcError, SourceHeader, rpc::Call};

impl EthereumSource {
    /// The header of the newest block that this source vouches for.
    pub(super) async fn head(&self) -> Result<SourceHeader, AdapterError> {
        let tag = self.follow.tag();
        let params = json!([tag, false]);
        let tagged = match self.rpc.call_as("eth_getBlockByNumber", params).await {
            Ok(Some(tagged)) => {
                let (header, tagged) = self.rebuilt(tagged)?;
                self.obeys(&header, self.rules.check(&header))?;
                tagged
            }
            // Clients without a finalized block yet say so with null or an error of their own.
            Ok(None) => return Err(self.no_head(tag, "null")),
            Err(RpcError::Server { message, .. }) => return Err(self.no_head(tag, &message)),
            Err(error) => return Err(error.into()),
        };
        let distance = self.follow.distance();
        if distance == 0 {
            return Ok(tagged);
        }
        let height = tagged.compat.height.saturating_sub(distance);
        match self.by_number(height).await? {
            Some((_, header)) => Ok(header),
            None => Err(AdapterError::Reorganised { endpoint: self.rpc.endpoint().into(), height }),
        }
    }

    fn no_head(&self, tag: &'static str, said: &str) -> AdapterError {
        AdapterError::NoHead { endpoint: self.rpc.endpoint().into(), tag, said: said.into() }
    }

    pub(super) fn rebuilt(
        &self,
        claimed: RpcHeader,
    ) -> Result<(Header, SourceHeader), AdapterError> {
        header::rebuild(self.rpc.endpoint(), self.key, claimed)
    }

    /// The canonical header at a height, whatever the followed head.
    pub(super) async fn by_number(
        &self,
        height: u64,
    ) -> Result<Option<(Header, SourceHeader)>, AdapterError> {
        let params = json!([format!("{height:#x}"), false]);
        let answer: Option<RpcHeader> = self.rpc.call_as("eth_getBlockByNumber", params).await?;
        answer.map(|claimed| self.at(height, claimed)).transpose()
    }

    /// The header of a block, by its hash.
    pub(crate) async fn by_hash(&self, hash: B256) -> Result<Option<SourceHeader>, AdapterError> {
        let method = "eth_getBlockByHash";
        let params = json!([hash, false]);
        let answer: Option<RpcHeader> =
            self.noted(self.rpc.call_as(method, params).await.map_err(AdapterError::from))?;
        let Some(claimed) = answer else { return Ok(None) };
        let (_, header) = self.rebuilt(claimed)?;
        if header.compat.blockHash != hash {
            let reason = format!("asked for {hash}, got {}", header.compat.blockHash);
            return Err(self.bad_answer(method, reason));
        }
        Ok(Some(header))
    }

    /// The hash of the canonical block at a height.
    pub(super) async fn hash_at(&self, height: u64) -> Result<Option<B256>, AdapterError> {
        let header = self.noted(self.by_number(height).await)?;
        Ok(header.map(|(_, header)| header.compat.blockHash))
    }

    /// The linked headers `from..=last`, where the last one is known to have the hash `end`.
    pub(super) async fn final_span(
        &self,
        from: u64,
        last: u64,
        end: B256,
    ) -> Result<Vec<SourceHeader>, AdapterError> {
        let cannot = |height: u64, reason: String| {
            let endpoint = self.rpc.endpoint().into();
            AdapterError::from(BeaconError::Execution { endpoint, height, reason })
        };
        let headers = self.noted(self.span(from, last, None).await)?;
        match headers.last() {
            Some(header) if header.compat.height == last => {
                let found = header.compat.blockHash;
                if found == end {
                    return Ok(headers);
                }
                Err(cannot(last, format!("its block is {found}, the final one is {end}")))
            }
            shown => {
                let height = shown.map_or(from, |header| header.compat.height.saturating_add(1));
                Err(cannot(height, "it does not have the block".into()))
            }
        }
    }

    fn obeys(&self, header: &Header, outcome: Result<(), RuleError>) -> Result<(), AdapterError> {
        outcome.map_err(|error| AdapterError::InvalidHeader {
            endpoint: self.rpc.endpoint().into(),
            height: header.number,
            reason: error.to_string(),
        })
    }

    /// The canonical headers `from..=last` as far as the node has them, each the parent of the next and
    /// obeying the rules. What is linked to a block that is proven final needs none.
    async fn span(
        &self,
        from: u64,
        last: u64,
        rules: Option<HeaderRules>,
    ) -> Result<Vec<SourceHeader>, AdapterError> {
        let calls: Vec<Call> = (from..=last)
            .map(|height| ("eth_getBlockByNumber", json!([format!("{height:#x}"), false])))
            .collect();
        let mut headers: Vec<SourceHeader> = Vec::with_capacity(calls.len());
        let mut parent: Option<SealedEthHeader> = None;
        let answers = self.rpc.batch_as::<Option<RpcHeader>>(&calls).await?;
        for (height, answer) in (from..=last).zip(answers) {
            // Behind a load balancer another machine may not have the block yet.
            let Some(claimed) = answer? else { break };
            let (header, next) = self.at(height, claimed)?;
            if parent.as_ref().is_some_and(|parent| parent.hash != header.parent_hash) {
                let endpoint = self.rpc.endpoint().into();
                return Err(AdapterError::Reorganised { endpoint, height });
            }
            if let Some(rules) = rules {
                let outcome = match &parent {
                    Some(parent) => rules.check_child(parent, &header),
                    None => rules.check(&header),
                };
                self.obeys(&header, outcome)?;
            }
            parent = Some(SealedEthHeader { header, hash: next.compat.blockHash });
            headers.push(next);
        }
        Ok(headers)
    }

    fn at(&self, height: u64, claimed: RpcHeader) -> Result<(Header, SourceHeader), AdapterError> {
        if claimed.inner.number != height {
            let reason = format!("asked for block {height}, got block {}", claimed.inner.number);
            return Err(self.bad_answer("eth_getBlockByNumber", reason));
        }
        self.rebuilt(claimed)
    }

    /// Linked headers from a height, not above the followed head.
    pub(super) async fn fetch(
        &self,
        from: u64,
        count: usize,
    ) -> Result<Vec<SourceHeader>, AdapterError> {
        let head = self.head().await?;
        let Some(below) = head.compat.height.checked_sub(from).filter(|_| count > 0) else {
            return Ok(Vec::new());
        };
        if below == 0 {
            return Ok(vec![head]);
        }
        let last = from.saturating_add(below.min(count.saturating_sub(1) as u64));
        let headers = self.span(from, last, Some(self.rules)).await?;
        let reached_head = headers.last().filter(|last| last.compat.height == head.compat.height);
        if reached_head.is_some_and(|last| last.compat.blockHash != head.compat.blockHash) {
            let (endpoint, height) = (self.rpc.endpoint().into(), head.compat.height);
            return Err(AdapterError::Reorganised { endpoint, height });
        }
        Ok(headers)
    }
}
