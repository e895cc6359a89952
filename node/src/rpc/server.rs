//! HTTP and WebSocket.

use std::{net::SocketAddr, time::Duration};

use jsonrpsee::server::{
    BatchRequestConfig, PingConfig, RandomStringIdProvider, Server, ServerBuilder, ServerConfig,
    ServerHandle, middleware::http::HostFilterLayer,
};
use tower::ServiceBuilder;

use super::Module;
use crate::{NodeError, RpcLimits};

type HttpLayers = tower::layer::util::Stack<HostFilterLayer, tower::layer::util::Identity>;

/// A bound server that does not answer yet.
pub(crate) struct RpcServer {
    server: Server<HttpLayers, tower::layer::util::Identity>,
    address: SocketAddr,
}

/// Binds the address, so that a taken port is found before anything else starts.
pub(crate) async fn bind(address: SocketAddr, limits: &RpcLimits) -> Result<RpcServer, NodeError> {
    let config = ServerConfig::builder()
        .max_request_body_size(limits.request_bytes)
        .max_response_body_size(limits.response_bytes)
        .max_connections(limits.connections)
        .max_subscriptions_per_connection(16)
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch))
        .set_message_buffer_capacity(64)
        .set_id_provider(RandomStringIdProvider::new(16))
        .enable_ws_ping(PingConfig::new().ping_interval(Duration::from_secs(30)))
        .set_tcp_no_delay(true)
        .build();
    let failed = |source| NodeError::RpcListen { address, source };
    let server = ServerBuilder::new()
        .set_config(config)
        .set_http_middleware(ServiceBuilder::new().layer(host_filter(address)))
        .build(address)
        .await
        .map_err(failed)?;
    let address = server.local_addr().map_err(failed)?;
    Ok(RpcServer { server, address })
}

/// On loopback only names of loopback are answered: a web page that resolves its own name to 127.0.0.1
/// can't reach the node. There are no CORS headers, so browsers keep other pages out as well.
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

    /// Starts answering.
    pub(crate) fn start(self, module: Module) -> ServerHandle {
        self.server.start(module)
    }
}
