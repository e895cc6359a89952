//! Transactions and receipts.

use alloy_consensus::{Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_eips::{BlockId, eip2718::Encodable2718 as _};
use alloy_primitives::{B256, Bytes, U64};
use alloy_rpc_types_eth::{Log, Transaction, TransactionInfo, TransactionReceipt};
use grid_core::transition::{Block, MAX_TRANSACTION_BYTES};

use super::{
    Method, Methods, RpcError,
    blocks::{hashed, numbered},
    budget::Lane,
    context::find,
    error,
    method::Param,
    required,
};
use crate::store::{StoredReceipts, View};

const HASH: Param = required("transaction hash", "Hash");
const INDEX: Param = required("index", "Quantity");

pub(super) fn register(methods: &mut Methods) {
    let summary = "Takes a signed transaction of type 0, 1 or 2 into the mempool and answers its hash. A refusal costs nothing; its class is in the error's data. A submission of headers or of a proof that the chain has already is refused as \"already-known\".";
    let params = &[required("signed transaction", "Bytes")];
    let method = Method::new("eth_sendRawTransaction", params, "Hash", summary);
    let limits = format!("{MAX_TRANSACTION_BYTES} bytes, and the limits of the mempool");
    methods.add(
        method.in_lane(Lane::Submit).fails(&[error::REFUSED]).limits(limits),
        |context, args| {
            let raw = args.required::<Bytes>()?;
            Ok(context.chain.submit(&raw)?)
        },
    );
    let summary = "A transaction of a block, or one that waits for a block; null if neither.";
    let method = Method::new("eth_getTransactionByHash", &[HASH], "Transaction?", summary);
    methods.add(method, |context, args| {
        let hash = args.required::<B256>()?;
        let view = context.view()?;
        match view.transaction(&hash)? {
            Some((height, index)) => transaction(&view, height, index),
            None => {
                Ok(context.chain.mempool().get(&hash).map(|waiting| {
                    Transaction::from_transaction(waiting, TransactionInfo::default())
                }))
            }
        }
    });
    let summary =
        "The EIP-2718 encoding of a transaction of a block, or of one that waits; null if neither.";
    let method = Method::new("eth_getRawTransactionByHash", &[HASH], "Bytes?", summary);
    methods.add(method, |context, args| {
        let hash = args.required::<B256>()?;
        let view = context.view()?;
        let Some((height, index)) = view.transaction(&hash)? else {
            let waiting = context.chain.mempool().get(&hash);
            return Ok(waiting.map(|one| Bytes::from(one.encoded_2718())));
        };
        let block = view.block(height)?;
        Ok(block.and_then(|block| Some(nth(&block, index)?.encoded_2718().into())))
    });
    let summary = "The transaction at a place of a block, counted from 0; null if there is none.";
    let params = &[required("block", "BlockNumberOrTag"), INDEX];
    let name = "eth_getTransactionByBlockNumberAndIndex";
    methods.add(Method::new(name, params, "Transaction?", summary), |context, args| {
        by_index(&context.view()?, numbered(args)?, args.required()?)
    });
    let params = &[required("block hash", "Hash"), INDEX];
    let name = "eth_getTransactionByBlockHashAndIndex";
    methods.add(Method::new(name, params, "Transaction?", summary), |context, args| {
        by_index(&context.view()?, hashed(args)?, args.required()?)
    });
    let summary = "What a transaction did, once it is in a block; null before.";
    let method = Method::new("eth_getTransactionReceipt", &[HASH], "Receipt?", summary);
    methods.add(method, |context, args| {
        let hash = args.required::<B256>()?;
        let view = context.view()?;
        let Some((height, index)) = view.transaction(&hash)? else { return Ok(None) };
        Ok(receipts(&view, height)?.and_then(|all| all.into_iter().nth(index as usize)))
    });
    let summary = "All receipts of a block, in order; null if there is no such block.";
    let params = &[required("block", "BlockId")];
    let method = Method::new("eth_getBlockReceipts", params, "[Receipt]?", summary);
    methods.add(method.heavy(), |context, args| {
        let view = context.view()?;
        let id = args.required::<BlockId>()?;
        match find(&view, id)? {
            Some(height) => receipts(&view, height),
            None => Ok(None),
        }
    });
}

fn nth(block: &Block, index: u32) -> Option<&TxEnvelope> {
    block.body.transactions.get(usize::try_from(index).ok()?)
}

fn by_index(view: &View, id: BlockId, index: U64) -> Result<Option<Transaction>, RpcError> {
    let (Some(height), Ok(index)) = (find(view, id)?, u32::try_from(index.to::<u64>())) else {
        return Ok(None);
    };
    transaction(view, height, index)
}

/// One transaction of a block.
fn transaction(view: &View, height: u64, index: u32) -> Result<Option<Transaction>, RpcError> {
    let Some(block) = view.block(height)? else { return Ok(None) };
    let senders = view.receipts(height)?.senders;
    let (Some(one), Some(sender)) = (nth(&block, index), senders.get(index as usize)) else {
        return Ok(None);
    };
    let info = TransactionInfo {
        hash: Some(*one.tx_hash()),
        index: Some(u64::from(index)),
        block_hash: Some(block.header.hash_slow()),
        block_number: Some(height),
        block_timestamp: Some(block.header.timestamp),
        base_fee: block.header.base_fee_per_gas,
    };
    let one = Recovered::new_unchecked(one.clone(), *sender);
    Ok(Some(Transaction::from_transaction(one, info)))
}

/// All receipts of a block.
fn receipts(view: &View, height: u64) -> Result<Option<Vec<TransactionReceipt>>, RpcError> {
    let Some(block) = view.block(height)? else { return Ok(None) };
    let StoredReceipts { senders, receipts } = view.receipts(height)?;
    let block_hash = block.header.hash_slow();
    let base_fee = block.header.base_fee_per_gas;
    let (mut log_index, mut gas_before) = (0u64, 0u64);
    let mut answer = Vec::with_capacity(receipts.len());
    let rows = block.body.transactions.iter().zip(senders).zip(receipts).zip(0u64..);
    for (((one, sender), receipt), index) in rows {
        let gas_after = receipt.cumulative_gas_used();
        let transaction_hash = *one.tx_hash();
        let inner = receipt.map_logs(|log| {
            let this = log_index;
            log_index = log_index.saturating_add(1);
            Log {
                inner: log,
                block_hash: Some(block_hash),
                block_number: Some(height),
                block_timestamp: Some(block.header.timestamp),
                transaction_hash: Some(transaction_hash),
                transaction_index: Some(index),
                log_index: Some(this),
                removed: false,
            }
        });
        answer.push(TransactionReceipt {
            inner,
            transaction_hash,
            transaction_index: Some(index),
            block_hash: Some(block_hash),
            block_number: Some(height),
            gas_used: gas_after.saturating_sub(gas_before),
            effective_gas_price: one.effective_gas_price(base_fee),
            blob_gas_used: None,
            blob_gas_price: None,
            from: sender,
            to: one.to(),
            contract_address: None,
        });
        gas_before = gas_after;
    }
    Ok(Some(answer))
}
