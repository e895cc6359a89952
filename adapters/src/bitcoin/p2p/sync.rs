//! What is done with headers: whom to ask, what to store, whom to drop.
//!
//! Until a chain with the network's known work is complete, one peer is asked at a time; after that
//! all are, and the light client takes the branch of most work that any of them shows. Headers are
//! stored only if their branch has enough work; one that has not shown it yet goes through
//! [`Presync`], whose memory is bounded.

use std::time::Instant;

use alloy_primitives::B256;
use grid_core::{
    bitcoin::presync::{Next, Phase, Presync},
    header_tree::TipChange,
};

use super::{
    PeerError,
    driver::Driver,
    peer::{Command, PeerId},
};
use crate::{
    bitcoin::{header, now_ms},
    source::MAX_HEADERS,
};

/// Announcements in a row that do not connect before a peer is dropped; as in Bitcoin Core.
const MOST_UNCONNECTED: u32 = 10;
/// Messages in a row without anything new before a peer is dropped. Peers repeat headers after
/// reorganisations of their own, so this is generous.
const MOST_USELESS: u32 = 1_000;

/// How far one peer has been heard.
#[derive(Debug, Default)]
pub(super) struct PeerSync {
    /// The deadline of the request that is under way.
    asked: Option<Instant>,
    /// A download of a branch that has not shown enough work yet.
    presync: Option<Box<Presync>>,
    unconnected: u32,
    useless: u32,
}

impl PeerSync {
    /// Height of a presync's first phase.
    pub(super) fn presync_height(&self) -> Option<u64> {
        let presync = self.presync.as_ref()?;
        (presync.phase() == Phase::Presync).then(|| presync.height())
    }
}

/// Whether headers are an announcement that came between a presync's question and its answer.
fn is_aside(presync: &Presync, headers: &[[u8; header::LEN]]) -> bool {
    let follows = headers.first().is_none_or(|first| header::parent(first) == presync.end());
    !follows && headers.len() < MAX_HEADERS
}

impl Driver {
    /// A peer is ready to be asked.
    pub(super) fn welcome(&mut self, id: PeerId) {
        if self.synced {
            self.ask_all(id);
        } else {
            self.choose_sync_peer();
        }
    }

    pub(super) fn choose_sync_peer(&mut self) {
        if self.synced || self.sync_peer.is_some() {
            return;
        }
        // Who claims most is asked first; a false claim only costs it its place.
        let best = self.links().max_by_key(|(_, _, link)| link.remote.height).map(|(id, ..)| id);
        if let Some(id) = best {
            self.sync_peer = Some(id);
            self.ask_all(id);
        }
    }

    /// Asks for everything above the block below the tip: an up-to-date peer answers with the tip,
    /// and so shows that it is one.
    fn ask_all(&mut self, id: PeerId) {
        let from = self.chain.tip().height.saturating_sub(1);
        let locator = self.chain.locator(from.max(self.chain.start()));
        self.ask(id, locator);
    }

    /// Sends `getheaders`, unless one is under way.
    fn ask(&mut self, id: PeerId, locator: Vec<B256>) {
        let deadline = Instant::now().checked_add(self.timing.headers);
        let Some(link) = self.peers.get_mut(&id).and_then(|peer| peer.link.as_mut()) else {
            return;
        };
        if link.sync.asked.is_some() {
            return;
        }
        match link.commands.try_send(Command::GetHeaders(locator)) {
            Ok(()) => link.sync.asked = deadline,
            Err(_) => {
                let (what, within) = ("room to write", self.timing.headers);
                self.drop_peer(id, PeerError::Timeout { what, within });
            }
        }
    }

    pub(super) fn expire_requests(&mut self, now: Instant) {
        let late = |asked: Option<Instant>| asked.is_some_and(|deadline| deadline <= now);
        let expired: Vec<PeerId> =
            self.links().filter(|(.., link)| late(link.sync.asked)).map(|(id, ..)| id).collect();
        for id in expired {
            let (what, within) = ("answer to getheaders", self.timing.headers);
            self.drop_peer(id, PeerError::Timeout { what, within });
        }
    }

    /// A block was announced by its hash: its header is asked for.
    pub(super) fn on_announced(&mut self, id: PeerId) {
        if self.synced {
            self.ask_all(id);
        }
    }

    pub(super) fn on_headers(&mut self, id: PeerId, headers: &[[u8; header::LEN]]) {
        let Some(link) = self.peers.get_mut(&id).and_then(|peer| peer.link.as_mut()) else {
            return;
        };
        let asked = link.sync.asked.take();
        let aside = link.sync.presync.as_ref().is_some_and(|presync| is_aside(presync, headers));
        let outcome = if aside {
            self.on_unconnected(id, asked)
        } else if let Some(presync) = link.sync.presync.take() {
            self.on_presync(id, presync, headers)
        } else if let (Some(first), Some(last)) = (headers.first(), headers.last()) {
            match self.chain.is_paid(&header::parent(first)) {
                None => self.on_unconnected(id, asked),
                Some(true) => self.on_branch(id, headers, last),
                Some(false) if self.chain.is_worth(headers) => self.on_branch(id, headers, last),
                Some(false) => self.on_poor(id, headers, first, asked.is_some()),
            }
        } else {
            self.on_end(id)
        };
        if let Err(error) = outcome {
            self.drop_peer(id, error);
        }
    }

