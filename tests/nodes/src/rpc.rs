//! A small JSON-RPC client for controlling nodes. It is kept apart from the adapters' client on
//! purpose: what drives a test must not be what the test looks at.

use std::{sync::OnceLock, time::Duration};

use serde_json::{Value, json};

use crate::NodeError;

/// How long a node may take to answer one call; mining a hundred blocks on a busy machine is the
/// slowest.
const CALL: Duration = Duration::from_secs(60);

/// A JSON-RPC endpoint.
#[derive(Debug, Clone)]
pub struct Rpc {
    url: String,
    login: Option<(String, String)>,
}

impl Rpc {
    /// An endpoint without a login.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), login: None }
    }

    /// An endpoint with HTTP basic authentication.
    pub fn with_login(url: impl Into<String>, user: &str, password: &str) -> Self {
        Self { url: url.into(), login: Some((user.to_owned(), password.to_owned())) }
    }

    /// The endpoint's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method and returns its result.
    ///
    /// # Errors
    /// [`NodeError::Rpc`] with the node's error, [`NodeError::Transport`] when there is no answer.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, NodeError> {
        let transport = |error: reqwest::Error| NodeError::Transport {
            method: method.to_owned(),
            reason: chain(&error),
        };
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut request = client()?.post(&self.url).timeout(CALL).json(&body);
        if let Some((user, password)) = &self.login {
            request = request.basic_auth(user, Some(password));
        }
        let response = request.send().await.map_err(transport)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(transport)?;
        let Ok(mut answer) = serde_json::from_slice::<Value>(&bytes) else {
            let text = String::from_utf8_lossy(&bytes);
            let reason = format!("HTTP {status}: {}", text.chars().take(200).collect::<String>());
            return Err(NodeError::Transport { method: method.to_owned(), reason });
        };
        let error = &answer["error"];
        if error.is_null() {
            return Ok(answer["result"].take());
        }
        Err(NodeError::Rpc {
            method: method.to_owned(),
            code: error["code"].as_i64().unwrap_or_default(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

/// Fetches a page over HTTP: its status and its text.
///
/// # Errors
/// [`NodeError::Transport`] when there is no answer.
pub async fn get(url: &str) -> Result<(u16, String), NodeError> {
    let transport = |error: reqwest::Error| NodeError::Transport {
        method: format!("GET {url}"),
        reason: chain(&error),
    };
    let response = client()?.get(url).timeout(CALL).send().await.map_err(transport)?;
    let status = response.status().as_u16();
    Ok((status, response.text().await.map_err(transport)?))
}

/// Passes a request on as it is: `POST` of a body or `GET`, with the caller's login. Status and body.
pub(crate) async fn forward(
    post: bool,
    url: &str,
    login: Option<&str>,
    body: Vec<u8>,
) -> Result<(u16, Vec<u8>), NodeError> {
    let transport = |error: reqwest::Error| NodeError::Transport {
        method: format!("passing on to {url}"),
        reason: chain(&error),
    };
    let client = client()?;
    let json = "application/json";
    let mut request = if post {
        client.post(url).header("content-type", json).body(body)
    } else {
        client.get(url)
    };
    if let Some(login) = login {
        request = request.header("authorization", login);
    }
    let response = request.timeout(CALL).send().await.map_err(transport)?;
    let status = response.status().as_u16();
    Ok((status, response.bytes().await.map_err(transport)?.to_vec()))
}

/// One client for the process, without pooled connections: a node that was restarted on its port
/// must not be asked over a connection to its predecessor.
fn client() -> Result<reqwest::Client, NodeError> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    CLIENT
        .get_or_init(|| {
            // Nodes are asked over plain HTTP on the loopback interface, but the client wants a
            // provider for TLS. Another part of the process may have set the same one already.
            drop(rustls::crypto::ring::default_provider().install_default());
            reqwest::Client::builder()
                .no_proxy()
                .pool_max_idle_per_host(0)
                .build()
                .map_err(|error| chain(&error))
        })
        .clone()
        .map_err(|reason| NodeError::Transport { method: String::from("HTTP client"), reason })
}

/// An error with its causes, which name the actual reason.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
