//! JSON-RPC over HTTP: single calls, batches, and an error for each way in which they fail.

mod envelope;
mod error;
mod pool;

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;

pub use error::{Excerpt, RpcError};
pub use pool::{HeightProbe, RpcPool, SendError};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::envelope::{Question, Reply};
use crate::{
    Endpoint, EndpointError,
    http::{Exchange, Flights, HttpClient, Pace},
};

/// One call of a batch: method and parameters.
pub type Call = (&'static str, Value);

/// What became of each call, in order: its result, or the method's own error.
type Replies = Arc<[Reply]>;

/// JSON-RPC: the server has no such method.
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;

/// A JSON-RPC 2.0 client of one endpoint. Cheap to share behind an `Arc`; calls run concurrently.
#[derive(Debug)]
pub struct HttpJsonRpc {
    http: HttpClient,
    next_id: AtomicU64,
    /// Most calls in one batch, as far as the server has shown.
    batch: AtomicUsize,
    flights: Flights<Replies>,
}

impl HttpJsonRpc {
    /// A client of `endpoint`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the machine can't do HTTP(S), for example without root certificates.
    pub fn new(endpoint: Endpoint) -> Result<Self, EndpointError> {
        Self::counting(endpoint, &[])
    }

    /// As [`new`](Self::new), with the methods that the endpoint's metrics tell apart. Where the name of
    /// one is the beginning of another's the longer one comes first.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn counting(endpoint: Endpoint, methods: &[&'static str]) -> Result<Self, EndpointError> {
        let batch = endpoint.limits().max_batch.max(1).into();
        let (http, flights) = (HttpClient::new(endpoint, methods)?, Flights::default());
        Ok(Self { http, next_id: AtomicU64::new(1), batch, flights })
    }

    /// Scheme, host and port, for messages.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.http.endpoint().origin()
    }

    /// The endpoint's description.
    #[must_use]
    pub fn description(&self) -> &Endpoint {
        self.http.endpoint()
    }

    pub(crate) const fn http(&self) -> &HttpClient {
        &self.http
    }

    /// Asks a method that changes nothing; whoever asks the same at the same time gets the same answer.
    /// `params` is an array or an object; a null result is [`Value::Null`].
    ///
    /// # Errors
    /// Every failure, typed; [`RpcError::Server`] is the method's own.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.call_as(method, params).await
    }

    /// As [`call`](Self::call), and reads the result as `T`.
    ///
    /// # Errors
    /// As [`call`](Self::call), and [`RpcError::Malformed`] when the result is no `T`.
    pub async fn call_as<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, RpcError> {
        let replies = self.shared(&[(method, &params)]).await?;
        self.only(method, &replies)
    }

    /// Calls a method that changes something: each call is sent, once.
    ///
    /// # Errors
    /// As [`call`](Self::call). Unless it is the method's own, the call may have had its effect.
    pub async fn send(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        let replies = self.ask(&[(method, &params)], Pace::Prompt).await?;
        self.only(method, &replies)
    }

    /// Asks a method that answers late by intention.
    pub(crate) async fn wait_for<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, RpcError> {
        let replies = self.ask(&[(method, &params)], Pace::Late).await?;
        self.only(method, &replies)
    }

    /// Asks several methods in as few exchanges as the endpoint's `max_batch` allows, each with its
    /// own outcome, in the order of `calls`.
    ///
    /// # Errors
    /// When an exchange as a whole fails.
    pub async fn batch(&self, calls: &[Call]) -> Result<Vec<Result<Value, RpcError>>, RpcError> {
        self.batch_as(calls).await
    }

    /// As [`batch`](Self::batch), every result read as `T`.
    ///
    /// # Errors
    /// When an exchange as a whole fails.
    pub async fn batch_as<T: DeserializeOwned>(
        &self,
        calls: &[Call],
    ) -> Result<Vec<Result<T, RpcError>>, RpcError> {
        let mut outcomes = Vec::with_capacity(calls.len());
        while let Some(left) = calls.get(outcomes.len()..).filter(|left| !left.is_empty()) {
            let size = self.batch.load(Ordering::Relaxed).min(left.len());
            let part: Vec<(&str, &Value)> =
                left.iter().take(size).map(|(method, params)| (*method, params)).collect();
            let replies = match self.shared(&part).await {
                Err(error) if size > 1 && error.refuses_batch() => {
                    tracing::debug!(%error, size, "a batch is refused, trying shorter ones");
                    self.batch.store(size / 2, Ordering::Relaxed);
                    continue;
                }
                replies => replies?,
            };
            for ((method, _), reply) in part.iter().zip(replies.iter()) {
                outcomes.push(self.typed(method, reply));
            }
        }
        Ok(outcomes)
    }

    /// Asks, together with whoever asks the same.
    async fn shared(&self, calls: &[(&str, &Value)]) -> Result<Replies, RpcError> {
        // Text, so it always serialises.
        let key = serde_json::to_vec(calls).unwrap_or_default();
        self.flights.join(&key, || Box::pin(self.question(calls, Pace::Prompt))).await
    }

    async fn ask(&self, calls: &[(&str, &Value)], pace: Pace) -> Result<Replies, RpcError> {
        self.question(calls, pace).await
    }

    /// One exchange with these calls. It does not borrow from the client.
    fn question(
        &self,
        calls: &[(&str, &Value)],
        pace: Pace,
    ) -> impl Future<Output = Result<Replies, RpcError>> + Send + 'static {
        let first = self.next_id.fetch_add(calls.len() as u64, Ordering::Relaxed);
        let (question, body) = Question::new(first, calls);
        let exchange = Arc::clone(self.http.exchange());
        async move {
            let (method, cost) = (question.method(), question.calls());
            let answered = answer(&exchange, &question, body);
            exchange.call(method, cost, pace, answered).await
        }
    }

    fn only<T: DeserializeOwned>(&self, method: &str, replies: &Replies) -> Result<T, RpcError> {
        match replies.first() {
            Some(reply) => self.typed(method, reply),
            None => Err(self.malformed(method, "an answer".into())),
        }
    }

    fn typed<T: DeserializeOwned>(&self, method: &str, reply: &Reply) -> Result<T, RpcError> {
        let result = reply.as_ref().map_err(Clone::clone)?;
        serde_json::from_str(result.get())
            .map_err(|error| self.malformed(method, format!("another result ({error})")))
    }

    fn malformed(&self, method: &str, expected: String) -> RpcError {
        RpcError::Malformed { endpoint: self.endpoint().into(), method: method.into(), expected }
    }
}

/// Sends a question and reads its answer.
async fn answer(
    exchange: &Exchange,
    question: &Question,
    body: Vec<u8>,
) -> Result<Replies, RpcError> {
    let (origin, method) = (exchange.endpoint().origin(), question.method());
    let answer = exchange.post(method, body).await?;
    exchange.refuse_limited(method, &answer)?;
    // Bitcoin Core sends method errors with status 404 or 500, so the body speaks first.
    let replies = match question.read(origin, &answer.body) {
        Ok(replies) => replies,
        Err(_) if !answer.status.is_success() => return Err(exchange.status(method, &answer)),
        Err(error) => return Err(error.limited()),
    };
    // One call too many in a batch is one batch too many.
    let limit = |reply: &Reply| match reply.clone() {
        Err(error @ RpcError::Server { .. }) => {
            Some(error.limited()).filter(|error| matches!(error, RpcError::RateLimited { .. }))
        }
        _ => None,
    };
    match replies.iter().find_map(limit) {
        Some(limited) => Err(limited),
        None => Ok(replies.into()),
    }
}
