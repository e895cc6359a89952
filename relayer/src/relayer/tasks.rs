//! The tasks that a relayer consists of.

use core::time::Duration;
use std::sync::Arc;

use grid_core::{ChainId, Level};
use tokio_util::sync::CancellationToken;

use super::{Inner, LATE};
use crate::{
    clock::{Clock, now_ms},
    config::{RelayerConfig, Retention},
    crew,
    guarantee::{self, GuaranteeConfig, Keeper},
    lane::{self, Parts, Shared},
    messages::{self, Messages, MessagesConfig},
    store::Store,
    submit::Submitter,
    supervise::{Pulse, TaskSpec},
    wake,
};

/// Rows deleted per table and look.
const PRUNE_BATCH: u32 = 2_000;

/// Time between two looks for finished work that is old enough to delete.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// All but the servers.
pub(super) fn all(
    config: &RelayerConfig,
    inner: &Arc<Inner>,
    shared: &Arc<Shared>,
    submitter: &Arc<Submitter>,
    clock: &Clock,
) -> Vec<TaskSpec> {
    const LANES: [&str; 4] = ["lane-l0", "lane-l1", "lane-l2", "lane-l3"];
    let mut specs = Vec::new();
    for (level, name) in Level::ALL.into_iter().zip(LANES) {
        let shared = shared.clone();
        let late = LATE.max(3 * config.lane(level).poll);
        specs.push(TaskSpec::new(name, late, move |pulse, cancel| {
            lane::run(shared.clone(), level, pulse, cancel)
        }));
    }
    let waked = shared.clone();
    specs.push(TaskSpec::new("wake", LATE, move |pulse, cancel| {
        wake::run(waked.clone(), pulse, cancel)
    }));
    let (submitter, poll, clock) = (submitter.clone(), config.submit.poll, clock.clone());
    let waked = shared.clone();
    specs.push(TaskSpec::new("settle", LATE.max(3 * poll), move |pulse, cancel| {
        settle(submitter.clone(), waked.clone(), poll, clock.clone(), pulse, cancel)
    }));
    let (crew, waked) = (inner.crew.clone(), shared.clone());
    let guarantees = config.guarantee.map(|_| guarantee::queue().clone());
    let deliveries = config.messages.is_on().then(|| messages::queue().clone());
    let carried = config.messages.sources.iter().map(|source| messages::hold(&source.chain));
    let messages = deliveries.into_iter().chain(carried);
    let queues: Vec<ChainId> = guarantees.into_iter().chain(messages).collect();
    let late = LATE.max(3 * config.submit.lease);
    specs.push(TaskSpec::new("lease", late, move |pulse, cancel| {
        let shared = waked.clone();
        let queues = queues.clone();
        let held = move || shared.followed().into_iter().chain(queues.iter().cloned()).collect();
        crew::run(crew.clone(), held, pulse, cancel)
    }));
    let (store, retention) = (inner.store.clone(), config.retention);
    specs.push(TaskSpec::new("prune", 3 * PRUNE_EVERY, move |pulse, cancel| {
        prune(store.clone(), retention, pulse, cancel)
    }));
    specs
}

/// Ends guarantees.
pub(super) fn keeper(shared: &Arc<Shared>, parts: Parts, config: GuaranteeConfig) -> TaskSpec {
    let keeper = Arc::new(Keeper::new(shared.clone(), parts, config));
    TaskSpec::new("guarantee", LATE.max(3 * config.poll), move |pulse, cancel| {
        guarantee::run(keeper.clone(), pulse, cancel)
    })
}

/// Carries messages; none where no chain's are.
pub(super) fn carrier(
    shared: &Arc<Shared>,
    parts: &Parts,
    config: &MessagesConfig,
) -> Option<TaskSpec> {
    let poll = config.poll;
    let carrier = Arc::new(Messages::new(shared.clone(), parts.clone(), config));
    let task = TaskSpec::new("messages", LATE.max(3 * poll), move |pulse, cancel| {
        messages::run(carrier.clone(), poll, pulse, cancel)
    });
    config.is_on().then_some(task)
}

async fn settle(
    submitter: Arc<Submitter>,
    shared: Arc<Shared>,
    poll: Duration,
    clock: Clock,
    pulse: Pulse,
    cancel: CancellationToken,
) {
    let mut timer = tokio::time::interval(poll);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            _ = timer.tick() => {}
        }
        pulse.beat();
        match submitter.settle(clock.now_ms()).await {
            Ok(_) => pulse.progress(),
            Err(error) => tracing::warn!(%error, "transactions not settled"),
        }
        shared.settled(&submitter.take_ended());
    }
}

async fn prune(store: Store, retention: Retention, pulse: Pulse, cancel: CancellationToken) {
    if let Err(error) = store.forget_future(now_ms()).await {
        tracing::warn!(%error, "times in the future not corrected");
    }
    let mut timer = tokio::time::interval(PRUNE_EVERY);
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            _ = timer.tick() => {}
        }
        pulse.beat();
        match store.prune(now_ms(), retention.age, retention.count, PRUNE_BATCH).await {
            Ok(deleted) => {
                pulse.progress();
                if deleted > 0 {
                    tracing::debug!(deleted, "finished work deleted");
                }
            }
            Err(error) => tracing::warn!(%error, "finished work not deleted"),
        }
    }
}
