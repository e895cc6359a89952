//! The daemons with a relayer: `grid start`, `grid relayer run`.

use std::{sync::Arc, time::Duration};

use eyre::{Result, WrapErr as _, eyre};
use grid_adapters::{Endpoint, HttpJsonRpc};
use grid_core::Level;
use grid_node::Caller;
use grid_relayer::{
    HttpTransport, LaneConfig, MainChain, Relayer, RelayerConfig, RelayerHandle, RpcMainChain,
    RpcTransport, TransportError,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::node;
use crate::{config::Config, home::Home, keys, logging, output::Output, sources};

/// The relayer's patience with one call to the main chain.
const MAIN_CHAIN_DEADLINE: Duration = Duration::from_secs(10);

/// Relayer and main chain in one process.
pub(super) async fn start(home: &Home, out: Output) -> Result<()> {
    let config = home.config()?;
    logging::install(&config.log.filter, config.log.json || out.json)?;
    let cancel = cancel_on_signal()?;
    let node = node::start(home, &config, None, &cancel).await?;
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
pub(super) fn cancel_on_signal() -> Result<CancellationToken> {
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
pub(super) struct InProcess(pub(super) Caller);

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
