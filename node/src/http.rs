//! `/livez`, `/readyz` and `/metrics` of a node that runs alone.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::{Registry, TextEncoder};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{NodeError, health::Health};

/// Most requests that are answered at once.
const REQUESTS: usize = 32;
/// How long running requests may take to end when the node stops.
const GRACE: Duration = Duration::from_secs(1);

/// What the pages are made from.
#[derive(Debug, Clone)]
struct Pages {
    health: Arc<Health>,
    registry: Registry,
    /// Permits for the requests that are answered at once.
    slots: Arc<Semaphore>,
}

/// A bound server that does not answer yet.
#[derive(Debug)]
pub(crate) struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl HttpServer {
    /// Binds the address, so that a taken port is found before anything else starts.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, NodeError> {
        let failed = |source: io::Error| NodeError::HealthListen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens; the port is the real one where 0 was asked for.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the node is cancelled.
    pub(crate) async fn run(
        self,
        health: Arc<Health>,
        registry: Registry,
        cancel: CancellationToken,
    ) -> Result<(), NodeError> {
        let router = router(
            Pages { health, registry, slots: Arc::new(Semaphore::new(REQUESTS)) },
            self.address,
        );
        let stop = cancel.clone();
        let served = axum::serve(self.listener, router)
            .with_graceful_shutdown(async move { stop.cancelled().await });
        let cut = async {
            cancel.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            result = served => result.map_err(|source| NodeError::Task {
                task: "http",
                reason: source.to_string(),
            }),
            () = cut => Ok(()),
        }
    }
}

fn router(pages: Pages, address: SocketAddr) -> Router {
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .layer(middleware::from_fn_with_state(pages.clone(), bounded))
        .with_state(pages);
    if address.ip().is_loopback() {
        router.layer(middleware::from_fn(only_loopback))
    } else {
        router
    }
}

/// Answers few requests at once.
async fn bounded(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    match pages.slots.try_acquire() {
        Ok(_slot) => next.run(request).await,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "too many requests at once\n").into_response(),
    }
}

/// On loopback only names of loopback are answered: a web page that resolves its own name to 127.0.0.1 can't read
/// the node's pages.
async fn only_loopback(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    match name {
        Some("localhost" | "127.0.0.1" | "[::1]") => next.run(request).await,
        _ => (StatusCode::FORBIDDEN, "the host header names another host\n").into_response(),
    }
}

/// The process answers, and no part of the node has ended.
async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(State(pages): State<Pages>) -> Response {
    let problems = pages.health.problems();
    if problems.is_empty() {
        return (StatusCode::OK, "ok\n").into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", problems.join("\n"))).into_response()
}

async fn metrics(State(pages): State<Pages>) -> Response {
    match TextEncoder::new().encode_to_string(&pages.registry.gather()) {
        Ok(text) => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (kind, text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            let text = "metrics cannot be written, see the log\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}
