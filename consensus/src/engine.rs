//! Putting the engine together, watching it, taking it down.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use arc_malachitebft_app_channel::{
    Channels, ConsensusContext, EngineBuilder, EngineHandle, NetworkContext, RequestContext,
    SyncContext, WalContext,
    app::config::{ConsensusConfig, NodeConfig, ValueSyncConfig},
};
use arc_malachitebft_engine::node::NodeRef;
use tokio::{sync::watch, time::timeout};

use crate::{
    codec::Borsh,
    config::Net,
    context::Grid,
    error::EngineError,
    home::Paths,
    p2p,
    sign::{Keyring, Recovery},
    solo,
};

/// How many state dumps may wait; this crate asks for none.
const REQUESTS: usize = 1;

/// What the engine's builder asks for.
struct Settings {
    moniker: String,
    consensus: ConsensusConfig,
    sync: ValueSyncConfig,
}

impl NodeConfig for Settings {
    fn moniker(&self) -> &str {
        &self.moniker
    }

    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.sync
    }
}

/// The engine's metrics live in one registry per process, told apart by moniker alone: two engines
/// of one name would count into each other.
fn unique(moniker: &str) -> String {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    format!("{moniker}#{}", STARTED.fetch_add(1, Ordering::Relaxed))
}

/// Starts the engine's actors.
pub(crate) async fn start(
    moniker: &str,
    net: &Net,
    home: &Paths,
    chain_id: u64,
    keyring: &Keyring,
) -> Result<(Channels<Grid>, Running), EngineError> {
    let consensus = match net {
        Net::Solo => p2p::solo(),
        Net::P2p { listen, peers } => p2p::config(chain_id, listen, peers)?,
    };
    let moniker = unique(moniker);
    // Peers say every second how far they are: what a node that fell behind waits for.
    let sync = ValueSyncConfig {
        enabled: *net != Net::Solo,
        status_update_interval: Duration::from_secs(1),
        ..Default::default()
    };
    let settings = Settings { moniker: moniker.clone(), consensus, sync };
    let builder = EngineBuilder::new(Grid, settings)
        .with_default_wal(WalContext::new(home.wal.clone(), Borsh))
        .with_default_consensus(ConsensusContext::new_validator(
            keyring.address(),
            Box::new(Recovery::new(chain_id)),
            Box::new(keyring.clone()),
        ))
        .with_default_request(RequestContext::new(REQUESTS));
    let built = match net {
        Net::Solo => {
            let actor =
                solo::spawn().await.map_err(|error| EngineError::Start(error.to_string()))?;
            // Nothing is published without a network, so nobody has to read this channel.
            let (network, _) = tokio::sync::mpsc::channel(1);
            builder.with_custom_network(actor, network).with_no_sync().build().await
        }
        Net::P2p { .. } => {
            let identity = p2p::identity(moniker, &home.network_key, keyring).await?;
            builder
                .with_default_network(NetworkContext::new(identity, Borsh))
                .with_default_sync(SyncContext::new(Borsh))
                .build()
                .await
        }
    };
    let (channels, handle) = built.map_err(|error| EngineError::Start(format!("{error:#}")))?;
    Ok((channels, Running { handle }))
}

/// The running actors. Dropped, they are killed at their next await: what a crash does to them.
pub(crate) struct Running {
    handle: EngineHandle,
}

impl Running {
    /// Waits until the engine ends by itself, which it never does in good health. (After a failure of
    /// its log it stays alive without doing anything; then the message loop ends instead.)
    pub(crate) async fn died(&mut self) -> String {
        match (&mut self.handle.handle).await {
            Ok(()) => "an actor of the engine failed; the log says which".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// The root of the actors, for [`stop`].
    pub(crate) fn node(&self) -> NodeRef {
        self.handle.actor.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.actor.kill();
    }
}

/// Lets the actors finish what they do: log flushed, connections closed.
pub(crate) async fn stop(node: &NodeRef, patience: Duration) {
    node.stop_children_and_wait(Some("shutdown".to_owned()), Some(patience)).await;
    node.stop(Some("shutdown".to_owned()));
}

/// Waits until no height was decided for `limit`; gives the height that stands.
pub(crate) async fn stagnation(progress: &mut watch::Receiver<u64>, limit: Duration) -> u64 {
    loop {
        match timeout(limit, progress.changed()).await {
            Ok(Ok(())) => {}
            // The message loop has ended and says why itself.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return *progress.borrow(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_watchdog_names_the_height_that_stands() {
        let (progress, mut watched) = watch::channel(1);
        let limit = Duration::from_millis(20);
        assert_eq!(stagnation(&mut watched, limit).await, 1);
        // Progress between two looks is seen, and then the wait starts anew.
        progress.send_replace(2);
        assert_eq!(stagnation(&mut watched, limit).await, 2);
        // A loop that has ended is not a standstill.
        drop(progress);
        let waited = timeout(limit * 5, stagnation(&mut watched, limit)).await;
        assert!(waited.is_err(), "{waited:?}");
    }

    #[test]
    fn no_two_engines_of_a_process_share_a_name() {
        assert_ne!(unique("node"), unique("node"));
    }
}
