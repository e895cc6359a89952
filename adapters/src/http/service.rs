//! A service that answers one JSON document with another, without the envelope of JSON-RPC.

use serde::{Serialize, de::DeserializeOwned};

use super::{Endpoint, EndpointError, HttpClient};
use crate::{RpcError, rpc::Excerpt};

/// A client of one such service. Calls run concurrently, each under the endpoint's
/// [`Limits`](super::Limits).
#[derive(Debug)]
pub struct JsonService {
    http: HttpClient,
}

impl JsonService {
    /// A client of `endpoint`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the machine can't do HTTP(S), for example without root certificates.
    pub fn new(endpoint: Endpoint) -> Result<Self, EndpointError> {
        Ok(Self { http: HttpClient::new(endpoint, &[])? })
    }

    /// Scheme, host and port, for messages.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        self.http.endpoint().origin()
    }

    /// Posts `question` to the endpoint's path and reads the answer's body, whatever its status: such
    /// services put a refusal into the body too. `name` stands for the call in messages.
    ///
    /// # Errors
    /// [`RpcError::Unauthorized`] where the credentials are refused, [`RpcError::NotJson`] where the
    /// body is no answer, and every failure of the exchange.
    pub async fn post<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        name: &str,
        question: &Q,
    ) -> Result<A, RpcError> {
        let (endpoint, method) = (self.endpoint().to_owned(), name.to_owned());
        let body = serde_json::to_vec(question).map_err(|error| RpcError::Malformed {
            endpoint: endpoint.clone(),
            method: method.clone(),
            expected: format!("a question that can be written as JSON ({error})"),
        })?;
        let answer = self.http.post_json(name, body).await?;
        serde_json::from_slice(&answer.body).map_err(|_| {
            let body = Excerpt::of(&answer.body);
            if answer.status.is_success() {
                RpcError::NotJson { endpoint, method, body }
            } else {
                let status = answer.status.as_u16();
                RpcError::Status { endpoint, method, status, body }
            }
        })
    }
}
