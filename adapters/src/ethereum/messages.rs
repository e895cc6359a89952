//! Messages in the events of a mailbox contract.

use alloy_primitives::{B256, BloomInput, keccak256};
use async_trait::async_trait;
use grid_core::{
    ethereum::{
        mpt,
        receipt::{Log, Receipt, ReceiptError},
    },
    message::{DISPATCHED, Message},
};
use serde_json::json;

use super::{EthereumSource, header::RpcHeader};
use crate::{
    AdapterError, SourceChain as _,
    message::{MessageChain, Sighting, Wanted},
};

#[async_trait]
impl MessageChain for EthereumSource {
    async fn messages(&self, block: B256, wanted: &Wanted) -> Result<Vec<Sighting>, AdapterError> {
        self.ready().await?;
        self.noted(self.sightings(block, wanted).await)
    }
}

impl EthereumSource {
    async fn sightings(&self, block: B256, wanted: &Wanted) -> Result<Vec<Sighting>, AdapterError> {
        if !self.may_hold(block, wanted).await? {
            return Ok(Vec::new());
        }
        let body = self.body(block).await?;
        let receipts = self.receipts(block, &body.transactions).await?;
        let (root, _) = mpt::ordered_nodes(&receipts, &[]);
        let height = body.header.number;
        self.require_root("receipts", height, (body.header.receipts_root, root), "")?;
        let mut found = Vec::new();
        for (transaction, receipt) in body.transactions.iter().zip(&receipts) {
            let hash = keccak256(transaction);
            for (position, message) in dispatched(receipt, wanted) {
                if message.source != self.id().key().0 {
                    continue;
                }
                found.push(Sighting { message, tx: hash, position });
            }
        }
        Ok(found)
    }

    /// Whether the filter in the block's header has the mailbox: nearly every block is over with this.
    async fn may_hold(&self, block: B256, wanted: &Wanted) -> Result<bool, AdapterError> {
        let method = "eth_getBlockByHash";
        let answer: Option<RpcHeader> = self.rpc.call_as(method, json!([block, false])).await?;
        let Some(claimed) = answer else {
            return Err(self.not_found(format!("block {block}"), "; it was reorganised away"));
        };
        let (header, normalised) = self.rebuilt(claimed)?;
        if normalised.compat.blockHash != block {
            let reason = format!("asked for {block}, got {}", normalised.compat.blockHash);
            return Err(self.bad_answer(method, reason));
        }
        let bloom = header.logs_bloom;
        Ok(bloom.contains_input(BloomInput::Raw(wanted.mailbox.as_slice()))
            && bloom.contains_input(BloomInput::Raw(DISPATCHED.as_slice())))
    }
}

/// The messages in the logs of a receipt, by their numbers. What cannot be read is none.
fn dispatched(receipt: &[u8], wanted: &Wanted) -> Vec<(u64, Message)> {
    let Some(logs) = Receipt::read(receipt).ok().and_then(|receipt| receipt.logs().ok()) else {
        return Vec::new();
    };
    let message = |(position, log): (u64, Result<Log<'_>, ReceiptError>)| {
        let log = log.ok().filter(|log| log.address == wanted.mailbox)?.proven(position);
        let message = Message::of_event(&log).ok()?;
        (message.destination == wanted.destination.0).then_some((position, message))
    };
    (0u64..).zip(logs).filter_map(message).collect()
}
