//! Messages in the blocks of a source.

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use grid_core::{
    ChainId, ChainKey,
    message::Message,
    proof::{ethereum::EthereumFact, facts::BitcoinFact},
};

use crate::{AdapterError, ProofRequest, SourceChain};

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The chain that the messages are for.
    pub destination: ChainKey,
    /// The contract whose events are messages. A chain of Bitcoin's family has none.
    pub mailbox: Address,
}

/// A message in a block, and what delivers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The message.
    pub message: Message,
    /// The transaction with it, internal byte order.
    pub tx: B256,
    /// The number of the output, or of the log in the transaction's receipt, from 0.
    pub position: u64,
}

/// A chain on which messages are sent.
#[async_trait]
pub trait MessageChain: SourceChain {
    /// The messages in a block, by its hash (internal byte order), in the block's order. Whatever only looks like a message
    /// is left out. The block may be on a branch that the source has left: whether it counts is not this crate's question.
    ///
    /// # Errors
    /// When the source does not have the block, or not all of it.
    async fn messages(&self, block: B256, wanted: &Wanted) -> Result<Vec<Sighting>, AdapterError>;

    /// What a delivery of a message needs beside the proof: nothing where it is an event. Both hashes in internal byte order.
    ///
    /// # Errors
    /// When the source does not have it.
    async fn evidence(&self, _block: B256, _tx: B256) -> Result<Bytes, AdapterError> {
        Ok(Bytes::new())
    }
}

/// What proves the message at a place of a chain. A log is looked for by its transaction, wherever that is by now.
#[must_use]
pub fn request(chain: &ChainId, block: B256, tx: B256, position: u64) -> ProofRequest {
    if chain.eip155_number().is_some() {
        let facts = vec![EthereumFact::Receipt { hash: tx, log: Some(position) }];
        return ProofRequest::Ethereum { facts, block: None, via: None };
    }
    // A transaction has far fewer outputs.
    let output = u32::try_from(position).unwrap_or(u32::MAX);
    let facts = vec![BitcoinFact::Data { txid: tx, output }];
    ProofRequest::Bitcoin { facts, block_hash: Some(block) }
}
