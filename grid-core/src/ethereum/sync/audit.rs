//! Verifying stored light-client data in order, as an auditor does who trusts a checkpoint only.

use alloy_primitives::B256;

use super::{
    client::SyncClient,
    error::SyncError,
    file::Object,
    network::NetworkConfig,
    policy::Policy,
    store::{Change, Store},
    types::Bootstrap,
};

/// What a piece of data has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The client started from it.
    Started,
    /// A bootstrap that proves itself, for a client that has started already.
    Bootstrap,
    /// An update that is valid, and what it changed.
    Update(Change),
}

/// A client that starts from the first bootstrap that it meets.
#[derive(Debug)]
pub struct Audit {
    network: NetworkConfig,
    policy: Policy,
    checkpoint: Option<B256>,
    client: Option<SyncClient>,
}

impl Audit {
    /// Starts from the bootstrap of the trusted block `checkpoint`, once it comes.
    #[must_use]
    pub const fn new(network: NetworkConfig, policy: Policy, checkpoint: Option<B256>) -> Self {
        Self { network, policy, checkpoint, client: None }
    }

    /// Goes on with a client that was stored.
    #[must_use]
    pub fn resume(client: SyncClient, checkpoint: B256) -> Self {
        let (network, policy) = (client.network().clone(), client.policy().clone());
        Self { network, policy, checkpoint: Some(checkpoint), client: Some(client) }
    }

    /// The client, once it has started.
    #[must_use]
    pub const fn client(&self) -> Option<&SyncClient> {
        self.client.as_ref()
    }

    /// The client and its checkpoint, once it has started.
    #[must_use]
    pub fn into_client(self) -> Option<(SyncClient, B256)> {
        self.client.zip(self.checkpoint)
    }

    /// Verifies one object at Unix time `now`, in seconds.
    ///
    /// # Errors
    /// [`SyncError`] naming the rule that refuses it; [`SyncError::NotStarted`] for what comes before a
    /// bootstrap, or for a bootstrap without a checkpoint.
    pub fn take(&mut self, object: &Object, now: u64) -> Result<Taken, SyncError> {
        match (object, object.to_update(), &mut self.client) {
            (_, Some(update), Some(client)) => client.process(update, now).map(Taken::Update),
            (Object::Bootstrap(bootstrap), _, Some(_)) => {
                let root = bootstrap.header.beacon.root();
                Store::new(&self.network, &root, (**bootstrap).clone()).map(|_| Taken::Bootstrap)
            }
            (Object::Bootstrap(bootstrap), _, None) => self.start(bootstrap, now),
            _ => Err(SyncError::NotStarted),
        }
    }

    fn start(&mut self, bootstrap: &Bootstrap, now: u64) -> Result<Taken, SyncError> {
        let trusted = self.checkpoint.ok_or(SyncError::NotStarted)?;
        let (network, policy) = (self.network.clone(), self.policy.clone());
        let client = SyncClient::bootstrap(network, policy, &trusted, bootstrap.clone(), now)?;
        self.client = Some(client);
        Ok(Taken::Started)
    }
}
