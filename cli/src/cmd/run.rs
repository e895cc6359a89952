//! The daemons: `grid start`, `grid node run`, `grid relayer run`.

use std::{fs, sync::Arc, time::Duration};

use eyre::{Result, WrapErr as _, bail, eyre};
use grid_adapters::{Endpoint, HttpJsonRpc};
use grid_core::Level;
use grid_core::genesis::Genesis;
use grid_node::{Caller, Node, NodeConfig, NodeHandle};
use grid_relayer::{
    HttpTransport, LaneConfig, MainChain, Relayer, RelayerConfig, RelayerHandle, RpcMainChain,
    RpcTransport, TransportError,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{config::Config, home::Home, keys, logging, output::Output, sources};

/// The relayer's patience with one call to the main chain.
const MAIN_CHAIN_DEADLINE: Duration = Duration::from_secs(10);

/// Relayer and main chain in one process.
pub(super) async fn start(home: &Home, out: Output) -> Result<()> {
    let config = home.config()?;
    logging::install(&config.log.filter, config.log.json || out.json)?;
    let cancel = cancel_on_signal()?;
    let node = start_node(home, &config, &cancel).await?;
    let main = RpcMainChain::new(InProcess(node.caller()), MAIN_CHAIN_DEADLINE);
    let relayer = start_relayer(home, &config, Arc::new(main), &cancel).await;
    let relayer = match relayer {
        Ok(relayer) => relayer,
        Err(error) => {
            // Leave the block store in order before reporting.
            cancel.cancel();
            node.join().await?;
            return Err(error);
        }
    };
    info!(rpc = %config.node.rpc, relayer = %config.relayer.listen, "grid is running");
    // Whichever ends first ends the other: half a daemon helps nobody.
    let node_done = async {
        let result = node.join().await.wrap_err("the main chain stopped");
        cancel.cancel();
        result
    };
    let relayer_done = async {
        let result = relayer.join().await.wrap_err("the relayer stopped");
        cancel.cancel();
        result
    };
    let (node_result, relayer_result) = tokio::join!(node_done, relayer_done);
    node_result?;
    relayer_result
}

/// The main chain alone.
pub(super) async fn node(home: &Home, out: Output) -> Result<()> {
    let config = home.config()?;
    logging::install(&config.log.filter, config.log.json || out.json)?;
    let cancel = cancel_on_signal()?;
    let node = start_node(home, &config, &cancel).await?;
    info!(rpc = %config.node.rpc, "the node is running");
    node.join().await.wrap_err("the main chain stopped")
}

/// The relayer alone, against a node elsewhere.
pub(super) async fn relayer(home: &Home, out: Output) -> Result<()> {
    let config = home.config()?;
    logging::install(&config.log.filter, config.log.json || out.json)?;
    let cancel = cancel_on_signal()?;
    let endpoint = Endpoint::new(&config.relayer.main_chain, "relayer.main_chain")?;
    let transport = HttpTransport::new(HttpJsonRpc::new(endpoint)?);
    let main = RpcMainChain::new(transport, MAIN_CHAIN_DEADLINE);
    let relayer = start_relayer(home, &config, Arc::new(main), &cancel).await?;
    info!(relayer = %config.relayer.listen, "the relayer is running");
    relayer.join().await.wrap_err("the relayer stopped")
}

async fn start_node(
    home: &Home,
    config: &Config,
    cancel: &CancellationToken,
) -> Result<NodeHandle> {
    let file = home.resolve(&config.node.genesis);
    let text = fs::read_to_string(&file)
        .wrap_err_with(|| format!("node.genesis: cannot read {}", file.display()))?;
    let genesis: Genesis = serde_json::from_str(&text)
        .wrap_err_with(|| format!("node.genesis: {} is not a genesis", file.display()))?;
    let password = keys::password(Some(&home.resolve(&config.node.password_file)))?;
    let signer = keys::open(&home.resolve(&config.node.key), &password)
        .wrap_err("node.key cannot be used")?;
    if !genesis.validators.iter().any(|validator| validator.account == signer.address()) {
        bail!(
            "node.key: {} is not a validator of this chain; the genesis names {}",
            signer.address(),
            genesis.validators.iter().map(|v| v.account.to_string()).collect::<Vec<_>>().join(", ")
        );
    }
    let mut node =
        NodeConfig::new(home.resolve(&config.node.data), genesis, signer.into_credential());
    node.block_interval = config.node.block_interval;
    node.rpc = Some(config.node.rpc);
    // The relayer's /metrics shows the process's default registry beside its own.
    node.metrics = prometheus::default_registry().clone();
    node.cache_bytes =
        usize::try_from(config.node.cache_mib).unwrap_or(32).saturating_mul(1024 * 1024);
    Node::start(node, cancel.clone()).await.wrap_err("the main chain cannot start")
}

async fn start_relayer(
    home: &Home,
    config: &Config,
    main: Arc<dyn MainChain>,
    cancel: &CancellationToken,
) -> Result<RelayerHandle> {
    let password = keys::password(Some(&home.resolve(&config.relayer.password_file)))?;
    let signer = keys::open(&home.resolve(&config.relayer.key), &password)
        .wrap_err("relayer.key cannot be used")?;
    let mut relayer = RelayerConfig::new(home.resolve(&config.relayer.store), signer.clone());
    relayer.attesters = vec![signer];
    relayer.attest = sources::attestation(home, config)?;
    relayer.http = Some(config.relayer.listen);
    let poll = &config.relayer.poll;
    for (level, poll) in Level::ALL.into_iter().zip([poll.l0, poll.l1, poll.l2, poll.l3]) {
        relayer.lanes[usize::from(level.code())] = LaneConfig { poll, ..LaneConfig::of(level) };
    }
    let sources = sources::all(home, config)?;
    Relayer::start(relayer, sources, main, cancel.clone())
        .await
        .wrap_err("the relayer cannot start")
}

/// Cancelled by SIGINT and SIGTERM.
fn cancel_on_signal() -> Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let cancel = CancellationToken::new();
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|error| eyre!("signals: {error}"))?;
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| eyre!("signals: {error}"))?;
    let token = cancel.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        info!("stopping");
        token.cancel();
    });
    Ok(cancel)
}

/// Calls the node in this process.
#[derive(Debug)]
struct InProcess(Caller);

#[async_trait::async_trait]
impl RpcTransport for InProcess {
    async fn call(&self, method: &str, params: Value) -> Result<Value, TransportError> {
        self.0.call(method, params).await.map_err(|error| TransportError::Server {
            method: method.into(),
            code: i64::from(error.code),
            message: error.message,
            data: error.data,
        })
    }
}
