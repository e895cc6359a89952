//! One waiting transaction, and its rank among the candidates for a block.

use std::{cmp::Ordering, time::Instant};

use alloy_consensus::{Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_primitives::{B256, U256};

/// A waiting transaction.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) transaction: Recovered<TxEnvelope>,
    /// Bytes of its EIP-2718 encoding.
    pub(super) size: usize,
    /// The most it can take from its sender: fee cap times gas limit, plus value.
    pub(super) cost: U256,
    /// Arrival number: of two equal prices the older goes first.
    pub(super) arrival: u64,
    pub(super) added: Instant,
}

impl Entry {
    pub(super) fn new(transaction: Recovered<TxEnvelope>, size: usize, arrival: u64) -> Self {
        let fee = U256::from(transaction.max_fee_per_gas());
        let cost = fee
            .saturating_mul(U256::from(transaction.gas_limit()))
            .saturating_add(transaction.value());
        Self { transaction, size, cost, arrival, added: Instant::now() }
    }

    pub(super) fn hash(&self) -> B256 {
        *self.transaction.tx_hash()
    }

    pub(super) fn fee_cap(&self) -> u128 {
        self.transaction.max_fee_per_gas()
    }

    /// What a proposer earns by it a gas; `None` where it does not even pay the base fee.
    pub(super) fn tip(&self, base_fee: u64) -> Option<u128> {
        self.transaction.effective_tip_per_gas(base_fee)
    }

    fn tip_cap(&self) -> u128 {
        self.transaction.max_priority_fee_per_gas().unwrap_or_else(|| self.fee_cap())
    }

    /// Whether this transaction pays at least 10 % more than `old`, in both of its fees.
    pub(super) fn replaces(&self, old: &Self) -> bool {
        let raised =
            |new: u128, old: u128| new > old && new.saturating_mul(10) >= old.saturating_mul(11);
        raised(self.fee_cap(), old.fee_cap())
            && (raised(self.tip_cap(), old.tip_cap())
                || (self.tip_cap() == 0 && old.tip_cap() == 0))
    }
}

/// An entry in the order of proposal: highest tip first, then oldest.
pub(super) struct Ranked<'a> {
    tip: u128,
    pub(super) entry: &'a Entry,
}

impl<'a> Ranked<'a> {
    /// `None` where the transaction does not even pay the base fee.
    pub(super) fn new(entry: &'a Entry, base_fee: u64) -> Option<Self> {
        entry.tip(base_fee).map(|tip| Self { tip, entry })
    }
}

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.tip.cmp(&other.tip).then_with(|| other.entry.arrival.cmp(&self.entry.arrival))
    }
}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked<'_> {}
