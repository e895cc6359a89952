//! All senders' queues, and who goes when room is needed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use alloy_consensus::{Transaction as _, TxEnvelope, transaction::Recovered};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256};
use grid_core::state::Account;

use super::{
    MempoolError, MempoolLimits,
    entry::Entry,
    queue::{Class, Queue, Rank},
};

/// Most transactions that one newcomer may push out: a large one must not clear the pool of small ones.
const MOST_PUSHED_OUT: usize = 64;

/// The content of a mempool.
#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) by_sender: BTreeMap<Address, Queue>,
    pub(super) by_hash: HashMap<B256, (Address, u64)>,
    /// The last transaction of each sender, the first to go first. Kept in step by [`Self::change`].
    lasts: BTreeSet<(Rank, Address)>,
    pub(super) bytes: usize,
    pub(super) base_fee: u64,
    /// Hashes in the order of arrival.
    pub(super) by_arrival: BTreeMap<u64, B256>,
    /// How many were ever admitted.
    pub(super) arrivals: u64,
}

impl Pool {
    /// See [`Mempool::add`](super::Mempool::add). Says whether its sender now has one for the next block.
    pub(super) fn add(
        &mut self,
        limits: &MempoolLimits,
        transaction: Recovered<TxEnvelope>,
        account: Account,
    ) -> Result<bool, MempoolError> {
        let size = transaction.encode_2718_len();
        if size > limits.transaction_bytes {
            return Err(MempoolError::TooLarge { size, most: limits.transaction_bytes });
        }
        if self.by_hash.contains_key(transaction.tx_hash()) {
            return Err(MempoolError::AlreadyKnown(*transaction.tx_hash()));
        }
        let (sender, nonce) = (transaction.signer(), transaction.nonce());
        self.change(limits, &sender, |queue| queue.update(account));
        let entry = Entry::new(transaction, size, self.arrivals);
        self.check_nonce(limits, &sender, nonce, account)?;
        self.check_sender(limits, &sender, nonce, &entry, account)?;
        let old = self.remove(limits, &sender, nonce);
        if let Err(error) = self.make_room(limits, &sender, nonce, &entry, account) {
            if let Some(old) = old {
                self.insert(limits, sender, nonce, old, account);
            }
            return Err(error);
        }
        self.arrivals = self.arrivals.wrapping_add(1);
        self.insert(limits, sender, nonce, entry, account);
        let queue = self.by_sender.get(&sender);
        Ok(queue.is_some_and(|queue| queue.is_ready(self.base_fee)))
    }

