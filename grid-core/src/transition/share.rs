//! A fair choice of transactions: one foreign chain's submissions do not fill blocks while others wait.
//!
//! This is what an honest proposer does, not a rule of validity: a block says nothing about what else waited.

use std::collections::BTreeMap;

use alloy_consensus::Transaction;

use super::{MAX_BLOCK_BYTES, RecoveredTx};
use crate::{ChainKey, modules};

/// The foreign chain for which a transaction submits evidence, as far as its first bytes tell.
#[must_use]
pub fn submission_chain(tx: &RecoveredTx) -> Option<ChainKey> {
    modules::submission_chain(&tx.to()?, tx.input())
}

/// How much of a block the submissions for each foreign chain have: at most half of its gas and half of its bytes,
/// until everything else that waits has its place.
#[derive(Debug, Clone)]
pub struct Shares {
    gas: u64,
    bytes: usize,
    taken: BTreeMap<ChainKey, (u64, usize)>,
}

impl Shares {
    /// Empty shares of a block with this gas limit.
    #[must_use]
    pub const fn new(gas_limit: u64) -> Self {
        Self { gas: gas_limit / 2, bytes: MAX_BLOCK_BYTES / 2, taken: BTreeMap::new() }
    }

    /// Counts a transaction of `size` bytes; `false`, and not counted, where its chain's share does not hold it. Such a
    /// transaction, and the sender's later ones with it, go behind all others. What is no submission always fits.
    pub fn take(&mut self, tx: &RecoveredTx, size: usize) -> bool {
        let Some(chain) = submission_chain(tx) else { return true };
        let (gas, bytes) = self.taken.get(&chain).copied().unwrap_or_default();
        let (gas, bytes) = (gas.saturating_add(tx.gas_limit()), bytes.saturating_add(size));
        if gas > self.gas || bytes > self.bytes {
            return false;
        }
        self.taken.insert(chain, (gas, bytes));
        true
    }
}
