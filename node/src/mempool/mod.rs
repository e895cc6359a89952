//! Transactions that wait for a block.
//!
//! Bounded in number, in bytes and per sender. A sender's transactions form a queue by nonce; those
//! that continue the account's nonce without a gap can be proposed, best price first. Nothing here is
//! durable and nothing is trusted: whatever a block contains is executed and judged again.

mod error;
mod queue;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BinaryHeap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use alloy_consensus::{Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256};

pub use error::MempoolError;
use queue::{Entry, Ranked};

/// Limits of a mempool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MempoolLimits {
    /// Most transactions.
    pub count: usize,
    /// Most bytes of transactions in their EIP-2718 encoding.
    pub bytes: usize,
    /// Most bytes of one transaction.
    pub transaction_bytes: usize,
    /// Most transactions of one sender.
    pub per_sender: usize,
    /// How far a nonce may run ahead of the account's.
    pub nonce_gap: u64,
    /// How long a transaction may wait.
    pub lifetime: Duration,
}

impl Default for MempoolLimits {
    fn default() -> Self {
        Self {
            count: 4_096,
            bytes: 32 * 1024 * 1024,
            // A batch of 2,000 Bitcoin headers is 160 kB; a cross-chain proof stays far below.
            transaction_bytes: 512 * 1024,
            per_sender: 256,
            nonce_gap: 256,
            lifetime: Duration::from_secs(30 * 60),
        }
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
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_sender: BTreeMap<Address, BTreeMap<u64, Entry>>,
    by_hash: HashMap<B256, (Address, u64)>,
    bytes: usize,
    arrivals: u64,
}

impl Mempool {
    /// An empty mempool.
    #[must_use]
    pub fn new(limits: MempoolLimits) -> Self {
        Self { limits, inner: Mutex::new(Inner::default()) }
    }

    /// Admits a transaction that already passed the chain's own check against the state in which its
    /// sender's next nonce is `account_nonce`.
    ///
    /// # Errors
    /// A [`MempoolError`] saying why it was not admitted.
    pub fn add(
        &self,
        transaction: Recovered<TxEnvelope>,
        account_nonce: u64,
    ) -> Result<B256, MempoolError> {
        let limits = self.limits;
        let hash = *transaction.tx_hash();
        let size = transaction.encode_2718_len();
        if size > limits.transaction_bytes {
            return Err(MempoolError::TooLarge { size, most: limits.transaction_bytes });
        }
        let sender = transaction.signer();
        let nonce = transaction.nonce();
        if nonce < account_nonce {
            return Err(MempoolError::NonceTooLow { nonce, next: account_nonce });
        }
        if nonce.saturating_sub(account_nonce) > limits.nonce_gap {
            return Err(MempoolError::NonceTooHigh {
                nonce,
                next: account_nonce,
                gap: limits.nonce_gap,
            });
        }
        let mut inner = self.lock();
        if inner.by_hash.contains_key(&hash) {
            return Err(MempoolError::AlreadyKnown(hash));
        }
        let entry = Entry::new(transaction, size, inner.arrivals);
        let queue = inner.by_sender.get(&sender);
        match queue.and_then(|queue| queue.get(&nonce)) {
            Some(old) if !entry.replaces(old) => return Err(MempoolError::Underpriced(nonce)),
            Some(_) => {}
            None if queue.is_some_and(|queue| queue.len() >= limits.per_sender) => {
                return Err(MempoolError::SenderFull { sender, most: limits.per_sender });
            }
            None => {}
        }
        inner.remove(&sender, nonce);
        inner.make_room(&limits, &sender, &entry)?;
        inner.arrivals = inner.arrivals.wrapping_add(1);
        inner.insert(sender, nonce, entry);
        Ok(hash)
    }

    /// What a block can contain next: gapless from each sender's nonce, best price first, at most
    /// `bytes` bytes and `gas` gas. `nonce_of` gives an account's next nonce.
    #[must_use]
    pub fn candidates(
        &self,
        base_fee: u64,
        gas: u64,
        bytes: usize,
        mut nonce_of: impl FnMut(&Address) -> u64,
    ) -> Vec<Recovered<TxEnvelope>> {
        let inner = self.lock();
        let mut heap = BinaryHeap::new();
        for (sender, queue) in &inner.by_sender {
            if let Some(entry) = queue.get(&nonce_of(sender)) {
                heap.extend(Ranked::new(entry, base_fee));
            }
        }
        let (mut gas_left, mut bytes_left) = (gas, bytes);
        let mut chosen = Vec::new();
        while let Some(Ranked { entry, .. }) = heap.pop() {
            let limit = entry.transaction.gas_limit();
            if limit > gas_left || entry.size > bytes_left {
                // The sender's later transactions can't go before this one.
                continue;
            }
            gas_left -= limit;
            bytes_left -= entry.size;
            chosen.push(entry.transaction.clone());
            let next = entry.transaction.nonce().checked_add(1);
            let queue = inner.by_sender.get(&entry.transaction.signer());
            if let Some(entry) = next.and_then(|nonce| queue?.get(&nonce)) {
                heap.extend(Ranked::new(entry, base_fee));
            }
        }
        chosen
    }