    pub(super) fn get(&self, hash: &B256) -> Option<&Entry> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        self.by_sender.get(sender)?.entries.get(nonce)
    }

    fn check_nonce(
        &self,
        limits: &MempoolLimits,
        sender: &Address,
        nonce: u64,
        account: Account,
    ) -> Result<(), MempoolError> {
        let next = self.by_sender.get(sender).map_or(account.nonce, |queue| queue.account.nonce);
        match nonce.checked_sub(next) {
            None => Err(MempoolError::NonceTooLow { nonce, next }),
            Some(ahead) if ahead > limits.nonce_gap => {
                Err(MempoolError::NonceTooHigh { nonce, next, gap: limits.nonce_gap })
            }
            Some(_) => Ok(()),
        }
    }

    /// What a sender may have waiting, and pay for.
    fn check_sender(
        &self,
        limits: &MempoolLimits,
        sender: &Address,
        nonce: u64,
        entry: &Entry,
        account: Account,
    ) -> Result<(), MempoolError> {
        let queue = self.by_sender.get(sender);
        let old = queue.and_then(|queue| queue.entries.get(&nonce));
        if old.is_some_and(|old| !entry.replaces(old)) {
            return Err(MempoolError::Underpriced(nonce));
        }
        let others = queue.map_or(0, |queue| queue.entries.len()) - usize::from(old.is_some());
        let bytes = queue.map_or(0, |queue| queue.bytes) - old.map_or(0, |old| old.size);
        if others >= limits.per_sender || bytes.saturating_add(entry.size) > limits.sender_bytes {
            let sender = *sender;
            let (most, bytes) = (limits.per_sender, limits.sender_bytes);
            return Err(MempoolError::SenderFull { sender, most, bytes });
        }
        let balance = queue.map_or(account.balance, |queue| queue.account.balance);
        let waiting = queue.map_or_else(Default::default, |queue| queue.cost);
        let cost = old.map_or(waiting, |old| waiting.saturating_sub(old.cost));
        let cost = cost.saturating_add(entry.cost);
        if cost > balance {
            return Err(MempoolError::Overdraft { sender: *sender, balance, cost });
        }
        Ok(())
    }

    fn insert(
        &mut self,
        limits: &MempoolLimits,
        sender: Address,
        nonce: u64,
        entry: Entry,
        account: Account,
    ) {
        self.bytes = self.bytes.saturating_add(entry.size);
        self.by_hash.insert(entry.hash(), (sender, nonce));
        self.by_arrival.insert(entry.arrival, entry.hash());
        self.by_sender.entry(sender).or_default();
        self.change(limits, &sender, |queue| {
            queue.update(account);
            queue.insert(nonce, entry);
        });
    }

    pub(super) fn remove(
        &mut self,
        limits: &MempoolLimits,
        sender: &Address,
        nonce: u64,
    ) -> Option<Entry> {
        let entry = self.change(limits, sender, |queue| queue.remove(nonce))??;
        self.bytes = self.bytes.saturating_sub(entry.size);
        self.by_hash.remove(&entry.hash());
        self.by_arrival.remove(&entry.arrival);
        Some(entry)
    }

    /// Changes a sender's queue and keeps its place among the last ones.
    pub(super) fn change<T>(
        &mut self,
        limits: &MempoolLimits,
        sender: &Address,
        change: impl FnOnce(&mut Queue) -> T,
    ) -> Option<T> {
        let queue = self.by_sender.get_mut(sender)?;
        if let Some(rank) = queue.last_rank(self.base_fee, limits.protected) {
            self.lasts.remove(&(rank, *sender));
        }
        let result = change(queue);
        match queue.last_rank(self.base_fee, limits.protected) {
            Some(rank) => drop(self.lasts.insert((rank, *sender))),
            None => drop(self.by_sender.remove(sender)),
        }
        Some(result)
    }

    /// The base fee of the next block: it decides who can be in it, and what a proposer earns.
    pub(super) fn set_base_fee(&mut self, limits: &MempoolLimits, base_fee: u64) {
        if self.base_fee == base_fee {
            return;
        }
        self.base_fee = base_fee;
        self.lasts = self
            .by_sender
            .iter()
            .filter_map(|(sender, queue)| {
                Some((queue.last_rank(base_fee, limits.protected)?, *sender))
            })
            .collect();
    }

    /// Pushes out the last transactions of other senders until `entry` fits: all that it takes, or none.
    fn make_room(
        &mut self,
        limits: &MempoolLimits,
        sender: &Address,
        nonce: u64,
        entry: &Entry,
        account: Account,
    ) -> Result<(), MempoolError> {
        if self.fits(limits, entry) {
            return Ok(());
        }
        let rank = match self.by_sender.get(sender) {
            Some(queue) => queue.rank(nonce, entry, self.base_fee, limits.protected),
            None => Queue { account, ..Queue::default() }.rank(
                nonce,
                entry,
                self.base_fee,
                limits.protected,
            ),
        };
        let mut pushed_out = Vec::new();
        while !self.fits(limits, entry) {
            let victim = self.victim(&rank, sender).filter(|_| pushed_out.len() < MOST_PUSHED_OUT);
            let gone = victim.and_then(|victim| {
                let queue = self.by_sender.get(&victim)?;
                let (account, nonce) = (queue.account, *queue.entries.last_key_value()?.0);
                Some((victim, nonce, self.remove(limits, &victim, nonce)?, account))
            });
            let Some(gone) = gone else {
                let full = MempoolError::Full { count: self.by_hash.len(), bytes: self.bytes };
                for (sender, nonce, entry, account) in pushed_out.into_iter().rev() {
                    self.insert(limits, sender, nonce, entry, account);
                }
                return Err(full);
            };
            pushed_out.push(gone);
        }
        Ok(())
    }

    fn fits(&self, limits: &MempoolLimits, entry: &Entry) -> bool {
        self.by_hash.len() < limits.count && self.bytes.saturating_add(entry.size) <= limits.bytes
    }

    /// Whose last transaction goes for a newcomer of that rank: a blocked one for any that is not, and
    /// otherwise one that earns the proposer less and stands no further ahead in its queue.
    fn victim(&self, newcomer: &Rank, sender: &Address) -> Option<Address> {
        [Class::Blocked, Class::Deep, Class::Front]
            .into_iter()
            .take_while(|class| *class <= newcomer.class)
            .find_map(|class| {
                let first = Rank { class, price: 0, age: std::cmp::Reverse(u64::MAX) };
                let (rank, victim) = self
                    .lasts
                    .range((first, Address::ZERO)..)
                    .find(|(_, other)| other != sender)
                    .filter(|(rank, _)| rank.class == class)?;
                let for_nothing = class == Class::Blocked && newcomer.class > Class::Blocked;
                (for_nothing || rank.price < newcomer.price).then_some(*victim)
            })
    }
}

#[cfg(test)]
impl Pool {
    /// What must hold between the maps.
    pub(super) fn assert_whole(&self, limits: &MempoolLimits) {
        let entries = || self.by_sender.values().flat_map(|queue| queue.entries.values());
        assert_eq!(entries().count(), self.by_hash.len());
        assert_eq!(entries().map(|entry| entry.size).sum::<usize>(), self.bytes);
        assert!(self.by_hash.len() <= limits.count && self.bytes <= limits.bytes);
        assert_eq!(self.lasts.len(), self.by_sender.len());
        assert_eq!(self.by_arrival.len(), self.by_hash.len());
        for (sender, queue) in &self.by_sender {
            let rank = queue.last_rank(self.base_fee, limits.protected).expect("none is empty");
            assert!(self.lasts.contains(&(rank, *sender)));
            assert_eq!(queue.entries.values().map(|entry| entry.size).sum::<usize>(), queue.bytes);
            assert!(queue.entries.len() <= limits.per_sender && queue.bytes <= limits.sender_bytes);
            for (nonce, entry) in &queue.entries {
                assert_eq!(self.by_hash.get(&entry.hash()), Some(&(*sender, *nonce)));
                assert_eq!(self.by_arrival.get(&entry.arrival), Some(&entry.hash()));
            }
        }
    }
}
