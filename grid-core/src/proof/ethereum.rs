//! Facts about one block of an Ethereum chain: transactions, receipts and logs, accounts, storage and code.
//!
//! One proof shows one fact or many, under the three roots of a header. All tries' nodes stand in one list: the
//! transactions trie, the receipts trie, the state trie, then the storage tries by address; within a trie in the
//! order in which a walk over the sorted keys first comes to them. So facts share what their paths have in common, a
//! set of facts has exactly one list, and no node is left over.
//!
//! "All logs of a contract" cannot be shown by a branch: the proof then carries every receipt of the block and the
//! receipts root is built again.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    CompatHeader,
    ethereum::{
        mpt::{MAX_TOTAL_BYTES, MptError, NodePool},
        receipt::ReceiptError,
    },
};

pub mod ancestor;
mod build;
mod show;

/// The most facts of one proof: it bounds the size of the claim and the work of checking it.
pub const MAX_FACTS: usize = 1_024;
/// The most questions for all logs in one proof. Each goes through all of them.
pub const MAX_LOG_QUERIES: usize = 32;
/// The most receipts of one block: three times as many transactions as fit into 200 million gas.
pub const MAX_RECEIPTS: usize = 32_768;

/// A fact to prove, as somebody asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum EthereumFact {
    /// The transaction is in a block.
    Transaction {
        /// Its hash.
        hash: B256,
    },
    /// How many transactions a block has; there is none at this index or above.
    TransactionCount {},
    /// How a transaction ended, and one log of it where named.
    Receipt {
        /// The transaction's hash.
        hash: B256,
        /// Position of the log in the receipt (not in the block).
        log: Option<u64>,
    },
    /// All logs of a contract in a block.
    Logs {
        /// The contract.
        address: Address,
        /// Only those whose first topic is this one.
        topic: Option<B256>,
    },
    /// The state of an account, or that there is none.
    Account {
        /// The account.
        address: Address,
    },
    /// The hash of an account's code, and the code itself where wanted.
    Code {
        /// The account.
        address: Address,
        /// Whether the code itself is shown.
        bytes: bool,
    },
    /// The value of a storage slot, or that there is none.
    Storage {
        /// The account.
        address: Address,
        /// The slot's key, not hashed.
        slot: B256,
    },
}

/// A fact by its place in the block. The order of the variants and their fields is the order of facts in a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
#[non_exhaustive]
pub enum EthereumRef {
    /// The transaction at a position: key RLP(index), value the EIP-2718 bytes.
    Transaction {
        /// Position in the block.
        index: u64,
    },
    /// The number of transactions: the last index is there, the next one is not.
    TransactionCount {
        /// That number.
        count: u64,
    },
    /// The receipt at a position.
    Receipt {
        /// Position of the transaction in the block.
        index: u64,
        /// Position of a log in the receipt.
        log: Option<u64>,
    },
    /// All logs of a contract.
    Logs {
        /// The contract.
        address: Address,
        /// Only those whose first topic is this one.
        topic: Option<B256>,
    },
    /// An account.
    Account {
        /// The account.
        address: Address,
    },
    /// An account's code.
    Code {
        /// The account.
        address: Address,
        /// Whether the proof carries the code.
        bytes: bool,
    },
    /// A storage slot.
    Storage {
        /// The account.
        address: Address,
        /// The slot's key, not hashed.
        slot: B256,
    },
}

/// Facts about a block with all evidence for them under the block's roots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EthereumProof {
    /// The facts, strictly increasing.
    pub facts: Vec<EthereumRef>,
    /// The nodes of all tries, in the order of their use.
    pub nodes: Vec<Bytes>,
    /// All receipts of the block where all logs of a contract are shown; otherwise none, they stand in nodes.
    pub receipts: Vec<Bytes>,
    /// The codes of the facts that show them, in the order of those facts.
    pub codes: Vec<Bytes>,
}

/// The roots that facts are shown under: of a header that the index holds, or of an ancestor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EthereumRoots {
    /// Of the transactions.
    pub transactions: B256,
    /// Of the receipts.
    pub receipts: B256,
    /// Of the state after the block.
    pub state: B256,
}