    /// Removes single transactions, for example those that execution dropped.
    pub fn remove<'a>(&self, hashes: impl IntoIterator<Item = &'a B256>) {
        let mut inner = self.lock();
        for hash in hashes {
            if let Some((sender, nonce)) = inner.by_hash.get(hash).copied() {
                inner.remove(&sender, nonce);
            }
        }
    }

    /// Brings the mempool up to a new state: drops what is used, too old, or no longer passes `check`.
    /// `nonce_of` gives an account's next nonce in that state. Returns how many were dropped although
    /// no block contains them.
    pub fn refresh(
        &self,
        now: Instant,
        mut nonce_of: impl FnMut(&Address) -> u64,
        mut check: impl FnMut(&Recovered<TxEnvelope>) -> bool,
    ) -> usize {
        let mut inner = self.lock();
        let mut gone = Vec::new();
        let mut refused = 0;
        for (sender, queue) in &inner.by_sender {
            let next = nonce_of(sender);
            for (nonce, entry) in queue {
                let expired = now.saturating_duration_since(entry.added) > self.limits.lifetime;
                if *nonce < next {
                    gone.push((*sender, *nonce));
                } else if expired || !check(&entry.transaction) {
                    refused += 1;
                    gone.push((*sender, *nonce));
                }
            }
        }
        for (sender, nonce) in gone {
            inner.remove(&sender, nonce);
        }
        refused
    }

    /// The nonce after the sender's gapless queue that starts at `account_nonce`.
    #[must_use]
    pub fn pending_nonce(&self, sender: &Address, account_nonce: u64) -> u64 {
        let inner = self.lock();
        let mut next = account_nonce;
        if let Some(queue) = inner.by_sender.get(sender) {
            while queue.contains_key(&next) {
                next = next.saturating_add(1);
            }
        }
        next
    }

    /// A waiting transaction.
    #[must_use]
    pub fn get(&self, hash: &B256) -> Option<Recovered<TxEnvelope>> {
        let inner = self.lock();
        let (sender, nonce) = inner.by_hash.get(hash)?;
        Some(inner.by_sender.get(sender)?.get(nonce)?.transaction.clone())
    }

    /// How much waits.
    #[must_use]
    pub fn size(&self) -> MempoolSize {
        let inner = self.lock();
        MempoolSize { count: inner.by_hash.len(), bytes: inner.bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change of `Inner` leaves it whole before anything can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(&mut self, sender: Address, nonce: u64, entry: Entry) {
        self.bytes = self.bytes.saturating_add(entry.size);
        self.by_hash.insert(*entry.transaction.tx_hash(), (sender, nonce));
        self.by_sender.entry(sender).or_default().insert(nonce, entry);
    }

    fn remove(&mut self, sender: &Address, nonce: u64) {
        let Some(queue) = self.by_sender.get_mut(sender) else { return };
        if let Some(entry) = queue.remove(&nonce) {
            self.bytes = self.bytes.saturating_sub(entry.size);
            self.by_hash.remove(entry.transaction.tx_hash());
        }
        if queue.is_empty() {
            self.by_sender.remove(sender);
        }
    }

    /// Drops the cheapest last transactions of other senders until `entry` fits.
    fn make_room(
        &mut self,
        limits: &MempoolLimits,
        sender: &Address,
        entry: &Entry,
    ) -> Result<(), MempoolError> {
        while self.by_hash.len() >= limits.count
            || self.bytes.saturating_add(entry.size) > limits.bytes
        {
            let cheapest = self
                .by_sender
                .iter()
                .filter(|(other, _)| *other != sender)
                .filter_map(|(other, queue)| Some((other, queue.last_key_value()?)))
                .min_by_key(|(_, (_, last))| last.transaction.max_fee_per_gas())
                .filter(|(_, (_, last))| {
                    last.transaction.max_fee_per_gas() < entry.transaction.max_fee_per_gas()
                })
                .map(|(other, (nonce, _))| (*other, *nonce));
            let Some((other, nonce)) = cheapest else {
                return Err(MempoolError::Full { count: self.by_hash.len(), bytes: self.bytes });
            };
            self.remove(&other, nonce);
        }
        Ok(())
    }
}
