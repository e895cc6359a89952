//! Starting, supervising and stopping a node.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use grid_consensus::{Chain as _, EngineConfig, EngineStatus, Head, Net, Role};
use jsonrpsee::MethodsError;
use serde_json::Value;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    NodeConfig, NodeError, NodeMetrics, RpcError, RpcLimits,
    chain::GridChain,
    clock::Clock,
    duties::{self, Duties},
    gossip::{Gossip, GossipConfig, GossipHandle},
    health::Health,
    http::HttpServer,
    mempool::Mempool,
    metrics::gauge,
    rpc::{self, Module, RpcServer},
    store::Store,
    tasks::Tasks,
};

/// The consensus engine's folder inside a node's.
const CONSENSUS: &str = "consensus";
/// Longest time to the first block after a start; a single validator needs less than a second.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A node.
#[derive(Debug)]
pub struct Node;

impl Node {
    /// Opens the database, starts consensus and JSON-RPC, and returns once both run. The node stops when
    /// `cancel` fires or when any of its parts fails; [`NodeHandle::join`] says which.
    ///
    /// # Errors
    /// A [`NodeError`] naming what is wrong and the fix.
    pub async fn start(
        config: NodeConfig,
        cancel: CancellationToken,
    ) -> Result<NodeHandle, NodeError> {
        let server = match config.rpc {
            Some(address) => Some(rpc::bind(address, &config.rpc_limits, &config.rpc_cors)?),
            None => None,
        };
        let http = match config.health {
            Some(address) => Some(HttpServer::bind(address).await?),
            None => None,
        };
        let metrics = NodeMetrics::register(&config.metrics)?;
        if let Net::P2p { peers, .. } = &config.net {
            metrics.configured_peers.set(gauge(peers.len()));
        }
        let open = OpenChain {
            data_dir: config.data_dir.clone(),
            genesis: config.genesis,
            mempool: Mempool::new(config.mempool),
            metrics,
            clock: config.clock,
            cache_bytes: config.cache_bytes,
        };
        let chain = tokio::task::spawn_blocking(|| open.open())
            .await
            .map_err(|error| NodeError::Task { task: "store", reason: error.to_string() })??;
        let chain = Arc::new(chain);
        let gossip = start_gossip(config.gossip, &config.data_dir, &chain).await?;
        let gossip_handle = gossip.as_ref().map(Gossip::handle);
        let engine = watch::Sender::new(EngineStatus::default());
        let empty_block_interval = config.empty_block_interval.max(config.block_interval);
        let health = Arc::new(Health {
            chain: chain.clone(),
            engine: engine.subscribe(),
            validator: config.role.address(),
            gossip: gossip_handle.clone(),
            empty_block_interval,
        });
        let module = rpc::module(chain.clone(), health.clone(), &config.rpc_limits);
        let rpc_address = server.as_ref().map(RpcServer::address);
        let health_address = http.as_ref().map(HttpServer::address);
        let duties = match &config.role {
            Role::Validator(key) => Duties::new(chain.clone(), key.clone())?,
            Role::Full => None,
        };
        let engine = EngineConfig {
            home: config.data_dir.join(CONSENSUS),
            moniker: config.moniker,
            block_interval: config.block_interval,
            empty_block_interval,
            net: config.net,
            role: config.role,
            status: engine,
        };

        let mut tasks = Tasks::new(cancel.child_token());
        let cancel = tasks.cancel().clone();
        let run = grid_consensus::run(engine, chain.clone(), cancel.clone());
        tasks.spawn("consensus", async move { run.await.map_err(NodeError::from) });
        if let Some(gossip) = gossip {
            tasks.spawn("gossip", gossip.run(cancel.clone()));
        }
        if let Some(duties) = duties {
            tasks.spawn("duties", duties::run(duties, cancel.clone()));
        }
        if let Some(server) = server {
            // A module of its own: callers in this process never wait for those outside.
            let module = rpc::module(chain.clone(), health.clone(), &config.rpc_limits);
            tasks.spawn("rpc", server.serve(module, cancel.clone()));
        }
        if let Some(http) = http {
            tasks.spawn("http", http.run(health.clone(), config.metrics, cancel.clone()));
        }
        tasks.spawn("health", watch_health(health, cancel.clone()));
        let head = chain.head();
        tracing::info!(
            height = head.height,
            hash = %head.hash,
            database = %chain.store().path().display(),
            rpc = rpc_address.map(|address| address.to_string()),
            "node started"
        );
        Ok(NodeHandle {
            started_at: head.height,
            chain,
            module,
            rpc_address,
            health_address,
            gossip: gossip_handle,
            guard: cancel.clone().drop_guard(),
            cancel,
            supervisor: tokio::spawn(tasks.supervise()),
        })
    }
}

/// The exchange of transactions, where it is configured; its identity lies in the data folder.
async fn start_gossip(
    config: Option<GossipConfig>,
    data_dir: &Path,
    chain: &Arc<GridChain>,
) -> Result<Option<Gossip>, NodeError> {
    let Some(config) = config else { return Ok(None) };
    Ok(Some(Gossip::start(config, data_dir.join("gossip.key"), chain.clone()).await?))
}

/// The libp2p identity of the node whose folder this is, in base 58; made where there is none yet. Peers that name it
/// in its address, as `/p2p/…`, talk with nobody else there.
///
/// # Errors
/// Where the file can't be read or written.
pub fn peer_id(data_dir: &Path) -> Result<String, NodeError> {
    Ok(grid_consensus::peer_id(&data_dir.join(CONSENSUS))?)
}

