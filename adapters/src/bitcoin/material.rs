//! The block of transactions, found and turned into an inclusion proof.

use alloy_primitives::{B256, hex};
use grid_core::{
    ChainId, CompatHeader,
    bitcoin::spv::{BlockContext, BlockTxs, RawBlock, SpvError},
    proof::facts::{self, BitcoinFact, FactError},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{BitcoinSource, header};
use crate::{AdapterError, Material, RpcError};

/// Bitcoin Core: no such transaction or block.
pub(super) const NOT_FOUND: i64 = -5;
/// Bitcoin Core: anything else; for `getblock`, a block whose data was pruned or not yet downloaded.
const MISC: i64 = -1;

/// What `getrawtransaction` says about the place.
#[derive(Debug, Deserialize)]
struct Place {
    blockhash: Option<String>,
}

/// What `getblockheader` says beyond the header. `confirmations` is -1 on stale branches.
#[derive(Debug, Deserialize)]
struct Position {
    height: u64,
    confirmations: i64,
}

/// One index in `getindexinfo`.
#[derive(Debug, Deserialize)]
struct IndexState {
    synced: bool,
    best_block_height: u64,
}

/// Where a block came from, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) chain: &'a ChainId,
    pub(super) endpoint: &'a str,
    /// What the block was asked by.
    pub(super) method: &'static str,
}

impl Origin<'_> {
    /// The inclusion of facts about a block's transactions, verified against its header.
    pub(super) fn material(
        self,
        header: CompatHeader,
        txs: &BlockTxs,
        facts: &[BitcoinFact],
    ) -> Result<Material, AdapterError> {
        let hash = header.blockHash;
        let unprovable = |error: FactError| match error {
            FactError::Unknown { txid } => AdapterError::NotFound {
                endpoint: self.endpoint.into(),
                what: format!("{} in block {}", tx(&txid), shown(&hash)),
                hint: "; all transactions of one proof must be in one block",
            },
            // What the block says is sound by itself, so it lacks what the request names.
            FactError::Spv(SpvError::NoCommitment | SpvError::CoinbaseWitness)
            | FactError::Spv(SpvError::BeforeSegwit { .. } | SpvError::Transaction(_)) => {
                AdapterError::Invalid(error.to_string())
            }
            FactError::Spv(error) => AdapterError::BadAnswer {
                endpoint: self.endpoint.into(),
                method: self.method,
                reason: format!("block {}: {error}", shown(&hash)),
            },
            error => AdapterError::Invalid(error.to_string()),
        };
        let inclusion = facts::from_block(txs, facts).map_err(unprovable)?;
        let context = BlockContext::new(self.chain, header.txRoot, header.height);
        facts::claim(&inclusion, &context).map_err(unprovable)?;
        Ok(Material { header, inclusion })
    }
}

impl BitcoinSource {
    /// Header and inclusion of facts about transactions of one block; `block` in internal byte order.
    pub(super) async fn facts(
        &self,
        facts: &[BitcoinFact],
        block: Option<B256>,
    ) -> Result<Material, AdapterError> {
        let hash = match block {
            Some(hash) => hash,
            None => self.find_block(&first_txid(facts)?).await?,
        };
        let header = self.active_header(&hash).await?;
        let txs = self.block(&hash).await?.txs;
        let (chain, endpoint) = (&self.chain, self.rpc.endpoint());
        Origin { chain, endpoint, method: "getblock" }.material(header, &txs, facts)
    }

