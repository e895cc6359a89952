//! Transactions and receipts: the whole list of the block, rebuilt and checked against its root.

use alloy_consensus::{EthereumTxEnvelope, Header, ReceiptEnvelope, TxEip4844};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{B256, Bytes, U64, keccak256};
use alloy_rpc_types_eth::{Transaction, TransactionReceipt};
use grid_core::{ethereum::mpt, proof::Inclusion};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{EthereumSource, header::RpcHeader};
use crate::{
    AdapterError, Material, RpcError, SourceHeader,
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
struct Body<'a> {
    #[serde(borrow)]
    transactions: Vec<&'a RawValue>,
}

/// A transaction's block. The transaction at `index` is the one that was asked for; that the whole list is
/// the block's own shows only in the root.
struct Located {
    header: Header,
    normalised: SourceHeader,
    index: usize,
    /// EIP-2718 bytes of every transaction.
    transactions: Vec<Bytes>,
}

impl EthereumSource {
    pub(super) async fn transaction(&self, hash: B256) -> Result<Material, AdapterError> {
        let located = self.locate(hash).await?;
        let blobs = located.transactions.iter().any(|raw| raw.first() == Some(&BLOB_TYPE));
        let hint = if blobs {
            "; the block has a blob transaction, for which development nodes compute another root"
        } else {
            ""
        };
        let Header { number, transactions_root, .. } = located.header;
        let transactions = &located.transactions;
        self.require_root("transactions", number, transactions_root, transactions, hint)?;
        let nodes = self.ordered_proof("eth_getBlockByHash", transactions, located.index)?;
        let index = located.index as u64;
        Ok(Material {
            header: located.normalised.compat,
            inclusion: Inclusion::Transaction { index, nodes },
        })
    }

    pub(super) async fn receipt(
        &self,
        hash: B256,
        log: Option<u64>,
    ) -> Result<Material, AdapterError> {
        let located = self.locate(hash).await?;
        let block = located.normalised.compat.blockHash;
        let receipts = self.receipts(block, &located.transactions).await?;
        let logs = receipts.get(located.index).map_or(0, |receipt| receipt.logs().len()) as u64;
        if let Some(asked) = log
            && asked >= logs
        {
            return Err(AdapterError::Invalid(format!(
                "transaction {hash} has no log {asked} in its receipt: it has {logs} logs, counted \
                 from 0"
            )));
        }
        let values: Vec<Bytes> =
            receipts.into_iter().map(|receipt| receipt.encoded_2718().into()).collect();
        let height = located.header.number;
        self.require_root("receipts", height, located.header.receipts_root, &values, "")?;
        let nodes = self.ordered_proof("eth_getBlockReceipts", &values, located.index)?;
        let index = located.index as u64;
        Ok(Material {
            header: located.normalised.compat,
            inclusion: Inclusion::Receipt { index, nodes, log },
        })
    }

    async fn locate(&self, hash: B256) -> Result<Located, AdapterError> {
        let what = || format!("transaction {hash}");
        let place: Option<Place> =
            self.rpc.call_as("eth_getTransactionByHash", json!([hash])).await?;
        let Some(place) = place else {
            return Err(self.not_found(what(), "; it may be of another chain, or reorganised away"));
        };
        let (Some(block_hash), Some(index)) = (place.block_hash, place.transaction_index) else {
            let (endpoint, what) = (self.rpc.endpoint().into(), what());
            return Err(AdapterError::NotIncluded { endpoint, what });
        };
        let block: Option<Box<RawValue>> =
            self.rpc.call_as("eth_getBlockByHash", json!([block_hash, true])).await?;
        let Some(block) = block else {
            return Err(self.not_found(format!("block {block_hash} of {}", what()), ""));
        };
        let unreadable =
            |error: serde_json::Error| self.bad_answer("eth_getBlockByHash", error.to_string());
        let claimed: RpcHeader = serde_json::from_str(block.get()).map_err(unreadable)?;
        let body: Body<'_> = serde_json::from_str(block.get()).map_err(unreadable)?;
        let (header, normalised) = self.rebuilt(claimed)?;
        if normalised.compat.blockHash != block_hash {
            let reason = format!("asked for {block_hash}, got {}", normalised.compat.blockHash);
            return Err(self.bad_answer("eth_getBlockByHash", reason));
        }
        let transactions = self.encoded(block_hash, &body.transactions).await?;
        let index = usize::try_from(index.to::<u64>()).unwrap_or(usize::MAX);
        if transactions.get(index).map(keccak256) != Some(hash) {
            let reason = format!("{hash} is not at its claimed place {index} in {block_hash}");
            return Err(self.bad_answer("eth_getTransactionByHash", reason));
        }
        Ok(Located { header, normalised, index, transactions })
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

    /// The block's receipts in order, in one call where the node has it.
    async fn receipts(
        &self,
        block: B256,
        transactions: &[Bytes],
    ) -> Result<Vec<ReceiptEnvelope>, AdapterError> {
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
            .map(|receipt| receipt.into_primitives_receipt().into_inner())
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

    fn require_root(
        &self,
        what: &'static str,
        height: u64,
        root: B256,
        values: &[Bytes],
        hint: &'static str,
    ) -> Result<(), AdapterError> {
        let computed = mpt::ordered_trie_root(values);
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

    fn ordered_proof(
        &self,
        method: &'static str,
        values: &[Bytes],
        index: usize,
    ) -> Result<Vec<Bytes>, AdapterError> {
        mpt::prove_ordered(values, index as u64)
            .map_err(|error| self.bad_answer(method, error.to_string()))
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
