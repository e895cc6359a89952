//! The libp2p network: identity and settings.

use std::{io, path::Path, time::Duration};

use arc_malachitebft_app_channel::{
    NetworkIdentity, NetworkMsg,
    app::{
        config::{ConsensusConfig, ValuePayload},
        metrics::SharedRegistry,
        net::{Multiaddr, PeerId},
        types::{Keypair, codec::Codec},
    },
    spawn::spawn_network_actor,
};
use arc_malachitebft_core_types::SigningScheme;
use arc_malachitebft_engine::network::NetworkRef;
use arc_malachitebft_signing::Signer;
use tokio::sync::mpsc;

use crate::{
    codec::Borsh,
    context::{Grid, Scheme},
    engine::{Settings, not_started},
    error::EngineError,
    home::{NETWORK_KEY, Paths, failed, replace},
    sign::Keyring,
};

/// What nodes speak: chain and version. Peers that speak something else are turned away.
fn protocol(chain_id: u64) -> String {
    format!("/grid/{chain_id}/consensus/1")
}

/// Starts the network.
pub(crate) async fn spawn(
    moniker: &str,
    settings: &Settings,
    home: &Paths,
    keyring: Option<&Keyring>,
) -> Result<(NetworkRef<Grid>, mpsc::Sender<NetworkMsg<Grid>>), EngineError> {
    let identity = identity(moniker.to_owned(), &home.network_key, keyring).await?;
    let registry = SharedRegistry::global().with_moniker(settings.moniker.as_str());
    spawn_network_actor(identity, &settings.consensus, &settings.sync, &registry, Borsh)
        .await
        .map_err(|error| EngineError::Start(format!("{error:#}")))
}

/// The libp2p identity: an ed25519 key of its own, so that the validator's key signs votes only,
/// and a proof by the validator's key that the two belong together. A full node has no proof.
async fn identity(
    moniker: String,
    key_file: &Path,
    keyring: Option<&Keyring>,
) -> Result<NetworkIdentity, EngineError> {
    let keypair = keypair(key_file)?;
    let Some(keyring) = keyring else {
        return Ok(NetworkIdentity::new(moniker, keypair, None));
    };
    let peer = PeerId::from_public_key(&keypair.public());
    let public_key = Scheme::encode_public_key(&keyring.address());
    let proof = keyring
        .sign_validator_proof(public_key, peer.to_bytes())
        .await
        .map_err(|error| not_started(&error))?;
    let proof = Borsh.encode(&proof).map_err(|error| not_started(&error))?;
    let address = keyring.address().to_string();
    Ok(NetworkIdentity::new_validator(moniker, keypair, address, proof))
}

/// The libp2p identity of the engine whose home this is, in base 58; made where there is none yet.
///
/// # Errors
/// [`EngineError::Home`] where the file can't be read or written.
pub fn peer_id(home: &Path) -> Result<String, EngineError> {
    std::fs::create_dir_all(home).map_err(|source| failed(home, source))?;
    let keypair = keypair(&home.join(NETWORK_KEY))?;
    Ok(PeerId::from_public_key(&keypair.public()).to_base58())
}

/// Reads the key, or makes one.
fn keypair(path: &Path) -> Result<Keypair, EngineError> {
    let invalid = |error: &dyn std::fmt::Display| {
        failed(path, io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    };
    match std::fs::read(path) {
        Ok(bytes) => Keypair::from_protobuf_encoding(&bytes).map_err(|error| invalid(&error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let keypair = Keypair::generate_ed25519();
            let bytes = keypair.to_protobuf_encoding().map_err(|error| invalid(&error))?;
            replace(path, &bytes).map_err(|source| failed(path, source))?;
            Ok(keypair)
        }
        Err(source) => Err(failed(path, source)),
    }
}

/// The engine's settings without a network.
pub(crate) fn solo() -> ConsensusConfig {
    ConsensusConfig { value_payload: ValuePayload::ProposalAndParts, ..Default::default() }
}

/// The engine's settings for a network of fixed peers.
pub(crate) fn config(
    chain_id: u64,
    listen: &str,
    peers: &[String],
    peers_only: bool,
) -> Result<ConsensusConfig, EngineError> {
    let mut config = solo();
    config.p2p.listen_addr = multiaddr("listen", listen)?;
    if !listen.contains("/tcp/") {
        return Err(EngineError::Config {
            field: "listen",
            value: listen.to_owned(),
            reason: "expected a TCP multiaddress such as /ip4/127.0.0.1/tcp/26656".to_owned(),
        });
    }
    config.p2p.persistent_peers =
        peers.iter().map(|peer| multiaddr("peer", peer)).collect::<Result<_, _>>()?;
    config.p2p.persistent_peers_only = peers_only;
    config.p2p.protocol_names.consensus = protocol(chain_id);
    // The engine admits few connections from one address and slows them down. Validators behind one
    // address (a development network on one machine, a data centre's gateway) are normal here, and
    // who may send what is decided by validator proofs and signed parts, not by address.
    config.p2p.discovery.max_connections_per_ip = 256;
    config.p2p.discovery.ip_throttle_duration = Duration::ZERO;
    Ok(config)
}

fn multiaddr(field: &'static str, value: &str) -> Result<Multiaddr, EngineError> {
    value.parse().map_err(|error: <Multiaddr as std::str::FromStr>::Err| EngineError::Config {
        field,
        value: value.to_owned(),
        reason: error.to_string(),
    })
}
