//! Putting the engine together, watching it, taking it down.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use arc_malachitebft_app_channel::{
    Channels, ConsensusContext, EngineBuilder, EngineHandle, RequestContext, SyncContext,
    WalContext,
    app::config::{ConsensusConfig, NodeConfig, ValueSyncConfig},
};
use arc_malachitebft_core_types::LinearTimeouts;
use arc_malachitebft_engine::node::NodeRef;
use tokio::{sync::watch, time::timeout};

use crate::{
    bus,
    codec::Borsh,
    config::Net,
    context::{Address, Grid},
    error::EngineError,
    home::Paths,
    p2p,
    sign::{Keyring, Recovery},
    solo,
    status::{Progress, observe},
};

/// How many state dumps may wait; this crate asks for none.
const REQUESTS: usize = 1;

/// What the engine's builder asks for.
pub(crate) struct Settings {
    pub(crate) moniker: String,
    pub(crate) consensus: ConsensusConfig,
    pub(crate) sync: ValueSyncConfig,
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
    keyring: Option<&Keyring>,
) -> Result<(Channels<Grid>, Running), EngineError> {
    let mut consensus = match net {
        Net::Solo | Net::Bus(_) => p2p::solo(),
        Net::P2p { listen, peers, peers_only } => {
            p2p::config(chain_id, listen, peers, *peers_only)?
        }
    };
    consensus.enabled = keyring.is_some();
    // Peers say every second how far they are: what a node that fell behind waits for.
    let sync = ValueSyncConfig {
        enabled: !net.is_solo(),
        status_update_interval: Duration::from_secs(1),
        ..Default::default()
    };
    let settings = Settings { moniker: unique(moniker), consensus, sync };
    let (network, publisher) = match net {
        Net::Solo => solo::spawn().await.map_err(|error| not_started(&error))?,
        Net::Bus(port) => bus::spawn(port).await.map_err(|error| not_started(&error))?,
        Net::P2p { .. } => p2p::spawn(moniker, &settings, home, keyring).await?,
    };
    let observed = observe(&network).await;
    let builder = EngineBuilder::new(Grid, settings)
        .with_default_wal(WalContext::new(home.wal.clone(), Borsh))
        .with_custom_network(network.clone(), publisher)
        .with_default_consensus(voter(chain_id, keyring))
        .with_default_request(RequestContext::new(REQUESTS));
    let built = if net.is_solo() {
        builder.with_no_sync().build().await
    } else {
        builder.with_default_sync(SyncContext::new(Borsh)).build().await
    };
    match (built, observed) {
        (Ok((channels, handle)), Ok((observer, progress))) => {
            observer.link(handle.actor.get_cell());
            Ok((channels, Running { handle, progress }))
        }
        (built, observed) => {
            network.stop(None);
            if let Ok((_, handle)) = &built {
                handle.actor.kill();
            }
            let reason = built.err().map(|error| format!("{error:#}"));
            let reason = reason.or_else(|| observed.err().map(|error| error.to_string()));
            Err(EngineError::Start(reason.unwrap_or_default()))
        }
    }
}

/// How long the steps of a round wait for messages: the engine's own choice, which suits a network around the globe.
/// A bus is faster, and its tests live on rounds that fail.
pub(crate) fn timeouts(net: &Net) -> LinearTimeouts {
    let usual = LinearTimeouts::default();
    match net {
        Net::Bus(_) => {
            let (propose, rebroadcast) = (Duration::from_secs(1), Duration::from_secs(2));
            LinearTimeouts { propose, rebroadcast, ..usual }
        }
        Net::Solo | Net::P2p { .. } => usual,
    }
}

/// What the engine votes with and checks others by.
fn voter(chain_id: u64, keyring: Option<&Keyring>) -> ConsensusContext<Grid> {
    let verifier = Box::new(Recovery::new(chain_id));
    match keyring {
        Some(keyring) => {
            ConsensusContext::new_validator(keyring.address(), verifier, Box::new(keyring.clone()))
        }
        // Nobody's address; the engine votes for none, as it is not enabled.
        None => ConsensusContext::new_full_node(Address(alloy_primitives::Address::ZERO), verifier),
    }
}

pub(crate) fn not_started(error: &impl ToString) -> EngineError {
    EngineError::Start(error.to_string())
}

/// The running actors. Dropped, they are killed at their next await: what a crash does to them.
pub(crate) struct Running {
    handle: EngineHandle,
    progress: watch::Receiver<Progress>,
}

impl Running {
    /// What peers show of their progress.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

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