    /// Headers of a branch with enough work.
    fn on_branch(
        &mut self,
        id: PeerId,
        headers: &[[u8; header::LEN]],
        last: &[u8; header::LEN],
    ) -> Result<(), PeerError> {
        let more = headers.len() >= MAX_HEADERS;
        if more {
            // Asked before these are verified: the peer works meanwhile. If they turn out invalid,
            // the answer is not looked at any more.
            self.ask_after(id, header::hash(last));
        }
        self.store(id, headers)?;
        if more { Ok(()) } else { self.on_end(id) }
    }

    fn ask_after(&mut self, id: PeerId, hash: B256) {
        let mut locator = vec![hash];
        // If the peer has left that branch in the meantime, it finds another place to start from.
        locator.extend(self.chain.locator(self.chain.tip().height));
        self.ask(id, locator);
    }

    /// Verifies and stores headers whose branch has enough work.
    fn store(&mut self, id: PeerId, headers: &[[u8; header::LEN]]) -> Result<(), PeerError> {
        for some in headers.chunks(MAX_HEADERS) {
            let accepted = self.chain.extend(some, now_ms());
            let now = Instant::now();
            let moved = matches!(accepted.change, TipChange::Extended | TipChange::Reorg(_));
            if moved {
                self.tip_changed = now;
            }
            if let TipChange::Reorg(reorg) = &accepted.change {
                let (depth, common) = (reorg.removed.len(), reorg.common.0);
                tracing::info!(network = self.name, depth, common, "reorganisation");
            }
            if let Some(peer) = self.peers.get_mut(&id)
                && let Some(link) = peer.link.as_mut()
            {
                link.sync.unconnected = 0;
                if accepted.added > 0 {
                    self.branches_changed = true;
                    link.sync.useless = 0;
                    self.book.useful(peer.address);
                }
                if moved {
                    link.useful = now;
                }
            }
            if accepted.added == 0 {
                self.on_useless(id)?;
            }
            if let Some(error) = accepted.rejected {
                return Err(PeerError::Header(error));
            }
        }
        Ok(())
    }

    /// A message without anything that is stored.
    fn on_useless(&mut self, id: PeerId) -> Result<(), PeerError> {
        let link = self.peers.get_mut(&id).and_then(|peer| peer.link.as_mut());
        let count = link.map_or(0, |link| {
            link.sync.useless = link.sync.useless.saturating_add(1);
            link.sync.useless
        });
        if count > MOST_USELESS { Err(PeerError::Useless) } else { Ok(()) }
    }

    /// The peer has shown all it has.
    fn on_end(&mut self, id: PeerId) -> Result<(), PeerError> {
        if self.synced {
            return Ok(());
        }
        if !self.chain.has_minimum_work() {
            // It may be syncing itself; another peer is asked.
            return Err(PeerError::LowWork);
        }
        if let Some(peer) = self.peers.get(&id) {
            self.book.useful(peer.address);
        }
        self.synced = true;
        self.sync_peer = None;
        self.tip_changed = Instant::now();
        let tip = self.chain.tip();
        let (height, time) = (tip.height, self.chain.tip_time());
        tracing::info!(
            network = self.name,
            height,
            hash = header::shown(&tip.hash),
            time,
            "headers are in sync"
        );
        // The others may know more.
        let others: Vec<PeerId> = self.links().map(|(id, ..)| id).filter(|it| *it != id).collect();
        others.into_iter().for_each(|other| self.ask_all(other));
        Ok(())
    }

    /// Headers that follow nothing known.
    fn on_unconnected(&mut self, id: PeerId, asked: Option<Instant>) -> Result<(), PeerError> {
        let Some(link) = self.peers.get_mut(&id).and_then(|peer| peer.link.as_mut()) else {
            return Ok(());
        };
        link.sync.unconnected = link.sync.unconnected.saturating_add(1);
        if link.sync.unconnected > MOST_UNCONNECTED {
            return Err(PeerError::Unconnected);
        }
        if asked.is_some() {
            // Most likely an announcement that overtook the answer, which still has its deadline.
            link.sync.asked = asked;
        } else if self.synced {
            self.ask_all(id);
        }
        Ok(())
    }

    /// Headers that follow a known one on a branch without enough work, so far.
    fn on_poor(
        &mut self,
        id: PeerId,
        headers: &[[u8; header::LEN]],
        first: &[u8; header::LEN],
        asked: bool,
    ) -> Result<(), PeerError> {
        if headers.len() < MAX_HEADERS {
            // That is all of it. A small branch beside the best one is nobody's fault.
            return if asked { self.on_end(id) } else { self.on_useless(id) };
        }
        let now = now_ms() / 1_000;
        match self.chain.presync(&header::parent(first), now) {
            Some(presync) => self.on_presync(id, Box::new(presync), headers),
            None => Err(PeerError::Unconnected),
        }
    }

    fn on_presync(
        &mut self,
        id: PeerId,
        mut presync: Box<Presync>,
        headers: &[[u8; header::LEN]],
    ) -> Result<(), PeerError> {
        let step = match presync.step(headers) {
            // What a peer beside a synced one has too little of does not matter.
            Err(error) if self.synced && !error.is_offence() => return self.on_useless(id),
            Err(error) => return Err(PeerError::Presync(error)),
            Ok(step) => step,
        };
        let next = match step.next {
            Next::Request { after } => {
                let link = self.peers.get_mut(&id).and_then(|peer| peer.link.as_mut());
                if let Some(link) = link {
                    link.sync.presync = Some(presync);
                }
                self.ask(id, vec![after]);
                false
            }
            Next::Finished if headers.len() >= MAX_HEADERS => {
                if let Some(last) = headers.last() {
                    self.ask_after(id, header::hash(last));
                }
                false
            }
            Next::Finished => true,
        };
        self.store(id, &step.released)?;
        if next { self.on_end(id) } else { Ok(()) }
    }
}
