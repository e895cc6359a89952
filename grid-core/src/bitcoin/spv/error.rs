//! Why a Bitcoin proof is refused.

use alloy_primitives::B256;
use thiserror::Error;

use super::{MAX_DEPTH, TxError};

/// Why a transaction proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpvError {
    /// The transaction is unusable.
    #[error("transaction: {0}")]
    Transaction(#[source] TxError),
    /// The coinbase is unusable.
    #[error("coinbase transaction: {0}")]
    Coinbase(#[source] TxError),
    /// The transaction given as coinbase is none.
    #[error("transaction {0} at index 0 is not a coinbase transaction")]
    NotCoinbase(B256),
    /// The branch is deeper than any block's.
    #[error("branch has {0} hashes; a block's tree is at most {MAX_DEPTH} deep")]
    TooDeep(usize),
    /// The two branches differ in depth.
    #[error("branch has {branch} hashes, the coinbase's has {coinbase}; they must be equal")]
    Depth {
        /// Hashes of the transaction's branch.
        branch: usize,
        /// Hashes of the coinbase's branch.
        coinbase: usize,
    },
    /// The index does not fit the depth or no block has so many transactions.
    #[error("index {index} is outside of a tree of depth {depth} (at most 16,666 transactions)")]
    Index {
        /// Stated index.
        index: u64,
        /// Depth of the branch.
        depth: usize,
    },
    /// A right node equals its left neighbour, or a node is paired with itself without being the last.
    #[error(
        "level {level} of the branch pairs equal hashes where a right one exists, or the reverse"
    )]
    Duplicate {
        /// Levels above the leaves.
        level: usize,
    },
    /// A branch ends in another root.
    #[error("the branch of index {index} ends in root {found}, the header has {expected}")]
    Root {
        /// Whose branch.
        index: u64,
        /// Root that the branch leads to.
        found: B256,
        /// Root of the header.
        expected: B256,
    },
    /// The coinbase does not state the header's height.
    #[error(
        "the coinbase transaction does not start with the header's height {0}, as BIP34 demands"
    )]
    Height(u64),
    /// No transaction, too many, or none with that index.
    #[error("there is no transaction {index} among {count} (a block has 1 to 16,666)")]
    Count {
        /// Wanted index.
        index: u64,
        /// Number of transactions.
        count: u64,
    },
    /// The list of transactions ends in a repetition that leaves the root unchanged (CVE-2012-2459).
    #[error("the list of transactions repeats its end: two equal neighbours on one level")]
    Mutated,
    /// Not the bytes of a BIP37 merkle block.
    #[error("malformed merkle block: {0}")]
    MerkleBlock(&'static str),
    /// A merkle block does not prove what a proof needs.
    #[error(
        "the merkle block does not prove transaction {0}: ask gettxoutproof for the block's coinbase and all wanted transactions together"
    )]
    NotMatched(B256),
    /// A merkle block does not prove its coinbase, and so not the depth of its tree.
    #[error(
        "the merkle block does not include the coinbase: ask gettxoutproof for [coinbase txid, txid]; without it an inner node can pass for a transaction (CVE-2017-12842)"
    )]
    NoCoinbase,
    /// A block has one coinbase, at index 0.
    #[error("transaction {index} is a second coinbase")]
    SecondCoinbase {
        /// Its index.
        index: u64,
    },
    /// Not the bytes of a block.
    #[error("malformed block: {0}")]
    Block(String),
    /// The transactions of a proof of several are not listed by increasing index.
    #[error(
        "transaction {index} follows transaction {previous}; they are listed once each, by increasing index"
    )]
    Order {
        /// The one before.
        previous: u64,
        /// The one that is out of order.
        index: u64,
    },
    /// The proofs to be joined are not of one block.
    #[error("the proofs to be joined are of different blocks")]
    OtherBlock,
    /// A proof of several transactions carries too few or too many nodes.
    #[error("the proof has {found} nodes, its transactions need {needed}")]
    Nodes {
        /// How many there must be.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// Too many bytes of transactions for one block.
    #[error("{0} bytes of transactions without witness do not fit into a block")]
    TooLarge(usize),
    /// No witness commitment binds blocks of this height.
    #[error(
        "segwit binds the network's blocks from height {segwit_height} on, this one has height {height}"
    )]
    BeforeSegwit {
        /// Height of the block.
        height: u64,
        /// Height from which BIP141 is active.
        segwit_height: u64,
    },
    /// The coinbase commits to no witness.
    #[error(
        "the coinbase has no witness commitment (BIP141): no transaction of the block has a witness"
    )]
    NoCommitment,
    /// The coinbase itself: its place in the witness tree is zero.
    #[error("the witness commitment does not cover the coinbase's own witness")]
    CoinbaseWitness,
    /// The coinbase's witness is not the one reserved value.
    #[error("the coinbase's witness is not one item of 32 bytes (BIP141)")]
    ReservedValue,
    /// Witness root and reserved value do not give the commitment.
    #[error("witness root and reserved value give commitment {found}, the coinbase has {expected}")]
    Commitment {
        /// What the proof leads to.
        found: B256,
        /// What the coinbase states.
        expected: B256,
    },
}

impl SpvError {
    /// The rule's name: Bitcoin Core's reject name where it has one for the fault.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Transaction(TxError::SixtyFour) | Self::Coinbase(TxError::SixtyFour) => {
                "tx-size-64"
            }
            Self::Transaction(_) | Self::Coinbase(_) => "bad-tx-encoding",
            Self::NotCoinbase(_) => "bad-cb-missing",
            Self::SecondCoinbase { .. } => "bad-cb-multiple",
            Self::TooDeep(_) | Self::Depth { .. } => "bad-branch-depth",
            Self::Index { .. } | Self::Count { .. } | Self::Order { .. } => "bad-tx-index",
            Self::Duplicate { .. } | Self::Mutated => "bad-txns-duplicate",
            Self::Root { .. } => "bad-txnmrklroot",
            Self::Height(_) => "bad-cb-height",
            Self::MerkleBlock(_) => "bad-merkle-block",
            Self::NotMatched(_) | Self::NoCoinbase => "incomplete-merkle-block",
            Self::Block(_) => "bad-block-encoding",
            Self::OtherBlock => "other-block",
            Self::Nodes { .. } => "bad-node-count",
            Self::TooLarge(_) => "bad-blk-length",
            Self::BeforeSegwit { .. } => "segwit-not-active",
            Self::NoCommitment => "no-witness-commitment",
            Self::CoinbaseWitness => "coinbase-witness",
            Self::ReservedValue => "bad-witness-nonce-size",
            Self::Commitment { .. } => "bad-witness-merkle-match",
        }
    }
}
