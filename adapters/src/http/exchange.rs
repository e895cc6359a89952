//! One exchange with an endpoint: through its gate, within its deadline, counted.

use core::{future::Future, time::Duration};
use std::time::SystemTime;

use bytes::Bytes;
use reqwest::{
    Client, RequestBuilder, Response, StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use tokio::time::{Instant, timeout};

use super::{Endpoint, EndpointError, auth, metrics::Meter};
use crate::{RpcError, rpc::Excerpt};

/// An answer: status, headers and whole body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// How soon a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As soon as the endpoint can.
    Prompt,
    /// Late by intention: its time says nothing about the endpoint.
    Late,
}

/// What is asked for by `GET`.
#[derive(Debug)]
pub(crate) struct Get {
    pub(crate) url: Url,
    /// Media types; with these the credentials are sent too.
    pub(crate) accept: Option<&'static str>,
    /// Largest body, bytes.
    pub(crate) max_body: usize,
}

/// An endpoint's connections.
#[derive(Debug)]
pub(crate) struct Exchange {
    endpoint: Endpoint,
    client: Client,
    auth: auth::AuthState,
    meter: Meter,
}

impl Exchange {
    pub(crate) fn new(endpoint: Endpoint, methods: &[&'static str]) -> Result<Self, EndpointError> {
        super::install_crypto_provider();
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
        let meter = endpoint.meter(methods);
        Ok(Self { endpoint, client, auth, meter })
    }

    pub(crate) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Does `work`, which sends `cost` calls at once, when it is their turn, and notes how it went.
    pub(crate) async fn call<T>(
        &self,
        method: &str,
        cost: u32,
        pace: Pace,
        work: impl Future<Output = Result<T, RpcError>>,
    ) -> Result<T, RpcError> {
        let deadline = self.endpoint.limits().timeout;
        let (gate, begun) = (self.endpoint.gate(), Instant::now());
        let prompt = pace == Pace::Prompt;
        // The other half is left for the answer.
        let pass = match gate.enter(method, cost, prompt, deadline / 2).await {
            Ok(pass) => pass,
            Err(error) => {
                self.meter.skipped(method);
                self.meter.breaker(gate.breaker());
                return Err(error);
            }
        };
        let (mut unended, sent) = (Unended(Some((&self.meter, method))), Instant::now());
        let left = deadline.saturating_sub(begun.elapsed());
        let outcome =
            timeout(left, work).await.unwrap_or_else(|_elapsed| Err(self.timed_out(method)));
        unended.0 = None;
        let failure = outcome.as_ref().err();
        pass.leave(failure);
        self.meter.ended(method, failure, prompt.then(|| sent.elapsed()));
        self.meter.breaker(gate.breaker());
        outcome
    }

    /// `POST` of a JSON body, with the credentials. A refused cookie is read again, once.
    pub(crate) async fn post(&self, method: &str, body: Vec<u8>) -> Result<Answer, RpcError> {
        let body = Bytes::from(body);
        let mut used = self.auth.header(&self.endpoint).await?;
        let mut answer = self.post_once(method, body.clone(), used.clone()).await?;
        if answer.status == StatusCode::UNAUTHORIZED
            && let Some(fresh) = self.auth.refreshed(&self.endpoint, used.as_ref()).await?
        {
            used = Some(fresh);
            answer = self.post_once(method, body, used).await?;
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
        body: Bytes,
        credentials: Option<HeaderValue>,
    ) -> Result<Answer, RpcError> {
        let request = self.client.post(self.endpoint.url().clone()).body(body);
        let request = request.header(CONTENT_TYPE, "application/json");
        let limit = self.endpoint.limits().max_body;
        self.read(authorised(request, credentials), method, limit).await
    }

    /// `GET`. A limit on the rate and a server's own trouble (5xx) are no answers.
    pub(crate) async fn get(&self, method: &str, get: Get) -> Result<Answer, RpcError> {
        let mut request = self.client.get(get.url);
        if let Some(accept) = get.accept {
            request = request.header(ACCEPT, accept);
            request = authorised(request, self.auth.header(&self.endpoint).await?);
        }
        let answer = self.read(request, method, get.max_body).await?;
        self.refuse_limited(method, &answer)?;
        if answer.status.is_server_error() {
            return Err(self.status(method, &answer));
        }
        Ok(answer)
    }

    /// Opens an answer that has no end, such as a stream of events. The endpoint's deadline holds for
    /// its beginning; reading it is the caller's, who sets a deadline for each part.
    pub(crate) async fn open(&self, method: &str, get: Get) -> Result<Response, RpcError> {
        let request = self.client.get(get.url).header(ACCEPT, get.accept.unwrap_or("*/*"));
        let request = authorised(request, self.auth.header(&self.endpoint).await?);
        match timeout(self.endpoint.limits().timeout, request.send()).await {
            Ok(answer) => answer.map_err(|error| self.failed(method, &error)),
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
        Ok(Answer { status, headers, body: body.into() })
    }

    /// Fails where the answer is a request to ask less often.
    pub(crate) fn refuse_limited(&self, method: &str, answer: &Answer) -> Result<(), RpcError> {
        let Some(after) = asked_pause(answer.status, &answer.headers) else { return Ok(()) };
        let endpoint = self.endpoint.origin().into();
        Err(RpcError::RateLimited { endpoint, method: method.into(), after })
    }

    /// The error of an answer whose status says that it is none.
    pub(crate) fn status(&self, method: &str, answer: &Answer) -> RpcError {
        RpcError::Status {
            endpoint: self.endpoint.origin().into(),
            method: method.into(),
            status: answer.status.as_u16(),
            body: Excerpt::of(&answer.body),
        }
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

/// A call that is under way: dropped before its end, it was given up.
struct Unended<'a>(Option<(&'a Meter, &'a str)>);

impl Drop for Unended<'_> {
    fn drop(&mut self) {
        if let Some((meter, method)) = self.0 {
            meter.cancelled(method);
        }
    }
}

fn authorised(request: RequestBuilder, credentials: Option<HeaderValue>) -> RequestBuilder {
    match credentials {
        Some(credentials) => request.header(AUTHORIZATION, credentials),
        None => request,
    }
}

/// Whether the endpoint asks for a pause, by HTTP 429 or by HTTP 503 with `Retry-After`, and for how long.
fn asked_pause(status: StatusCode, headers: &HeaderMap) -> Option<Option<Duration>> {
    let after = headers.get(RETRY_AFTER).and_then(|value| pause(value.to_str().ok()?.trim()));
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(after),
        StatusCode::SERVICE_UNAVAILABLE if after.is_some() => Some(after),
        _ => None,
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn pause(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        assert_eq!(pause("120"), Some(Duration::from_secs(120)));
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
        let left = pause(&soon).unwrap();
        assert!((80..=90).contains(&left.as_secs()), "{left:?}");
        for bad in ["", "soon", "-1", "1.5"] {
            assert_eq!(pause(bad), None, "{bad:?}");
        }
    }
}
