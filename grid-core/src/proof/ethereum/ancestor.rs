//! Facts of a block below the index: of an ancestor of an indexed block, by EIP-2935.
//!
//! Since Prague every block keeps its ancestors' hashes in its state: the history contract holds the hash of block
//! `h` in slot `h mod 8191`, of the last 8,191 blocks. So the indexed header's state root shows an ancestor's hash,
//! the hash its header, and the header's roots the facts.
//!
//! Source: EIP-2935.

use alloy_eips::eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{EthereumFactError, EthereumProof, EthereumRoots};
use crate::{
    ChainKey, CompatHeader,
    ethereum::{
        header::{EthHeaderError, compat, decode_header},
        mpt::{self, MAX_NODES, MptError, NodeList, NodePool, Nodes, Recorder},
    },
    proof::claim::Claim,
};

/// The account that keeps the hashes.
pub const HISTORY_CONTRACT: Address = HISTORY_STORAGE_ADDRESS;
/// How many ancestors of a block its state names (`HISTORY_SERVE_WINDOW`).
pub const HISTORY_WINDOW: u64 = 8_191;
/// Two paths: the contract's in the state trie, and the slot's in its storage trie.
const MAX_HISTORY_NODES: usize = 2 * MAX_NODES;

/// Facts about an ancestor of the proof's header, with all evidence for them under the header's state root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AncestorProof {
    /// RLP of the ancestor's header.
    pub ancestor: Bytes,
    /// The nodes that show its hash: the history contract's path in the state trie, then the slot's path.
    pub nodes: Vec<Bytes>,
    /// The facts under the ancestor's roots.
    pub facts: EthereumProof,
}

/// Why facts about an ancestor are not shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AncestorError {
    /// The block is no ancestor, or too old.
    #[error(
        "the state of block {indexed} names the hashes of the {HISTORY_WINDOW} blocks below it (EIP-2935), block {height} is not one of them"
    )]
    Window {
        /// Height of the block that should be an ancestor.
        height: u64,
        /// Height of the indexed block.
        indexed: u64,
    },
    /// The ancestor's header cannot be decoded.
    #[error("header of the ancestor: {0}")]
    Header(#[from] EthHeaderError),
    /// The nodes do not show the slot.
    #[error("history contract: {0}")]
    Trie(#[from] MptError),
    /// The account is not the history contract.
    #[error(
        "the code of {HISTORY_CONTRACT} has hash {found}, which is not EIP-2935's: the chain keeps no hashes there"
    )]
    Contract {
        /// Hash of the account's code; zero where there is no account.
        found: B256,
    },
    /// The slot is empty: the block is older than EIP-2935 on that chain.
    #[error(
        "the history contract has no hash of block {0}: EIP-2935 was not yet active on the chain"
    )]
    Absent(u64),
    /// The hash is of another header.
    #[error("the history contract has hash {expected} for block {height}, the header has {found}")]
    Hash {
        /// Height of the ancestor.
        height: u64,
        /// Hash in the contract.
        expected: B256,
        /// Hash of the given header.
        found: B256,
    },
    /// The ancestor does not show the facts.
    #[error(transparent)]
    Facts(#[from] EthereumFactError),
}

/// The slot, not hashed, that holds the hash of the block at `height`.
#[must_use]
pub fn history_slot(height: u64) -> B256 {
    U256::from(height % HISTORY_WINDOW).into()
}

/// Whether the state of block `indexed` names the hash of the block at `height`.
#[must_use]
pub fn is_named(height: u64, indexed: u64) -> bool {
    indexed.checked_sub(height).is_some_and(|above| (1..=HISTORY_WINDOW).contains(&above))
}

impl AncestorProof {
    /// The proof of `facts` of the block whose header's RLP is `ancestor`, under the header `indexed`, from nodes that
    /// may be more than it needs. It has been verified.
    ///
    /// # Errors
    /// As [`show`](Self::show); [`MptError::Truncated`] where nodes are missing.
    pub fn build(
        indexed: &CompatHeader,
        ancestor: Bytes,
        nodes: &NodePool,
        facts: EthereumProof,
    ) -> Result<Self, AncestorError> {
        let mut recorder = Recorder::new(nodes);
        named_hash(indexed, decode_header(&ancestor)?.header.number, &mut recorder)?;
        let proof = Self { ancestor, nodes: recorder.into_nodes(), facts };
        proof.show(indexed)?;
        Ok(proof)
    }

    /// The facts, checked under the indexed header: a claim that names the ancestor.
    ///
    /// # Errors
    /// The first [`AncestorError`] met. Sizes are judged before anything is hashed.
    pub fn show(&self, indexed: &CompatHeader) -> Result<Claim, AncestorError> {
        self.facts.check_shape()?;
        let (found, allowed) = (self.nodes.len(), MAX_HISTORY_NODES);
        if found > allowed {
            return Err(MptError::TooManyNodes { found, allowed }.into());
        }
        let mut nodes = NodeList::new(&self.nodes)?;
        let sealed = decode_header(&self.ancestor)?;
        let (height, found) = (sealed.header.number, sealed.hash);
        let expected = named_hash(indexed, height, &mut nodes)?;
        nodes.finish()?;
        if found != expected {
            return Err(AncestorError::Hash { height, expected, found });
        }
        let ancestor = compat(ChainKey(indexed.chain), &sealed);
        let claim = Box::new(self.facts.show(&EthereumRoots::from(&ancestor))?);
        Ok(Claim::Ancestor { height, block_hash: found, time: ancestor.time, claim })
    }
}

/// The hash that the state of `indexed` names for the block at `height`.
fn named_hash<'a>(
    indexed: &CompatHeader,
    height: u64,
    nodes: &mut impl Nodes<'a>,
) -> Result<B256, AncestorError> {
    if !is_named(height, indexed.height) {
        return Err(AncestorError::Window { height, indexed: indexed.height });
    }
    let account = value(indexed.stateRoot, keccak256(HISTORY_CONTRACT), nodes)?;
    let account = account.map(mpt::read_account).transpose()?;
    // Another contract at the address could name any hash.
    let account = match account {
        Some(account) if account.code_hash == keccak256(&HISTORY_STORAGE_CODE) => account,
        other => {
            let found = other.map(|account| account.code_hash).unwrap_or_default();
            return Err(AncestorError::Contract { found });
        }
    };
    let hash = value(account.storage_root, keccak256(history_slot(height)), nodes)?;
    Ok(mpt::read_slot(hash.ok_or(AncestorError::Absent(height))?)?.into())
}

fn value<'a>(
    root: B256,
    key: B256,
    nodes: &mut impl Nodes<'a>,
) -> Result<Option<&'a [u8]>, MptError> {
    Ok(mpt::walk(root, &[key.as_slice()], nodes)?.pop().flatten())
}

#[cfg(test)]
mod tests;
