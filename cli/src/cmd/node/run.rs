//! `grid node run`, and the node inside `grid start`.

use eyre::{Result, WrapErr as _};
use grid_node::{GossipConfig, Net, Node, NodeConfig, NodeHandle, Role};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    cmd::{genesis, signals::Signals},
    config::{Config, NodeRole},
    home::Home,
    keys, logging,
    output::Output,
    reload::Settings,
};

/// The main chain alone.
pub(super) async fn run(home: &Home, out: Output) -> Result<()> {
    let config = home.config()?;
    let log = logging::install(&config.log.filter, config.log.json || out.json)?;
    let signals = Signals::install()?;
    let node = start(home, &config, Some(config.node.listen), &signals.stop).await?;
    info!(rpc = %config.node.rpc, health = %config.node.listen, "the node is running");
    let settings = Settings::new(home, config, log, None);
    let done = async { node.join().await.wrap_err("the main chain stopped") };
    signals.run(&settings, done).await
}

/// Starts the node of a configuration, with an HTTP server for its health where it runs alone.
pub(in crate::cmd) async fn start(
    home: &Home,
    config: &Config,
    health: Option<std::net::SocketAddr>,
    cancel: &CancellationToken,
) -> Result<NodeHandle> {
    let section = &config.node;
    let genesis = genesis::read(&home.resolve(&section.genesis), "node.genesis")?;
    let mut node = NodeConfig::new(home.resolve(&section.data), genesis, role(home, config)?);
    node.moniker.clone_from(&section.moniker);
    node.block_interval = section.block_interval;
    node.empty_block_interval = section.empty_block_interval;
    node.rpc = Some(section.rpc);
    node.rpc_cors.clone_from(&section.rpc_cors);
    node.health = health;
    if let Some(p2p) = &section.p2p {
        node.net = Net::P2p {
            listen: p2p.listen.clone(),
            peers: p2p.peers.clone(),
            peers_only: p2p.peers_only,
        };
        node.gossip = p2p
            .gossip_listen
            .as_ref()
            .map(|listen| GossipConfig::new(listen, p2p.gossip_peers.clone()));
    }
    // The relayer's /metrics shows the process's default registry beside its own.
    node.metrics = prometheus::default_registry().clone();
    node.cache_bytes = usize::try_from(section.cache_mib).unwrap_or(32).saturating_mul(1024 * 1024);
    Node::start(node, cancel.clone()).await.wrap_err("the main chain cannot start")
}

/// The role, with the validator's key. Whether the key's account is elected changes with the epochs, so that no key is
/// refused here; a node that decides alone refuses one without a quorum when it starts.
fn role(home: &Home, config: &Config) -> Result<Role> {
    let section = &config.node;
    if section.role == NodeRole::Full {
        return Ok(Role::Full);
    }
    let password = keys::password(Some(&home.resolve(&section.password_file)))?;
    let signer =
        keys::open(&home.resolve(&section.key), &password).wrap_err("node.key cannot be used")?;
    Ok(Role::Validator(signer.into_credential()))
}