/// What opening the chain needs; it reads and writes files.
struct OpenChain {
    data_dir: std::path::PathBuf,
    genesis: grid_core::genesis::Genesis,
    mempool: Mempool,
    metrics: NodeMetrics,
    clock: Clock,
    cache_bytes: usize,
}

impl OpenChain {
    fn open(self) -> Result<GridChain, NodeError> {
        let genesis = grid_core::genesis::build(&self.genesis)
            .map_err(|error| NodeError::Genesis(error.to_string()))?;
        let store = Store::open(&self.data_dir, &genesis, self.cache_bytes)?;
        let chain_id = self.genesis.chain_id;
        let chain = GridChain::new(chain_id, store, self.mempool, self.metrics)?;
        Ok(chain.with_clock(self.clock))
    }
}

/// Keeps the metrics up to date until the node is cancelled.
async fn watch_health(health: Arc<Health>, cancel: CancellationToken) -> Result<(), NodeError> {
    tokio::select! {
        () = cancel.cancelled() => Ok(()),
        never = health.watch() => match never {},
    }
}

/// A running node. Dropping the handle stops the node as [`Self::stop`] does.
#[derive(Debug)]
pub struct NodeHandle {
    chain: Arc<GridChain>,
    module: Module,
    rpc_address: Option<SocketAddr>,
    health_address: Option<SocketAddr>,
    gossip: Option<GossipHandle>,
    started_at: u64,
    cancel: CancellationToken,
    guard: DropGuard,
    supervisor: JoinHandle<Result<(), NodeError>>,
}

impl NodeHandle {
    /// The newest committed block.
    #[must_use]
    pub fn head(&self) -> Head {
        self.chain.head()
    }

    /// The newest committed block, and a notice of each later one.
    #[must_use]
    pub fn heads(&self) -> watch::Receiver<Head> {
        self.chain.heads()
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &Arc<GridChain> {
        &self.chain
    }

    /// Where JSON-RPC listens.
    #[must_use]
    pub const fn rpc_address(&self) -> Option<SocketAddr> {
        self.rpc_address
    }

    /// Where `/livez`, `/readyz` and `/metrics` listen.
    #[must_use]
    pub const fn health_address(&self) -> Option<SocketAddr> {
        self.health_address
    }

    /// The exchange of transactions with other nodes; `None` where this node has no peers.
    #[must_use]
    pub const fn gossip(&self) -> Option<&GossipHandle> {
        self.gossip.as_ref()
    }

    /// A handle for in-process calls that can be cloned and outlives a move of this one.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller { module: self.module.clone() }
    }

    /// Calls a JSON-RPC method in this process. `params` is an array, or null for none.
    ///
    /// # Errors
    /// The method's [`RpcError`], as over HTTP.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.caller().call(method, params).await
    }

    /// Waits until the node has committed a block since its start: consensus works.
    ///
    /// # Errors
    /// [`NodeError::NotReady`] after a minute, [`NodeError::Stopped`] where the node stops meanwhile.
    pub async fn wait_ready(&self) -> Result<(), NodeError> {
        let mut heads = self.heads();
        let started_at = self.started_at;
        let first = heads.wait_for(|head| head.height > started_at);
        tokio::select! {
            () = self.cancel.cancelled() => Err(NodeError::Stopped),
            result = tokio::time::timeout(READY_WITHIN, first) => match result {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(_)) => Err(NodeError::Stopped),
                Err(_) => Err(NodeError::NotReady(READY_WITHIN.as_secs())),
            },
        }
    }

    /// Whether the node is stopping or has stopped.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Asks the node to stop; [`Self::join`] waits for it.
    pub fn stop(&self) {
        self.cancel.cancel();
    }

    /// Waits until the node has stopped.
    ///
    /// # Errors
    /// What made it stop, unless it was asked to.
    pub async fn join(self) -> Result<(), NodeError> {
        let Self { supervisor, guard, .. } = self;
        let ended = supervisor.await;
        drop(guard);
        ended.map_err(|error| NodeError::Task { task: "supervisor", reason: error.to_string() })?
    }
}

/// In-process calls of a node's JSON-RPC methods.
#[derive(Debug, Clone)]
pub struct Caller {
    module: Module,
}

impl Caller {
    /// The methods of a chain that no engine runs: what is stored, and an idle mempool. For tools and tests.
    #[must_use]
    pub fn offline(chain: Arc<GridChain>) -> Self {
        let health = Arc::new(Health {
            chain: chain.clone(),
            engine: watch::Sender::new(EngineStatus::default()).subscribe(),
            validator: None,
            gossip: None,
            empty_block_interval: Duration::MAX,
        });
        Self { module: rpc::module(chain, health, &RpcLimits::default()) }
    }

    /// Answers one JSON-RPC request as it came over a connection.
    ///
    /// # Errors
    /// [`RpcError`] where the text is no request; what the method answers, errors too, is in the text.
    pub async fn answer(&self, request: &str) -> Result<String, RpcError> {
        let answer = self.module.raw_json_request(request, 1).await;
        let (text, _) = answer.map_err(|error| RpcError::not_a_request(error.to_string()))?;
        Ok(text.get().to_owned())
    }

    /// The methods themselves.
    #[cfg(test)]
    pub(crate) const fn methods(&self) -> &Module {
        &self.module
    }

    /// Calls a method. `params` is an array, or null for none.
    ///
    /// # Errors
    /// The method's [`RpcError`], as over HTTP.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        let params = match params {
            Value::Null => Vec::new(),
            Value::Array(params) => params,
            other => {
                return Err(RpcError::internal(format!("parameters must be an array: {other}")));
            }
        };
        self.module.call(method, params).await.map_err(|error| match error {
            MethodsError::JsonRpc(error) => error.into(),
            other => RpcError::internal(other.to_string()),
        })
    }
}
