//! HTTP servers of the tests' own, on free ports of the loopback interface.

use axum::Router;

use crate::NodeError;

/// Serves until the runtime ends; returns `http://host:port`.
pub(crate) async fn on_loopback(router: Router) -> Result<String, NodeError> {
    let opened = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = opened.map_err(NodeError::io(String::from("opening a port")))?;
    let address = listener.local_addr().map_err(NodeError::io(String::from("opening a port")))?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{address}"))
}
