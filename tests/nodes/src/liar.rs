//! A proxy in front of a real node, Bitcoin Core or anvil, that lies about headers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

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
    passed: Mutex<BTreeMap<String, u64>>,
}

impl Liar {
    /// A proxy to the node at `url` that is honest so far.
    ///
    /// # Errors
    /// [`NodeError::Io`] when there is no free port.
    pub async fn start(url: &str) -> Result<Self, NodeError> {
        let (lie, passed) = (Mutex::new(Lie::None), Mutex::default());
        let node = Arc::new(Node { url: url.into(), lie, passed });
        let router = Router::new().fallback(pass).with_state(node.clone());
        Ok(Self { url: serve::on_loopback(router).await?, node })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The HTTP exchanges that it was asked for since the last look, by what they ask: the methods of a
    /// batch, each once, or the beginning of a path.
    pub fn exchanges(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.node.passed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on it lies like this.
    pub fn lie(&self, lie: Lie) {
        *self.node.lie.lock().unwrap_or_else(PoisonError::into_inner) = lie;
    }
}

impl Node {
    fn note(&self, name: String) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        *passed.entry(name).or_default() += 1;
    }
}

/// What an exchange asks, in few words.
fn name(path: &str, body: &[u8]) -> String {
    let methods: BTreeSet<String> = match serde_json::from_slice(body) {
        Ok(Value::Array(calls)) => calls.iter().map(|call| call["method"].to_string()).collect(),
        Ok(call) => [call["method"].to_string()].into(),
        Err(_) => return path.split('/').take(3).collect::<Vec<_>>().join("/"),
    };
    methods.into_iter().collect::<Vec<_>>().join("+").replace('"', "")
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
    node.note(name(path, &body));
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
