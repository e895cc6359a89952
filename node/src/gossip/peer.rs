//! What a node keeps about one peer.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use libp2p::{
    Multiaddr,
    request_response::{OutboundRequestId, ResponseChannel},
    swarm::ConnectionId,
};

use super::{
    GossipLimits,
    meter::Meter,
    recent::Recent,
    wire::{Answer, MAX_HASHES},
};

/// Most hashes that wait to be announced to a peer; the oldest make room.
const MAX_OUTBOX: usize = 32_768;
/// Most hashes that wait to be fetched from a peer; more are not noted.
const MAX_WANTED: usize = 4 * MAX_HASHES;
/// Hashes that may wait when the next announcement is let in.
const FEW_WANTED: usize = MAX_HASHES;
/// Least time between two announcements to a peer, so that hashes go together.
const BETWEEN_ANNOUNCEMENTS: Duration = Duration::from_millis(20);
/// Longest time that an announcement's answer is held back.
const HOLD: Duration = Duration::from_secs(3);
/// How long it is remembered that a peer has a transaction, and how many.
const KNOWN_FOR: Duration = Duration::from_secs(60);
const MOST_KNOWN: usize = 4_096;
/// What an announcement costs beside its hashes.
const ANNOUNCEMENT: u32 = 64;

/// A connection.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) address: Multiaddr,
    /// Whether this node opened it.
    pub(super) outbound: bool,
}

/// Whether a wanted transaction is to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Ask,
    /// Another peer was asked for it a moment ago.
    Wait,
    /// It came.
    Forget,
}

/// A peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) links: HashMap<ConnectionId, Link>,
    /// Whether it has shown that it speaks this chain's protocol.
    pub(super) proven: bool,
    /// Hashes that it has.
    known: Recent,
    /// Hashes that were announced to it and not fetched yet.
    offered: Recent,
    /// Hashes to announce.
    outbox: VecDeque<B256>,
    announcing: Option<OutboundRequestId>,
    greeted: bool,
    /// Whether it noted the first announcement.
    introduced: bool,
    next_announcement: Instant,
    /// Hashes to fetch.
    wanted: VecDeque<B256>,
    /// What it was asked for.
    pub(super) fetching: Option<(OutboundRequestId, Vec<B256>)>,
    /// An announcement that is answered once there is room for the next one, or then.
    held: Option<(ResponseChannel<Answer>, Instant)>,
    /// Transactions that may be fetched from it.
    pub(super) budget: Meter,
    /// Hashes that it may announce.
    announcements: Meter,
    /// Useless transactions that it may still bring.
    patience: Meter,
}

impl Peer {
    /// A new peer, of which nothing is known.
    pub(super) fn new(limits: &GossipLimits, now: Instant) -> Self {
        let GossipLimits { peer_rate, forgiven_rate, forgiven, .. } = *limits;
        let hashes = peer_rate.saturating_mul(4);
        Self {
            links: HashMap::new(),
            proven: false,
            known: Recent::new(KNOWN_FOR, MOST_KNOWN, now),
            offered: Recent::new(KNOWN_FOR, MOST_KNOWN, now),
            outbox: VecDeque::new(),
            announcing: None,
            greeted: false,
            introduced: false,
            next_announcement: now,
            wanted: VecDeque::new(),
            fetching: None,
            held: None,
            budget: Meter::new(peer_rate, peer_rate.saturating_mul(2), now),
            announcements: Meter::new(hashes, hashes.saturating_mul(4), now),
            patience: Meter::new(forgiven_rate, forgiven, now),
        }
    }

    /// Whether there is something to do for it that only time makes possible.
    pub(super) fn waits(&self) -> bool {
        !self.outbox.is_empty() || !self.wanted.is_empty() || self.held.is_some()
    }

    /// A transaction that waits here is to be announced, unless the peer has it.
    pub(super) fn tell(&mut self, hash: B256, now: Instant) {
        if !self.known.contains(&hash, now) {
            self.remind(hash);
        }
    }

    /// A transaction that waits here is to be announced, again perhaps.
    pub(super) fn remind(&mut self, hash: B256) {
        if self.outbox.len() >= MAX_OUTBOX {
            self.outbox.pop_front();
        }
        self.outbox.push_back(hash);
    }

    /// All that is to be announced, once the peer has shown that it speaks the protocol.
    pub(super) fn tell_all(&mut self, waiting: Vec<B256>) {
        self.outbox = waiting.into();
    }

