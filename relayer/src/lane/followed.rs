//! The chains that are followed, and how they change while the lanes run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLockReadGuard},
};

use grid_adapters::SourceChain;
use grid_core::ChainId;
use tokio::sync::{Mutex, watch};

use super::{Lanes, Shared, news::News, visit::Chain};
use crate::{attest::Collector, config::lane_settings, source::ChainSource, store::ChainRow};

/// A chain that is followed.
pub(super) struct Entry {
    /// Need not be locked to be waited for.
    pub(super) source: Arc<dyn SourceChain>,
    pub(super) chain: Arc<Mutex<Chain>>,
    pub(super) news: Arc<News>,
}

impl Entry {
    pub(super) fn new(source: ChainSource) -> Self {
        let seen = source.chain();
        let chain = Arc::new(Mutex::new(Chain::new(source)));
        Self { source: seen, chain, news: Arc::default() }
    }
}

impl Shared {
    pub(super) fn chains(&self) -> RwLockReadGuard<'_, BTreeMap<ChainId, Entry>> {
        // Every change is one call of the map.
        self.chains.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<ChainId, Entry>)) {
        change(&mut self.chains.write().unwrap_or_else(PoisonError::into_inner));
        self.sources.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// The chains that are followed.
    pub(crate) fn followed(&self) -> BTreeSet<ChainId> {
        self.chains().keys().cloned().collect()
    }

    /// The sources, which need not be locked to be waited for.
    pub(crate) fn sources(&self) -> Vec<Arc<dyn SourceChain>> {
        self.chains().values().map(|entry| entry.source.clone()).collect()
    }

    /// Tells when [`Self::sources`] have changed.
    pub(crate) fn source_changes(&self) -> watch::Receiver<u64> {
        self.sources.subscribe()
    }

    /// Other settings for the lanes.
    pub(crate) fn set_lanes(&self, lanes: Lanes) {
        let before = self.lanes.send_replace(lanes);
        self.metrics.reconfigured(lane_settings(&before), lane_settings(&lanes));
    }

    /// Whether nothing is signed or sent.
    pub(crate) const fn dry_run(&self) -> bool {
        self.submit.dry_run
    }

    pub(crate) const fn collector(&self) -> &Arc<Collector> {
        &self.collector
    }

    /// Follows a chain by another source, or a new chain. Its pause after trouble is over: the new source may do better.
    pub(crate) async fn put(&self, source: ChainSource) {
        let id = source.chain().id().clone();
        self.forget_sources(&id);
        if !self.chains().contains_key(&id) {
            self.metrics.initialise([&id]);
        }
        self.board.put(&id, true);
        self.end_pause(&id).await;
        self.change(|chains| {
            chains.insert(id.clone(), Entry::new(source));
        });
        self.wake(&id);
    }

    /// Follows a chain no more.
    pub(crate) async fn remove(&self, id: &ChainId) {
        self.change(|chains| {
            chains.remove(id);
        });
        self.forget_sources(id);
        self.board.put(id, false);
        self.end_pause(id).await;
    }

    /// The sources of a chain are others from now on, or another relayer's to look at: what was seen of them says
    /// nothing any more.
    pub(super) fn forget_sources(&self, id: &ChainId) {
        for source in self.board.take_sources(id) {
            self.metrics.forget_source(id, &source.name);
        }
    }

    async fn end_pause(&self, id: &ChainId) {
        if let Err(error) =
            self.store.set_chain(id, &ChainRow::default(), self.clock.now_ms()).await
        {
            tracing::warn!(chain = %id, %error, "the pause of the chain's old source is not over");
        }
    }
}
