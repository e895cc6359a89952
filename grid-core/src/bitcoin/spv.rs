//! Bitcoin transaction proofs: a branch of the SHA-256d tree over transaction ids, with what a plain branch
//! leaves open closed.
//!
//! Bitcoin's tree does not tell leaves from inner nodes and pairs an odd node with itself. Therefore:
//! - the raw transaction is required, not only its id, and 64 bytes are refused: an inner node's
//!   preimage is 64 bytes (CVE-2017-12842);
//! - the coinbase transaction is required with a branch at index 0 of the same depth and to the same
//!   root, which fixes the depth of the tree (CVE-2017-12842 again);
//! - where a right neighbour exists it must differ from the left one (CVE-2012-2459), and a node that is
//!   paired with itself must be the last of its level, all the way up;
//! - where BIP34 is active, the coinbase states the header's height;
//! - a transaction at another index than 0 is no coinbase.
//!
//! Proven are one transaction ([`TxProof`]), several of one block ([`TxsProof`]), or one with its witness
//! ([`WitnessProof`]); [`crate::bitcoin::output`] reads what their outputs say.
//!
//! All hashes are in internal byte order. Sources: Bitcoin Core `merkleblock.cpp`, `consensus/merkle.cpp`,
//! BIP34, BIP37, BIP141.

use alloy_primitives::{B256, Bytes};
use serde::{Deserialize, Serialize};

use super::tx::{Tx, TxError};
use crate::ChainId;

mod block;
mod branch;
mod error;
mod merkle_block;
mod several;
mod tree;
mod witness;

pub use block::{BlockTxs, BlockWitness, MAX_BLOCK_BYTES, RawBlock, prove};
pub use branch::climb;
pub use error::SpvError;
pub use merkle_block::{MAX_MERKLE_BLOCK, Match, MerkleBlock};
pub use several::{IndexedTx, PlacedTx, TxsProof, verify_several};
pub use tree::{TxTree, merkle_root};
pub use witness::{WitnessProof, verify_witness};

/// The most transactions of a block: a block's 1,000,000 bytes without witness hold at most so many of
/// the least size, 60 bytes.
pub const MAX_TRANSACTIONS: u64 = 16_666;

/// The depth of the tree of [`MAX_TRANSACTIONS`].
pub const MAX_DEPTH: usize = 15;

/// From which heights soft forks bind a network's blocks, by the reference of its `bip122` id: BIP34 (the coinbase
/// states the height) and BIP141 (segregated witness). Source: Bitcoin Core `kernel/chainparams.cpp`.
const SOFT_FORKS: [(&str, u64, u64); 5] = [
    ("000000000019d6689c085ae165831e93", 227_931, 481_824),
    ("000000000933ea01ad0ee984209779ba", 21_111, 834_624),
    ("00000000da84f2bafbbc53dee25a72ae", 1, 1),
    ("00000008819873e925422c1ff0f99f7c", 1, 1),
    ("0f9188f13cb7b2c71f2a335e3a4fc328", 1, 0),
];

/// The height from which a network not known by name must follow BIP34: its first block. Every network
/// started since 2013 does.
pub const DEFAULT_BIP34_HEIGHT: u64 = 1;

/// The height from which a network not known by name must follow BIP141: its first block. Every network started
/// since 2017 does.
pub const DEFAULT_SEGWIT_HEIGHT: u64 = 1;

/// What a verifier knows of a block: the root in its header, its height, and which rules bind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockContext {
    /// Root over the transaction ids, internal byte order.
    pub tx_root: B256,
    /// Height.
    pub height: u64,
    /// First height at which coinbase transactions state their height.
    pub bip34_height: u64,
    /// First height at which the coinbase's witness commitment is a rule.
    pub segwit_height: u64,
}

impl BlockContext {
    /// A block of a network.
    #[must_use]
    pub fn new(chain: &ChainId, tx_root: B256, height: u64) -> Self {
        let known = SOFT_FORKS.iter().find(|(reference, ..)| *reference == chain.reference());
        let (bip34_height, segwit_height) = known
            .map_or((DEFAULT_BIP34_HEIGHT, DEFAULT_SEGWIT_HEIGHT), |(_, bip34, segwit)| {
                (*bip34, *segwit)
            });
        Self { tx_root, height, bip34_height, segwit_height }
    }