    /// The next announcement, if its time has come; the first one may be empty: it shows whether the peer
    /// speaks the protocol. `waits` says whether a transaction still waits.
    pub(super) fn announcement(
        &mut self,
        now: Instant,
        mut waits: impl FnMut(&B256) -> bool,
    ) -> Option<Vec<B256>> {
        let due = self.announcing.is_none() && now >= self.next_announcement;
        if !due || (self.greeted && self.outbox.is_empty()) {
            return None;
        }
        let mut hashes = Vec::new();
        while hashes.len() < MAX_HASHES {
            let Some(hash) = self.outbox.pop_front() else { break };
            if waits(&hash) {
                self.known.insert(hash, now);
                self.offered.insert(hash, now);
                hashes.push(hash);
            }
        }
        (!self.greeted || !hashes.is_empty()).then_some(hashes)
    }

    pub(super) fn announced(&mut self, id: OutboundRequestId, now: Instant) {
        self.greeted = true;
        self.announcing = Some(id);
        self.next_announcement = now + BETWEEN_ANNOUNCEMENTS;
    }

    /// Its answer to an announcement: whether it is its first, or nothing where it was not asked.
    pub(super) fn noted(&mut self, id: OutboundRequestId) -> Option<bool> {
        self.announcing.take_if(|announcing| *announcing == id)?;
        self.proven = true;
        Some(!std::mem::replace(&mut self.introduced, true))
    }

    /// Its announcement of transactions; `news` says which are not here. Answers at once where there is
    /// room for the next one.
    ///
    /// # Errors
    /// What is wrong: it has not waited for the answer to its last one.
    pub(super) fn hears(
        &mut self,
        hashes: Vec<B256>,
        channel: ResponseChannel<Answer>,
        now: Instant,
        mut news: impl FnMut(&B256) -> bool,
    ) -> Result<Option<ResponseChannel<Answer>>, &'static str> {
        if self.held.is_some() {
            return Err("it announces before the last announcement was answered");
        }
        self.proven = true;
        let cost = u32::try_from(hashes.len()).unwrap_or(u32::MAX).saturating_add(ANNOUNCEMENT);
        let affordable = self.announcements.take(cost, now);
        for hash in hashes {
            self.known.insert(hash, now);
            if self.wanted.len() < MAX_WANTED && news(&hash) {
                self.wanted.push_back(hash);
            }
        }
        if affordable && self.wanted.len() <= FEW_WANTED {
            return Ok(Some(channel));
        }
        self.held = Some((channel, now + HOLD));
        Ok(None)
    }

    /// The answer that was held back, once there is room or it has taken long enough.
    pub(super) fn release(&mut self, now: Instant) -> Option<ResponseChannel<Answer>> {
        let room = self.wanted.len() <= FEW_WANTED && self.announcements.available(now) > 0;
        let (_, until) = self.held.as_ref()?;
        (room || now >= *until).then(|| self.held.take().map(|(channel, _)| channel))?
    }

    /// What to ask it for: at most `most` of what it announced.
    pub(super) fn wish(&mut self, most: usize, mut wish: impl FnMut(&B256) -> Wish) -> Vec<B256> {
        let mut hashes = Vec::new();
        // Those that wait for another peer go to the end: each is looked at once.
        for _ in 0..self.wanted.len().min(MAX_HASHES) {
            if hashes.len() >= most {
                break;
            }
            let Some(hash) = self.wanted.pop_front() else { break };
            match wish(&hash) {
                Wish::Ask => hashes.push(hash),
                Wish::Wait => self.wanted.push_back(hash),
                Wish::Forget => {}
            }
        }
        hashes
    }

    /// What it left out for size is wanted again, first of all.
    pub(super) fn left_out(&mut self, hashes: &[B256]) {
        for hash in hashes.iter().rev() {
            self.wanted.push_front(*hash);
        }
    }

    /// Whether a transaction was announced to it and not fetched yet; once only.
    pub(super) fn fetches(&mut self, hash: &B256) -> bool {
        self.offered.remove(hash)
    }

    /// What was left out of an answer for its size can still be fetched.
    pub(super) fn offer_again(&mut self, hashes: &[B256], now: Instant) {
        for hash in hashes {
            self.offered.insert(*hash, now);
        }
    }

    /// Whether that many more useless transactions are forgiven.
    pub(super) fn forgives(&mut self, useless: u32, now: Instant) -> bool {
        useless == 0 || self.patience.take(useless, now)
    }

    /// The hashes that wait to be fetched from it.
    pub(super) fn wants(&self) -> usize {
        self.wanted.len()
    }
}
