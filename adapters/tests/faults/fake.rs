//! HTTP servers on loopback whose answers a test decides.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use grid_adapters::{Endpoint, Limits};
use serde_json::{Value, json};

/// What arrived.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// How the server answers.
pub(crate) enum Reply {
    Send(StatusCode, Vec<u8>),
    /// With headers.
    With(StatusCode, Vec<(&'static str, String)>, Vec<u8>),
    /// The start of a body that goes on when the receiver says so.
    Stream(tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>),
    /// Never.
    Hang,
    /// Sends the start of a body, then breaks the connection.
    Cut(Vec<u8>),
    /// Sends bytes until nobody listens any more.
    Endless,
}

impl Reply {
    pub(crate) fn json(value: &Value) -> Self {
        Self::Send(StatusCode::OK, serde_json::to_vec(value).unwrap())
    }

    fn into_response(self) -> Response {
        match self {
            Self::Send(status, body) => (status, body).into_response(),
            Self::With(status, headers, body) => {
                let mut response = (status, body).into_response();
                response.headers_mut().clear();
                for (name, value) in headers {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                response
            }
            Self::Stream(receiver) => {
                let parts = futures::stream::unfold(receiver, |mut receiver| async move {
                    let part = receiver.recv().await?;
                    Some((Ok::<_, std::io::Error>(Bytes::from(part)), receiver))
                });
                Body::from_stream(parts).into_response()
            }
            Self::Cut(start) => {
                let broken = Err(std::io::Error::other("cut"));
                let parts = futures::stream::iter([Ok(Bytes::from(start)), broken]);
                Body::from_stream(parts).into_response()
            }
            Self::Endless => {
                let block = Bytes::from(vec![b' '; 1 << 16]);
                let parts =
                    futures::stream::repeat_with(move || Ok::<_, std::io::Error>(block.clone()));
                Body::from_stream(parts).into_response()
            }
            Self::Hang => unreachable!("handled before"),
        }
    }
}

/// A running server; it ends with its test's runtime.
pub(crate) struct Fake {
    address: SocketAddr,
}

impl Fake {
    /// Serves whatever `handler` says.
    pub(crate) async fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let handler = Arc::new(handler);
        let serve = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let handler = Arc::clone(&handler);
            async move {
                let path = uri.path_and_query().map_or_else(String::new, ToString::to_string);
                match handler(&Request { method, path, headers, body }) {
                    Reply::Hang => std::future::pending().await,
                    reply => reply.into_response(),
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(serve);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address }
    }

    /// Serves JSON-RPC, batches in reverse order; paths with `GET` go to `rest`.
    pub(crate) async fn rpc(
        call: impl Fn(&str, &Value) -> Outcome + Send + Sync + 'static,
        rest: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let one = move |request: &Value| {
            let id = request["id"].clone();
            match call(request["method"].as_str().unwrap(), &request["params"]) {
                Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
                Err((code, message)) => {
                    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
                }
            }
        };
        Self::start(move |request| {
            if request.method == Method::GET {
                return rest(&request.path);
            }
            match serde_json::from_slice(&request.body).unwrap() {
                Value::Array(batch) => Reply::json(&batch.iter().rev().map(&one).collect()),
                single => Reply::json(&one(&single)),
            }
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(&self.url(), "chain[0].rpc[0]").unwrap().with_limits(limits())
    }
}

/// A method's result, or its error code and message.
pub(crate) type Outcome = Result<Value, (i64, &'static str)>;

/// REST switched off, as Bitcoin Core answers.
pub(crate) fn no_rest(_: &str) -> Reply {
    Reply::Send(StatusCode::NOT_FOUND, Vec::new())
}

/// Limits small enough to meet them in a test, and a deadline that only a hanging server misses.
pub(crate) fn limits() -> Limits {
    Limits {
        timeout: Duration::from_secs(60),
        max_body: 1 << 20,
        max_batch: 7,
        ..Limits::default()
    }
}

/// For servers that hang.
pub(crate) fn hasty() -> Limits {
    Limits { timeout: Duration::from_millis(500), ..limits() }
}