    /// The block's coinbase, judged by itself.
    fn coinbase(&self, raw: &[u8]) -> Result<Tx, SpvError> {
        let coinbase = Tx::from_stripped(raw).map_err(SpvError::Coinbase)?;
        if !coinbase.is_coinbase() {
            return Err(SpvError::NotCoinbase(coinbase.id()));
        }
        if self.height >= self.bip34_height && !coinbase.states_height(self.height) {
            return Err(SpvError::Height(self.height));
        }
        Ok(coinbase)
    }

    /// A transaction at a place, judged by itself.
    fn transaction(&self, index: u64, raw: &[u8]) -> Result<Tx, SpvError> {
        let tx = Tx::from_stripped(raw).map_err(SpvError::Transaction)?;
        self.check_transaction(index, &tx)?;
        Ok(tx)
    }

    #[allow(clippy::unused_self, reason = "a rule of blocks, beside the others")]
    fn check_transaction(&self, index: u64, tx: &Tx) -> Result<(), SpvError> {
        if index > 0 && tx.is_coinbase() {
            return Err(SpvError::SecondCoinbase { index });
        }
        Ok(())
    }

    fn check_root(&self, index: u64, found: B256) -> Result<(), SpvError> {
        let expected = self.tx_root;
        if found == expected { Ok(()) } else { Err(SpvError::Root { index, found, expected }) }
    }
}

/// A transaction with everything that shows it to be in a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TxProof {
    /// The transaction without witness.
    pub raw: Bytes,
    /// Its position in the block.
    pub index: u64,
    /// Siblings from its id upwards.
    pub branch: Vec<B256>,
    /// The coinbase transaction without witness.
    pub coinbase: Bytes,
    /// Siblings of the coinbase.
    pub coinbase_branch: Vec<B256>,
}

impl TxProof {
    /// Puts together what was fetched in parts: the transactions with or without witness, and the branches as
    /// siblings from the leaf upwards in internal byte order. [`verify`] judges the result.
    ///
    /// # Errors
    /// [`SpvError::Transaction`] or [`SpvError::Coinbase`] where a transaction does not parse.
    pub fn assemble(
        raw: &[u8],
        index: u64,
        branch: Vec<B256>,
        coinbase: &[u8],
        coinbase_branch: Vec<B256>,
    ) -> Result<Self, SpvError> {
        let raw = Tx::strip(raw).map_err(SpvError::Transaction)?.into();
        let coinbase = Tx::strip(coinbase).map_err(SpvError::Coinbase)?.into();
        Ok(Self { raw, index, branch, coinbase, coinbase_branch })
    }
}

/// The coinbase fixes the depth of the tree.
fn check_depths(branch: &[B256], coinbase_branch: &[B256]) -> Result<(), SpvError> {
    let (branch, coinbase) = (branch.len(), coinbase_branch.len());
    if branch != coinbase {
        return Err(SpvError::Depth { branch, coinbase });
    }
    if branch > MAX_DEPTH { Err(SpvError::TooDeep(branch)) } else { Ok(()) }
}

/// Checks that the transaction is in the block, and returns it.
///
/// # Errors
/// The first [`SpvError`] met. Depth and index are judged before anything is hashed.
pub fn verify(proof: &TxProof, block: &BlockContext) -> Result<Tx, SpvError> {
    let TxProof { raw, index, branch, coinbase, coinbase_branch } = proof;
    check_depths(branch, coinbase_branch)?;
    branch::check_index(branch.len(), *index)?;
    let tx = block.transaction(*index, raw)?;
    let coinbase = block.coinbase(coinbase)?;
    block.check_root(*index, climb(tx.id(), *index, branch)?)?;
    block.check_root(0, climb(coinbase.id(), 0, coinbase_branch)?)?;
    Ok(tx)
}

#[cfg(test)]
mod tests;
