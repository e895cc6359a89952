//! The parts of a proof.

use alloy_primitives::{B256, Bytes};
use serde::{Deserialize, Serialize};

use super::{
    claim::Claim,
    ethereum::{EthereumProof, ancestor::AncestorProof},
};
use crate::{
    ChainId, CompatHeader,
    bitcoin::spv::{TxProof, TxsProof, WitnessProof},
    grid::{CommitCertificate, ValidatorSet},
    index::ChainEntry,
    mmr::MmrProof,
    tree::TreeProof,
};

/// The version that this crate writes and verifies.
pub const PROOF_VERSION: u16 = 1;

/// A statement about a foreign chain with all evidence for it. Checked by
/// [`verify`](super::verify()), never believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CrossChainProof {
    /// Always [`PROOF_VERSION`].
    pub version: u16,
    /// What the proof says. Must equal what the evidence shows.
    pub claim: Claim,
    /// CAIP-2 id of the chain that the claim is about.
    pub source: ChainId,
    /// The foreign header, in Grid's form.
    pub header: CompatHeader,
    /// The fact under one of the header's roots.
    pub inclusion: Inclusion,
    /// One segment per level of Grid chains, from the foreign chain upwards. Version 1 verifies exactly one.
    pub segments: Vec<Segment>,
    /// Why the last segment's Grid block is to be trusted.
    pub anchor: Anchor,
}

/// The fact under a header's root. Byte strings are foreign bytes in their chain's own encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
#[non_exhaustive]
pub enum Inclusion {
    /// A Bitcoin transaction under `txRoot`. Witness data is left out: the transaction id does not commit
    /// to it, so its bytes would be unproven.
    BitcoinTx(TxProof),
    /// An output of a Bitcoin transaction.
    BitcoinPayment {
        /// Number of the output, from 0.
        output: u32,
        /// The transaction under `txRoot`.
        tx: TxProof,
    },
    /// The payload of an `OP_RETURN` output of a Bitcoin transaction.
    BitcoinData {
        /// Number of the output, from 0.
        output: u32,
        /// The transaction under `txRoot`.
        tx: TxProof,
    },
    /// A Bitcoin transaction with its witness, under `txRoot` and the coinbase's witness commitment.
    BitcoinWitness(WitnessProof),
    /// Several transactions of a Bitcoin block under `txRoot`, and outputs of them.
    BitcoinTxs {
        /// The transactions.
        txs: TxsProof,
        /// Outputs whose payment is claimed, in strictly increasing order.
        payments: Vec<OutputRef>,
        /// `OP_RETURN` outputs whose payload is claimed, in strictly increasing order.
        data: Vec<OutputRef>,
    },
    /// Facts about an Ethereum block under its roots.
    Ethereum(EthereumProof),
    /// Facts about an ancestor of the Ethereum block, whose state names the ancestor's hash (EIP-2935).
    EthereumAncestor(AncestorProof),
    /// Nothing but the header itself.
    HeaderOnly {},
}

/// An output of one of several transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutputRef {
    /// Position of the transaction in the block.
    pub index: u64,
    /// Number of the output, from 0.
    pub output: u32,
}

impl Inclusion {
    /// The coinbase that every inclusion in a Bitcoin block carries, without witness; `None` for other chains.
    #[must_use]
    pub const fn coinbase(&self) -> Option<&Bytes> {
        match self {
            Self::BitcoinTx(tx)
            | Self::BitcoinPayment { tx, .. }
            | Self::BitcoinData { tx, .. } => Some(&tx.coinbase),
            Self::BitcoinWitness(proof) => Some(&proof.coinbase),
            Self::BitcoinTxs { txs, .. } => Some(&txs.coinbase),
            _ => None,
        }
    }

    /// Its name in JSON, messages and metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::BitcoinTx(_) => "bitcoinTx",
            Self::BitcoinPayment { .. } => "bitcoinPayment",
            Self::BitcoinData { .. } => "bitcoinData",
            Self::BitcoinWitness(_) => "bitcoinWitness",
            Self::BitcoinTxs { .. } => "bitcoinTxs",
            Self::Ethereum(_) => "ethereum",
            Self::EthereumAncestor(_) => "ethereumAncestor",
            Self::HeaderOnly {} => "headerOnly",
        }
    }
}

/// One level: from a chain's header to the Grid block whose index holds that chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Segment {
    /// From the header's leaf to the chain's accumulator root.
    pub accumulator: MmrProof,
    /// The chain in the index.
    pub entry: ChainEntry,
    /// From the entry to the index root.
    pub index: TreeProof,
    /// RLP of the Grid header whose extension holds the index root.
    pub grid_header: Bytes,
}

/// Why a Grid block is to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
#[non_exhaustive]
pub enum Anchor {
    /// More than two thirds of a validator set signed it.
    Certificate {
        /// The precommits.
        certificate: CommitCertificate,
        /// The set, whose hash is in the Grid header.
        validators: ValidatorSet,
    },
    /// The verifier already trusts this block hash.
    BlockHash {
        /// keccak256 of the Grid header's RLP.
        hash: B256,
    },
}
