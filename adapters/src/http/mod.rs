//! HTTP/1.1 with keep-alive, a deadline on every exchange and a limit on every body.
//!
//! One [`HttpClient`] belongs to one endpoint. It follows no redirects (they would carry credentials
//! elsewhere), asks for no compression (so that the limit counts what is stored), and never puts a
//! path or a credential into a message: many providers hide their key in the path.
//!
//! Every call passes the endpoint's gate: the pause that it asked for (HTTP 429, `Retry-After`), the rate
//! that its provider allows, and a circuit breaker. Equal questions at the same time are asked once.
//! [`EndpointGroup`] says how the endpoints of a chain are treated and where their calls are counted.

mod auth;
mod breaker;
mod bucket;
mod endpoint;
mod exchange;
mod flights;
mod gate;
mod group;
mod metrics;
mod service;

use std::sync::Arc;

pub use auth::{Auth, Secret};
pub use breaker::BreakerState;
pub use endpoint::{Endpoint, EndpointError, Limits};
pub(crate) use exchange::{Answer, Exchange, Pace};
pub(crate) use flights::Flights;
pub(crate) use gate::Gate;
pub use group::{EndpointGroup, PoolSettings};
pub use metrics::{EndpointMetrics, MetricInfo};
use reqwest::{Response, Url};
use serde::de::DeserializeOwned;
pub use service::JsonService;

use self::exchange::Get;
use crate::{AdapterError, RpcError, rpc::Excerpt};

/// Chooses *ring* for TLS, once per process. Two providers in one process panic at run time, so
/// every TLS user of the process goes through this function.
pub fn install_crypto_provider() {
    // An error only says that a provider is installed already.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}

/// Reads JSON from a URL that needs no credentials, such as the relayer's own status: one `GET` under the
/// default [`Limits`]. The body is read whatever the status is: such services put a refusal into it too.
///
/// # Errors
/// As a call of [`HttpJsonRpc`](crate::HttpJsonRpc), where the body is no JSON of that form.
pub async fn get_json<T: DeserializeOwned>(url: &str) -> Result<T, AdapterError> {
    let http = HttpClient::new(Endpoint::new(url, "the command line")?, &[])?;
    let url = http.endpoint().url();
    let method = url.path().to_owned();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let answer = http.get(&format!("{method}{query}")).await?;
    serde_json::from_slice(&answer.body).map_err(|_| {
        if !answer.status.is_success() {
            return http.exchange.status(&method, &answer).into();
        }
        let (endpoint, body) = (http.endpoint().origin().to_owned(), Excerpt::of(&answer.body));
        RpcError::NotJson { endpoint, method, body }.into()
    })
}

/// The client of one endpoint.
#[derive(Debug)]
pub(crate) struct HttpClient {
    exchange: Arc<Exchange>,
    flights: Flights<Answer>,
}

impl HttpClient {
    /// `methods` are the names under which its calls are counted: methods of JSON-RPC, beginnings of paths
    /// without the slash; where one is the beginning of another the longer one first.
    pub(crate) fn new(endpoint: Endpoint, methods: &[&'static str]) -> Result<Self, EndpointError> {
        let exchange = Arc::new(Exchange::new(endpoint, methods)?);
        Ok(Self { exchange, flights: Flights::default() })
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.exchange.endpoint()
    }

    pub(crate) const fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// `POST` of a JSON body, with the credentials. Never shared with another caller.
    pub(crate) async fn post_json(&self, method: &str, body: Vec<u8>) -> Result<Answer, RpcError> {
        let exchange = &self.exchange;
        exchange.call(method, 1, Pace::Prompt, exchange.post(method, body)).await
    }

    /// `GET` of a path below the endpoint's origin, without credentials.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, RpcError> {
        let url = self.endpoint().url().join(path).map_err(|_| RpcError::Malformed {
            endpoint: self.endpoint().origin().into(),
            method: path.into(),
            expected: "a path that can be asked for".into(),
        })?;
        self.shared(path, Get { url, accept: None, max_body: self.max_body() }).await
    }

    /// `GET` of a path below the endpoint's own path; messages show only the former.
    pub(crate) async fn get_below(&self, path: &str) -> Result<Answer, RpcError> {
        let url = self.below(path, None);
        self.shared(path, Get { url, accept: None, max_body: self.max_body() }).await
    }

    /// As [`get_below`](Self::get_below) with the credentials, for media types that the caller names,
    /// and with a limit of its own on the body.
    pub(crate) async fn get_as(
        &self,
        path: &str,
        query: Option<&str>,
        accept: &'static str,
        max_body: usize,
    ) -> Result<Answer, RpcError> {
        let max_body = max_body.min(self.max_body());
        let url = self.below(path, query);
        self.shared(path, Get { url, accept: Some(accept), max_body }).await
    }

    /// Opens an answer that has no end, such as a stream of events. The endpoint's deadline holds for
    /// its beginning; reading it is the caller's, who sets a deadline for each part.
    pub(crate) async fn open(
        &self,
        path: &str,
        query: &str,
        accept: &'static str,
    ) -> Result<Response, RpcError> {
        let url = self.below(path, Some(query));
        let get = Get { url, accept: Some(accept), max_body: self.max_body() };
        self.exchange.open(path, get).await
    }

    async fn shared(&self, path: &str, get: Get) -> Result<Answer, RpcError> {
        let key = format!("{} {}", get.accept.unwrap_or_default(), get.url);
        let ask = || {
            let (exchange, path) = (Arc::clone(&self.exchange), path.to_owned());
            let asked = async move {
                exchange.call(&path, 1, Pace::Prompt, exchange.get(&path, get)).await
            };
            Box::pin(asked) as _
        };
        self.flights.join(key.as_bytes(), ask).await
    }

    fn below(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.endpoint().url().clone();
        let below = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&below);
        if query.is_some() {
            url.set_query(query);
        }
        url
    }

    fn max_body(&self) -> usize {
        self.endpoint().limits().max_body
    }
}
