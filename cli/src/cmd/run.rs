//! The daemons with a relayer: `grid start`, `grid relayer run`.

use std::{sync::Arc, time::Duration};

use eyre::{Result, WrapErr as _};
use grid_adapters::EndpointMetrics;
use grid_node::Caller;
use grid_relayer::{
    AdminConfig, HttpTransport, MainChain, Relayer, RelayerConfig, RelayerHandle, Reload,
    RpcMainChain, RpcTransport, TransportError,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{node, signals::Signals};
use crate::{
    args::DaemonArgs,
    config::Config,
    database,
    home::Home,
    keys,
    logging::{self, LogFilter},
    output::Output,
    reload::Settings,
    sources,
};

/// The relayer's patience with one call to the main chain.
const MAIN_CHAIN_DEADLINE: Duration = Duration::from_secs(10);

/// The same where several nodes are asked, one after the other.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);

/// Relayer and main chain in one process.
pub(super) async fn start(home: &Home, args: &DaemonArgs, out: Output) -> Result<()> {
    let config = home.config()?;
    let log = logging::install(&config.log.filter, config.log.json || out.json)?;
    let signals = Signals::install()?;
    let cancel = signals.stop.clone();
    let metrics = EndpointMetrics::new()?;
    let node = node::start(home, &config, None, &cancel).await?;
    let main = RpcMainChain::new(InProcess(node.caller()), MAIN_CHAIN_DEADLINE);
    let main = Arc::new(main);
    let relayer = start_relayer(home, &config, args, main, metrics.clone(), &cancel).await;
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
    let settings = settings(home, config, log, &relayer, metrics);
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
    let both = async {
        let (node_result, relayer_result) = tokio::join!(node_done, relayer_done);
        node_result?;
        relayer_result
    };
    Box::pin(signals.run(settings.as_ref(), both)).await
}

/// The relayer alone, against a node elsewhere.
pub(super) async fn relayer(home: &Home, args: &DaemonArgs, out: Output) -> Result<()> {
    let config = home.config()?;
    let log = logging::install(&config.log.filter, config.log.json || out.json)?;
    let signals = Signals::install()?;
    let metrics = EndpointMetrics::new()?;
    let nodes = sources::main_chain(&config.relayer, Some(&metrics))?;
    // Enough for a transaction that several nodes let time out, one after the other.
    let patience = config.relayer.pool.deadline.saturating_mul(3).max(MAIN_CHAIN_DEADLINE);
    let main = RpcMainChain::new(HttpTransport::new(nodes)?, patience.min(LONGEST_PATIENCE));
    let main = Arc::new(main);
    let relayer = start_relayer(home, &config, args, main, metrics.clone(), &signals.stop).await?;
    info!(relayer = %config.relayer.listen, "the relayer is running");
    let settings = settings(home, config, log, &relayer, metrics);
    let done = async { relayer.join().await.wrap_err("the relayer stopped") };
    Box::pin(signals.run(settings.as_ref(), done)).await
}

/// How the settings are read again, by signal and by the relayer's own interface.
fn settings(
    home: &Home,
    config: Config,
    log: LogFilter,
    relayer: &RelayerHandle,
    metrics: EndpointMetrics,
) -> Arc<dyn Reload> {
    let relays = Some((relayer.control(), metrics));
    let settings = Arc::new(Settings::new(home, config, log, relays));
    relayer.on_reload(settings.clone());
    settings
}

async fn start_relayer(
    home: &Home,
    config: &Config,
    args: &DaemonArgs,
    main: Arc<dyn MainChain>,
    metrics: EndpointMetrics,
    cancel: &CancellationToken,
) -> Result<RelayerHandle> {
    let password = keys::password(Some(&home.resolve(&config.relayer.password_file)))?;
    let signer = keys::open(&home.resolve(&config.relayer.key), &password)
        .wrap_err("relayer.key cannot be used")?;
    let mut relayer =
        RelayerConfig::new(database::location(home, &config.relayer)?, signer.clone());
    relayer.name.clone_from(&config.relayer.name);
    relayer.submit.dry_run = args.dry_run;
    relayer.attesters = vec![signer];
    relayer.attest = sources::attestation(home, config)?;
    relayer.http = Some(config.relayer.listen);
    relayer.submit.lease = config.relayer.lease;
    relayer.submit.turn_delay = config.relayer.turn_delay;
    let admin = |token| AdminConfig { listen: config.relayer.admin.listen, token };
    relayer.admin = sources::admin_token(home, config)?.map(admin);
    relayer.lanes = config.relayer.lanes();
    relayer.guarantee = config.relayer.guarantee.config();
    relayer.messages.poll = config.relayer.poll.l0;
    relayer.messages.sources = sources::messages(home, config, &metrics)?;
    let sources = sources::all(home, config, &metrics)?;
    relayer.endpoints = Some(metrics);
    Relayer::start(relayer, sources, main, cancel.clone())
        .await
        .wrap_err("the relayer cannot start")
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
