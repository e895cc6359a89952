//! Headers of the active chain.

use alloy_primitives::B256;
use serde_json::json;

use super::{BitcoinSource, header};
use crate::{AdapterError, Class, RpcError, SourceHeader, rpc::Call};

/// Bitcoin Core's code for a height above the tip.
const INVALID_PARAMETER: i64 = -8;

impl BitcoinSource {
    /// Headers from a height, by the fastest way that works.
    pub(super) async fn fetch(
        &self,
        from: u64,
        count: usize,
    ) -> Result<Vec<SourceHeader>, AdapterError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let known = self.known().header(from);
        if let Some(header) = known {
            return Ok(vec![header]);
        }
        // One header is one exchange less by JSON-RPC than by probing.
        if count > 1 && self.rest_available().await {
            match self.by_rest(from, count).await {
                Ok(headers) => return Ok(headers),
                Err(error @ AdapterError::Reorganised { .. }) => return Err(error),
                // A lie, or credentials: another way to the same node is no better.
                Err(error) if matches!(error.class(), Class::Halt { .. }) => return Err(error),
                Err(error) => tracing::warn!(%error, "REST failed, falling back to JSON-RPC"),
            }
        }
        self.by_rpc(from, count).await
    }

    /// Two rounds of batches: the hashes at the heights, then their headers.
    async fn by_rpc(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        let hashes = self.active_hashes(from, count).await?;
        let Some(last) = hashes.last() else { return Ok(Vec::new()) };
        let mut calls: Vec<Call> = hashes
            .iter()
            .map(|hash| ("getblockheader", json!([header::shown(hash), false])))
            .collect();
        let top = from.saturating_add(hashes.len() as u64 - 1);
        calls.push(("getblockhash", json!([top])));
        let mut answers: Vec<Result<String, RpcError>> = self.rpc.batch_as(&calls).await?;
        let still = answers.pop();
        let mut headers = Vec::with_capacity(hashes.len());
        for ((height, asked), answer) in (from..u64::MAX).zip(&hashes).zip(answers) {
            let raw = self.header_bytes(&answer?)?;
            self.push(&mut headers, height, &raw, Some(asked))?;
        }
        // A node keeps serving the headers of a branch that it has left.
        match still {
            Some(Ok(hash)) if self.hash("getblockhash", &hash)? == *last => Ok(headers),
            Some(Ok(_) | Err(RpcError::Server { code: INVALID_PARAMETER, .. })) => {
                Err(self.reorganised(top))
            }
            Some(Err(error)) => Err(error.into()),
            None => Err(self.bad_answer("getblockhash", "no answer".into())),
        }
    }

    /// Hashes of the active chain from a height, ending where the chain ends.
    async fn active_hashes(&self, from: u64, count: usize) -> Result<Vec<B256>, AdapterError> {
        let calls: Vec<Call> =
            (from..u64::MAX).take(count).map(|height| ("getblockhash", json!([height]))).collect();
        let mut hashes = Vec::with_capacity(count);
        for answer in self.rpc.batch_as::<String>(&calls).await? {
            match answer {
                Ok(hash) => hashes.push(self.hash("getblockhash", &hash)?),
                Err(RpcError::Server { code: INVALID_PARAMETER, .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(hashes)
    }

    /// The bytes of a header in hex.
    pub(super) fn header_bytes(&self, hex: &str) -> Result<[u8; header::LEN], AdapterError> {
        let mut raw = [0; header::LEN];
        if alloy_primitives::hex::decode_to_slice(hex, &mut raw).is_err() {
            let reason = format!("expected 80 bytes in hex, got {} digits", hex.len());
            return Err(self.bad_answer("getblockheader", reason));
        }
        Ok(raw)
    }

    /// Normalises and checks one header: the hash that was asked for, the child of the one before.
    pub(super) fn push(
        &self,
        headers: &mut Vec<SourceHeader>,
        height: u64,
        raw: &[u8; header::LEN],
        asked: Option<&B256>,
    ) -> Result<(), AdapterError> {
        let next = header::normalise(self.key, height, raw);
        if let Some(asked) = asked
            && *asked != next.compat.blockHash
        {
            return Err(AdapterError::EditedHeader {
                endpoint: self.rpc.endpoint().into(),
                height,
                claimed: header::shown(asked),
                computed: header::shown(&next.compat.blockHash),
            });
        }
        let parent = headers.last().map(|last| last.compat.blockHash);
        if parent.is_some_and(|parent| parent != next.compat.parentHash) {
            return Err(self.reorganised(height));
        }
        if !header::has_work(raw, &next.compat.blockHash) {
            return Err(AdapterError::NoWork {
                endpoint: self.rpc.endpoint().into(),
                height,
                hash: header::shown(&next.compat.blockHash),
            });
        }
        headers.push(next);
        Ok(())
    }

    pub(super) fn reorganised(&self, height: u64) -> AdapterError {
        AdapterError::Reorganised { endpoint: self.rpc.endpoint().into(), height }
    }
}
