//! A proxy in front of a real node that lies about headers.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header::AUTHORIZATION},
    response::{IntoResponse as _, Response},
};

use crate::{NodeError, rpc, serve};

/// What the proxy does to answers that hold headers. Everything else passes as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lie {
    /// Nothing.
    None,
    /// Another bit in the middle of the body.
    FlippedBit,
    /// The body's second half is missing.
    Truncated,
    /// Headers in the opposite order.
    Backwards,
    /// These bytes instead of headers.
    Replaced(Vec<u8>),
    /// A body without end.
    Endless,
    /// A byte each tenth of a second.
    Slow,
    /// An error page of some other server.
    Page,
}

/// A running proxy; it ends with its runtime.
#[derive(Debug)]
pub struct Liar {
    url: String,
    node: Arc<Node>,
}

#[derive(Debug)]
struct Node {
    url: String,
    lie: Mutex<Lie>,
}

impl Liar {
    /// A proxy to the node at `url` that is honest so far.
    ///
    /// # Errors
    /// [`NodeError::Io`] when there is no free port.
    pub async fn start(url: &str) -> Result<Self, NodeError> {
        let node = Arc::new(Node { url: url.into(), lie: Mutex::new(Lie::None) });
        let router = Router::new().fallback(pass).with_state(node.clone());
        Ok(Self { url: serve::on_loopback(router).await?, node })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on it lies like this.
    pub fn lie(&self, lie: Lie) {
        *self.node.lie.lock().unwrap_or_else(PoisonError::into_inner) = lie;
    }
}

async fn pass(
    State(node): State<Arc<Node>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let lie = node.lie.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let rest = path.starts_with("/rest/headers/");
    let asks_headers = rest || body.windows(14).any(|part| part == b"getblockheader");
    let login = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let url = format!("{}{path}", node.url);
    match rpc::forward(method == Method::POST, &url, login, body.to_vec()).await {
        Ok((status, answer)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            if asks_headers && status.is_success() {
                changed(lie, rest, answer)
            } else {
                (status, answer).into_response()
            }
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

fn changed(lie: Lie, rest: bool, mut answer: Vec<u8>) -> Response {
    match lie {
        Lie::None => {}
        Lie::FlippedBit => {
            let middle = answer.len() / 2;
            if let Some(byte) = answer.get_mut(middle).filter(|_| rest) {
                *byte ^= 1;
            }
        }
        Lie::Truncated => answer.truncate(answer.len() / 2 + 7),
        Lie::Backwards if rest => answer = answer.rchunks(80).flatten().copied().collect(),
        Lie::Replaced(bytes) if rest => answer = bytes,
        Lie::Backwards | Lie::Replaced(_) => {}
        Lie::Endless => return serve::endless(),
        Lie::Slow => return serve::slow(answer),
        Lie::Page => return serve::page(),
    }
    answer.into_response()
}
