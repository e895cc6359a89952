//! One relayer process: the real store, planner, lanes and submitter over in-memory chains, driven step by step.

use core::{future::Future, time::Duration};
use std::{path::Path, sync::Arc, sync::atomic::Ordering};

use alloy_signer_local::PrivateKeySigner;
use futures::future::BoxFuture;
use grid_core::{ChainId, Level};

use super::{faults::Faults, main_chain::SimMain, plant, text};
use crate::{
    ChainSource, LaneConfig, Metrics, Store, StoreError, SubmitConfig,
    attest::{AttestConfig, Attester, Collector},
    clock::Clock,
    crew::Crew,
    lane::{Lane, Occasion, Parts, Shared},
    status::Board,
    store::{RelayerRow, millis},
    submit::Submitter,
};

/// Settings of a simulated lane: small numbers meet their limits sooner.
const fn lane(level: Level) -> LaneConfig {
    LaneConfig {
        budget: 8,
        in_flight: 4,
        batch: 7,
        max_backoff: Duration::from_secs(5),
        ..LaneConfig::of(level)
    }
}

/// Settings of simulated submission.
fn submission() -> SubmitConfig {
    SubmitConfig { stale_after: Duration::from_secs(20), ..SubmitConfig::default() }
}

/// What a process is made of.
pub(super) struct Setup<'a> {
    pub(super) faults: &'a Arc<Faults>,
    pub(super) main: &'a Arc<SimMain>,
    pub(super) sources: Vec<ChainSource>,
    pub(super) signer: &'a PrivateKeySigner,
    pub(super) attesters: &'a [PrivateKeySigner],
    pub(super) file: &'a Path,
}

/// A running process. Dropping it is `kill -9`.
pub(super) struct Instance {
    pub(super) store: Store,
    pub(super) metrics: Arc<Metrics>,
    faults: Arc<Faults>,
    shared: Arc<Shared>,
    submitter: Arc<Submitter>,
    clock: Clock,
    lanes: Vec<Timed>,
    /// Visits whose source does not answer.
    hanging: Vec<Hanging>,
}

impl core::fmt::Debug for Instance {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Instance").field("hanging", &self.hanging.len()).finish_non_exhaustive()
    }
}

/// A lane and when its next round is due.
struct Timed {
    lane: Lane,
    poll: u64,
    due: u64,
}

struct Hanging {
    until: u64,
    visit: BoxFuture<'static, Result<(), StoreError>>,
}

/// How far a future came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    Hangs,
    Killed,
}

/// Runs one future until it ends, hangs, or the relayer is killed. Nothing else runs beside it, so a seed is the
/// same everywhere.
async fn drive(faults: &Arc<Faults>, future: impl Future<Output = ()>) -> Ended {
    // The world's own questions to a database are no steps of the relayer.
    plant::count_statements(Some(faults.clone()));
    let ended = tokio::select! {
        biased;
        () = future => Ended::Done,
        () = faults.kill.notified() => Ended::Killed,
        () = faults.hung.notified() => Ended::Hangs,
    };
    plant::count_statements(None);
    ended
}