    /// The block of a transaction: by the mempool and the transaction index, or, on a node without
    /// the index, by an output of it that is still unspent.
    async fn find_block(&self, txid: &B256) -> Result<B256, AdapterError> {
        let params = json!([shown(txid), true]);
        match self.rpc.call_as::<Place>("getrawtransaction", params).await {
            Ok(Place { blockhash: Some(hash) }) => return self.hash("getrawtransaction", &hash),
            Ok(Place { blockhash: None }) => {
                let (endpoint, what) = (self.rpc.endpoint().into(), tx(txid));
                return Err(AdapterError::NotIncluded { endpoint, what });
            }
            Err(RpcError::Server { code: NOT_FOUND, .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match self.rpc.call_as::<String>("gettxoutproof", json!([[shown(txid)]])).await {
            Ok(proof) => {
                let raw = hex::decode(&proof).ok();
                let raw = raw.as_deref().and_then(|raw| raw.first_chunk::<{ header::LEN }>());
                raw.map(|raw| header::hash(raw)).ok_or_else(|| {
                    self.bad_answer("gettxoutproof", "expected a merkle block in hex".into())
                })
            }
            Err(RpcError::Server { code: NOT_FOUND, .. }) => Err(self.unknown(txid).await),
            Err(error) => Err(error.into()),
        }
    }

    /// Why the node does not know a transaction: the fix depends on its transaction index.
    async fn unknown(&self, txid: &B256) -> AdapterError {
        let index = match self.rpc.call("getindexinfo", json!(["txindex"])).await {
            Ok(Value::Object(mut all)) => {
                all.remove("txindex").and_then(|v| serde_json::from_value::<IndexState>(v).ok())
            }
            _ => None,
        };
        match index {
            Some(IndexState { synced: true, .. }) => {
                self.not_found(tx(txid), "; check the id and the network")
            }
            Some(IndexState { best_block_height, .. }) => AdapterError::Unavailable {
                endpoint: self.rpc.endpoint().into(),
                what: tx(txid),
                reason: format!(
                    "its transaction index is still being built (block {best_block_height}); name \
                     the block or try again later"
                ),
            },
            None => self.not_found(
                tx(txid),
                ": it has no transaction index and no unspent output of it; name the block, or set \
                 txindex=1 in bitcoin.conf",
            ),
        }
    }

    /// The header of a block of the active chain.
    async fn active_header(&self, hash: &B256) -> Result<CompatHeader, AdapterError> {
        let calls = [
            ("getblockheader", json!([shown(hash), false])),
            ("getblockheader", json!([shown(hash), true])),
        ];
        let mut answers = self.rpc.batch(&calls).await?.into_iter();
        let (Some(raw), Some(position)) = (answers.next(), answers.next()) else {
            return Err(self.bad_answer("getblockheader", "two answers expected".into()));
        };
        let raw = match raw {
            Err(RpcError::Server { code: NOT_FOUND, .. }) => {
                let hint = "; block hashes are given as Bitcoin's tools show them";
                return Err(self.not_found(format!("block {}", shown(hash)), hint));
            }
            raw => raw?,
        };
        let position: Position = serde_json::from_value(position?)
            .map_err(|error| self.bad_answer("getblockheader", error.to_string()))?;
        let mut bytes = [0; header::LEN];
        hex::decode_to_slice(raw.as_str().unwrap_or_default(), &mut bytes)
            .map_err(|_| self.bad_answer("getblockheader", "expected 80 bytes in hex".into()))?;
        if position.confirmations < 0 {
            return Err(AdapterError::Stale {
                endpoint: self.rpc.endpoint().into(),
                block: shown(hash),
                height: position.height,
            });
        }
        let mut headers = Vec::with_capacity(1);
        self.push(&mut headers, position.height, &bytes, Some(hash))?;
        headers
            .pop()
            .map(|header| header.compat)
            .ok_or_else(|| self.bad_answer("getblockheader", "no header".into()))
    }

    pub(super) async fn block(&self, hash: &B256) -> Result<RawBlock, AdapterError> {
        let hex = match self.rpc.call_as::<String>("getblock", json!([shown(hash), 0])).await {
            Err(RpcError::Server { code: MISC, message, .. }) => {
                return Err(AdapterError::Unavailable {
                    endpoint: self.rpc.endpoint().into(),
                    what: format!("block {}", shown(hash)),
                    reason: format!("{message}; use a node that is not pruned"),
                });
            }
            answer => answer?,
        };
        let unusable = |reason: String| self.bad_answer("getblock", reason);
        let raw = hex::decode(&hex).map_err(|error| unusable(error.to_string()))?;
        let block = RawBlock::parse(&raw)
            .map_err(|error| unusable(format!("block {}: {error}", shown(hash))))?;
        let found = header::hash(&block.header);
        if found != *hash {
            return Err(unusable(format!(
                "asked for block {}, got {}",
                shown(hash),
                shown(&found)
            )));
        }
        Ok(block)
    }

    fn not_found(&self, what: String, hint: &'static str) -> AdapterError {
        AdapterError::NotFound { endpoint: self.rpc.endpoint().into(), what, hint }
    }
}

/// The transaction that the first fact is about.
pub(super) fn first_txid(facts: &[BitcoinFact]) -> Result<B256, AdapterError> {
    let first = facts.first().ok_or_else(|| AdapterError::Invalid(FactError::Empty.to_string()))?;
    Ok(first.txid())
}

fn shown(hash: &B256) -> String {
    header::shown(hash)
}

pub(super) fn tx(txid: &B256) -> String {
    format!("transaction {}", shown(txid))
}
