//! Transactions and receipts: the whole list of the block, rebuilt as it is hashed.

use alloy_consensus::{EthereumTxEnvelope, Header, TxEip4844};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{B256, Bytes, U64, keccak256};
use alloy_rpc_types_eth::{Transaction, TransactionReceipt};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{EthereumSource, header::RpcHeader};
use crate::{
    AdapterError, RpcError, SourceHeader,
    rpc::{Call, METHOD_NOT_FOUND},
};

/// EIP-2718 type of a blob transaction.
const BLOB_TYPE: u8 = 3;

/// A transaction as blocks hold it: blob transactions without their sidecar, even where a node sends it.
type BodyTransaction = Transaction<EthereumTxEnvelope<TxEip4844>>;

/// Where a transaction is; every field is null while it is pending.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    block_hash: Option<B256>,
    transaction_index: Option<U64>,
}

/// The transactions of a block, not yet read.
#[derive(Debug, Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    transactions: Vec<&'a RawValue>,
}

/// The list of a block's transactions. That it is the block's own shows only in the root.
pub(super) struct Body {
    pub(super) header: Header,
    pub(super) normalised: SourceHeader,
    /// EIP-2718 bytes of every transaction.
    pub(super) transactions: Vec<Bytes>,
}

impl Body {
    /// Why the transactions root may be another one.
    pub(super) fn hint(&self) -> &'static str {
        if self.transactions.iter().any(|raw| raw.first() == Some(&BLOB_TYPE)) {
            "; the block has a blob transaction, for which development nodes such as anvil compute \
             another root, with the sidecar in it: its receipt, logs and state can be proven all the same"
        } else {
            ""
        }
    }
}

impl EthereumSource {
    /// The block and the position of each transaction, as the node tells it.
    pub(super) async fn places(&self, hashes: &[B256]) -> Result<Vec<(B256, u64)>, AdapterError> {
        let calls: Vec<Call> =
            hashes.iter().map(|hash| ("eth_getTransactionByHash", json!([hash]))).collect();
        let answers = self.rpc.batch_as::<Option<Place>>(&calls).await?;
        let placed = answers.into_iter().zip(hashes).map(|(answer, hash)| {
            let what = || format!("transaction {hash}");
            let place = match answer {
                Ok(place) => place,
                Err(error @ RpcError::Server { .. }) => return Err(self.absent(what(), error)),
                Err(error) => return Err(error.into()),
            };
            let Some(place) = place else {
                let hint = "; it may be of another chain, or reorganised away";
                return Err(self.not_found(what(), hint));
            };
            match (place.block_hash, place.transaction_index) {
                (Some(block), Some(index)) => Ok((block, index.to())),
                _ => {
                    let (endpoint, what) = (self.rpc.endpoint().into(), what());
                    Err(AdapterError::NotIncluded { endpoint, what })
                }
            }
        });
        placed.collect()
    }

    /// A block with its transactions.
    pub(super) async fn body(&self, block_hash: B256) -> Result<Body, AdapterError> {
        let block: Option<Box<RawValue>> =
            self.rpc.call_as("eth_getBlockByHash", json!([block_hash, true])).await?;
        let Some(block) = block else {
            return Err(self.not_found(format!("block {block_hash}"), "; it was reorganised away"));
        };
        let unreadable =
            |error: serde_json::Error| self.bad_answer("eth_getBlockByHash", error.to_string());
        let claimed: RpcHeader = serde_json::from_str(block.get()).map_err(unreadable)?;
        let list: Listed<'_> = serde_json::from_str(block.get()).map_err(unreadable)?;
        let (header, normalised) = self.rebuilt(claimed)?;
        if normalised.compat.blockHash != block_hash {
            let reason = format!("asked for {block_hash}, got {}", normalised.compat.blockHash);
            return Err(self.bad_answer("eth_getBlockByHash", reason));
        }
        let transactions = self.encoded(block_hash, &list.transactions).await?;
        Ok(Body { header, normalised, transactions })
    }

