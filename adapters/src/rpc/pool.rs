//! Several JSON-RPC servers that answer for the same chain, such as nodes of the main chain.
//!
//! Questions go to the first that works, and to another one too when it is slow. Calls that change
//! something go to one server, and to the next only after that one has failed. What servers say is
//! believed here: whoever asks verifies.

use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{HttpJsonRpc, RpcError};
use crate::{
    AdapterError, Endpoint, Health, SourceKind,
    member::{self, MAX_MEMBERS, Member},
    pool::{self, Survey},
};

/// A question without parameters that tells a server's height, and how to read the answer.
pub type HeightProbe = (&'static str, fn(&Value) -> Option<u64>);

/// Servers of one chain, best first. See the module's introduction.
#[derive(Debug)]
pub struct RpcPool {
    name: &'static str,
    members: Vec<Member<HttpJsonRpc>>,
    height: Option<HeightProbe>,
    survey: Survey,
}

/// Why a call that changes something did not get through.
#[derive(Debug, Clone)]
pub struct SendError {
    /// The last server's reason.
    pub error: AdapterError,
    /// A server that was asked before may have taken the call all the same: its failure.
    pub in_doubt: Option<RpcError>,
}

impl RpcPool {
    /// The servers at these endpoints; `name` stands for the chain in messages, `methods` are those that
    /// their metrics tell apart. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no endpoint or too many, or no HTTP client can be built.
    pub fn new(
        name: &'static str,
        endpoints: Vec<Endpoint>,
        methods: &[&'static str],
    ) -> Result<Self, AdapterError> {
        if endpoints.is_empty() || endpoints.len() > MAX_MEMBERS {
            let count = endpoints.len();
            let text = format!("{name} has {count} endpoints; expected 1 to {MAX_MEMBERS}");
            return Err(AdapterError::Invalid(text));
        }
        let member = |endpoint: Endpoint| {
            let client = HttpJsonRpc::counting(endpoint.clone(), methods)?;
            let name = endpoint.section().to_owned();
            Ok(Member::of(name, SourceKind::Rpc, Arc::new(client)).at(&endpoint))
        };
        let members: Result<_, AdapterError> = endpoints.into_iter().map(member).collect();
        Ok(Self { name, members: members?, height: None, survey: Survey::default() })
    }

    /// Looks at all servers' heights from time to time: one that lags behind the others is asked last.
    #[must_use]
    pub const fn with_height(mut self, probe: HeightProbe) -> Self {
        self.height = Some(probe);
        self
    }

    /// How each server does, in the configured order.
    #[must_use]
    pub fn health(&self) -> Vec<Health> {
        member::health(&self.members)
    }

    /// Asks a method that changes nothing.
    ///
    /// # Errors
    /// [`AdapterError::Rpc`] with the method's own error, which no other server is asked about; otherwise
    /// every server's failure.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, AdapterError> {
        self.look().await;
        let (_, answer) = pool::first(&self.name, &self.members, |server| {
            let params = params.clone();
            async move {
                match server.call(method, params).await {
                    Err(error @ RpcError::Server { .. }) => Ok(Err(error)),
                    outcome => Ok(Ok(outcome?)),
                }
            }
            .boxed()
        })
        .await?;
        Ok(answer?)
    }

    /// Calls a method that changes something, one server after the other until one has an answer. Only for
    /// calls that have their effect once however often they arrive, such as a signed transaction.
    ///
    /// # Errors
    /// [`SendError`], which says whether the call may have had its effect.
    pub async fn send(&self, method: &str, params: Value) -> Result<Value, SendError> {
        let (mut in_doubt, mut failures) = (None, Vec::new());
        for member in member::order(&self.members) {
            let sent = member.source.send(method, params.clone());
            // A refusal of the call says nothing against the server.
            let answer = async {
                match sent.await {
                    Err(error @ RpcError::Server { .. }) => Ok(Err(error)),
                    outcome => Ok(Ok(outcome?)),
                }
            };
            match member.ask(answer.boxed()).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(refusal)) => return Err(SendError { error: refusal.into(), in_doubt }),
                Err(error) => {
                    if let AdapterError::Rpc(error) = &error
                        && error.may_have_arrived()
                    {
                        in_doubt = Some(error.clone());
                    }
                    failures.push((member, error));
                }
            }
        }
        Err(SendError { error: member::all_failed(&self.name, failures), in_doubt })
    }

    /// Compares the servers' heights, where it is time for that.
    async fn look(&self) {
        let Some((method, read)) = self.height else { return };
        if self.members.len() < 2 || !self.survey.begins() {
            return;
        }
        let begun = Instant::now();
        let asked = pool::all(member::due(&self.members, 1), 1, |server| {
            async move { Ok(server.call(method, json!([])).await?) }.boxed()
        });
        for (member, answer) in asked.await {
            if let Some(height) = answer.ok().as_ref().and_then(read) {
                member.note_height(height);
            }
        }
        member::measure_lag(&self.members, begun);
    }
}
