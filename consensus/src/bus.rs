//! A network in memory between the engines of one process: for tests.
//!
//! Everything that crosses it is encoded and decoded as on the wire. What happens to a message follows from a script:
//! who reaches whom, how long it takes, how many are lost; chance is seeded.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_malachitebft_app_channel::{
    NetworkMsg as Publish,
    app::{
        net::Multiaddr,
        types::{PeerId, SignedConsensusMsg, codec::Codec},
    },
};
use arc_malachitebft_core_consensus::LivenessMsg;
use arc_malachitebft_engine::network::{NetworkEvent, NetworkMsg, NetworkRef, Subscriber};
use arc_malachitebft_sync::{
    InboundRequestId, OutboundFailureReason, OutboundRequestId, Request, Response,
};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, async_trait};
use tokio::{sync::mpsc, time::sleep};

use crate::{codec::Borsh, context::Grid};

/// The shared medium.
#[derive(Clone, Default)]
pub struct Bus {
    wiring: Arc<Mutex<Wiring>>,
}

/// What the medium does to messages.
#[derive(Debug, Clone)]
pub struct Script {
    /// How long a message takes; the order of messages that overlap is lost.
    pub delay: Range<Duration>,
    /// How many of a thousand messages are lost. Requests and their answers are not.
    pub lost_per_mille: u16,
    /// Groups of ports that reach each other only; whoever is in none reaches nobody. Empty: all reach all.
    pub groups: Vec<Vec<u8>>,
}

impl Default for Script {
    fn default() -> Self {
        Self { delay: Duration::ZERO..Duration::ZERO, lost_per_mille: 0, groups: Vec::new() }
    }
}

/// One engine's place on a [`Bus`].
#[derive(Clone)]
pub struct BusPort {
    bus: Bus,
    number: u8,
}

/// Whom an actor tells of what happens.
type Subscribers = Vec<Box<dyn Subscriber<NetworkEvent<Grid>>>>;

#[derive(Default)]
struct Wiring {
    script: Script,
    random: u64,
    /// Who listens at each port, while an engine is there.
    ports: BTreeMap<u8, Subscribers>,
    /// Requests under way: who asked whom.
    requests: BTreeMap<u64, (u8, u8)>,
    requested: u64,
    messages: u64,
}

impl Bus {
    /// A medium without delays or losses, whose chance comes from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let bus = Self::default();
        bus.wiring().random = seed | 1;
        bus
    }

    /// The place of engine `number`.
    #[must_use]
    pub fn port(&self, number: u8) -> BusPort {
        BusPort { bus: self.clone(), number }
    }

    /// Changes what happens to messages from now on, also to those under way.
    pub fn set(&self, script: Script) {
        self.wiring().script = script;
    }

    /// How many messages were delivered.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.wiring().messages
    }

    fn wiring(&self) -> MutexGuard<'_, Wiring> {
        self.wiring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what `event` makes for everybody, by chance and script.
    fn broadcast(&self, from: u8, event: &NetworkEvent<Grid>) {
        let mut wiring = self.wiring();
        let others: Vec<u8> = wiring.ports.keys().copied().filter(|to| *to != from).collect();
        for to in others {
            let lost = wiring.chance() % 1000 < u64::from(wiring.script.lost_per_mille);
            if !lost {
                let delay = wiring.delay();
                self.carry(&mut wiring, from, to, delay, event.clone());
            }
        }
    }

    /// Delivers now or later; what can't arrive then is lost.
    fn carry(
        &self,
        wiring: &mut Wiring,
        from: u8,
        to: u8,
        delay: Duration,
        event: NetworkEvent<Grid>,
    ) {
        if delay.is_zero() {
            wiring.deliver(from, to, &event);
        } else {
            let bus = self.clone();
            tokio::spawn(async move {
                sleep(delay).await;
                bus.wiring().deliver(from, to, &event);
            });
        }
    }

    fn request(&self, from: u8, peer: PeerId, request: Request<Grid>) -> OutboundRequestId {
        let mut wiring = self.wiring();
        wiring.requested += 1;
        let id = wiring.requested;
        let to = wiring.ports.keys().copied().find(|to| peer_id(*to) == peer);
        match to {
            Some(to) if wiring.connected(from, to) => {
                wiring.requests.insert(id, (from, to));
                let event =
                    NetworkEvent::SyncRequest(InboundRequestId::new(id), peer_id(from), request);
                let delay = wiring.delay();
                self.carry(&mut wiring, from, to, delay, event);
            }
            _ => {
                let reason = OutboundFailureReason::DialFailure;
                let event =
                    NetworkEvent::SyncRequestFailed(OutboundRequestId::new(id), peer, reason);
                // After the asker has heard the request's id.
                self.carry(&mut wiring, from, from, Duration::from_millis(1), event);
            }
        }
        OutboundRequestId::new(id)
    }

    fn respond(&self, request: &InboundRequestId, response: Response<Grid>) {
        let mut wiring = self.wiring();
        let Some(id) = request.to_string().parse::<u64>().ok() else { return };
        let Some((asker, server)) = wiring.requests.remove(&id) else { return };
        let event =
            NetworkEvent::SyncResponse(OutboundRequestId::new(id), peer_id(server), Some(response));
        let delay = wiring.delay();
        self.carry(&mut wiring, server, asker, delay, event);
    }

    fn join(&self, number: u8, subscriber: Box<dyn Subscriber<NetworkEvent<Grid>>>) {
        let mut wiring = self.wiring();
        let others: Vec<u8> = wiring.ports.keys().copied().filter(|to| *to != number).collect();
        // The engine waits for its network to listen before it starts the first height.
        subscriber.send(NetworkEvent::Listening(Multiaddr::empty()));
        for other in others {
            subscriber.send(NetworkEvent::PeerConnected(peer_id(other)));
            wiring.deliver(number, other, &NetworkEvent::PeerConnected(peer_id(number)));
        }
        wiring.ports.entry(number).or_default().push(subscriber);
    }

    fn leave(&self, number: u8) {
        let mut wiring = self.wiring();
        wiring.ports.remove(&number);
        let others: Vec<u8> = wiring.ports.keys().copied().collect();
        for other in others {
            wiring.deliver(number, other, &NetworkEvent::PeerDisconnected(peer_id(number)));
        }
    }
}

