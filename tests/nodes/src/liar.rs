//! A proxy in front of a real node, Bitcoin Core or anvil, that lies about headers.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header::AUTHORIZATION},
    response::{IntoResponse as _, Response},
};

use serde_json::{Value, json};

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
    /// Ethereum: another `gasUsed` in every block, and the hash that the honest block has.
    Edited,
    /// Ethereum: no block is known.
    Missing,
    /// The answer never begins.
    Hang,
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
    let asks = |method: &[u8]| body.windows(method.len()).any(|part| part == method);
    let asks_headers = rest || asks(b"getblockheader") || asks(b"eth_getBlockBy");
    if asks_headers && lie == Lie::Hang {
        std::future::pending::<()>().await;
    }
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
        Lie::None | Lie::Hang => {}
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
        Lie::Edited => answer = blocks(&answer, |block| block["gasUsed"] = json!("0x1234567")),
        Lie::Missing => answer = blocks(&answer, |block| *block = Value::Null),
    }
    answer.into_response()
}

/// The answer to one call or to several, with each block changed.
fn blocks(answer: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_slice::<Value>(answer) else { return answer.to_vec() };
    let answers = match &mut json {
        Value::Array(answers) => answers.as_mut_slice(),
        one => std::slice::from_mut(one),
    };
    for block in answers.iter_mut().filter_map(|answer| answer.get_mut("result")) {
        if block.is_object() {
            change(block);
        }
    }
    json.to_string().into_bytes()
}
