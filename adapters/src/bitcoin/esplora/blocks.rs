//! Headers out of descriptions of blocks.

use alloy_primitives::B256;
use futures::{StreamExt as _, stream};
use grid_core::bitcoin::Header;
use serde::Deserialize;

use super::{EsploraSource, header};
use crate::{AdapterError, RpcError, SourceHeader, rpc::Excerpt};

/// Blocks that every Esplora server describes in one answer.
const PAGE: u64 = 10;

/// Most pages in one answer of this source: what a public server bears at a time.
const MAX_PAGES: u64 = 20;

/// Questions on their way at the same time.
const PIPELINE: usize = 4;

/// A block as the server describes it.
#[derive(Debug, Deserialize)]
pub(super) struct Described {
    id: String,
    pub(super) height: u64,
    version: i32,
    timestamp: u32,
    bits: u32,
    nonce: u32,
    merkle_root: String,
    /// Absent or null for genesis.
    previousblockhash: Option<String>,
}

impl EsploraSource {
    /// Headers from a height, as far as the server has them and one answer goes.
    pub(super) async fn fetch(
        &self,
        from: u64,
        count: usize,
    ) -> Result<Vec<SourceHeader>, AdapterError> {
        let known = self.known().header(from).filter(|_| count > 0);
        if let Some(header) = known {
            return Ok(vec![header]);
        }
        let count = (count as u64).min(PAGE * MAX_PAGES);
        let Some(last) = from.checked_add(count).and_then(|end| end.checked_sub(1)) else {
            return Ok(Vec::new());
        };
        if count == 0 {
            return Ok(Vec::new());
        }
        // A page is named by its highest block, and the highest page may be above the tip.
        let starts = (from..=last).step_by(usize::try_from(PAGE).unwrap_or(1));
        let pages = starts.map(|low| self.page(low, low.saturating_add(PAGE - 1).min(last)));
        let mut pages = stream::iter(pages).buffered(PIPELINE);
        let mut headers = Vec::new();
        while let Some(page) = pages.next().await {
            let page = match page {
                Ok(page) => page,
                // What is there already is good.
                Err(AdapterError::Rpc(RpcError::RateLimited { .. })) if !headers.is_empty() => {
                    break;
                }
                Err(error) => return Err(error),
            };
            let Some((low, described)) = page else { break };
            let short = (described.len() as u64) < PAGE;
            for (height, block) in (low..=last).zip(described) {
                self.push(&mut headers, height, &block)?;
            }
            if short {
                break;
            }
        }
        Ok(headers)
    }

    /// The blocks from `low` to `high`, ascending, as far as the server has them.
    async fn page(
        &self,
        low: u64,
        high: u64,
    ) -> Result<Option<(u64, Vec<Described>)>, AdapterError> {
        let Some(body) = self.get(&format!("/blocks/{high}")).await? else {
            return self.lower_page(low, high).await;
        };
        let mut blocks = self.described(&body)?;
        // A server may answer with its tip where it has no such height.
        blocks.retain(|block| (low..=high).contains(&block.height));
        blocks.sort_unstable_by_key(|block| block.height);
        Ok((!blocks.is_empty()).then_some((low, blocks)))
    }

    /// The part of a page that is not above the tip.
    async fn lower_page(
        &self,
        low: u64,
        high: u64,
    ) -> Result<Option<(u64, Vec<Described>)>, AdapterError> {
        let Some(tip) = self.text("blocks/tip/height", "/blocks/tip/height").await? else {
            return Ok(None);
        };
        let tip: u64 = tip.parse().map_err(|_| {
            let tip = Excerpt::of(tip.as_bytes());
            self.bad_answer("blocks/tip/height", format!("expected a height, got \"{tip}\""))
        })?;
        if tip < low || tip >= high {
            return Ok(None);
        }
        let Some(body) = self.get(&format!("/blocks/{tip}")).await? else { return Ok(None) };
        let mut blocks = self.described(&body)?;
        blocks.retain(|block| (low..=tip).contains(&block.height));
        blocks.sort_unstable_by_key(|block| block.height);
        Ok((!blocks.is_empty()).then_some((low, blocks)))
    }

    fn described(&self, body: &[u8]) -> Result<Vec<Described>, AdapterError> {
        serde_json::from_slice(body).map_err(|error| {
            let text = Excerpt::of(body);
            self.bad_answer(
                "blocks",
                format!("expected descriptions of blocks ({error}), got \"{text}\""),
            )
        })
    }

    /// Puts one header together, checks it and its link.
    fn push(
        &self,
        headers: &mut Vec<SourceHeader>,
        height: u64,
        block: &Described,
    ) -> Result<(), AdapterError> {
        if block.height != height {
            let reason = format!("expected block {height}, got block {}", block.height);
            return Err(self.bad_answer("blocks", reason));
        }
        let next = self.header_of(block)?;
        let parent = headers.last().map(|last| last.compat.blockHash);
        if parent.is_some_and(|parent| parent != next.compat.parentHash) {
            return Err(AdapterError::Reorganised { endpoint: self.endpoint(), height });
        }
        headers.push(next);
        Ok(())
    }

    /// The header out of a description, checked against the hash in it.
    fn header_of(&self, block: &Described) -> Result<SourceHeader, AdapterError> {
        let claimed = self.parse_hash("blocks", &block.id)?;
        let prev = block.previousblockhash.as_deref();
        let raw = Header {
            version: block.version,
            prev: prev.map_or(Ok(B256::ZERO), |prev| self.parse_hash("blocks", prev))?,
            merkle_root: self.parse_hash("blocks", &block.merkle_root)?,
            time: block.timestamp,
            bits: block.bits,
            nonce: block.nonce,
        }
        .to_bytes();
        self.checked(block.height, &raw, &claimed)
    }

    /// A header with the hash that it is asked for by, and with work.
    pub(super) fn checked(
        &self,
        height: u64,
        raw: &[u8; header::LEN],
        claimed: &B256,
    ) -> Result<SourceHeader, AdapterError> {
        let endpoint = self.endpoint();
        let next = header::normalise(self.key, height, raw);
        if next.compat.blockHash != *claimed {
            let computed = header::shown(&next.compat.blockHash);
            let claimed = header::shown(claimed);
            return Err(AdapterError::EditedHeader { endpoint, height, claimed, computed });
        }
        if !header::has_work(raw, claimed) {
            let hash = header::shown(claimed);
            return Err(AdapterError::NoWork { endpoint, height, hash });
        }
        Ok(next)
    }

    /// The header of a block by its description.
    pub(super) async fn header_by(
        &self,
        hash: &B256,
    ) -> Result<Option<SourceHeader>, AdapterError> {
        let Some(body) = self.get(&format!("/block/{}", header::shown(hash))).await? else {
            return Ok(None);
        };
        let block: Described = serde_json::from_slice(&body)
            .map_err(|error| self.bad_answer("block", error.to_string()))?;
        if self.parse_hash("block", &block.id)? != *hash {
            let reason = format!("asked for block {}, got {}", header::shown(hash), block.id);
            return Err(self.bad_answer("block", reason));
        }
        self.header_of(&block).map(Some)
    }
}
