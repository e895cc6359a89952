//! Several transactions of one block in one proof that states no node twice.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes};
use serde::{Deserialize, Serialize};

use super::{
    BlockContext, MAX_DEPTH, MAX_TRANSACTIONS, SpvError, TxProof,
    branch::{check_index, fold},
};
use crate::bitcoin::tx::{MAX_STRIPPED, Tx};

/// Transactions of a block with everything that shows them to be in it.
///
/// The leaves are the coinbase at index 0 and the transactions. The nodes that they do not give are listed once
/// each: level by level from the leaves upwards, from left to right, and where a node is paired with itself, the
/// node itself. So there is one list for a set of transactions, and none of it is optional.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TxsProof {
    /// Levels of the tree above the leaves, at most 15.
    pub depth: u8,
    /// The transactions by increasing index, at least one.
    pub transactions: Vec<IndexedTx>,
    /// The coinbase transaction without witness.
    pub coinbase: Bytes,
    /// The nodes beside those that follow from the transactions.
    pub nodes: Vec<B256>,
}

/// A transaction and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IndexedTx {
    /// Position in the block.
    pub index: u64,
    /// The transaction without witness.
    pub raw: Bytes,
}

/// A proven transaction and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedTx {
    /// Position in the block.
    pub index: u64,
    /// The transaction.
    pub tx: Tx,
}

impl TxsProof {
    /// Joins proofs of single transactions of one block; a transaction may be among them repeatedly.
    ///
    /// # Errors
    /// [`SpvError::OtherBlock`], [`SpvError::Count`] for no proof at all, [`SpvError::TooDeep`]. What is joined is
    /// not judged: [`verify_several`] does that.
    pub fn join(proofs: &[TxProof]) -> Result<Self, SpvError> {
        let first = proofs.first().ok_or(SpvError::Count { index: 0, count: 0 })?;
        let depth = first.coinbase_branch.len();
        let mut known = BTreeMap::new();
        let mut note = |index: u64, branch: &[B256]| {
            check_index(depth, index)?;
            let mut position = index;
            for (level, sibling) in branch.iter().enumerate() {
                if known.insert((level, position ^ 1), *sibling).is_some_and(|old| old != *sibling)
                {
                    return Err(SpvError::OtherBlock);
                }
                position >>= 1;
            }
            Ok(())
        };
        note(0, &first.coinbase_branch)?;
        let mut transactions = BTreeMap::new();
        for proof in proofs {
            let TxProof { raw, index, branch, coinbase, coinbase_branch } = proof;
            let same_block =
                *coinbase == first.coinbase && *coinbase_branch == first.coinbase_branch;
            if !same_block || branch.len() != depth {
                return Err(SpvError::OtherBlock);
            }
            note(*index, branch)?;
            if transactions.insert(*index, raw.clone()).is_some_and(|old| old != *raw) {
                return Err(SpvError::OtherBlock);
            }
        }
        let nodes = missing(depth, transactions.keys().copied(), &known);
        let transactions =
            transactions.into_iter().map(|(index, raw)| IndexedTx { index, raw }).collect();
        let (coinbase, depth) = (first.coinbase.clone(), u8::try_from(depth).unwrap_or(u8::MAX));
        Ok(Self { depth, transactions, coinbase, nodes })
    }
}

/// Positions of the leaves, the coinbase's included.
fn positions(indices: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut positions: Vec<u64> = core::iter::once(0).chain(indices).collect();
    positions.dedup();
    positions
}

/// The siblings that the leaves do not give, in their order.
fn missing(
    depth: usize,
    indices: impl Iterator<Item = u64>,
    known: &BTreeMap<(usize, u64), B256>,
) -> Vec<B256> {
    let (mut level_positions, mut nodes) = (positions(indices), Vec::new());
    for level in 0..depth {
        for position in &level_positions {
            let beside = position ^ 1;
            if level_positions.binary_search(&beside).is_err() {
                nodes.extend(known.get(&(level, beside)));
            }
        }
        level_positions = level_positions.iter().map(|position| position >> 1).collect();
        level_positions.dedup();
    }
    nodes
}

/// Checks that the transactions are in the block, and returns them by increasing index.
///
/// # Errors
/// The first [`SpvError`] met. Depth, order, number and length are judged before anything is hashed.
pub fn verify_several(proof: &TxsProof, block: &BlockContext) -> Result<Vec<PlacedTx>, SpvError> {
    let TxsProof { depth, transactions, coinbase, nodes } = proof;
    let depth = usize::from(*depth);
    check_list(depth, transactions)?;
    let coinbase_tx = block.coinbase(coinbase)?;
    let mut leaves = Vec::with_capacity(transactions.len().saturating_add(1));
    leaves.push((0, coinbase_tx.id()));
    let mut placed = Vec::with_capacity(transactions.len());
    for IndexedTx { index, raw } in transactions {
        if *index == 0 && raw != coinbase {
            return Err(SpvError::NotCoinbase(coinbase_tx.id()));
        }
        let tx = block.transaction(*index, raw)?;
        if *index > 0 {
            leaves.push((*index, tx.id()));
        }
        placed.push(PlacedTx { index: *index, tx });
    }
    let index = placed.first().map_or(0, |first| first.index);
    block.check_root(index, fold(depth, leaves, nodes)?)?;
    Ok(placed)
}

fn check_list(depth: usize, transactions: &[IndexedTx]) -> Result<(), SpvError> {
    let count = u64::try_from(transactions.len()).unwrap_or(u64::MAX);
    if count == 0 || count > MAX_TRANSACTIONS {
        return Err(SpvError::Count { index: 0, count });
    }
    if depth > MAX_DEPTH {
        return Err(SpvError::TooDeep(depth));
    }
    let bytes = transactions.iter().map(|tx| tx.raw.len()).fold(0, usize::saturating_add);
    if bytes > MAX_STRIPPED {
        return Err(SpvError::TooLarge(bytes));
    }
    let mut previous = None;
    for IndexedTx { index, .. } in transactions {
        check_index(depth, *index)?;
        if let Some(previous) = previous.filter(|previous| previous >= index) {
            return Err(SpvError::Order { previous, index: *index });
        }
        previous = Some(*index);
    }
    Ok(())
}
