//! How an engine stands, for operators.

use std::{collections::BTreeMap, time::Duration};

use alloy_primitives::Address;
use arc_malachitebft_app_channel::{NetworkRequest, app::types::PeerId};
use arc_malachitebft_core_types::SigningScheme as _;
use arc_malachitebft_engine::network::{NetworkEvent, NetworkRef, NetworkStateDump};
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr, async_trait};
use tokio::{
    sync::{mpsc, watch},
    time::{interval, sleep, timeout},
};

use crate::context::{Grid, Scheme};

/// How often the list of peers is refreshed.
const REFRESH: Duration = Duration::from_secs(1);

/// How an engine stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineStatus {
    /// The height that is being decided; 0 before the engine runs.
    pub height: u64,
    /// The round of that height.
    pub round: u32,
    /// Connected peers, by increasing peer id.
    pub peers: Vec<EnginePeer>,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnginePeer {
    /// Its libp2p identity, which the encrypted connection proves.
    pub peer_id: String,
    /// The multiaddress of the connection.
    pub address: String,
    /// What it calls itself.
    pub moniker: String,
    /// Its validator's address, where it has proved to have that key. Says nothing of whether the address is
    /// in the current set.
    pub validator: Option<Address>,
    /// The newest block that it says it has.
    pub height: Option<u64>,
}

/// What peers show of their progress.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// The highest height that a peer votes on or has a block of.
    pub(crate) ahead: u64,
    /// Whether a peer was ever connected.
    pub(crate) met: bool,
    /// The newest block that each peer says it has.
    tips: BTreeMap<PeerId, u64>,
}

/// Watches what the network delivers, beside the engine.
struct Observer {
    progress: watch::Sender<Progress>,
}

/// Starts to watch a network.
pub(crate) async fn observe(
    network: &NetworkRef<Grid>,
) -> Result<(ActorRef<Seen>, watch::Receiver<Progress>), SpawnErr> {
    let (progress, seen) = watch::channel(Progress::default());
    let (actor, _) = Actor::spawn(None, Observer { progress }, network.clone()).await?;
    Ok((actor, seen))
}

/// An event of the network.
#[derive(Debug)]
pub(crate) struct Seen(NetworkEvent<Grid>);

impl From<NetworkEvent<Grid>> for Seen {
    fn from(event: NetworkEvent<Grid>) -> Self {
        Self(event)
    }
}

#[async_trait]
impl Actor for Observer {
    type Msg = Seen;
    type State = ();
    type Arguments = NetworkRef<Grid>;

    async fn pre_start(
        &self,
        myself: ActorRef<Seen>,
        network: NetworkRef<Grid>,
    ) -> Result<(), ActorProcessingErr> {
        use arc_malachitebft_engine::network::NetworkMsg;
        Ok(network.cast(NetworkMsg::Subscribe(Box::new(myself)))?)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Seen>,
        Seen(event): Seen,
        _state: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match event {
            NetworkEvent::Vote(_, vote) => self.raise(vote.message.height.0),
            NetworkEvent::Proposal(_, proposal) => self.raise(proposal.message.height.0),
            NetworkEvent::Status(peer, status) => {
                let tip = status.tip_height.0;
                self.progress.send_modify(|progress| {
                    progress.tips.insert(peer, tip);
                });
                self.raise(tip);
            }
            NetworkEvent::PeerConnected(_) => self.progress.send_modify(|progress| {
                progress.met = true;
            }),
            NetworkEvent::PeerDisconnected(peer) => self.progress.send_modify(|progress| {
                progress.tips.remove(&peer);
            }),
            _ => {}
        }
        Ok(())
    }
}

impl Observer {
    fn raise(&self, height: u64) {
        self.progress.send_if_modified(|progress| {
            let higher = height > progress.ahead;
            progress.ahead = progress.ahead.max(height);
            higher
        });
    }
}

/// How long a node listens to its first peer before it believes that it knows how far the chain is: peers that have
/// blocks say so every second.
const LISTEN: Duration = Duration::from_millis(2_500);

/// Waits for a peer, listens, and gives the height of the newest block that exists as far as peers show.
pub(crate) async fn listen(mut progress: watch::Receiver<Progress>) -> u64 {
    if progress.wait_for(|progress| progress.met).await.is_err() {
        // The network is gone, which ends the run elsewhere.
        return std::future::pending().await;
    }
    sleep(LISTEN).await;
    let progress = progress.borrow();
    let tip = progress.tips.values().max().copied().unwrap_or(0);
    tip.max(progress.ahead.saturating_sub(1))
}

/// Keeps the list of peers fresh; never ends.
pub(crate) async fn report(
    requests: mpsc::Sender<NetworkRequest>,
    progress: watch::Receiver<Progress>,
    status: watch::Sender<EngineStatus>,
) -> std::convert::Infallible {
    let mut beat = interval(REFRESH);
    loop {
        beat.tick().await;
        // A network without peers has no list; one that does not answer is noticed elsewhere.
        let dump = timeout(REFRESH, NetworkRequest::dump_state(&requests)).await;
        let Ok(Ok(Some(dump))) = dump else { continue };
        let peers = peers(&dump, &progress.borrow());
        status.send_if_modified(|status| {
            let changed = status.peers != peers;
            status.peers = peers;
            changed
        });
    }
}

fn peers(dump: &NetworkStateDump, progress: &Progress) -> Vec<EnginePeer> {
    let mut peers: Vec<_> = dump
        .peers
        .iter()
        .map(|(peer, info)| EnginePeer {
            peer_id: peer.to_string(),
            address: info.address.to_string(),
            moniker: info.moniker.clone(),
            validator: info
                .consensus_public_key
                .as_ref()
                .and_then(|key| Scheme::decode_public_key(key).ok())
                .map(|address| address.0),
            height: PeerId::from_bytes(&peer.to_bytes())
                .ok()
                .and_then(|peer| progress.tips.get(&peer).copied()),
        })
        .collect();
    peers.sort_unstable_by(|a, b| a.peer_id.cmp(&b.peer_id));
    peers
}