    /// The block's transactions as they are hashed: rebuilt from JSON, or asked for in raw form where
    /// one is of a type that this version does not know.
    async fn encoded(&self, block: B256, listed: &[&RawValue]) -> Result<Vec<Bytes>, AdapterError> {
        let count = listed.len();
        let rebuilt: Result<Vec<Bytes>, _> = listed
            .iter()
            .map(|json| {
                serde_json::from_str::<BodyTransaction>(json.get())
                    .map(|transaction| transaction.inner.inner().encoded_2718().into())
            })
            .collect();
        let fault = match rebuilt {
            Ok(encoded) => return Ok(encoded),
            Err(fault) => fault,
        };
        let calls: Vec<Call> = (0..count)
            .map(|index| {
                let params = json!([block, format!("{index:#x}")]);
                ("eth_getRawTransactionByBlockHashAndIndex", params)
            })
            .collect();
        let raw: Result<Vec<Bytes>, RpcError> =
            self.rpc.batch_as::<Bytes>(&calls).await?.into_iter().collect();
        raw.map_err(|_| {
            let reason = format!("a transaction of {block} has an unknown form: {fault}");
            self.bad_answer("eth_getBlockByHash", reason)
        })
    }

    /// EIP-2718 bytes of the block's receipts in order, in one call where the node has it.
    pub(super) async fn receipts(
        &self,
        block: B256,
        transactions: &[Bytes],
    ) -> Result<Vec<Bytes>, AdapterError> {
        if transactions.is_empty() {
            return Ok(Vec::new());
        }
        let whole: Result<Option<Vec<TransactionReceipt>>, RpcError> =
            self.rpc.call_as("eth_getBlockReceipts", json!([block])).await;
        let receipts = match whole {
            Ok(Some(receipts)) => receipts,
            // Missing method, a client that takes only numbers, or one that does not keep the list.
            Ok(None) | Err(RpcError::Server { .. }) => self.single_receipts(transactions).await?,
            Err(error) => return Err(error.into()),
        };
        let places = receipts.iter().map(|receipt| receipt.transaction_index);
        if receipts.len() != transactions.len() || !places.eq((0..).map(Some).take(receipts.len()))
        {
            let reason = format!(
                "expected the {} receipts of {block} in order, got {}",
                transactions.len(),
                receipts.len()
            );
            return Err(self.bad_answer("eth_getBlockReceipts", reason));
        }
        Ok(receipts
            .into_iter()
            .map(|receipt| receipt.into_primitives_receipt().into_inner().encoded_2718().into())
            .collect())
    }

    async fn single_receipts(
        &self,
        transactions: &[Bytes],
    ) -> Result<Vec<TransactionReceipt>, AdapterError> {
        let hashes: Vec<B256> = transactions.iter().map(keccak256).collect();
        let calls: Vec<Call> =
            hashes.iter().map(|hash| ("eth_getTransactionReceipt", json!([hash]))).collect();
        let answers = self.rpc.batch_as::<Option<TransactionReceipt>>(&calls).await?;
        let mut receipts = Vec::with_capacity(answers.len());
        for (answer, hash) in answers.into_iter().zip(hashes) {
            match answer {
                Ok(Some(receipt)) => receipts.push(receipt),
                Ok(None) => {
                    let what = format!("the receipt of {hash}");
                    return Err(self.not_found(what, "; the node may have pruned it"));
                }
                Err(error) => return Err(self.absent(format!("the receipt of {hash}"), error)),
            }
        }
        Ok(receipts)
    }

    /// A list that the node sent must have the header's root.
    pub(super) fn require_root(
        &self,
        what: &'static str,
        height: u64,
        (root, computed): (B256, B256),
        hint: &'static str,
    ) -> Result<(), AdapterError> {
        if computed == root {
            return Ok(());
        }
        Err(AdapterError::RootMismatch {
            endpoint: self.rpc.endpoint().into(),
            what,
            height,
            root: root.to_string(),
            computed: computed.to_string(),
            hint,
        })
    }

    pub(super) fn not_found(&self, what: String, hint: &'static str) -> AdapterError {
        AdapterError::NotFound { endpoint: self.rpc.endpoint().into(), what, hint }
    }

    /// Nodes say "not found" in three ways: null (see [`not_found`](Self::not_found)), refused
    /// parameters (-32602) and an error of their own (-32000, -32001). Only the first says that the
    /// object does not exist.
    pub(super) fn absent(&self, what: String, error: RpcError) -> AdapterError {
        let RpcError::Server { code, message, .. } = &error else { return error.into() };
        let reason = match *code {
            METHOD_NOT_FOUND => format!("it lacks the method ({message}); use another endpoint"),
            -32602 => format!("it refuses the block or the parameters ({message})"),
            -32001 | -32000 => {
                format!("the block is too old or not there yet ({message}); an archive node has it")
            }
            _ => return error.into(),
        };
        AdapterError::Unavailable { endpoint: self.rpc.endpoint().into(), what, reason }
    }
}
