//! The exchange of transactions between nodes.
//!
//! A node announces the hashes of what waits in its mempool; whoever lacks a transaction asks for it. So the
//! receiver sets the pace, each transaction crosses a link once, and nothing arrives that was not asked for.
//! A transaction of a peer goes the way of one that was submitted here, on one blocking thread; what the mempool
//! admits is announced further. Design and limits: `docs/adr/0011-gossip.md`.
//!
//! Connections are authenticated (noise, ed25519). The protocol's name has the chain id and the hash of
//! genesis in it, so nodes of other chains find nothing to talk about. Everything that a peer can cause
//! is bounded: connections, streams, bytes, waiting hashes, recoveries of signatures a second.

mod config;
mod dial;
mod error;
mod exchange;
mod handle;
mod identity;
mod intake;
mod meter;
mod network;
mod peer;
mod recent;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use libp2p::{
    PeerId, Swarm,
    core::{ConnectedPoint, transport::ListenerId},
    futures::StreamExt as _,
    swarm::{ConnectionId, DialError, SwarmEvent},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{NodeError, chain::GridChain, metrics::gauge};
pub use config::{GossipConfig, GossipLimits};
use dial::Dial;
pub use error::GossipError;
pub use handle::{GossipHandle, GossipPeer};
use intake::Intake;
use meter::Meter;
use network::{Behaviour, BehaviourEvent};
use peer::{Link, Peer};
pub use wire::{Answer, MAX_HASHES, Request};

/// Between two looks at what only time makes possible, while there is something and while there is nothing.
const BUSY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_millis(500);
/// What has waited so long is announced again so often: a peer may have had no room for it.
const REMIND: Duration = Duration::from_secs(60);
/// How long a peer that was dropped is kept away.
const BAN: Duration = Duration::from_secs(600);
/// How long a peer of another chain, or one that is of little use, is kept away.
const PAUSE: Duration = Duration::from_secs(60);
/// Most peers that are kept away; the first of them may come again when there are more.
const MOST_BANS: usize = 4_096;

/// The gossip of one node. It listens since [`Self::start`] and does everything else in [`Self::run`].
pub struct Gossip {
    chain: Arc<GridChain>,
    limits: GossipLimits,
    swarm: Swarm<Behaviour>,
    handle: GossipHandle,
    shown: watch::Sender<Vec<GossipPeer>>,
    peers: HashMap<PeerId, Peer>,
    dials: Vec<Dial>,
    intake: Intake,
    /// Transactions that may be fetched from all peers together.
    budget: Meter,
    arrived: watch::Receiver<u64>,
    /// Arrivals in the mempool that the peers were told of.
    told: u64,
    bans: VecDeque<(Instant, PeerId)>,
    reminded: Instant,
    /// Which peer is asked first next time.
    turn: usize,
}

impl fmt::Debug for Gossip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gossip").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl Gossip {
    /// Reads the identity, or makes one, and listens.
    ///
    /// # Errors
    /// [`GossipError`] for an unusable setting, key or address.
    pub async fn start(
        config: GossipConfig,
        key_file: PathBuf,
        chain: Arc<GridChain>,
    ) -> Result<Self, NodeError> {
        let store = chain.clone();
        let read = move || Ok((identity::load(&key_file)?, genesis_hash(&store)?));
        let (keypair, genesis) = tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| task_failed(&error))?
            .map_err(|error: NodeError| error)?;
        let (now, limits) = (Instant::now(), config.limits);
        let dials: Vec<_> = config
            .peers
            .iter()
            .map(|peer| Ok(Dial::new(network::address("peer", peer)?, now)))
            .collect::<Result<_, GossipError>>()?;
        let protocol = network::protocol(chain.id(), genesis)?;
        let outbound = u32::try_from(dials.len()).unwrap_or(u32::MAX);
        let mut swarm = network::swarm(keypair, protocol, limits.inbound, outbound)?;
        let address = network::listen(&mut swarm, &config).await?;
        let (shown, peers) = watch::channel(Vec::new());
        let handle = GossipHandle { id: *swarm.local_peer_id(), address, peers };
        for reason in DROPS {
            chain.metrics().gossip_dropped_total.with_label_values(&[reason]).inc_by(0);
        }
        for outcome in OUTCOMES {
            chain.metrics().gossip_received_total.with_label_values(&[outcome]).inc_by(0);
        }
        let mut arrived = chain.mempool().arrived();
        let told = *arrived.borrow_and_update();
        Ok(Self {
            intake: Intake::new(chain.clone(), now),
            budget: Meter::new(limits.rate, limits.rate.saturating_mul(2), now),
            peers: HashMap::new(),
            bans: VecDeque::new(),
            reminded: now,
            turn: 0,
            chain,
            limits,
            swarm,
            handle,
            shown,
            dials,
            arrived,
            told,
        })
    }

    /// What the rest of the node sees of it.
    #[must_use]
    pub fn handle(&self) -> GossipHandle {
        self.handle.clone()
    }

    /// Exchanges transactions until `cancel` fires.
    ///
    /// # Errors
    /// Where the node no longer listens, or judging a transaction panicked.
    pub async fn run(mut self, cancel: CancellationToken) -> Result<(), NodeError> {
        let mut tick = Instant::now();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                event = self.swarm.select_next_some() => self.on_event(event)?,
                judged = self.intake.next() => {
                    self.on_judged(judged.map_err(|error| task_failed(&error))?);
                }
                _ = self.arrived.changed() => self.tell(),
                () = tokio::time::sleep_until(tick.into()) => {
                    self.on_tick(Instant::now());
                    tick = Instant::now() + IDLE;
                }
            }
            if self.peers.values().any(Peer::waits) {
                tick = tick.min(Instant::now() + BUSY);
            }
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) -> Result<(), NodeError> {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Exchange(event)) => self.on_exchange(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                let Some(peer) = self.peers.get_mut(&peer_id) else { return Ok(()) };
                peer.links.remove(&connection_id);
                if peer.links.is_empty() {
                    tracing::debug!(peer = %peer_id, ?cause, "gossip peer left");
                    self.forget(&peer_id);
                }
                self.show();
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                let own = matches!(error, DialError::LocalPeerId { .. });
                let now = Instant::now();
                for dial in &mut self.dials {
                    if dial.failed(connection_id, own, now) {
                        tracing::debug!(address = %dial.address, %error, "gossip peer not reached");
                    }
                }
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(address = %send_back_addr, %error, "gossip connection refused");
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                return Err(self.not_listening(listener_id, &reason));
            }
            _ => {}
        }
        Ok(())
    }

    fn not_listening(&self, id: ListenerId, reason: &Result<(), std::io::Error>) -> NodeError {
        let reason = format!("listener {id} ended: {reason:?}");
        GossipError::Listen { address: self.handle.address(), reason }.into()
    }

    fn on_connected(&mut self, id: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        for dial in &mut self.dials {
            dial.connected(connection, id);
        }
        let link =
            Link { address: endpoint.get_remote_address().clone(), outbound: endpoint.is_dialer() };
        let peer = self.peers.entry(id).or_insert_with(|| Peer::new(&self.limits, now));
        peer.links.insert(connection, link);
        self.announce(now);
        self.show();
    }

    fn on_tick(&mut self, now: Instant) {
        while self.bans.front().is_some_and(|(until, _)| *until <= now)
            || self.bans.len() > MOST_BANS
        {
            let Some((_, peer)) = self.bans.pop_front() else { break };
            self.swarm.behaviour_mut().blocked.unblock_peer(peer);
        }
        for dial in &mut self.dials {
            let Some(options) = dial.due(now, |peer| self.peers.contains_key(peer)) else {
                continue;
            };
            let connection = options.connection_id();
            if let Err(error) = self.swarm.dial(options) {
                tracing::debug!(address = %dial.address, %error, "gossip peer not dialled");
                dial.failed(connection, matches!(error, DialError::LocalPeerId { .. }), now);
            }
        }
        if now.saturating_duration_since(self.reminded) >= REMIND {
            self.reminded = now;
            for hash in self.chain.mempool().waiting(REMIND) {
                self.peers.values_mut().for_each(|peer| peer.remind(hash));
            }
        }
        self.release(now);
        self.announce(now);
        self.fetch(now);
    }

    /// Ends the connections to a peer. `away` keeps it from coming back so soon.
    fn drop_peer(&mut self, id: PeerId, reason: Reason, detail: &str, away: Option<Duration>) {
        let Some(peer) = self.peers.get(&id) else { return };
        let address = peer.links.values().next().map(|link| link.address.to_string());
        tracing::info!(peer = %id, address, reason = reason.label(), detail, "gossip peer dropped");
        let dropped = &self.chain.metrics().gossip_dropped_total;
        dropped.with_label_values(&[reason.label()]).inc();
        match away {
            Some(time) if self.swarm.behaviour_mut().blocked.block_peer(id) => {
                let until = Instant::now() + time;
                let at = self.bans.partition_point(|(other, _)| *other <= until);
                self.bans.insert(at, (until, id));
            }
            _ => drop(self.swarm.disconnect_peer_id(id)),
        }
        self.forget(&id);
        self.show();
    }

    fn forget(&mut self, id: &PeerId) {
        let Some(peer) = self.peers.remove(id) else { return };
        if let Some((_, hashes)) = peer.fetching {
            self.intake.answered(&hashes, None);
        }
        let now = Instant::now();
        self.dials.iter_mut().for_each(|dial| dial.lost(id, now));
    }

    /// Publishes the list of peers.
    fn show(&self) {
        let mut list: Vec<_> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.proven)
            .filter_map(|(id, peer)| {
                let link = peer.links.values().max_by_key(|link| link.outbound)?;
                Some(GossipPeer {
                    peer_id: id.to_base58(),
                    address: link.address.to_string(),
                    outbound: link.outbound,
                })
            })
            .collect();
        list.sort_unstable();
        self.chain.metrics().gossip_peers.set(gauge(list.len()));
        self.shown.send_if_modified(|shown| {
            let changed = *shown != list;
            *shown = list;
            changed
        });
    }
}

/// Why a peer is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// It speaks another chain's protocol, or none.
    Chain,
    /// It did not answer.
    Silent,
    /// It broke the protocol or sent what no honest node sends.
    Invalid,
    /// It brought too much that is of no use.
    Useless,
}

/// Their labels.
const DROPS: [&str; 4] = ["chain", "silent", "invalid", "useless"];
/// What becomes of transactions that peers send, as labels.
const OUTCOMES: [&str; 4] = ["accepted", "refused", "useless", "invalid"];

impl Reason {
    const fn label(self) -> &'static str {
        match self {
            Self::Chain => DROPS[0],
            Self::Silent => DROPS[1],
            Self::Invalid => DROPS[2],
            Self::Useless => DROPS[3],
        }
    }
}

fn task_failed(error: &tokio::task::JoinError) -> NodeError {
    NodeError::Task { task: "gossip", reason: error.to_string() }
}

fn genesis_hash(chain: &GridChain) -> Result<B256, NodeError> {
    let header = chain.store().view()?.header(0)?;
    let missing = || GossipError::Setup("the database has no genesis block".into());
    Ok(header.ok_or_else(missing)?.hash_slow())
}
