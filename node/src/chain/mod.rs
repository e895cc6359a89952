//! The chain under the consensus engine: builds, judges and commits blocks.
//!
//! A block is executed once, when it is proposed or first judged; the result waits in a small cache until
//! the block is decided. All rules are grid-core's; this module adds the clock, the mempool and the
//! database.

mod cache;
mod clients;
mod consensus;
mod effort;
mod evidence;
mod senders;
mod submit;
mod submitters;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use alloy_primitives::{Address, B256};
use grid_consensus::Head;
use grid_core::{
    ChainKey,
    grid::Extension,
    light_client::LightClient,
    state::{self, StorageError},
    transition::{self, ExecutedBlock, IndexEvent, Parent},
};
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    clock::Clock,
    mempool::Mempool,
    metrics::{NodeMetrics, gauge},
    store::{Store, StoreError, View},
};
use cache::ExecutedCache;
use clients::Clients;
use effort::Effort;
pub use submit::{SubmitError, decode};
use submitters::Submitters;

/// How far a proposed block's time may be ahead of this node's clock, milliseconds. Judged only when
/// voting live; a decided block is never judged by a clock.
pub const MAX_DRIFT_MS: u64 = 5_000;

/// Why the chain can't go on. Never the verdict on a block.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChainFailure {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StorageError),
    /// A stored block is not what this program makes of it.
    #[error("stored block {height} is unusable: {reason}")]
    Stored {
        /// Height of the block.
        height: u64,
        /// What is wrong.
        reason: String,
    },
}

/// A Grid chain over its database.
#[derive(Debug)]
pub struct GridChain {
    chain_id: u64,
    store: Store,
    mempool: Mempool,
    metrics: NodeMetrics,
    clock: Clock,
    executed: Mutex<ExecutedCache>,
    clients: Clients,
    /// Who brought headers lately.
    submitters: Submitters,
    head: watch::Sender<Head>,
    /// The newest block, so that nobody reads and hashes it again.
    parent: Mutex<Parent>,
    /// How much work fits into a block that is built here.
    effort: Effort,
    /// When time alone may confirm headers, milliseconds since 1970; `u64::MAX` for never.
    due_ms: AtomicU64,
    /// Chain key → CAIP-2 id, for metrics labels.
    names: Mutex<BTreeMap<ChainKey, String>>,
}

impl GridChain {
    /// The chain as the database has it.
    ///
    /// # Errors
    /// [`ChainFailure`] where the database can't be read.
    pub fn new(
        chain_id: u64,
        store: Store,
        mempool: Mempool,
        metrics: NodeMetrics,
    ) -> Result<Self, ChainFailure> {
        let view = store.view()?;
        let head = read_head(&view)?;
        let chain = Self {
            chain_id,
            store,
            mempool,
            metrics,
            clock: Clock::default(),
            executed: Mutex::new(ExecutedCache::default()),
            clients: Clients::default(),
            submitters: Submitters::read(&view)?,
            head: watch::Sender::new(head),
            parent: Mutex::new(read_parent(&view)?),
            effort: Effort::default(),
            due_ms: AtomicU64::new(read_due(&view)?),
            names: Mutex::new(BTreeMap::new()),
        };
        chain.refresh_mempool(&view, submit::base_fee_after(&view)?, &[])?;
        chain.start_metrics(&view)?;
        Ok(chain)
    }

