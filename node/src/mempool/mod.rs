//! Transactions that wait for a block.
//!
//! Bounded in number, in bytes and per sender. A sender's transactions form a queue by nonce; those
//! that continue the account's nonce without a gap can be proposed, best price first. A sender's balance
//! covers all that it has waiting. Where room is needed, what can't be in the next block goes first,
//! then what earns a proposer least. Nothing here is durable and nothing is trusted: whatever a block
//! contains is executed and judged again.

mod content;
mod entry;
mod error;
mod limits;
mod pool;
mod queue;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, BinaryHeap, HashSet, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use alloy_consensus::{Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, B256};
use grid_core::{state::Account, transition::Shares};
use tokio::sync::{Notify, watch};

pub use content::{MempoolContent, MempoolStatus};
use entry::Ranked;
pub use error::MempoolError;
pub use limits::MempoolLimits;
use pool::Pool;

/// Transactions that are looked at again after each block, beside those of the block's senders: a
/// full mempool is gone through once in 32 blocks.
const REVISITED: usize = 512;
/// Most bytes of transactions whose content is checked again after a block.
const REVISITED_BYTES: usize = 4 * 1024 * 1024;

/// How much a new block may take of what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The gas limits of all transactions together.
    pub gas: u64,
    /// The gas limit of the first one, where that is more: it may then be alone.
    pub first: u64,
    /// Their size, bytes.
    pub bytes: usize,
}

impl Room {
    /// Room for `gas` and `bytes`.
    #[must_use]
    pub const fn new(gas: u64, bytes: usize) -> Self {
        Self { gas, first: gas, bytes }
    }
}

/// Size of a mempool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MempoolSize {
    /// Transactions.
    pub count: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// The mempool. All methods are quick and never wait for IO.
#[derive(Debug)]
pub struct Mempool {
    limits: MempoolLimits,
    pool: Mutex<Pool>,
    /// Where the next round of revisiting goes on.
    cursor: Mutex<Address>,
    work: Arc<Notify>,
    arrived: watch::Sender<u64>,
}

impl Mempool {
    /// An empty mempool.
    #[must_use]
    pub fn new(limits: MempoolLimits) -> Self {
        Self {
            limits,
            pool: Mutex::default(),
            cursor: Mutex::default(),
            work: Arc::default(),
            arrived: watch::Sender::new(0),
        }
    }

    /// Admits a transaction that already passed the chain's own check against a state in which its
    /// sender's account is `account`.
    ///
    /// # Errors
    /// A [`MempoolError`] saying why it was not admitted; nothing changed then.
    pub fn add(
        &self,
        transaction: Recovered<TxEnvelope>,
        account: Account,
    ) -> Result<B256, MempoolError> {
        let hash = *transaction.tx_hash();
        let (ready, arrivals) = {
            let mut pool = self.pool();
            (pool.add(&self.limits, transaction, account)?, pool.arrivals)
        };
        if ready {
            self.work.notify_one();
        }
        self.arrived.send_modify(|seen| *seen = arrivals.max(*seen));
        Ok(hash)
    }

    /// How many transactions were ever admitted, and a notice of each later one; see [`Self::since`].
    #[must_use]
    pub fn arrived(&self) -> watch::Receiver<u64> {
        self.arrived.subscribe()
    }

    /// The first `most` waiting transactions among those admitted after the first `arrivals`, in order, and the number
    /// to ask with next.
    #[must_use]
    pub fn since(&self, arrivals: u64, most: usize) -> (Vec<Recovered<TxEnvelope>>, u64) {
        let pool = self.pool();
        let mut next = arrivals;
        let mut found = Vec::new();
        for (arrival, hash) in pool.by_arrival.range(arrivals..) {
            if found.len() >= most {
                return (found, next);
            }
            next = arrival.saturating_add(1);
            found.extend(pool.get(hash).map(|entry| entry.transaction.clone()));
        }
        (found, pool.arrivals)
    }

    /// Notified whenever a transaction arrives and its sender has one for the next block. For one waiter.
    #[must_use]
    pub fn work(&self) -> Arc<Notify> {
        self.work.clone()
    }

    /// Whether a transaction can be in the next block.
    #[must_use]
    pub fn has_work(&self) -> bool {
        let pool = self.pool();
        pool.by_sender.values().any(|queue| queue.is_ready(pool.base_fee))
    }

    /// What a block can contain next: gapless from each sender's nonce, best price first, as much as
    /// `room` holds. What is beyond a foreign chain's [share](Shares) goes last.
    #[must_use]
    pub fn candidates(&self, base_fee: u64, room: Room) -> Vec<Recovered<TxEnvelope>> {
        let pool = self.pool();
        let mut heap: BinaryHeap<Ranked<'_>> = pool
            .by_sender
            .values()
            .filter_map(|queue| queue.entries.get(&queue.account.nonce))
            .filter_map(|entry| Ranked::new(entry, base_fee))
            .collect();
        let (mut gas_left, mut bytes_left) = (room.gas, room.bytes);
        let mut chosen = Vec::new();
        let mut shares = Shares::new(room.gas);
        let mut late = VecDeque::new();
        loop {
            let entry = match heap.pop() {
                Some(Ranked { entry, .. }) if shares.take(&entry.transaction, entry.size) => entry,
                Some(Ranked { entry, .. }) => {
                    late.push_back(entry);
                    continue;
                }
                None => match late.pop_front() {
                    Some(entry) => entry,
                    None => break,
                },
            };
            let limit = entry.transaction.gas_limit();
            let fits = if chosen.is_empty() { gas_left.max(room.first) } else { gas_left };
            if limit > fits || entry.size > bytes_left {
                // The sender's later transactions can't go before this one.
                continue;
            }
            gas_left = gas_left.saturating_sub(limit);
            bytes_left -= entry.size;
            chosen.push(entry.transaction.clone());
            let next = entry.transaction.nonce().checked_add(1);
            let queue = pool.by_sender.get(&entry.transaction.signer());
            if let Some(entry) = next.and_then(|nonce| queue?.entries.get(&nonce)) {
                heap.extend(Ranked::new(entry, base_fee));
            }
        }
        chosen
    }

