//! The address book: whom to connect to next, and whom not for a while.
//!
//! It lives in memory: a restart forgets bans and pauses, and asks configuration and DNS again.
//! Addresses from DNS are drawn at random, at most one connection for each network group (the
//! first 16 bits of an IPv4 address, 32 of an IPv6 address): whoever wants to surround this node
//! needs addresses all over the Internet. Configured peers are the operator's choice and are
//! connected to wherever they are.

#[cfg(test)]
mod tests;

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use super::error::{PeerError, Penalty};

/// Most addresses known at a time.
pub(super) const MOST: usize = 1_024;

/// Addresses that routing tends to treat alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NetGroup {
    V4([u8; 2]),
    V6([u8; 4]),
}

impl NetGroup {
    pub(super) const fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, ..] = address.octets();
                Self::V4([a, b])
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.octets();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// What is known of an address.
#[derive(Debug, Clone)]
struct Entry {
    fixed: bool,
    connected: bool,
    failures: u32,
    not_before: Option<Instant>,
    last_error: Option<PeerError>,
}

/// All known addresses.
#[derive(Debug)]
pub(super) struct Book {
    entries: BTreeMap<SocketAddr, Entry>,
    ban: Duration,
    retry: Duration,
    retry_most: Duration,
}

impl Book {
    pub(super) const fn new(ban: Duration, retry: Duration, retry_most: Duration) -> Self {
        Self { entries: BTreeMap::new(), ban, retry, retry_most }
    }

    /// Adds an address; a full book gives up one from DNS that failed most.
    pub(super) fn add(&mut self, address: SocketAddr, fixed: bool) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.fixed |= fixed;
            return;
        }
        if self.entries.len() >= MOST {
            let idle = self.entries.iter().filter(|(_, entry)| !entry.fixed && !entry.connected);
            let worst = idle.max_by_key(|(_, entry)| entry.failures).map(|(address, _)| *address);
            let Some(worst) = worst else { return };
            self.entries.remove(&worst);
        }
        let entry =
            Entry { fixed, connected: false, failures: 0, not_before: None, last_error: None };
        self.entries.insert(address, entry);
    }

    /// The configured peers to connect to now.
    pub(super) fn due(&self, now: Instant) -> Vec<SocketAddr> {
        let due = self.entries.iter().filter(|(_, entry)| entry.fixed && entry.is_due(now));
        due.map(|(address, _)| *address).collect()
    }

    /// One of the other addresses to connect to now, drawn by `random` from groups without a
    /// connection.
    pub(super) fn draw(&self, now: Instant, random: u64) -> Option<SocketAddr> {
        let taken: BTreeSet<NetGroup> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.connected)
            .map(|(address, _)| NetGroup::of(address.ip()))
            .collect();
        let fit: Vec<&SocketAddr> = self
            .entries
            .iter()
            .filter(|(address, entry)| {
                !entry.fixed && entry.is_due(now) && !taken.contains(&NetGroup::of(address.ip()))
            })
            .map(|(address, _)| address)
            .collect();
        let at = random.checked_rem(fit.len() as u64)?;
        fit.get(usize::try_from(at).ok()?).copied().copied()
    }

    /// How many connections are to addresses that were not configured.
    pub(super) fn drawn(&self) -> usize {
        self.entries.values().filter(|entry| entry.connected && !entry.fixed).count()
    }

    /// A connection is being made.
    pub(super) fn connecting(&mut self, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.connected = true;
        }
    }

    /// A peer has shown that it is of use: its failures are forgotten.
    pub(super) fn useful(&mut self, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.failures = 0;
            entry.last_error = None;
        }
    }

    /// A connection is over; the address is left alone for a while.
    pub(super) fn ended(&mut self, address: SocketAddr, error: PeerError, now: Instant) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.connected = false;
        let pause = match error.penalty() {
            Penalty::Ban => self.ban,
            Penalty::BackOff => {
                let doubled = 1u32.checked_shl(entry.failures).unwrap_or(u32::MAX);
                entry.failures = entry.failures.saturating_add(1);
                self.retry.saturating_mul(doubled).min(self.retry_most)
            }
        };
        entry.not_before = now.checked_add(pause);
        entry.last_error = Some(error);
    }

    /// Last errors, those of configured peers first.
    pub(super) fn errors(&self) -> Vec<(SocketAddr, PeerError)> {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(address, entry)| {
                Some((!entry.fixed, *address, entry.last_error.clone()?))
            })
            .collect();
        all.sort_by_key(|(found, address, _)| (*found, *address));
        all.into_iter().map(|(_, address, error)| (address, error)).collect()
    }
}

impl Entry {
    fn is_due(&self, now: Instant) -> bool {
        !self.connected && self.not_before.is_none_or(|until| until <= now)
    }
}