    /// Goes by another clock than the machine's.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// This node's clock, milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// EIP-155 chain id.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.chain_id
    }

    /// The newest committed block, and a notice of each later one.
    #[must_use]
    pub fn heads(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// The database.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The mempool.
    #[must_use]
    pub const fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// The metrics.
    #[must_use]
    pub const fn metrics(&self) -> &NodeMetrics {
        &self.metrics
    }

    /// A chain's light client in the newest state; `None` where the chain is not registered.
    ///
    /// # Errors
    /// [`ChainFailure`] where the state can't be read.
    pub fn light_client(
        &self,
        view: &View,
        chain: ChainKey,
    ) -> Result<Option<Arc<LightClient>>, ChainFailure> {
        Ok(self.clients.get(view, chain)?)
    }

    /// The accounts that brought a chain's headers lately, newest first.
    pub(crate) fn submitters(&self, chain: ChainKey) -> Vec<Address> {
        self.submitters.of(chain, self.head.borrow().height)
    }

    /// The newest block of a snapshot as the parent of the next.
    fn parent(&self, view: &View) -> Result<Parent, ChainFailure> {
        let parent = self.lock_parent().clone();
        if parent.header.number == view.height() {
            return Ok(parent);
        }
        // The snapshot is a block older or newer than what was noted.
        read_parent(view)
    }

    fn lock_parent(&self) -> MutexGuard<'_, Parent> {
        self.parent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn executed(&self) -> MutexGuard<'_, ExecutedCache> {
        self.executed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that follows a durable commit.
    fn after_commit(&self, executed: &ExecutedBlock, head: Head) -> Result<(), ChainFailure> {
        self.executed().clear();
        self.clients.changed(head.height, &executed.diff);
        let transactions = &executed.block.body.transactions;
        self.submitters.note(head.height, transactions, &executed.receipts, &executed.senders);
        let previous_ms = self.head.borrow().time_ms;
        let view = self.store.view()?;
        *self.lock_parent() = Parent { header: executed.block.header.clone(), hash: executed.hash };
        self.due_ms.store(read_due(&view)?, Ordering::Relaxed);
        let base_fee = transition::next_base_fee(&executed.block.header);
        self.refresh_mempool(&view, base_fee, &executed.senders)?;
        let metrics = &self.metrics;
        metrics.head_height.set(gauge(head.height));
        metrics.head_time_ms.set(gauge(head.time_ms));
        let interval = u32::try_from(head.time_ms.saturating_sub(previous_ms));
        metrics.block_interval_seconds.observe(f64::from(interval.unwrap_or(u32::MAX)) / 1000.0);
        metrics.transactions_total.inc_by(executed.receipts.len() as u64);
        metrics.gas_used_total.inc_by(executed.block.header.gas_used);
        metrics.store_bytes.set(gauge(self.store.bytes()));
        for event in &executed.index_events {
            match event {
                IndexEvent::Reverted { chain, depth, .. } => {
                    let name = self.name(&view, *chain)?;
                    metrics.index_reverted_total.with_label_values(&[name.as_str()]).inc_by(*depth);
                }
                IndexEvent::LevelChanged { chain, level, height, median } => {
                    let name = self.name(&view, *chain)?;
                    tracing::info!(chain = %name, %level, height, median, "the chain's pace has another level");
                }
                _ => {}
            }
        }
        if !executed.index_events.is_empty() {
            self.index_metrics(&view)?;
        }
        // Last: whoever waits for a head finds mempool and metrics up to date.
        self.head.send_replace(head);
        Ok(())
    }

    fn start_metrics(&self, view: &View) -> Result<(), ChainFailure> {
        let head = self.head.borrow().clone();
        self.metrics.head_height.set(gauge(head.height));
        self.metrics.head_time_ms.set(gauge(head.time_ms));
        self.metrics.store_bytes.set(gauge(self.store.bytes()));
        self.index_metrics(view)?;
        self.count_evidence()?;
        let names: Vec<_> = self.lock_names().values().cloned().collect();
        for name in names {
            self.metrics.index_reverted_total.with_label_values(&[name.as_str()]).inc_by(0);
        }
        Ok(())
    }

    fn index_metrics(&self, view: &View) -> Result<(), ChainFailure> {
        for entry in state::query::entries(view)? {
            let name = self.name(view, ChainKey(entry.chain))?;
            let label = [name.as_str()];
            self.metrics.index_headers.with_label_values(&label).set(gauge(entry.count));
            if let Some(client) = self.light_client(view, ChainKey(entry.chain))? {
                let tree = client.tree();
                let (headers, bytes) = (gauge(tree.len() as u64), gauge(tree.stored_bytes()));
                self.metrics.light_client_headers.with_label_values(&label).set(headers);
                self.metrics.light_client_bytes.with_label_values(&label).set(bytes);
            }
        }
        Ok(())
    }

    /// A chain's CAIP-2 id.
    fn name(&self, view: &View, key: ChainKey) -> Result<String, ChainFailure> {
        if let Some(name) = self.lock_names().get(&key) {
            return Ok(name.clone());
        }
        let chains = state::query::chains(view)?;
        let mut names = self.lock_names();
        names.extend(chains.into_iter().map(|record| (record.key(), record.id.to_string())));
        Ok(names.get(&key).cloned().unwrap_or_else(|| key.to_string()))
    }

    fn lock_names(&self) -> MutexGuard<'_, BTreeMap<ChainKey, String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The head as stored.
fn read_head(view: &View) -> Result<Head, ChainFailure> {
    let height = view.height();
    let parent = read_parent(view)?;
    let next_validators = view.validators(height.saturating_add(1))?.ok_or_else(|| {
        ChainFailure::Stored { height, reason: "it names no validators for the next one".into() }
    })?;
    Ok(Head { height, hash: parent.hash, time_ms: time_ms(&parent)?, next_validators })
}

/// When time alone may confirm more headers; `u64::MAX` for never.
fn read_due(view: &View) -> Result<u64, StorageError> {
    Ok(state::query::next_due_ms(view)?.unwrap_or(u64::MAX))
}

/// The newest block as the parent of the next.
fn read_parent(view: &View) -> Result<Parent, ChainFailure> {
    let height = view.height();
    let header = view
        .header(height)?
        .ok_or_else(|| ChainFailure::Stored { height, reason: "it is missing".into() })?;
    Ok(Parent::new(header))
}

/// A stored block's time, milliseconds since 1970.
fn time_ms(parent: &Parent) -> Result<u64, ChainFailure> {
    let height = parent.header.number;
    Extension::of(&parent.header)
        .map(|extension| extension.timeMs)
        .map_err(|error| ChainFailure::Stored { height, reason: error.to_string() })
}

/// A shared executed block.
type Executed = Arc<ExecutedBlock>;

/// Height and hash name a block in errors.
fn name_block(height: u64, hash: B256) -> String {
    format!("block {height} ({hash})")
}
