//! Blocks.

use alloy_consensus::{Sealed, TxEnvelope, transaction::Recovered};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, U64, U256};
use alloy_rpc_types_eth::{Block, BlockTransactions, Header, Transaction, TransactionInfo};

use super::{
    Method, Methods, RpcError,
    args::{Args, quantity},
    context::{Context, find, height_of},
    method::Param,
    optional, required,
};
use crate::store::View;

const NUMBER: Param = required("block", "BlockNumberOrTag");
const HASH: Param = required("block hash", "Hash");
const FULL: Param = optional("full transactions", "Boolean");
const INDEX: Param = required("index", "Quantity");

pub(super) fn register(methods: &mut Methods) {
    let number = Method::new("eth_blockNumber", &[], "Quantity", "The height of the newest block.");
    methods.add(number, |context, _| Ok(quantity(context.view()?.height())));
    let of_block = "A block, with hashes of its transactions or with all of them; null if there is none. Every block is final, so latest, safe, finalized and pending name the same one.";
    let by_number = Method::new("eth_getBlockByNumber", &[NUMBER, FULL], "Block?", of_block);
    methods.add(by_number, |context, args| {
        let view = context.view()?;
        let height = height_of(&view, args.required()?);
        block(&view, height, args.optional()?.unwrap_or(false))
    });
    let by_hash = Method::new("eth_getBlockByHash", &[HASH, FULL], "Block?", of_block);
    methods.add(by_hash, |context, args| {
        let view = context.view()?;
        let hash = args.required::<B256>()?;
        let full = args.optional()?.unwrap_or(false);
        match view.block_height(&hash)? {
            Some(height) => block(&view, height, full),
            None => Ok(None),
        }
    });
    let count = "How many transactions a block has; null if there is no such block.";
    let by_number =
        Method::new("eth_getBlockTransactionCountByNumber", &[NUMBER], "Quantity?", count);
    methods.add(by_number, |context, args| transaction_count(&context.view()?, numbered(args)?));
    let by_hash = Method::new("eth_getBlockTransactionCountByHash", &[HASH], "Quantity?", count);
    methods.add(by_hash, |context, args| transaction_count(&context.view()?, hashed(args)?));
    uncles(methods);
}

/// There are none, as everywhere since proof of stake.
fn uncles(methods: &mut Methods) {
    fn count(context: &Context, id: BlockId) -> Result<Option<U64>, RpcError> {
        Ok(find(&context.view()?, id)?.map(|_| U64::ZERO))
    }
    let summary = "Zero: there are no uncles; null if there is no such block.";
    let by_number = Method::new("eth_getUncleCountByBlockNumber", &[NUMBER], "Quantity?", summary);
    methods.add(by_number, |context, args| count(context, numbered(args)?));
    let by_hash = Method::new("eth_getUncleCountByBlockHash", &[HASH], "Quantity?", summary);
    methods.add(by_hash, |context, args| count(context, hashed(args)?));
    let summary = "Null: there are no uncles.";
    let params = &[NUMBER, INDEX];
    let by_number = Method::new("eth_getUncleByBlockNumberAndIndex", params, "Null", summary);
    methods.add(by_number, |_, args| {
        numbered(args)?;
        args.required::<U64>().map(|_| ())
    });
    let params = &[HASH, INDEX];
    let by_hash = Method::new("eth_getUncleByBlockHashAndIndex", params, "Null", summary);
    methods.add(by_hash, |_, args| {
        hashed(args)?;
        args.required::<U64>().map(|_| ())
    });
}

/// The next parameter as the number or tag of a block.
pub(super) fn numbered(args: &mut Args) -> Result<BlockId, RpcError> {
    Ok(args.required::<BlockNumberOrTag>()?.into())
}

/// The next parameter as the hash of a block.
pub(super) fn hashed(args: &mut Args) -> Result<BlockId, RpcError> {
    Ok(args.required::<B256>()?.into())
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
