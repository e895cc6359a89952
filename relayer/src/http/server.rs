//! A socket and the task that serves it.

use core::{net::SocketAddr, time::Duration};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Routes, listener::Bounded, router};
use crate::{
    error::RelayerError,
    relayer::Inner,
    supervise::{Pulse, TaskSpec},
};

/// Time between two signs of life while nobody asks.
const BEAT: Duration = Duration::from_secs(2);

/// Time that open requests get after a stop.
const GRACE: Duration = Duration::from_secs(4);

/// The server is late after this time without a sign of life.
const LATE: Duration = Duration::from_secs(45);

/// A server that has its address already.
pub(crate) struct Server {
    routes: Arc<Routes>,
    listener: std::net::TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes an address.
    pub(crate) fn bind(address: SocketAddr, routes: Routes) -> Result<Self, RelayerError> {
        let setting = routes.setting();
        let bind = || -> std::io::Result<Self> {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { routes: Arc::new(routes), listener, address })
        };
        bind().map_err(|error| RelayerError::Listen { setting, address, reason: error.to_string() })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The task that serves.
    pub(crate) fn task(self, inner: Arc<Inner>) -> TaskSpec {
        let Self { routes, listener, .. } = self;
        TaskSpec::new(routes.task(), LATE, move |pulse, cancel| {
            let (inner, routes, listener) = (inner.clone(), routes.clone(), listener.try_clone());
            async move {
                match listener.and_then(TcpListener::from_std) {
                    Ok(listener) => serve(inner, &routes, listener, pulse, cancel).await,
                    Err(error) => tracing::error!(%error, "the HTTP server's socket is gone"),
                }
            }
        })
    }
}

/// Serves until a stop; then open requests are answered and no new ones taken.
async fn serve(
    inner: Arc<Inner>,
    routes: &Routes,
    listener: TcpListener,
    pulse: Pulse,
    cancel: CancellationToken,
) {
    let stop = cancel.clone();
    let serve = axum::serve(Bounded::new(listener), router(routes).with_state(inner))
        .with_graceful_shutdown(async move { stop.cancelled().await });
    let beats = async {
        let mut timer = tokio::time::interval(BEAT);
        loop {
            timer.tick().await;
            pulse.progress();
        }
    };
    let grace = async {
        cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serve => if let Err(error) = served {
            tracing::error!(%error, "the HTTP server ended");
        },
        () = beats => {}
        // A client that neither asks nor leaves holds no stop up.
        () = grace => {}
    }
}