    /// Removes single transactions, for example those that execution dropped.
    pub fn remove<'a>(&self, hashes: impl IntoIterator<Item = &'a B256>) {
        let mut pool = self.pool();
        for hash in hashes {
            if let Some((sender, nonce)) = pool.by_hash.get(hash).copied() {
                pool.remove(&self.limits, &sender, nonce);
            }
        }
    }

    /// Brings the mempool up to a new state, whose next block has `base_fee`. Senders in `touched`, whose
    /// accounts may have changed, are settled at once; of the others some each time, in turn. What is
    /// used, too old or not paid for any more goes, and what no longer passes `check`. Returns how many
    /// were dropped although no block contains them.
    ///
    /// `account_of` and `check` read that state; the mempool is not locked meanwhile.
    ///
    /// # Errors
    /// The first error of `account_of`; the other senders wait for their next turn.
    pub fn refresh<E>(
        &self,
        now: Instant,
        base_fee: u64,
        touched: &BTreeSet<Address>,
        mut account_of: impl FnMut(&Address) -> Result<Account, E>,
        mut check: impl FnMut(&Recovered<TxEnvelope>) -> bool,
    ) -> Result<usize, E> {
        self.pool().set_base_fee(&self.limits, base_fee);
        let mut dropped = 0;
        let (mut checks, mut bytes) = (REVISITED, REVISITED_BYTES);
        for sender in self.due(touched) {
            let account = account_of(&sender)?;
            let mut refused = HashSet::new();
            for (transaction, size) in self.of(&sender, account.nonce, checks) {
                let Some(left) = bytes.checked_sub(size) else { break };
                (checks, bytes) = (checks.saturating_sub(1), left);
                if !check(&transaction) {
                    refused.insert(*transaction.tx_hash());
                }
            }
            dropped += self.settle(&sender, account, &refused, now);
        }
        Ok(dropped)
    }

    /// The waiting senders of `touched`, and the next others in turn.
    fn due(&self, touched: &BTreeSet<Address>) -> Vec<Address> {
        let pool = self.pool();
        let mut cursor = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due: Vec<_> =
            touched.iter().filter(|sender| pool.by_sender.contains_key(*sender)).copied().collect();
        let mut left = REVISITED;
        let rest = pool.by_sender.range((Bound::Excluded(*cursor), Bound::Unbounded));
        let start = pool.by_sender.range(..=*cursor);
        for (sender, queue) in rest.chain(start) {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(queue.entries.len());
            *cursor = *sender;
            if !touched.contains(sender) {
                due.push(*sender);
            }
        }
        due
    }

    fn of(&self, sender: &Address, from: u64, most: usize) -> Vec<(Recovered<TxEnvelope>, usize)> {
        let pool = self.pool();
        let Some(queue) = pool.by_sender.get(sender) else { return Vec::new() };
        let entries = queue.entries.range(from..).take(most);
        entries.map(|(_, entry)| (entry.transaction.clone(), entry.size)).collect()
    }

    fn settle(
        &self,
        sender: &Address,
        account: Account,
        refused: &HashSet<B256>,
        now: Instant,
    ) -> usize {
        let mut pool = self.pool();
        let settled = pool.change(&self.limits, sender, |queue| {
            queue.update(account);
            queue.settled(refused, now, self.limits.lifetime)
        });
        let mut dropped = 0;
        for (nonce, used) in settled.unwrap_or_default() {
            pool.remove(&self.limits, sender, nonce);
            dropped += usize::from(!used);
        }
        dropped
    }

    /// The nonce after the sender's gapless queue that starts at `account_nonce`.
    #[must_use]
    pub fn pending_nonce(&self, sender: &Address, account_nonce: u64) -> u64 {
        let pool = self.pool();
        let mut next = account_nonce;
        if let Some(queue) = pool.by_sender.get(sender) {
            while queue.entries.contains_key(&next) {
                next = next.saturating_add(1);
            }
        }
        next
    }

    /// A waiting transaction.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<Recovered<TxEnvelope>> {
        self.pool().get(hash).map(|entry| entry.transaction.clone())
    }

    /// Whether a transaction waits.
    #[must_use]
    pub fn contains(&self, hash: &B256) -> bool {
        self.pool().by_hash.contains_key(hash)
    }

    /// The sender of a waiting transaction, recovered from its signature when it was admitted.
    #[must_use]
    pub fn sender(&self, hash: &B256) -> Option<Address> {
        self.pool().by_hash.get(hash).map(|(sender, _)| *sender)
    }

    /// The hashes of what has waited for `at_least`, in the order of arrival.
    #[must_use]
    pub fn waiting(&self, at_least: Duration) -> Vec<B256> {
        let (pool, now) = (self.pool(), Instant::now());
        let old = |hash: &&B256| {
            let added = pool.get(hash).map_or(now, |entry| entry.added);
            now.saturating_duration_since(added) >= at_least
        };
        pool.by_arrival.values().filter(old).copied().collect()
    }

    /// How much waits.
    #[must_use]
    pub fn size(&self) -> MempoolSize {
        let pool = self.pool();
        MempoolSize { count: pool.by_hash.len(), bytes: pool.bytes }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // Every change of `Pool` leaves it whole before anything can panic.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
