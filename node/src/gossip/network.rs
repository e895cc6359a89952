//! The libp2p side: transport, protocol, bounds on connections.

use std::time::Duration;

use alloy_primitives::B256;
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder,
    allow_block_list::{self, BlockedPeers},
    connection_limits::{self, ConnectionLimits},
    futures::StreamExt as _,
    identity::Keypair,
    noise, request_response,
    swarm::{NetworkBehaviour, StreamProtocol, SwarmEvent},
    tcp, yamux,
};

use super::{GossipConfig, GossipError, wire::Codec};

/// How long a peer has to answer, and a connection to come about.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Connections live as long as both sides do.
const IDLE: Duration = Duration::from_secs(365 * 24 * 3_600);
/// Messages on their way at once on one connection.
const STREAMS: usize = 8;
/// Connections that are being established at once.
const PENDING: u32 = 16;
/// Both sides may dial at the same time.
const PER_PEER: u32 = 2;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) exchange: request_response::Behaviour<Codec>,
    pub(super) blocked: allow_block_list::Behaviour<BlockedPeers>,
    limits: connection_limits::Behaviour,
}

/// The protocol of one chain: another chain's nodes have none in common with it.
pub(super) fn protocol(chain_id: u64, genesis: B256) -> Result<StreamProtocol, GossipError> {
    StreamProtocol::try_from_owned(format!("/grid/{chain_id}/{genesis:x}/transactions/1"))
        .map_err(|error| GossipError::Setup(error.to_string()))
}

/// A node of the network that does not listen yet.
pub(super) fn swarm(
    keypair: Keypair,
    protocol: StreamProtocol,
    inbound: u32,
    outbound: u32,
) -> Result<Swarm<Behaviour>, GossipError> {
    let setup = |error: &dyn std::fmt::Display| GossipError::Setup(error.to_string());
    let limits = ConnectionLimits::default()
        .with_max_pending_incoming(Some(PENDING))
        .with_max_established_incoming(Some(inbound))
        .with_max_established_outgoing(Some(outbound))
        .with_max_established_per_peer(Some(PER_PEER));
    let config = request_response::Config::default()
        .with_request_timeout(PATIENCE)
        .with_max_concurrent_streams(STREAMS);
    let behaviour = Behaviour {
        exchange: request_response::Behaviour::new(
            [(protocol, request_response::ProtocolSupport::Full)],
            config,
        ),
        blocked: allow_block_list::Behaviour::default(),
        limits: connection_limits::Behaviour::new(limits),
    };
    let mut streams = yamux::Config::default();
    streams.set_max_num_streams(4 * STREAMS);
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, move || streams)
        .map_err(|error| setup(&error))?
        .with_dns()
        .map_err(|error| setup(&error))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| setup(&error))?
        .with_swarm_config(|config| {
            config.with_idle_connection_timeout(IDLE).with_max_negotiating_inbound_streams(STREAMS)
        })
        .with_connection_timeout(PATIENCE)
        .build();
    Ok(swarm)
}

/// Listens, and returns the first address with its real port.
pub(super) async fn listen(
    swarm: &mut Swarm<Behaviour>,
    config: &GossipConfig,
) -> Result<Multiaddr, GossipError> {
    let address = address("listen", &config.listen)?;
    let failed = |reason: String| GossipError::Listen { address: config.listen.clone(), reason };
    let listener = swarm.listen_on(address).map_err(|error| failed(error.to_string()))?;
    let wait = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => return Ok(address),
                SwarmEvent::ListenerClosed { listener_id, reason, .. }
                    if listener_id == listener =>
                {
                    return Err(failed(format!("{reason:?}")));
                }
                SwarmEvent::ListenerError { error, .. } => return Err(failed(error.to_string())),
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| Err(failed("no answer from the system".into())))
}

/// Reads a TCP multiaddress.
pub(super) fn address(field: &'static str, value: &str) -> Result<Multiaddr, GossipError> {
    let refuse = |reason: String| GossipError::Config { field, value: value.to_owned(), reason };
    let address: Multiaddr =
        value.parse().map_err(|error: libp2p::multiaddr::Error| refuse(error.to_string()))?;
    let tcp = address.iter().any(|part| matches!(part, libp2p::multiaddr::Protocol::Tcp(_)));
    if !tcp {
        let reason = "expected a TCP multiaddress such as /ip4/127.0.0.1/tcp/9643";
        return Err(refuse(reason.to_owned()));
    }
    Ok(address)
}
