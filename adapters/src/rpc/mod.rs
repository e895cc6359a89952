//! JSON-RPC over HTTP: single calls, batches, and an error for each way in which they fail.

mod envelope;
mod error;

use core::sync::atomic::{AtomicU64, Ordering};

pub use error::{Excerpt, RpcError};
use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, value::RawValue};

use crate::{
    Endpoint, EndpointError,
    http::{Answer, HttpClient},
};

/// One call of a batch: method and parameters.
pub type Call = (&'static str, Value);

/// JSON-RPC: the server has no such method.
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;
/// Characters of a method's error message that are kept.
const MAX_MESSAGE: usize = 400;
/// Bytes of a method's error data that are kept.
const MAX_DATA: usize = 4_096;

/// A JSON-RPC 2.0 client of one endpoint. Cheap to share behind an `Arc`; calls run concurrently.
#[derive(Debug)]
pub struct HttpJsonRpc {
    http: HttpClient,
    next_id: AtomicU64,
}

impl HttpJsonRpc {
    /// A client of `endpoint`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the machine can't do HTTP(S), for example without root certificates.
    pub fn new(endpoint: Endpoint) -> Result<Self, EndpointError> {
        Ok(Self { http: HttpClient::new(endpoint)?, next_id: AtomicU64::new(1) })
    }

    /// Scheme, host and port, for messages.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.http.endpoint().origin()
    }

    /// The endpoint's description.
    #[must_use]
    pub const fn description(&self) -> &Endpoint {
        self.http.endpoint()
    }

    pub(crate) const fn http(&self) -> &HttpClient {
        &self.http
    }

    /// Calls a method. `params` is an array or an object; a null result is [`Value::Null`].
    ///
    /// # Errors
    /// Every failure, typed; [`RpcError::Server`] is the method's own.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        self.call_as(method, params).await
    }

    /// Calls a method and reads the result as `T`.
    ///
    /// # Errors
    /// As [`call`](Self::call), and [`RpcError::Malformed`] when the result is no `T`.
    pub async fn call_as<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<T, RpcError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let answer = self.http.post_json(method, envelope::request(id, method, &params)).await?;
        let origin = self.endpoint();
        // Bitcoin Core sends method errors with status 404 or 500, so the body speaks first.
        let parsed = envelope::single(&answer.body, id);
        match parsed {
            Ok(outcome) => self.typed(method, outcome),
            Err(fault) => Err(self
                .status_fault(method, &answer)
                .unwrap_or_else(|| fault.into_error(origin, method, &answer.body))),
        }
    }

    /// Calls several methods in as few exchanges as the endpoint's `max_batch` allows, each with its
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
        for part in calls.chunks(self.http.endpoint().limits().max_batch.max(1)) {
            if let [(method, params)] = part {
                let outcome = self.call_as(method, params.clone()).await;
                // A single call has no "exchange as a whole": what is not the method's own error
                // would have failed the batch.
                match outcome {
                    Err(error) if !error.is_methods_own() => return Err(error),
                    outcome => outcomes.push(outcome),
                }
            } else {
                self.exchange(part, &mut outcomes).await?;
            }
        }
        Ok(outcomes)
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        calls: &[Call],
        outcomes: &mut Vec<Result<T, RpcError>>,
    ) -> Result<(), RpcError> {
        let count = calls.len() as u64;
        let first = self.next_id.fetch_add(count, Ordering::Relaxed);
        let name = calls.first().map_or("batch", |(method, _)| method);
        let answer = self.http.post_json(name, envelope::batch_request(first, calls)).await?;
        let items = envelope::batch(&answer.body, first, calls.len()).map_err(|fault| {
            self.status_fault(name, &answer)
                .unwrap_or_else(|| fault.into_error(self.endpoint(), name, &answer.body))
        })?;
        for (item, (method, _)) in items.into_iter().zip(calls) {
            outcomes.push(match item {
                Some(outcome) => self.typed(method, outcome),
                None => Err(self.malformed(method, "an answer to every call of the batch".into())),
            });
        }
        Ok(())
    }

    /// An HTTP status that explains why the body is no answer.
    fn status_fault(&self, method: &str, answer: &Answer) -> Option<RpcError> {
        let (endpoint, method) = (self.endpoint().to_owned(), method.to_owned());
        match answer.status {
            status if status.is_success() => None,
            StatusCode::TOO_MANY_REQUESTS => {
                Some(RpcError::RateLimited { endpoint, method, after: answer.retry_after })
            }
            status => Some(RpcError::Status {
                endpoint,
                method,
                status: status.as_u16(),
                body: Excerpt::of(&answer.body),
            }),
        }
    }

    fn typed<T: DeserializeOwned>(
        &self,
        method: &str,
        outcome: envelope::Outcome<'_>,
    ) -> Result<T, RpcError> {
        match outcome {
            Ok(result) => serde_json::from_str(RawValue::get(result)).map_err(|error| {
                let expected = format!("another result ({error})");
                self.malformed(method, expected)
            }),
            Err(fault) => Err(RpcError::Server {
                endpoint: self.endpoint().into(),
                method: method.into(),
                code: fault.code,
                message: Excerpt::of_length(fault.message.as_bytes(), MAX_MESSAGE).into_inner(),
                data: fault
                    .data
                    .filter(|data| data.get().len() <= MAX_DATA)
                    .and_then(|data| serde_json::from_str(data.get()).ok()),
            }),
        }
    }

    fn malformed(&self, method: &str, expected: String) -> RpcError {
        RpcError::Malformed { endpoint: self.endpoint().into(), method: method.into(), expected }
    }
}
