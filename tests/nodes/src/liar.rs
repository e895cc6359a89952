//! A proxy in front of a real node, Bitcoin Core or anvil, that lies about headers and heights.

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

use crate::{NodeError, anvil, rpc, serve};

/// What the proxy does to answers that hold headers, unless it says otherwise. Everything else passes as it is.
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
    /// No question is answered: too many requests.
    Throttled,
    /// Bytes without meaning for every answer.
    Garbage,
    /// The head of the chain is the block so many below it.
    Old(u64),
    /// The height of the head, and of every Ethereum block, is too high by so much.
    TooHigh(u64),
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

/// One request to the node behind the proxy.
struct Question {
    post: bool,
    url: String,
    login: Option<String>,
    body: Vec<u8>,
}

impl Question {
    fn asks(&self, method: &str) -> bool {
        self.body.windows(method.len()).any(|part| part == method.as_bytes())
    }

    async fn ask(&self) -> Result<(u16, Vec<u8>), NodeError> {
        rpc::forward(self.post, &self.url, self.login.as_deref(), self.body.clone()).await
    }

    /// Another call of the same node.
    async fn call(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let body = body.to_string().into_bytes();
        let answer = rpc::forward(true, &self.url, self.login.as_deref(), body).await;
        let json = answer.ok().and_then(|(_, text)| serde_json::from_slice::<Value>(&text).ok());
        json.map_or(Value::Null, |mut json| json["result"].take())
    }

    /// Asks for the block so many below the head where it asks for the head.
    async fn go_back(&mut self, blocks: u64) {
        if self.asks("\"latest\"") {
            let head = anvil::quantity(&self.call("eth_blockNumber", json!([])).await);
            let height = format!("\"{:#x}\"", head.unwrap_or_default().saturating_sub(blocks));
            let body = String::from_utf8_lossy(&self.body).replace("\"latest\"", &height);
            self.body = body.into_bytes();
        }
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
    node.note(name(path, &body));
    let rest = path.starts_with("/rest/headers/");
    let login = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let mut question = Question {
        post: method == Method::POST,
        url: format!("{}{path}", node.url),
        login: login.map(str::to_owned),
        body: body.to_vec(),
    };
    let asks_headers = rest || question.asks("getblockheader") || question.asks("eth_getBlockBy");
    match lie {
        Lie::Hang if asks_headers => std::future::pending::<()>().await,
        Lie::Throttled => {
            let wait = [("retry-after", "1")];
            return (StatusCode::TOO_MANY_REQUESTS, wait, "slow down").into_response();
        }
        Lie::Garbage => return vec![0xa5; 999].into_response(),
        Lie::Old(blocks) => question.go_back(blocks).await,
        _ => {}
    }
    match question.ask().await {
        Ok((status, answer)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            if !status.is_success() {
                (status, answer).into_response()
            } else if question.asks("getblockchaininfo") {
                head(&lie, &question, answer).await.into_response()
            } else if asks_headers {
                changed(lie, rest, answer)
            } else {
                answer.into_response()
            }
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// The head of a Bitcoin chain as the lie has it.
async fn head(lie: &Lie, question: &Question, answer: Vec<u8>) -> Vec<u8> {
    let (down, up) = match *lie {
        Lie::Old(blocks) => (blocks, 0),
        Lie::TooHigh(blocks) => (0, blocks),
        _ => return answer,
    };
    let Ok(mut json) = serde_json::from_slice::<Value>(&answer) else { return answer };
    for info in results(&mut json).filter(|info| info["bestblockhash"].is_string()) {
        let height = info["blocks"].as_u64().unwrap_or_default().saturating_sub(down);
        if down > 0 {
            info["bestblockhash"] = question.call("getblockhash", json!([height])).await;
        }
        info["blocks"] = json!(height + up);
        info["headers"] = json!(height + up);
    }
    json.to_string().into_bytes()
}

fn changed(lie: Lie, rest: bool, mut answer: Vec<u8>) -> Response {
    match lie {
        Lie::None | Lie::Hang | Lie::Throttled | Lie::Garbage | Lie::Old(_) => {}
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
        Lie::TooHigh(more) => {
            answer = blocks(&answer, |block| {
                let height = anvil::quantity(&block["number"]).unwrap_or_default();
                block["number"] = json!(format!("{:#x}", height + more));
            });
        }
    }
    answer.into_response()
}

/// The results in the answer to one call or to several.
fn results(json: &mut Value) -> impl Iterator<Item = &mut Value> {
    let answers = match json {
        Value::Array(answers) => answers.as_mut_slice(),
        one => std::slice::from_mut(one),
    };
    answers.iter_mut().filter_map(|answer| answer.get_mut("result"))
}

/// An answer with each block in it changed.
fn blocks(answer: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_slice::<Value>(answer) else { return answer.to_vec() };
    results(&mut json).filter(|block| block.is_object()).for_each(change);
    json.to_string().into_bytes()
}
