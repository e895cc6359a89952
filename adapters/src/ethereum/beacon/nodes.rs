//! The beacon nodes of one network: asked in order of their standing, checked before they are heard.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, select_all},
};
use grid_core::{ChainId, ethereum::sync::NetworkConfig};

use super::{BeaconError, api::BeaconApi, network};
use crate::{
    AdapterError, Endpoint, Health, SourceKind,
    member::{self, Member},
    pool,
};

/// A beacon node and its standing.
pub(super) type Node = Member<BeaconApi>;

/// The beacon nodes that serve one light client.
#[derive(Debug)]
pub(super) struct Nodes {
    chain: ChainId,
    members: Vec<Node>,
    /// What is to be known of each, by name.
    warnings: Mutex<BTreeMap<String, Vec<String>>>,
}

impl Nodes {
    /// Nothing is sent yet.
    pub(super) fn new(
        chain: ChainId,
        network: &NetworkConfig,
        endpoints: Vec<Endpoint>,
    ) -> Result<Self, AdapterError> {
        if endpoints.is_empty() || endpoints.len() > member::MAX_MEMBERS {
            return Err(AdapterError::Invalid(format!(
                "{chain} has {} beacon endpoints; expected 1 to {}",
                endpoints.len(),
                member::MAX_MEMBERS
            )));
        }
        let members: Result<Vec<Node>, AdapterError> = endpoints
            .into_iter()
            .map(|endpoint| {
                let name = endpoint.section().to_owned();
                let api = BeaconApi::new(endpoint.clone(), network.clone())?;
                Ok(Member::of(name, SourceKind::Beacon, Arc::new(api)).at(&endpoint))
            })
            .collect();
        Ok(Self { chain, members: members?, warnings: Mutex::default() })
    }

    pub(super) const fn chain(&self) -> &ChainId {
        &self.chain
    }

    pub(super) const fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn health(&self) -> Vec<Health> {
        member::health(&self.members)
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .flatten()
            .cloned()
            .collect()
    }

    /// Returns once a node announces something.
    pub(super) async fn changed(&self) {
        select_all(self.members.iter().map(|node| node.source.changed().boxed())).await;
    }

    /// Asks a node, after making sure, once per connection, that it is of the network.
    async fn checked<T>(
        &self,
        api: &BeaconApi,
        now: u64,
        question: BoxFuture<'_, Result<T, AdapterError>>,
    ) -> Result<T, AdapterError> {
        if !api.is_checked() {
            let found = network::check(api, self.chain.eip155_number(), now).await?;
            let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
            for warning in &found {
                tracing::warn!(warning, "forks to come");
            }
            warnings.insert(api.endpoint().to_owned(), found);
            api.set_checked(true);
        }
        let outcome = question.await;
        if let Err(AdapterError::Rpc(_)) = &outcome {
            // After a failed exchange another node may answer at the same address.
            api.set_checked(false);
        }
        outcome
    }

    /// The first answer that `accept` takes, best node first. A node whose answer is not taken costs
    /// its standing, and the next one is asked.
    pub(super) async fn first<'a, T: Send + 'a, U>(
        &'a self,
        now: u64,
        question: impl Fn(&'a BeaconApi) -> BoxFuture<'a, Result<T, AdapterError>> + Sync,
        mut accept: impl FnMut(&str, T) -> Result<U, AdapterError>,
    ) -> Result<U, AdapterError> {
        let mut failures = Vec::new();
        for _ in 0..self.members.len() {
            let ask = |api: &'a BeaconApi| self.checked(api, now, question(api)).boxed();
            let (node, answer) = match pool::first(&self.chain, &self.members, ask).await {
                Ok(answered) => answered,
                Err(error) if failures.is_empty() => return Err(error),
                Err(_) => break,
            };
            match accept(node.source.endpoint(), answer) {
                Ok(taken) => return Ok(taken),
                Err(error) => {
                    node.failed(&error);
                    failures.push((node, error));
                }
            }
        }
        Err(member::all_failed(&self.chain, failures))
    }

    /// What every node answers. Once one has, the others get a little time.
    pub(super) async fn all<'a, T: Send + 'a>(
        &'a self,
        now: u64,
        question: impl Fn(&'a BeaconApi) -> BoxFuture<'a, Result<T, AdapterError>> + Sync,
    ) -> Vec<(&'a Node, Result<T, AdapterError>)> {
        let ask = |api: &'a BeaconApi| self.checked(api, now, question(api)).boxed();
        pool::all(self.members.iter().collect(), 1, ask).await
    }

    /// Notes that a node serves finality that is older than what is proven already.
    pub(super) fn behind(node: &Node, slot: u64, behind: u64) {
        let endpoint = node.source.endpoint().into();
        node.failed(&BeaconError::Behind { endpoint, slot, behind }.into());
    }
}
