//! What is served: a chain, its faults, and those who listen for events.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::Router;
use serde_json::json;
use tokio::{sync::broadcast, task::JoinHandle};

use super::{api, chain::Chain, fault::Fault, tree};
use crate::{NodeError, serve};

/// Events kept for a slow reader.
const EVENTS: usize = 64;

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Head,
    FinalizedCheckpoint,
    FinalityUpdate,
    OptimisticUpdate,
}

impl Topic {
    /// As in the query `topics=`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::FinalizedCheckpoint => "finalized_checkpoint",
            Self::FinalityUpdate => "light_client_finality_update",
            Self::OptimisticUpdate => "light_client_optimistic_update",
        }
    }
}

/// An event and its data.
type Event = (Topic, Arc<str>);

/// The state behind a server.
#[derive(Debug)]
pub(super) struct Served {
    chain: Arc<Mutex<Chain>>,
    faults: Mutex<Vec<(String, Fault)>>,
    asked: Mutex<BTreeMap<String, u64>>,
    events: broadcast::Sender<Event>,
}

/// A running server; it ends with this value.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: String,
    pub(super) served: Arc<Served>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Served {
    /// Serves a chain on a port, a free one where absent.
    pub(super) async fn start(chain: Chain, port: Option<u16>) -> Result<Server, NodeError> {
        Self::serve(Arc::new(Mutex::new(chain)), port).await
    }

    /// Another server of the same chain, with faults of its own. It has no events.
    pub(super) async fn mirror(&self) -> Result<Server, NodeError> {
        Self::serve(Arc::clone(&self.chain), None).await
    }

    async fn serve(chain: Arc<Mutex<Chain>>, port: Option<u16>) -> Result<Server, NodeError> {
        let served = Arc::new(Self {
            chain,
            faults: Mutex::default(),
            asked: Mutex::default(),
            events: broadcast::channel(EVENTS).0,
        });
        let router = Router::new().fallback(api::answer).with_state(Arc::clone(&served));
        let (url, task) = serve::on_port(router, port.unwrap_or(0)).await?;
        Ok(Server { url, served, task })
    }

    pub(super) fn chain(&self) -> MutexGuard<'_, Chain> {
        lock(&self.chain)
    }

    /// Adds a fault for paths that contain `part`.
    pub(super) fn add_fault(&self, part: &str, fault: Fault) {
        lock(&self.faults).push((part.to_owned(), fault));
    }

    pub(super) fn clear_faults(&self) {
        lock(&self.faults).clear();
    }

    /// The newest fault for a path.
    pub(super) fn fault_on(&self, path: &str) -> Option<Fault> {
        lock(&self.faults).iter().rev().find(|(part, _)| path.contains(part)).map(|(_, f)| *f)
    }

    pub(super) fn count(&self, path: &str) {
        *lock(&self.asked).entry(path.to_owned()).or_default() += 1;
    }

    /// Requests so far whose path contains `part`.
    pub(super) fn asked(&self, part: &str) -> u64 {
        lock(&self.asked).iter().filter(|(path, _)| path.contains(part)).map(|(_, n)| n).sum()
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Tells listeners of the newest block.
    pub(super) fn announce(&self) {
        if self.events.receiver_count() == 0 {
            return;
        }
        let chain = self.chain();
        let Some(head) = chain.head() else { return };
        let mut events = vec![(
            Topic::Head,
            json!({ "slot": head.header.slot.to_string(), "block": head.root,
                "state": head.header.state_root, "epoch_transition": false }),
        )];
        let before = chain.block_until(head.header.slot.saturating_sub(1));
        if before.is_some_and(|before| before.finalized != head.finalized) {
            let root = head.finalized.root;
            events.push((
                Topic::FinalizedCheckpoint,
                json!({ "block": root, "epoch": head.finalized.epoch.to_string() }),
            ));
        }
        if let Some(update) = chain.newest_update() {
            let version = tree::name(update.version());
            for (topic, value) in [
                (Topic::FinalityUpdate, update.finality()),
                (Topic::OptimisticUpdate, update.optimistic()),
            ] {
                events.push((topic, json!({ "version": version, "data": value.json() })));
            }
        }
        for (topic, data) in events {
            // Nobody may be left to hear it.
            let _ = self.events.send((topic, data.to_string().into()));
        }
    }
}
