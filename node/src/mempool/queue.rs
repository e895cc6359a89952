//! One waiting transaction, and its rank among others.

use std::{cmp::Ordering, time::Instant};

use alloy_consensus::{Transaction as _, TxEnvelope, transaction::Recovered};

/// A waiting transaction.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) transaction: Recovered<TxEnvelope>,
    /// Bytes of its EIP-2718 encoding.
    pub(super) size: usize,
    /// Arrival number: of two equal prices the older goes first.
    pub(super) arrival: u64,
    pub(super) added: Instant,
}

impl Entry {
    pub(super) fn new(transaction: Recovered<TxEnvelope>, size: usize, arrival: u64) -> Self {
        Self { transaction, size, arrival, added: Instant::now() }
    }

    fn tip_cap(&self) -> u128 {
        self.transaction
            .max_priority_fee_per_gas()
            .unwrap_or_else(|| self.transaction.max_fee_per_gas())
    }

    /// Whether this transaction pays at least 10 % more than `old`, in both of its fees.
    pub(super) fn replaces(&self, old: &Self) -> bool {
        let raised =
            |new: u128, old: u128| new > old && new.saturating_mul(10) >= old.saturating_mul(11);
        raised(self.transaction.max_fee_per_gas(), old.transaction.max_fee_per_gas())
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
        let tip = entry.transaction.effective_tip_per_gas(base_fee)?;
        Some(Self { tip, entry })
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
