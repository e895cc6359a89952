//! One sender's waiting transactions.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use alloy_primitives::{B256, U256};
use grid_core::state::Account;

use super::entry::Entry;

/// What a transaction's place in its sender's queue is worth when room is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// It can't be in the next block: an earlier one is missing, or one up to it pays less than the
    /// base fee.
    Blocked,
    /// It can, but many of its sender's go before it.
    Deep,
    /// It can, and is one of its sender's next.
    Front,
}

/// The order in which the last transactions of queues are pushed out, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) class: Class,
    /// The lowest tip among it and those that must go before it; the fee cap where it is blocked.
    pub(super) price: u128,
    /// Of two equal ones the younger goes.
    pub(super) age: Reverse<u64>,
}

/// A sender's waiting transactions by nonce, and the account as of the newest state.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) account: Account,
    pub(super) entries: BTreeMap<u64, Entry>,
    pub(super) bytes: usize,
    /// Sum of what the transactions can take.
    pub(super) cost: U256,
}

impl Queue {
    /// Takes in what a state says of the account. A state older than the known one is ignored.
    pub(super) fn update(&mut self, account: Account) {
        if account.nonce >= self.account.nonce {
            self.account = account;
        }
    }

    pub(super) fn insert(&mut self, nonce: u64, entry: Entry) {
        self.bytes = self.bytes.saturating_add(entry.size);
        self.cost = self.cost.saturating_add(entry.cost);
        self.entries.insert(nonce, entry);
    }

    pub(super) fn remove(&mut self, nonce: u64) -> Option<Entry> {
        let entry = self.entries.remove(&nonce)?;
        self.bytes = self.bytes.saturating_sub(entry.size);
        // A sum of few numbers far below 2^256, so it never was saturated: `add` compares it with a balance.
        self.cost = self.cost.saturating_sub(entry.cost);
        Some(entry)
    }

    /// The transactions that continue the account's nonce without a gap.
    pub(super) fn gapless(&self) -> impl Iterator<Item = &Entry> {
        let first = self.account.nonce;
        self.entries
            .range(first..)
            .zip(first..)
            .take_while(|((nonce, _), expected)| *nonce == expected)
            .map(|((_, entry), _)| entry)
    }

    /// The rank of `entry` at `nonce`, as if it stood there.
    pub(super) fn rank(&self, nonce: u64, entry: &Entry, base_fee: u64, protected: usize) -> Rank {
        let age = Reverse(entry.arrival);
        let blocked = Rank { class: Class::Blocked, price: entry.fee_cap(), age };
        let Some(before) = nonce.checked_sub(self.account.nonce) else { return blocked };
        let Ok(before) = usize::try_from(before) else { return blocked };
        let mut lowest = entry.tip(base_fee);
        let mut found = 0;
        for earlier in self.gapless().take(before) {
            found += 1;
            lowest = lowest.min(earlier.tip(base_fee));
        }
        match lowest {
            Some(price) if found == before => {
                let class = if before < protected { Class::Front } else { Class::Deep };
                Rank { class, price, age }
            }
            _ => blocked,
        }
    }

    /// The rank of the last transaction: the only one that can go without stranding others.
    pub(super) fn last_rank(&self, base_fee: u64, protected: usize) -> Option<Rank> {
        let (nonce, entry) = self.entries.last_key_value()?;
        Some(self.rank(*nonce, entry, base_fee, protected))
    }

    /// Whether its next transaction can be in a block with that base fee.
    pub(super) fn is_ready(&self, base_fee: u64) -> bool {
        let next = self.entries.get(&self.account.nonce);
        next.is_some_and(|entry| entry.tip(base_fee).is_some())
    }

    /// The nonces that do not wait any longer: used, refused, too old, or beyond what the balance pays
    /// for. With each, whether a block may have used it.
    pub(super) fn settled(
        &self,
        refused: &HashSet<B256>,
        now: Instant,
        lifetime: Duration,
    ) -> Vec<(u64, bool)> {
        let mut left = self.account.balance;
        let mut gone = Vec::new();
        for (nonce, entry) in &self.entries {
            if *nonce < self.account.nonce {
                gone.push((*nonce, true));
                continue;
            }
            let expired = now.saturating_duration_since(entry.added) > lifetime;
            let rest = left.checked_sub(entry.cost);
            if expired || rest.is_none() || refused.contains(&entry.hash()) {
                gone.push((*nonce, false));
            } else if let Some(rest) = rest {
                left = rest;
            }
        }
        gone
    }
}
