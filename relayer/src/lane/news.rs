//! Visits between two rounds: of chains that have news.
//!
//! News are a flag of the chain, not a message: those that come while the chain is still being visited, or while the
//! main chain does not answer, wait until the next visit begins. A visit that leaves something to do says when the
//! next one is worth while. So a long poll makes nothing late: it is the safety net.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::BTreeSet;

use grid_core::ChainId;
use tokio::sync::watch;

use super::Shared;

/// Why a lane begins visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Its timer: all its chains.
    Round,
    /// Those of its chains that have news.
    News,
}

/// What has happened to a chain since its last visit began.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Its source may have another tip, or an operator has changed something.
    source: AtomicBool,
    /// Transactions of it have come to an end, so that there is room for others and the main chain has moved; or
    /// what the last visit left is due.
    settled: AtomicBool,
    /// Either of both since whoever works beside the lanes has looked.
    beside: AtomicBool,
    /// When its last visit wants another one, milliseconds since 1970; 0 for not before the next round.
    again_at: AtomicU64,
}

impl News {
    pub(super) fn any(&self) -> bool {
        self.source.load(Ordering::Acquire) || self.settled.load(Ordering::Acquire)
    }

    /// A visit begins; returns whether the source had news.
    pub(super) fn take(&self) -> bool {
        self.again_at.store(0, Ordering::Release);
        self.settled.store(false, Ordering::Release);
        self.source.swap(false, Ordering::AcqRel)
    }

    fn source_told(&self) {
        self.source.store(true, Ordering::Release);
        self.beside.store(true, Ordering::Release);
    }

    fn settled_told(&self) {
        self.settled.store(true, Ordering::Release);
        self.beside.store(true, Ordering::Release);
    }

    /// Something is left to do from `time` on, milliseconds since 1970.
    pub(super) fn again_at(&self, time: u64) {
        self.again_at.store(time.max(1), Ordering::Release);
    }

    /// Makes what is left to do, where its time has come, news.
    fn fall_due(&self, now: u64) -> bool {
        let at = self.again_at.load(Ordering::Acquire);
        let due = at != 0 && at <= now;
        if due {
            self.again_at.store(0, Ordering::Release);
            self.settled.store(true, Ordering::Release);
        }
        due
    }
}

impl Shared {
    /// A chain's source has news.
    pub(crate) fn wake(&self, chain: &ChainId) {
        if let Some(entry) = self.chains().get(chain) {
            entry.news.source_told();
        }
        self.tell();
    }

    /// Transactions of these chains have come to an end. Queues that are no chains wake no lane; their effects need a
    /// new view all the same.
    pub(crate) fn settled(&self, chains: &BTreeSet<ChainId>) {
        if chains.is_empty() {
            return;
        }
        self.settled_at.store(self.clock.now_ms(), Ordering::Release);
        let mut told = false;
        for (_, entry) in self.chains().iter().filter(|(id, _)| chains.contains(id)) {
            entry.news.settled_told();
            told = true;
        }
        if told {
            self.tell();
        }
    }

    /// Visits the chains again that were left with something to do, where its time has come.
    pub(crate) fn wake_due(&self) {
        let now = self.clock.now_ms();
        let due = self.chains().values().filter(|entry| entry.news.fall_due(now)).count();
        if due > 0 {
            self.tell();
        }
    }

    /// Whether a chain has news that no visit has taken up.
    pub(super) fn has_news(&self) -> bool {
        self.chains().values().any(|entry| entry.news.any())
    }

    /// Tells that a chain may have news, for whoever works beside the lanes.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// The chains that have had news since this was last asked. One asker takes them all.
    pub(crate) fn take_news(&self) -> Vec<ChainId> {
        let chains = self.chains();
        let told = chains.iter().filter(|(_, one)| one.news.beside.swap(false, Ordering::AcqRel));
        told.map(|(id, _)| id.clone()).collect()
    }

    fn tell(&self) {
        self.news.send_modify(|told| *told = told.wrapping_add(1));
    }
}
