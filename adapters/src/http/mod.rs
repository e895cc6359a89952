//! HTTP/1.1 with keep-alive, a deadline on every exchange and a limit on every body.
//!
//! One [`HttpClient`] belongs to one endpoint. It follows no redirects (they would carry credentials
//! elsewhere), asks for no compression (so that the limit counts what is stored), and never puts a
//! path or a credential into a message: many providers hide their key in the path.

mod auth;
mod endpoint;
mod service;

use core::time::Duration;

pub use auth::{Auth, Secret};
pub use endpoint::{Endpoint, EndpointError, Limits};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use serde::de::DeserializeOwned;
pub use service::JsonService;

use crate::{AdapterError, RpcError, rpc::Excerpt};

/// Chooses *ring* for TLS, once per process. Two providers in one process panic at run time, so
/// every TLS user of the process goes through this function.
pub fn install_crypto_provider() {
    // An error only says that a provider is installed already.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}

/// Reads JSON from a URL that needs no credentials, such as the relayer's own status: one `GET` under the
/// default [`Limits`].
///
/// # Errors
/// As a call of [`HttpJsonRpc`](crate::HttpJsonRpc).
pub async fn get_json<T: DeserializeOwned>(url: &str) -> Result<T, AdapterError> {
    let http = HttpClient::new(Endpoint::new(url, "the command line")?)?;
    let path = http.endpoint.url().path().to_owned();
    let answer = http.get(&path).await?;
    let (endpoint, method) = (http.endpoint.origin().to_owned(), path);
    if !answer.status.is_success() {
        let (status, body) = (answer.status.as_u16(), Excerpt::of(&answer.body));
        return Err(RpcError::Status { endpoint, method, status, body }.into());
    }
    serde_json::from_slice(&answer.body)
        .map_err(|_| RpcError::NotJson { endpoint, method, body: Excerpt::of(&answer.body) }.into())
}

/// An answer: status, headers and whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// An endpoint's connections.
#[derive(Debug)]
pub(crate) struct HttpClient {
    endpoint: Endpoint,
    client: Client,
    auth: auth::AuthState,
}

impl HttpClient {
    pub(crate) fn new(endpoint: Endpoint) -> Result<Self, EndpointError> {
        install_crypto_provider();
        let limits = endpoint.limits();
        let mut builder = Client::builder()
            .http1_only()
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(limits.connect_timeout)
            .tcp_nodelay(true)
            // Bitcoin Core closes idle connections after 30 s; leaving first avoids writing into a
            // connection that is just being closed.
            .pool_idle_timeout(Duration::from_secs(15))
            .pool_max_idle_per_host(4)
            .user_agent(concat!("grid/", env!("CARGO_PKG_VERSION")));
        if endpoint.url().scheme() == "http" {
            // No TLS, so don't require the machine to have root certificates.
            builder = builder.tls_certs_only([]);
        }
        if endpoint.is_loopback() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| EndpointError::Client {
            endpoint: endpoint.origin().into(),
            reason: root_cause(&error),
        })?;
        let auth = auth::AuthState::new(endpoint.auth());
        Ok(Self { endpoint, client, auth })
    }

    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// `POST` of a JSON body, with the credentials. A refused cookie is read again, once.
    pub(crate) async fn post_json(&self, method: &str, body: Vec<u8>) -> Result<Answer, RpcError> {
        let mut used = self.auth.header(&self.endpoint).await?;
        let mut answer = self.post_once(method, body.clone(), used.clone()).await?;
        if answer.status == StatusCode::UNAUTHORIZED
            && let Some(fresh) = self.auth.refreshed(&self.endpoint, used.as_ref()).await?
        {
            used = Some(fresh);
            answer = self.post_once(method, body, used.clone()).await?;
        }
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(RpcError::Unauthorized {
                endpoint: self.endpoint.origin().into(),
                method: method.into(),
                fix: self.endpoint.credentials_fix(),
            });
        }
        Ok(answer)
    }

    async fn post_once(
        &self,
        method: &str,
        body: Vec<u8>,
        credentials: Option<HeaderValue>,
    ) -> Result<Answer, RpcError> {
        let request = self.client.post(self.endpoint.url().clone()).body(body);
        let request = request.header(CONTENT_TYPE, "application/json");
        self.exchange(authorised(request, credentials), method, self.max_body()).await
    }

    /// `GET` of a path below the endpoint's origin, without credentials.
    pub(crate) async fn get(&self, path: &str) -> Result<Answer, RpcError> {
        let url = self.endpoint.url().join(path).map_err(|_| RpcError::Malformed {
            endpoint: self.endpoint.origin().into(),
            method: path.into(),
            expected: "a path that can be asked for".into(),
        })?;
        self.exchange(self.client.get(url), path, self.max_body()).await
    }

    /// `GET` of a path below the endpoint's own path; messages show only the former.
    pub(crate) async fn get_below(&self, path: &str) -> Result<Answer, RpcError> {
        let request = self.client.get(self.below(path, None));
        self.exchange(request, path, self.max_body()).await
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
        let request = self.client.get(self.below(path, query)).header(ACCEPT, accept);
        let request = authorised(request, self.auth.header(&self.endpoint).await?);
        self.exchange(request, path, max_body.min(self.max_body())).await
    }

    /// Opens an answer that has no end, such as a stream of events. The endpoint's deadline holds for
    /// its beginning; reading it is the caller's, who sets a deadline for each part.
    pub(crate) async fn open(
        &self,
        path: &str,
        query: &str,
        accept: &'static str,
    ) -> Result<Response, RpcError> {
        let request = self.client.get(self.below(path, Some(query))).header(ACCEPT, accept);
        let request = authorised(request, self.auth.header(&self.endpoint).await?);
        match tokio::time::timeout(self.endpoint.limits().timeout, request.send()).await {
            Ok(answer) => answer.map_err(|error| self.failed(path, &error)),
            Err(_elapsed) => Err(self.timed_out(path)),
        }
    }

    fn below(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.endpoint.url().clone();
        let below = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&below);
        if query.is_some() {
            url.set_query(query);
        }
        url
    }

    const fn max_body(&self) -> usize {
        self.endpoint.limits().max_body
    }

    async fn exchange(
        &self,
        request: RequestBuilder,
        method: &str,
        limit: usize,
    ) -> Result<Answer, RpcError> {
        let deadline = self.endpoint.limits().timeout;
        match tokio::time::timeout(deadline, self.read(request, method, limit)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(self.timed_out(method)),
        }
    }

    async fn read(
        &self,
        request: RequestBuilder,
        method: &str,
        limit: usize,
    ) -> Result<Answer, RpcError> {
        let too_large = || RpcError::TooLarge {
            endpoint: self.endpoint.origin().into(),
            method: method.into(),
            limit,
        };
        let mut response = request.send().await.map_err(|error| self.failed(method, &error))?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let headers = core::mem::take(response.headers_mut());
        let announced = response.content_length().unwrap_or(0);
        if announced > limit as u64 {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or(0).min(1 << 20));
        while let Some(chunk) = response.chunk().await.map_err(|e| self.failed(method, &e))? {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after, headers, body })
    }

    fn timed_out(&self, method: &str) -> RpcError {
        RpcError::Timeout {
            endpoint: self.endpoint.origin().into(),
            method: method.into(),
            after: self.endpoint.limits().timeout,
        }
    }

    fn failed(&self, method: &str, error: &reqwest::Error) -> RpcError {
        let endpoint = self.endpoint.origin().to_owned();
        let method = method.to_owned();
        let reason = root_cause(error);
        if error.is_timeout() {
            RpcError::Timeout { endpoint, method, after: self.endpoint.limits().connect_timeout }
        } else if error.is_connect() {
            RpcError::Connect { endpoint, method, reason }
        } else {
            RpcError::Broken { endpoint, method, reason }
        }
    }
}

fn authorised(request: RequestBuilder, credentials: Option<HeaderValue>) -> RequestBuilder {
    match credentials {
        Some(credentials) => request.header(AUTHORIZATION, credentials),
        None => request,
    }
}

/// The innermost cause: `Connection refused (os error 111)` rather than reqwest's wrapping of it,
/// which also contains the whole URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn core::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if cause.downcast_ref::<reqwest::Error>().is_some() {
        return "the request could not be sent".into();
    }
    cause.to_string()
}
