//! Blocks.

use alloy_consensus::{Sealed, TxEnvelope, transaction::Recovered};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, U64, U256};
use alloy_rpc_types_eth::{Block, BlockTransactions, Header, Transaction, TransactionInfo};

use super::{
    Methods, RpcError,
    args::quantity,
    context::{find, height_of},
};
use crate::store::View;

pub(super) fn register(methods: &mut Methods) {
    methods.add("eth_blockNumber", 0, |context, _| Ok(quantity(context.view()?.height())));
    methods.add("eth_getBlockByNumber", 2, |context, args| {
        let view = context.view()?;
        let height = height_of(&view, args.required::<BlockNumberOrTag>("block")?);
        block(&view, height, args.optional("full transactions")?.unwrap_or(false))
    });
    methods.add("eth_getBlockByHash", 2, |context, args| {
        let view = context.view()?;
        let hash = args.required::<B256>("block hash")?;
        let full = args.optional("full transactions")?.unwrap_or(false);
        match view.block_height(&hash)? {
            Some(height) => block(&view, height, full),
            None => Ok(None),
        }
    });
    methods.add("eth_getBlockTransactionCountByNumber", 1, |context, args| {
        let view = context.view()?;
        let id = args.required::<BlockNumberOrTag>("block")?.into();
        transaction_count(&view, id)
    });
    methods.add("eth_getBlockTransactionCountByHash", 1, |context, args| {
        let view = context.view()?;
        let id = args.required::<B256>("block hash")?.into();
        transaction_count(&view, id)
    });
    methods.add("eth_getUncleCountByBlockNumber", 1, |context, args| {
        let view = context.view()?;
        let id = args.required::<BlockNumberOrTag>("block")?.into();
        Ok(find(&view, id)?.map(|_| U64::ZERO))
    });
    methods.add("eth_getUncleCountByBlockHash", 1, |context, args| {
        let view = context.view()?;
        let id = args.required::<B256>("block hash")?.into();
        Ok(find(&view, id)?.map(|_| U64::ZERO))
    });
}

fn transaction_count(view: &View, id: BlockId) -> Result<Option<U64>, RpcError> {
    let Some(height) = find(view, id)? else { return Ok(None) };
    let block = view.block(height)?;
    Ok(block.map(|block| quantity(block.body.transactions.len() as u64)))
}

/// A block in JSON-RPC's shape.
fn block(view: &View, height: u64, full: bool) -> Result<Option<Block>, RpcError> {
    let Some(block) = view.block(height)? else { return Ok(None) };
    let size = alloy_rlp::Encodable::length(&block);
    let hash = block.header.hash_slow();
    let transactions = if full {
        let senders = view.receipts(height)?.senders;
        let info = TransactionInfo {
            block_hash: Some(hash),
            block_number: Some(height),
            block_timestamp: Some(block.header.timestamp),
            base_fee: block.header.base_fee_per_gas,
            ..TransactionInfo::default()
        };
        let mut full = Vec::with_capacity(block.body.transactions.len());
        for ((one, sender), index) in block.body.transactions.into_iter().zip(senders).zip(0u64..) {
            let info = TransactionInfo { index: Some(index), hash: Some(*one.tx_hash()), ..info };
            let one: Recovered<TxEnvelope> = Recovered::new_unchecked(one, sender);
            full.push(Transaction::from_transaction(one, info));
        }
        BlockTransactions::Full(full)
    } else {
        let hashes = block.body.transactions.iter().map(|one| *one.tx_hash());
        BlockTransactions::Hashes(hashes.collect())
    };
    let sealed = Sealed::new_unchecked(block.header, hash);
    let header = Header::from_consensus(sealed, Some(U256::ZERO), Some(U256::from(size)));
    Ok(Some(Block::new(header, transactions).with_withdrawals(block.body.withdrawals)))
}
