//! The task that owns the headers: connects peers, hears them, answers questions.
//!
//! What it does with headers is in [`sync`](super::sync), with blocks in
//! [`blocks`](super::blocks). Everything it holds is bounded: connections by configuration, what
//! each may have in flight by the protocol, addresses by the book, questions by their channel.

use std::{collections::BTreeMap, net::SocketAddr, time::Instant};

use alloy_primitives::B256;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{
    PeerError,
    blocks::{Fetches, Reply},
    book::Book,
    chain::Chain,
    config::{MAX_PEERS, P2pConfig, Timing},
    handshake::Remote,
    peer::{self, Command, Event, PeerId, Report, Settings},
    seeds,
    status::{Progress, Rate, Status, SyncPhase},
    sync::PeerSync,
};
use crate::bitcoin::header;

/// Events of all peers together that wait for this task.
const EVENTS: usize = 64;
/// How often names are looked up while peers are wanted.
const LOOKUP_EVERY: core::time::Duration = core::time::Duration::from_secs(60);
/// How often a long download says where it is.
const SAY_EVERY: core::time::Duration = core::time::Duration::from_secs(10);

/// What the source asks its owner.
#[derive(Debug)]
pub(super) enum Query {
    /// Headers of the best chain.
    Headers { from: u64, count: usize, reply: oneshot::Sender<Vec<[u8; header::LEN]>> },
    /// A block of the best chain.
    Block { hash: B256, reply: Reply },
    /// A peer's block turned out bad.
    Drop { peer: PeerId, error: PeerError },
}

/// A connection, from the first attempt on.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    /// Present after the handshake.
    pub(super) link: Option<Link>,
    task: tokio::task::AbortHandle,
}

/// The other end of a connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) remote: Remote,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) sync: PeerSync,
    /// When it last moved the tip, or was connected.
    pub(super) useful: Instant,
}

/// The owner of the header chain.
#[derive(Debug)]
pub(super) struct Driver {
    pub(super) name: String,
    pub(super) chain: Chain,
    pub(super) peers: BTreeMap<PeerId, Peer>,
    pub(super) book: Book,
    pub(super) fetches: Fetches,
    pub(super) timing: Timing,
    /// The peer whose chain is downloaded, until there is a synced one.
    pub(super) sync_peer: Option<PeerId>,
    pub(super) synced: bool,
    pub(super) tip_changed: Instant,
    pub(super) rate: Rate,
    /// Whether the branches beside the best one have to be looked at again.
    pub(super) branches_changed: bool,
    pub(super) status: watch::Sender<Status>,
    config: P2pConfig,
    port: u16,
    seed_names: Vec<String>,
    looked_up: Option<Instant>,
    said: Instant,
    /// Since when there is one connection more than configured, the tip being stale.
    extra_since: Option<Instant>,
    settings: Settings,
    next_peer: PeerId,
    tasks: JoinSet<Vec<(SocketAddr, bool)>>,
    events: mpsc::Sender<(PeerId, Event)>,
}

impl Driver {
    pub(super) fn new(
        chain: Chain,
        params: &grid_core::bitcoin::NetworkParams,
        config: P2pConfig,
        status: watch::Sender<Status>,
    ) -> (Self, mpsc::Receiver<(PeerId, Event)>) {
        let (events, heard) = mpsc::channel(EVENTS);
        let now = Instant::now();
        let timing = config.timing;
        let settings = Settings { magic: params.p2p_magic.0, nonce: rand::random(), timing };
        let driver = Self {
            name: params.name.clone(),
            chain,
            peers: BTreeMap::new(),
            book: Book::new(timing.ban, timing.retry, timing.retry_most),
            fetches: Fetches::default(),
            timing,
            sync_peer: None,
            synced: false,
            tip_changed: now,
            rate: Rate::new(now),
            branches_changed: true,
            status,
            port: params.p2p_port,
            seed_names: seeds::names(params, &config),
            config,
            looked_up: None,
            said: now,
            extra_since: None,
            settings,
            next_peer: 0,
            tasks: JoinSet::new(),
            events,
        };
        (driver, heard)
    }

