//! Transactions and receipts.

use alloy_consensus::{Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718 as _};
use alloy_primitives::{B256, Bytes, U64};
use alloy_rpc_types_eth::{Log, Transaction, TransactionInfo, TransactionReceipt};
use grid_core::transition::Block;

use super::{Methods, RpcError, context::find};
use crate::store::{StoredReceipts, View};

pub(super) fn register(methods: &mut Methods) {
    methods.add("eth_sendRawTransaction", 1, |context, args| {
        let raw = args.required::<Bytes>("signed transaction")?;
        Ok(context.chain.submit(&raw)?)
    });
    methods.add("eth_getTransactionByHash", 1, |context, args| {
        let hash = args.required::<B256>("transaction hash")?;
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
    methods.add("eth_getRawTransactionByHash", 1, |context, args| {
        let hash = args.required::<B256>("transaction hash")?;
        let view = context.view()?;
        let Some((height, index)) = view.transaction(&hash)? else {
            let waiting = context.chain.mempool().get(&hash);
            return Ok(waiting.map(|one| Bytes::from(one.encoded_2718())));
        };
        let block = view.block(height)?;
        Ok(block.and_then(|block| Some(nth(&block, index)?.encoded_2718().into())))
    });
    methods.add("eth_getTransactionByBlockNumberAndIndex", 2, |context, args| {
        let view = context.view()?;
        let id = args.required::<BlockNumberOrTag>("block")?.into();
        by_index(&view, id, args.required("index")?)
    });
    methods.add("eth_getTransactionByBlockHashAndIndex", 2, |context, args| {
        let view = context.view()?;
        let id = args.required::<B256>("block hash")?.into();
        by_index(&view, id, args.required("index")?)
    });
    methods.add("eth_getTransactionReceipt", 1, |context, args| {
        let hash = args.required::<B256>("transaction hash")?;
        let view = context.view()?;
        let Some((height, index)) = view.transaction(&hash)? else { return Ok(None) };
        Ok(receipts(&view, height)?.and_then(|all| all.into_iter().nth(index as usize)))
    });
    methods.add("eth_getBlockReceipts", 1, |context, args| {
        let view = context.view()?;
        let id = args.required::<BlockId>("block")?;
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