impl Wiring {
    fn deliver(&mut self, from: u8, to: u8, event: &NetworkEvent<Grid>) {
        if from == to || self.connected(from, to) {
            self.messages += 1;
            for subscriber in self.ports.get(&to).into_iter().flatten() {
                subscriber.send(event.clone());
            }
        }
    }

    fn connected(&self, from: u8, to: u8) -> bool {
        let groups = &self.script.groups;
        groups.is_empty() || groups.iter().any(|group| group.contains(&from) && group.contains(&to))
    }

    /// Xorshift: enough for a script.
    fn chance(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn delay(&mut self) -> Duration {
        let Range { start, end } = self.script.delay;
        let span = u64::try_from(end.saturating_sub(start).as_micros()).unwrap_or(u64::MAX);
        let chance = self.chance();
        start + Duration::from_micros(chance.checked_rem(span).unwrap_or(0))
    }
}

/// A port's name: its number as an identity multihash (code 0, length 1), which no key has.
fn peer_id(number: u8) -> PeerId {
    PeerId::from_bytes(&[0, 1, number]).expect("an identity multihash")
}

/// The actor that an engine has for a network.
struct Port(BusPort);

/// Starts the actor of a port.
pub(crate) async fn spawn(
    port: &BusPort,
) -> Result<(NetworkRef<Grid>, mpsc::Sender<Publish<Grid>>), SpawnErr> {
    let (actor, _) = Actor::spawn(None, Port(port.clone()), ()).await?;
    let (publisher, mut published) = mpsc::channel::<Publish<Grid>>(1);
    let network = actor.clone();
    tokio::spawn(async move {
        while let Some(message) = published.recv().await {
            if network.cast(message.into()).is_err() {
                break;
            }
        }
    });
    Ok((actor, publisher))
}

/// A message as it comes out of the wire.
fn carried<T>(message: &T) -> Result<T, ActorProcessingErr>
where
    Borsh: Codec<T, Error = borsh::io::Error>,
{
    Ok(Borsh.decode(Borsh.encode(message)?)?)
}

#[async_trait]
impl Actor for Port {
    type Msg = NetworkMsg<Grid>;
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        _arguments: (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        _state: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let BusPort { bus, number } = &self.0;
        let from = peer_id(*number);
        match message {
            NetworkMsg::Subscribe(subscriber) => bus.join(*number, subscriber),
            NetworkMsg::PublishConsensusMsg(message) => {
                let event = match carried(&message)? {
                    SignedConsensusMsg::Vote(vote) => NetworkEvent::Vote(from, vote),
                    SignedConsensusMsg::Proposal(proposal) => {
                        NetworkEvent::Proposal(from, proposal)
                    }
                };
                bus.broadcast(*number, &event);
            }
            NetworkMsg::PublishLivenessMsg(message) => {
                let event = match carried(&message)? {
                    LivenessMsg::Vote(vote) => NetworkEvent::Vote(from, vote),
                    LivenessMsg::PolkaCertificate(polka) => {
                        NetworkEvent::PolkaCertificate(from, polka)
                    }
                    LivenessMsg::SkipRoundCertificate(skip) => {
                        NetworkEvent::RoundCertificate(from, skip)
                    }
                };
                bus.broadcast(*number, &event);
            }
            NetworkMsg::PublishProposalPart(part) => {
                let event = NetworkEvent::ProposalPart(from, Some(from), carried(&part)?);
                bus.broadcast(*number, &event);
            }
            NetworkMsg::BroadcastStatus(status) => {
                bus.broadcast(*number, &NetworkEvent::Status(from, status));
            }
            NetworkMsg::OutgoingRequest(peer, request, reply) => {
                answer(reply, bus.request(*number, peer, carried(&request)?));
            }
            NetworkMsg::OutgoingResponse(request, response) => {
                bus.respond(&request, carried(&response)?);
            }
            NetworkMsg::DumpState(reply) => answer(reply, None),
            _ => {}
        }
        Ok(())
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        _state: &mut (),
    ) -> Result<(), ActorProcessingErr> {
        self.0.bus.leave(self.0.number);
        Ok(())
    }
}

/// Answers; whoever asked may be gone.
fn answer<T>(reply: RpcReplyPort<T>, value: T) {
    drop(reply.send(value));
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("script", &self.wiring().script).finish_non_exhaustive()
    }
}

impl fmt::Debug for BusPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BusPort({})", self.number)
    }
}
