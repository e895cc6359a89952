//! HTTP servers of the tests' own on the loopback interface, and bad answers that several of them give.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use tokio::task::JoinHandle;

use crate::NodeError;

/// Serves on a free port until the runtime ends; returns `http://host:port`.
pub(crate) async fn on_loopback(router: Router) -> Result<String, NodeError> {
    on_port(router, 0).await.map(|(url, _)| url)
}

/// Serves on a port, a free one for 0, until the task is aborted; returns `http://host:port`.
pub(crate) async fn on_port(
    router: Router,
    port: u16,
) -> Result<(String, JoinHandle<()>), NodeError> {
    let opened = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
    let listener = opened.map_err(NodeError::io(format!("opening port {port}")))?;
    let address = listener.local_addr().map_err(NodeError::io(format!("opening port {port}")))?;
    let task = tokio::spawn(async move {
        // It never returns by itself.
        let _ = axum::serve(listener, router).await;
    });
    Ok((format!("http://{address}"), task))
}

/// A body without end.
pub(crate) fn endless() -> Response {
    let block = Bytes::from(vec![b' '; 1 << 16]);
    let parts = std::iter::repeat_with(move || Ok::<_, std::io::Error>(block.clone()));
    Body::from_stream(futures::stream::iter(parts)).into_response()
}

/// A byte each tenth of a second.
pub(crate) fn slow(body: Vec<u8>) -> Response {
    let bytes = futures::stream::unfold(body.into_iter(), |mut left| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let byte = left.next()?;
        Some((Ok::<_, std::io::Error>(Bytes::copy_from_slice(&[byte])), left))
    });
    Body::from_stream(bytes).into_response()
}

/// An error page of some other server.
pub(crate) fn page() -> Response {
    let page = "<html><head><title>502 Bad Gateway</title></head></html>";
    (StatusCode::OK, [("content-type", "text/html")], page).into_response()
}
