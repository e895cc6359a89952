//! Proofs, from the raw block.
//!
//! A proof holds the coinbase and its branch beside the transaction's own, so the whole block is one
//! question where `/tx/:txid/merkle-proof` would be several; and its content is checked against the
//! header as a node's is.

use alloy_primitives::B256;
use grid_core::{CompatHeader, bitcoin::spv::RawBlock, proof::facts::BitcoinFact};
use serde::Deserialize;

use super::{EsploraSource, header};
use crate::{
    AdapterError, Material, ProofRequest,
    bitcoin::material::{Origin, first_txid, tx},
};

/// Where a transaction is.
#[derive(Debug, Deserialize)]
struct Place {
    confirmed: bool,
    block_hash: Option<String>,
}

/// Where a block is.
#[derive(Debug, Deserialize)]
struct Position {
    in_best_chain: bool,
}

impl EsploraSource {
    pub(super) async fn material(&self, request: ProofRequest) -> Result<Material, AdapterError> {
        let ProofRequest::Bitcoin { facts, block_hash } = request else {
            return Err(AdapterError::WrongFamily {
                chain: self.chain.clone(),
                request: request.kind(),
                family: "bitcoin",
            });
        };
        let hash = match block_hash {
            Some(hash) => hash,
            None => self.find_block(&first_txid(&facts)?).await?,
        };
        self.facts(&hash, &facts).await
    }

    async fn facts(&self, hash: &B256, facts: &[BitcoinFact]) -> Result<Material, AdapterError> {
        let header = self.active_header(hash).await?;
        let path = format!("/block/{}/raw", header::shown(hash));
        let raw = self.get(&path).await?.ok_or_else(|| AdapterError::Unavailable {
            endpoint: self.endpoint(),
            what: format!("block {}", header::shown(hash)),
            reason: "the server has its header only".into(),
        })?;
        let block = RawBlock::parse(&raw)
            .map_err(|error| self.bad_answer("block/raw", error.to_string()))?;
        if header::hash(&block.header) != *hash {
            let found = header::shown(&header::hash(&block.header));
            let reason = format!("asked for block {}, got {found}", header::shown(hash));
            return Err(self.bad_answer("block/raw", reason));
        }
        let (chain, endpoint) = (&self.chain, self.endpoint());
        let origin = Origin { chain, endpoint: &endpoint, method: "block/raw" };
        origin.material(header, &block.txs, facts)
    }

    async fn find_block(&self, txid: &B256) -> Result<B256, AdapterError> {
        let path = format!("/tx/{}/status", header::shown(txid));
        let unknown = || AdapterError::NotFound {
            endpoint: self.endpoint(),
            what: tx(txid),
            hint: "; check the id and the network",
        };
        let body = self.get(&path).await?.ok_or_else(unknown)?;
        let place: Place = serde_json::from_slice(&body)
            .map_err(|error| self.bad_answer("tx/status", error.to_string()))?;
        match place {
            Place { confirmed: true, block_hash: Some(hash) } => {
                self.parse_hash("tx/status", &hash)
            }
            // Some servers say so of every transaction that they do not know.
            _ if self.get(&format!("/tx/{}", header::shown(txid))).await?.is_none() => {
                Err(unknown())
            }
            _ => Err(AdapterError::NotIncluded { endpoint: self.endpoint(), what: tx(txid) }),
        }
    }

    /// The header of a block of the active chain.
    async fn active_header(&self, hash: &B256) -> Result<CompatHeader, AdapterError> {
        let shown = header::shown(hash);
        let unknown = || AdapterError::NotFound {
            endpoint: self.endpoint(),
            what: format!("block {shown}"),
            hint: "; block hashes are given as Bitcoin's tools show them",
        };
        let header = self.header_by(hash).await?.ok_or_else(unknown)?.compat;
        let body = self.get(&format!("/block/{shown}/status")).await?.ok_or_else(unknown)?;
        let position: Position = serde_json::from_slice(&body)
            .map_err(|error| self.bad_answer("block/status", error.to_string()))?;
        if !position.in_best_chain {
            let (endpoint, height) = (self.endpoint(), header.height);
            return Err(AdapterError::Stale { endpoint, block: shown, height });
        }
        Ok(header)
    }
}