    /// Runs until nobody can ask any more. Dropping the future ends all connections.
    pub(super) async fn run(
        mut self,
        mut queries: mpsc::Receiver<Query>,
        mut heard: mpsc::Receiver<(PeerId, Event)>,
    ) {
        let mut ticks = interval(self.timing.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                query = queries.recv() => match query {
                    Some(query) => self.answer(query),
                    None => return,
                },
                Some((peer, event)) = heard.recv() => self.hear(peer, event),
                Some(done) = self.tasks.join_next() => {
                    for (address, fixed) in done.unwrap_or_default() {
                        self.book.add(address, fixed);
                    }
                    self.connect();
                }
                _ = ticks.tick() => self.tick(),
            }
            self.publish();
        }
    }

    fn answer(&mut self, query: Query) {
        match query {
            Query::Headers { from, count, reply } => {
                // Whoever asked may have given up.
                let _ = reply.send(self.chain.headers(from, count).to_vec());
            }
            Query::Block { hash, reply } => self.fetch(hash, reply),
            Query::Drop { peer, error } => self.drop_peer(peer, error),
        }
    }

    fn hear(&mut self, id: PeerId, event: Event) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match event {
            Event::Ready { remote, commands } => {
                let height = remote.height;
                tracing::debug!(
                    network = self.name, peer = %peer.address, agent = remote.agent, height,
                    "peer connected"
                );
                let (sync, useful) = (PeerSync::default(), Instant::now());
                peer.link = Some(Link { remote, commands, sync, useful });
                self.welcome(id);
            }
            Event::Headers(headers) => {
                self.rate.add(headers.len());
                self.on_headers(id, &headers);
            }
            Event::Announced => self.on_announced(id),
            Event::Block(raw) => self.on_block(id, &raw),
            Event::NotFound(hashes) => self.on_not_found(id, &hashes),
            Event::Closed(error) => self.drop_peer(id, error),
        }
    }

    /// Ends a connection, if it has not ended itself, and remembers why.
    pub(super) fn drop_peer(&mut self, id: PeerId, error: PeerError) {
        let Some(peer) = self.peers.remove(&id) else { return };
        peer.task.abort();
        let penalty = error.penalty();
        tracing::debug!(network = self.name, peer = %peer.address, %error, ?penalty, "peer dropped");
        if penalty == super::error::Penalty::Ban {
            tracing::warn!(network = self.name, peer = %peer.address, %error, "peer banned");
        }
        self.book.ended(peer.address, error, Instant::now());
        self.fetch_elsewhere(id);
        if self.sync_peer == Some(id) {
            self.sync_peer = None;
            self.choose_sync_peer();
        }
    }

    /// Peers after their handshake.
    pub(super) fn links(&self) -> impl Iterator<Item = (PeerId, &Peer, &Link)> {
        self.peers.iter().filter_map(|(id, peer)| Some((*id, peer, peer.link.as_ref()?)))
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.look_up(now);
        self.connect();
        self.expire_requests(now);
        self.expire_fetches(now);
        self.rotate(now);
    }

    /// Looks configured names and, where they are used, seeds up; off this task, now and then.
    fn look_up(&mut self, now: Instant) {
        let fresh = self.looked_up.is_some_and(|at| now.duration_since(at) < LOOKUP_EVERY);
        if fresh || (self.looked_up.is_some() && self.peers.len() >= self.most_peers()) {
            return;
        }
        self.looked_up = Some(now);
        let (fixed, found) = (self.config.peers.clone(), self.seed_names.clone());
        let (port, timing) = (self.port, self.timing);
        self.tasks.spawn(async move {
            let fixed = seeds::resolve(fixed, port, timing).await;
            let found = seeds::resolve(found, port, timing).await;
            let mark = |addresses: Vec<SocketAddr>, fixed| {
                addresses.into_iter().map(move |address| (address, fixed))
            };
            mark(fixed, true).chain(mark(found, false)).collect()
        });
    }

    fn most_peers(&self) -> usize {
        let wanted = self.config.max_peers.max(self.config.peers.len()).clamp(1, MAX_PEERS);
        wanted.saturating_add(usize::from(self.extra_since.is_some()))
    }

    fn connect(&mut self) {
        let now = Instant::now();
        let mut due = self.book.due(now).into_iter();
        while self.peers.len() < self.most_peers() {
            // Places of configured peers stay free for them.
            let free = self.most_peers().saturating_sub(self.config.peers.len());
            let next = due.next().or_else(|| {
                (self.book.drawn() < free).then(|| self.book.draw(now, rand::random()))?
            });
            let Some(address) = next else { return };
            self.book.connecting(address);
            let peer = self.next_peer;
            self.next_peer = peer.wrapping_add(1);
            let report = Report { peer, to: self.events.clone() };
            let run = peer::run(address, self.settings.clone(), report);
            let task = self.tasks.spawn(async {
                run.await;
                Vec::new()
            });
            self.peers.insert(peer, Peer { address, link: None, task });
        }
    }

    /// A tip that stays the same may mean that all peers hide something: another one is asked, and
    /// takes the place of the peer that was useful longest ago.
    fn rotate(&mut self, now: Instant) {
        let stale = now.duration_since(self.tip_changed) >= self.timing.stale_tip;
        match self.extra_since {
            None if stale && self.synced => {
                tracing::info!(network = self.name, "no new block for long, asking another peer");
                self.extra_since = Some(now);
            }
            Some(since) if now.duration_since(since) >= self.timing.extra_peer => {
                self.extra_since = None;
                self.tip_changed = now;
                let oldest = self.links().min_by_key(|(_, _, link)| link.useful);
                let oldest = oldest.map(|(id, ..)| id);
                if self.peers.len() > self.most_peers()
                    && let Some(id) = oldest
                {
                    self.drop_peer(id, PeerError::Rotated);
                }
            }
            _ => {}
        }
    }

    fn publish(&mut self) {
        let now = Instant::now();
        let progress = self.progress(now);
        let busy = !matches!(progress.phase, SyncPhase::Synced | SyncPhase::Connecting);
        if busy && now.duration_since(self.said) >= SAY_EVERY {
            self.said = now;
            tracing::info!(
                network = self.name,
                phase = ?progress.phase,
                height = progress.height,
                best_known = progress.best_known,
                headers_per_second = progress.headers_per_second,
                "header sync"
            );
        }
        let tip = self.synced.then(|| self.chain.tip());
        let errors = if progress.peers > 0 { Vec::new() } else { self.book.errors() };
        let branches = (self.synced && core::mem::take(&mut self.branches_changed))
            .then(|| self.chain.branches());
        self.status.send_if_modified(|status| {
            if let Some(branches) = branches {
                status.branches = branches;
            }
            status.errors =
                errors.into_iter().map(|(address, error)| (address.to_string(), error)).collect();
            let changed = status.progress != progress || status.tip != tip;
            (status.progress, status.tip) = (progress, tip);
            changed
        });
    }

    fn progress(&mut self, now: Instant) -> Progress {
        let headers_per_second = self.rate.per_second(now);
        let tip = self.chain.tip().height;
        let best_known = self.links().map(|(_, _, link)| link.remote.height).max();
        let sync_peer = self.sync_peer.and_then(|id| self.peers.get(&id)?.link.as_ref());
        let presync = sync_peer.and_then(|link| link.sync.presync_height());
        let peers = self.links().count();
        let (phase, height) = match presync {
            _ if self.synced => (SyncPhase::Synced, tip),
            _ if peers == 0 => (SyncPhase::Connecting, tip),
            Some(height) => (SyncPhase::Presync, height),
            None => (SyncPhase::Downloading, tip),
        };
        let best_known = best_known.unwrap_or(0).max(tip);
        Progress { phase, height, best_known, headers_per_second, peers }
    }
}
