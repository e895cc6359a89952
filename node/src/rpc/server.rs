//! HTTP and WebSocket, on a runtime of their own.

use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use jsonrpsee::server::{
    BatchRequestConfig, PingConfig, RandomStringIdProvider, Server, ServerBuilder, ServerConfig,
    middleware::http::HostFilterLayer,
};
use tokio_util::sync::CancellationToken;
use tower::{
    ServiceBuilder,
    layer::util::{Identity, Stack},
};
use tower_http::cors::CorsLayer;

use super::{
    Module,
    budget::Budget,
    origin::{Origins, UpgradeFilterLayer},
};
use crate::{NodeError, RpcLimits};

/// How long running calls may take to end when the node stops.
const GRACE: Duration = Duration::from_secs(2);
/// How long a new connection may stay silent.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// How much lower than that of consensus their priority is, in Unix's niceness.
#[cfg(target_os = "linux")]
const PRIORITY: i32 = 5;
/// Threads that read requests and write answers.
const IO_THREADS: usize = 2;
/// Subscriptions of one WebSocket connection.
pub(super) const MAX_SUBSCRIPTIONS: u32 = 16;

type HttpLayers = Stack<CorsLayer, Stack<UpgradeFilterLayer, Stack<HostFilterLayer, Identity>>>;

/// A bound server that does not answer yet.
pub(crate) struct RpcServer {
    server: Server<HttpLayers, Identity>,
    address: SocketAddr,
    runtime: OwnRuntime,
}

/// Binds the address, so that a taken port is found before anything else starts.
pub(crate) fn bind(
    address: SocketAddr,
    limits: &RpcLimits,
    cors: &[String],
) -> Result<RpcServer, NodeError> {
    let origins = Origins::parse(cors).map_err(NodeError::RpcCors)?;
    let failed = |source| NodeError::RpcListen { address, source };
    let runtime = OwnRuntime::start(limits).map_err(failed)?;
    let config = ServerConfig::builder()
        .max_request_body_size(limits.request_bytes)
        .max_response_body_size(limits.response_bytes)
        .max_connections(limits.connections)
        .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch))
        .set_message_buffer_capacity(64)
        .set_id_provider(RandomStringIdProvider::new(16))
        .enable_ws_ping(PingConfig::new().ping_interval(Duration::from_secs(30)))
        .set_first_request_timeout(Some(FIRST_REQUEST))
        .set_tcp_no_delay(true)
        .custom_tokio_runtime(runtime.handle())
        .build();
    let cors = origins.cors();
    let layers =
        ServiceBuilder::new().layer(host_filter(address)).layer(origins.upgrades()).layer(cors);
    // A listener belongs to the runtime in which it is made.
    let entered = runtime.handle();
    let _entered = entered.enter();
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let server = ServerBuilder::new()
        .set_config(config)
        .set_http_middleware(layers)
        .build_from_tcp(listener)
        .map_err(failed)?;
    let address = server.local_addr().map_err(failed)?;
    Ok(RpcServer { server, address, runtime })
}

/// On loopback only names of loopback are answered: a web page that resolves its own name to 127.0.0.1
/// can't reach the node.
fn host_filter(address: SocketAddr) -> HostFilterLayer {
    if !address.ip().is_loopback() {
        return HostFilterLayer::disable();
    }
    HostFilterLayer::new(["localhost:*", "127.0.0.1:*", "[::1]:*"])
        .unwrap_or_else(|_| HostFilterLayer::disable())
}

impl RpcServer {
    /// Where it listens; the port is the real one where 0 was asked for.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `cancel` fires.
    ///
    /// # Errors
    /// [`NodeError::Task`] where the server ends by itself.
    pub(crate) async fn serve(
        self,
        module: Module,
        cancel: CancellationToken,
    ) -> Result<(), NodeError> {
        let Self { server, runtime, .. } = self;
        let handle = server.start(module);
        let ended = tokio::select! {
            () = cancel.cancelled() => Ok(()),
            () = handle.clone().stopped() => {
                Err(NodeError::Task { task: "rpc", reason: "the server stopped".to_owned() })
            }
        };
        let stopping = handle.stop().is_ok();
        if stopping && tokio::time::timeout(GRACE, handle.stopped()).await.is_err() {
            tracing::warn!("calls were still running when the node stopped");
        }
        runtime.stop().await;
        ended
    }
}

/// The threads of JSON-RPC, apart from those of consensus and below them in priority: whatever calls
/// cost, blocks come first.
struct OwnRuntime(Option<tokio::runtime::Runtime>);

impl OwnRuntime {
    fn start(limits: &RpcLimits) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(IO_THREADS)
            .max_blocking_threads(Budget::threads(limits))
            .thread_name("grid-rpc")
            .on_thread_start(lower_priority)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    fn handle(&self) -> tokio::runtime::Handle {
        // It is only taken by `stop` and by `drop`.
        self.0.as_ref().map_or_else(tokio::runtime::Handle::current, |one| one.handle().clone())
    }

    /// Ends all its tasks, and gives running calls some time.
    async fn stop(mut self) {
        if let Some(runtime) = self.0.take() {
            let ending = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(GRACE));
            if ending.await.is_err() {
                tracing::warn!("the threads of JSON-RPC did not end in order");
            }
        }
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // A runtime must not wait for its threads inside another one.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// On Linux a thread has its own priority; elsewhere this would be the whole process's.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(PRIORITY) {
        tracing::debug!(%error, "JSON-RPC keeps its priority");
    }
}