impl Instance {
    /// Opens the database and puts a relayer together.
    pub(super) async fn start(setup: Setup<'_>) -> Result<Self, String> {
        let Setup { faults, main, sources, signer, attesters, file } = setup;
        let clock = faults.time.clock();
        let store = Store::open_volatile(file).await.map_err(text)?;
        store.forget_future(clock.now_ms()).await.map_err(text)?;
        let metrics = Arc::new(Metrics::new().map_err(text)?);
        let ids: Vec<ChainId> = sources.iter().map(|one| one.chain().id().clone()).collect();
        let board = Board::new(&ids);
        let submitter = Arc::new(Submitter::new(
            main.clone(),
            store.clone(),
            signer.clone(),
            submission(),
            metrics.clone(),
            board.clone(),
        ));
        let config = AttestConfig::default();
        let attester = Attester::new(attesters.to_vec().into(), store.clone(), &[], &config);
        let collector = Collector::new(Arc::new(attester), &config, metrics.clone(), board.clone());
        let me = RelayerRow {
            owner: format!("relayer-{}", faults.time.passed()),
            signer: signer.address(),
            started_at: clock.now_ms(),
        };
        let crew = Crew::new(store.clone(), me, submission().lease, false);
        let parts = Parts {
            main: main.clone(),
            store: store.clone(),
            submitter: submitter.clone(),
            collector: Arc::new(collector.map_err(text)?),
            lanes: Level::ALL.map(lane),
            submit: submission(),
            deadline: Duration::from_secs(30),
            board,
            metrics: metrics.clone(),
            crew,
            clock: clock.clone(),
        };
        let shared = Arc::new(Shared::new(parts, sources));
        let timed = |level| {
            let config = lane(level);
            let (lane, poll) = (Lane::new(level, config), millis(config.poll));
            Timed { lane, poll, due: 0 }
        };
        let lanes = Level::ALL.into_iter().map(timed).collect();
        let (faults, hanging) = (faults.clone(), Vec::new());
        Ok(Self { store, metrics, faults, shared, submitter, clock, lanes, hanging })
    }

    /// Everything that is due now: visits that go on, the rounds of lanes, a look at open transactions. `false`
    /// when the process was killed.
    pub(super) async fn step(&mut self) -> bool {
        let now = self.faults.time.passed();
        let (due, hanging) =
            core::mem::take(&mut self.hanging).into_iter().partition(|one| one.until <= now);
        self.hanging = hanging;
        let due: Vec<Hanging> = due;
        for one in due {
            if !self.visit(one.visit).await {
                return false;
            }
        }
        for number in 0..self.lanes.len() {
            let Some(timed) = self.lanes.get_mut(number).filter(|timed| timed.due <= now) else {
                continue;
            };
            timed.due = now + timed.poll;
            timed.lane.begin();
            let lane = timed.lane.clone();
            if !self.visits(&lane, Occasion::Round).await {
                return false;
            }
        }
        let (submitter, clock) = (self.submitter.clone(), self.clock.clone());
        let settle = async {
            // Tried again with the next step.
            let _ = submitter.settle(clock.now_ms()).await;
        };
        if drive(&self.faults, Box::pin(settle)).await == Ended::Killed {
            return false;
        }
        self.shared.settled(&self.submitter.take_ended());
        self.shared.wake_due();
        let lanes: Vec<Lane> = self.lanes.iter().map(|timed| timed.lane.clone()).collect();
        for lane in lanes {
            if !self.visits(&lane, Occasion::News).await {
                return false;
            }
        }
        true
    }

    /// The visits of a lane, in any order. `false` when the process was killed.
    async fn visits(&mut self, lane: &Lane, occasion: Occasion) -> bool {
        let shared = self.shared.clone();
        let mut visits = Vec::new();
        let begin = async {
            // Without a view of the main chain there is nothing to do.
            visits = shared.visits(lane, occasion).await.unwrap_or_default();
        };
        if drive(&self.faults, begin).await == Ended::Killed {
            return false;
        }
        while !visits.is_empty() {
            let next = usize::try_from(self.faults.dice.below(visits.len() as u64)).unwrap_or(0);
            let (_, visit) = visits.swap_remove(next);
            if !self.visit(visit).await {
                return false;
            }
        }
        true
    }

    async fn visit(&mut self, mut visit: BoxFuture<'static, Result<(), StoreError>>) -> bool {
        let run = async {
            // Shows in the chain's row, or is tried again with the next round.
            let _ = (&mut visit).await;
        };
        match drive(&self.faults, run).await {
            Ended::Done => true,
            Ended::Killed => false,
            Ended::Hangs => {
                let until = self.faults.hung_until.load(Ordering::Relaxed);
                self.hanging.push(Hanging { until, visit });
                true
            }
        }
    }
}