impl From<&CompatHeader> for EthereumRoots {
    fn from(header: &CompatHeader) -> Self {
        let CompatHeader { txRoot, receiptsRoot, stateRoot, .. } = *header;
        Self { transactions: txRoot, receipts: receiptsRoot, state: stateRoot }
    }
}

/// What a proof is built from: in any order, and more than is used.
#[derive(Debug, Clone, Default)]
pub struct EthereumEvidence {
    /// Nodes of all tries.
    pub nodes: NodePool,
    /// All receipts of the block, in EIP-2718 bytes, where all logs of a contract are to be shown.
    pub receipts: Vec<Bytes>,
    /// Codes by account.
    pub codes: std::collections::BTreeMap<Address, Bytes>,
}

/// Why facts about an Ethereum block are not shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EthereumFactError {
    /// Nothing is claimed.
    #[error("no fact to prove is given")]
    Empty,
    /// Too many facts, questions for logs, or receipts.
    #[error("{found} {what} are too many for one proof, which takes at most {allowed}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: usize,
        /// How many are allowed.
        allowed: usize,
    },
    /// Nodes, receipts and codes are too long.
    #[error("nodes, receipts and codes of a proof have at most {MAX_TOTAL_BYTES} bytes, found {0}")]
    TooLong(usize),
    /// The facts are not listed once each, in their order.
    #[error("fact {0} is out of order: facts are listed once each, in increasing order")]
    Order(usize),
    /// A trie does not show what it should.
    #[error(transparent)]
    Trie(#[from] MptError),
    /// A receipt does not say what is asked.
    #[error("receipt {index}: {error}")]
    Receipt {
        /// Position in the block.
        index: u64,
        /// Why.
        #[source]
        error: ReceiptError,
    },
    /// There is no transaction or receipt at an index.
    #[error("the block has no {what} {index}")]
    Absent {
        /// "transaction" or "receipt".
        what: &'static str,
        /// The index.
        index: u64,
    },
    /// The block has another number of transactions.
    #[error("the block does not have exactly {0} transactions")]
    Count(u64),
    /// The receipts are not all receipts of the block.
    #[error("the receipts lead to root {found}, the header has {expected}")]
    ReceiptsRoot {
        /// Root of the header.
        expected: B256,
        /// Root of the receipts.
        found: B256,
    },
    /// The code is not that of the account.
    #[error("the code of {address} has hash {expected}, found a code with hash {found}")]
    Code {
        /// The account.
        address: Address,
        /// Hash in the account.
        expected: B256,
        /// Hash of the carried code.
        found: B256,
    },
    /// Evidence is missing.
    #[error("{0} are missing from the proof")]
    Missing(&'static str),
    /// Evidence is left over.
    #[error("the proof carries {0} that no fact needs")]
    Unused(&'static str),
}

impl EthereumFact {
    /// The transaction that the fact names.
    #[must_use]
    pub const fn transaction(&self) -> Option<B256> {
        match self {
            Self::Transaction { hash } | Self::Receipt { hash, .. } => Some(*hash),
            _ => None,
        }
    }

    /// The fact by its place in a block of `count` transactions, whose positions `at` knows; `None` where it does
    /// not know one.
    pub fn place(&self, count: u64, at: impl Fn(B256) -> Option<u64>) -> Option<EthereumRef> {
        Some(match *self {
            Self::Transaction { hash } => EthereumRef::Transaction { index: at(hash)? },
            Self::TransactionCount {} => EthereumRef::TransactionCount { count },
            Self::Receipt { hash, log } => EthereumRef::Receipt { index: at(hash)?, log },
            Self::Logs { address, topic } => EthereumRef::Logs { address, topic },
            Self::Account { address } => EthereumRef::Account { address },
            Self::Code { address, bytes } => EthereumRef::Code { address, bytes },
            Self::Storage { address, slot } => EthereumRef::Storage { address, slot },
        })
    }
}

impl EthereumRef {
    /// Whether the fact needs all receipts.
    const fn needs_receipts(&self) -> bool {
        matches!(self, Self::Logs { .. })
    }
}

#[cfg(test)]
mod tests;
