//! What goes into the transition and what comes out.

use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, B256, Bytes, Log, U256};

use super::TxReject;
use crate::{
    ChainKey, CompatHeader, Level,
    grid::ValidatorSet,
    index::ChainEntry,
    state::{StateDiff, TreeBatch},
};

/// A block in Ethereum's format; transactions are legacy, EIP-2930 or EIP-1559.
pub type Block = alloy_consensus::Block<TxEnvelope>;

/// A transaction with the sender that its signature recovers to.
pub type RecoveredTx = Recovered<TxEnvelope>;

/// The block that the next one is built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its header.
    pub header: Header,
    /// keccak256 of the header's RLP.
    pub hash: B256,
}

impl Parent {
    /// Hashes a header.
    #[must_use]
    pub fn new(header: Header) -> Self {
        let hash = header.hash_slow();
        Self { header, hash }
    }
}

/// A block with everything that its execution produced. Nothing is stored until the chain commits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutedBlock {
    /// The block.
    pub block: Block,
    /// keccak256 of its header's RLP.
    pub hash: B256,
    /// One receipt a transaction.
    pub receipts: Vec<ReceiptEnvelope>,
    /// The transactions' senders.
    pub senders: Vec<Address>,
    /// What changes in the state.
    pub diff: StateDiff,
    /// What changes in the authenticated tree.
    pub tree: TreeBatch,
    /// The index after the block: active chains, sorted by key.
    pub entries: Vec<ChainEntry>,
    /// What happened to light clients and accumulators, in order. A prover's store follows these.
    pub index_events: Vec<IndexEvent>,
    /// Who decides the next block.
    pub next_validators: ValidatorSet,
}

/// A change of a chain's light client or accumulator.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexEvent {
    /// The best tracked header changed.
    TipChanged {
        /// The chain.
        chain: ChainKey,
        /// Height of the new tip.
        height: u64,
        /// Hash of the new tip.
        hash: B256,
    },
    /// A header was confirmed: the next leaf of the accumulator.
    Appended {
        /// The chain.
        chain: ChainKey,
        /// The header.
        header: CompatHeader,
    },
    /// The accumulator was cut back after a reorganisation below the confirmed tip.
    Reverted {
        /// The chain.
        chain: ChainKey,
        /// First removed height.
        from: u64,
        /// How many headers were removed.
        depth: u64,
    },
    /// A chain's measured level is another one.
    LevelChanged {
        /// The chain.
        chain: ChainKey,
        /// The new level.
        level: Level,
        /// Height of the last measured header; zero where a reorganisation undid the first measurement.
        height: u64,
        /// Median interval at that height, seconds.
        median: u64,
    },
    /// The chain contradicted itself deeper than its window and is stopped.
    Frozen {
        /// The chain.
        chain: ChainKey,
        /// The height of the last common header, or zero where it is no longer held.
        common_height: u64,
    },
}

/// A block made by [`propose`](super::propose()).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The block.
    pub executed: ExecutedBlock,
    /// Candidates that can never be included as they are: the mempool forgets them. Candidates that only did
    /// not fit, or whose nonce is ahead, are not listed.
    pub dropped: Vec<(B256, TxReject)>,
}

/// A message to execute without a transaction, as in `eth_call`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallContext {
    /// Who calls.
    pub from: Address,
    /// Who is called; there is no contract creation.
    pub to: Option<Address>,
    /// GRID sent along, smallest unit.
    pub value: U256,
    /// Call data.
    pub input: Bytes,
    /// Gas to allow; the block's limit where absent or larger.
    pub gas: Option<u64>,
}

/// What a message did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallOutcome {
    /// Return value, or the ABI encoding of `Error(string)` after a revert.
    pub output: Bytes,
    /// Gas used, with the intrinsic part.
    pub gas_used: u64,
    /// Events.
    pub logs: Vec<Log>,
    /// Why it was reverted.
    pub reverted: Option<String>,
}
