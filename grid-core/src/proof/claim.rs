//! What a proof says.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::KECCAK_EMPTY;
use serde::{Deserialize, Serialize};

use super::codec;
use crate::{CompatHeader, api::BlockRef};

/// A fact in a block of a foreign chain: the block of the proof's header, or the ancestor of it that the claim names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
#[non_exhaustive]
pub enum Claim {
    /// The Bitcoin transaction is in the block.
    BitcoinTx {
        /// Transaction id, internal byte order (reversed against what block explorers show).
        txid: B256,
        /// Position in the block.
        index: u64,
    },
    /// The Bitcoin transaction is in the block and has this output.
    BitcoinPayment {
        /// Transaction id, internal byte order.
        txid: B256,
        /// Position in the block.
        index: u64,
        /// Number of the output, from 0.
        output: u32,
        /// Its `scriptPubKey`.
        script: Bytes,
        /// Its amount, satoshis.
        amount: u64,
    },
    /// The Bitcoin transaction is in the block and has this `OP_RETURN` output.
    BitcoinData {
        /// Transaction id, internal byte order.
        txid: B256,
        /// Position in the block.
        index: u64,
        /// Number of the output, from 0.
        output: u32,
        /// What is pushed after `OP_RETURN`; see [`pushed_data`](crate::bitcoin::output::pushed_data).
        data: Bytes,
    },
    /// The Bitcoin transaction is in the block with the witness that this witness id commits to.
    BitcoinWitness {
        /// Transaction id, internal byte order.
        txid: B256,
        /// Witness transaction id (BIP141), internal byte order.
        wtxid: B256,
        /// Position in the block.
        index: u64,
    },
    /// Several facts of one Bitcoin block: its transactions by increasing index, then the payments, then the data.
    BitcoinTxs {
        /// The facts: `BitcoinTx`, `BitcoinPayment` and `BitcoinData` only.
        claims: Vec<Self>,
    },
    /// The Ethereum transaction is in the block.
    Transaction {
        /// Position in the block.
        index: u64,
        /// keccak256 of the EIP-2718 bytes.
        hash: B256,
    },
    /// The Ethereum transaction at this position ended so, and emitted the log where one is named.
    Receipt {
        /// Position of the transaction in the block.
        index: u64,
        /// How it ended.
        outcome: Outcome,
        /// The named log.
        log: Option<ProvenLog>,
    },
    /// The account had this state after the block, or did not exist.
    Account {
        /// The account.
        address: Address,
        /// Its state; `None` where the trie holds no such account.
        account: Option<AccountState>,
    },
    /// The storage slot had this value after the block, or the account's trie held no such slot: it then reads as
    /// zero, as all slots of an account that does not exist.
    Storage {
        /// The account.
        address: Address,
        /// The slot's key, not hashed.
        slot: B256,
        /// Its value, never zero: a slot that is set to zero is taken out of the trie.
        value: Option<U256>,
    },
    /// The account's code after the block, as `EXTCODEHASH` and `EXTCODECOPY` see it.
    Code {
        /// The account.
        address: Address,
        /// keccak256 of the code; zero where the account did not exist or was empty (EIP-1052).
        code_hash: B256,
        /// The code, where it is shown. For an account that delegates (EIP-7702) it is `0xef0100` and the delegate.
        code: Option<Bytes>,
    },
    /// The block has so many transactions, and so many receipts.
    TransactionCount {
        /// Their number: no transaction has this index or one above it.
        count: u64,
    },
    /// All logs of a contract in the block: none is left out.
    Logs {
        /// The contract.
        address: Address,
        /// Only those whose first topic is this one are listed.
        topic: Option<B256>,
        /// The logs in the order of the block.
        logs: Vec<PlacedLog>,
    },
    /// Several facts of one Ethereum block, in the order of [`EthereumRef`](super::ethereum::EthereumRef).
    EthereumFacts {
        /// The facts, at least two; no lists.
        claims: Vec<Self>,
    },
    /// A fact, or the list of several, in an ancestor of the header's block, and in that block only.
    Ancestor {
        /// Height of the ancestor.
        height: u64,
        /// Hash of the ancestor.
        block_hash: B256,
        /// The ancestor's own time, seconds since 1970.
        time: u64,
        /// What is said of the ancestor: one of Ethereum's facts or their list.
        claim: Box<Self>,
    },
    /// The header is in the chain, nothing more.
    Header {},
}

/// How a transaction ended, as far as its receipt says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
#[non_exhaustive]
pub enum Outcome {
    /// Status 0.
    Failure {},
    /// Status 1.
    Success {},
    /// A receipt from before EIP-658: it states a state root instead of a status.
    PostState {
        /// State root after the transaction.
        root: B256,
    },
    /// A receipt of a transaction type that this version does not read.
    Unknown {
        /// EIP-2718 type byte.
        tx_type: u8,
    },
}

/// A log and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProvenLog {
    /// Position in the receipt (not in the block).
    pub index: u64,
    /// The contract that emitted it.
    pub address: Address,
    /// Up to four topics.
    pub topics: Vec<B256>,
    /// Data.
    pub data: Bytes,
}

/// A log and its place in the block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlacedLog {
    /// Position of its transaction in the block.
    pub transaction: u64,
    /// The log, with its position in that transaction's receipt.
    pub log: ProvenLog,
}

/// An account in Ethereum's state trie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountState {
    /// Transactions sent.
    pub nonce: u64,
    /// Balance in the chain's smallest unit.
    pub balance: U256,
    /// Root of the account's storage trie.
    pub storage_root: B256,
    /// keccak256 of the code.
    pub code_hash: B256,
}

impl AccountState {
    /// Whether the account counts as not existing (EIP-161): nothing sent, nothing owned, no code.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == KECCAK_EMPTY
    }
}

impl Claim {
    /// A name for the fact in its block: `keccak256(abi.encode(bytes32 chain, uint64 height, bytes32
    /// blockHash, uint8 kind, bytes body))`, kind and body as in the proof's binary form. A fact of an ancestor has
    /// the name that it has where it is proven under that block's own header.
    #[must_use]
    pub fn hash(&self, header: &CompatHeader) -> B256 {
        keccak256(codec::named_claim(self.stated(), header.chain, self.block(header)))
    }

    /// The names of the facts that this one is made of, each as if it had been proven alone.
    #[must_use]
    pub fn fact_hashes(&self, header: &CompatHeader) -> Vec<B256> {
        let block = self.block(header);
        let name = |fact| keccak256(codec::named_claim(fact, header.chain, block));
        self.stated().facts().iter().map(name).collect()
    }

    /// The block that the claim is about: the ancestor that it names, otherwise the header's.
    #[must_use]
    pub const fn block(&self, header: &CompatHeader) -> BlockRef {
        match self {
            Self::Ancestor { height, block_hash, .. } => {
                BlockRef { height: *height, hash: *block_hash }
            }
            _ => BlockRef { height: header.height, hash: header.blockHash },
        }
    }

    /// What is said of that block.
    fn stated(&self) -> &Self {
        match self {
            Self::Ancestor { claim, .. } => claim,
            own => own,
        }
    }

    /// The facts of the header's block that this one is made of: a list's members, otherwise the fact itself. Those
    /// of an ancestor stay together with its name. [`fact_hashes`](Self::fact_hashes) names them all.
    #[must_use]
    pub fn facts(&self) -> &[Self] {
        match self {
            Self::BitcoinTxs { claims } | Self::EthereumFacts { claims } => claims,
            single => core::slice::from_ref(single),
        }
    }
}
