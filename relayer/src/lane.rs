//! One task per speed level.
//!
//! A lane wakes by its own timer, and for one chain when its source has news; it starts a visit of every chain of its level that is due and not still
//! being visited, and never waits for one: a chain that hangs occupies nothing but its own place. Visits
//! share the lane's budget of submissions. Trouble of a chain is kept in its row, so that a restart
//! does not forget its pause.

use core::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
};

use grid_adapters::{Class, SourceChain};
use grid_core::{ChainId, Level};
use tokio::{
    sync::{Mutex, OwnedMutexGuard, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    attest::Collector,
    clock::{backoff, now_ms},
    config::{LaneConfig, SubmitConfig},
    crew::Crew,
    finality::FinalityRound,
    main_chain::{MainChain, MainError, MainView},
    metrics::{Metrics, Place},
    round::{ChainRound, Report, RoundError, Tools},
    source::ChainSource,
    status::Board,
    store::{ChainRow, ChainState, Stage, Store, StoreError, millis},
    submit::{SubmitError, Submitter, Terms},
    supervise::Pulse,
};

mod followed;
mod pauses;

use followed::Entry;

/// The level of chains that the main chain does not know (yet): nothing urgent can be done for them.
const UNREGISTERED: Level = Level::L3;

/// A chain's rounds, by how it is followed.
enum Round {
    Headers(ChainRound),
    Finality(FinalityRound),
}

impl Round {
    fn new(source: ChainSource) -> Self {
        match source {
            ChainSource::Headers(source) => Self::Headers(ChainRound::new(source)),
            ChainSource::Finality(source) => Self::Finality(FinalityRound::new(source)),
        }
    }

    fn source(&self) -> &dyn SourceChain {
        match self {
            Self::Headers(round) => round.source().as_ref(),
            Self::Finality(round) => round.source().as_ref(),
        }
    }

    async fn run(
        &mut self,
        tools: &Tools,
        view: &MainView,
        now: u64,
    ) -> Result<Report, RoundError> {
        match self {
            Self::Headers(round) => round.run(tools, view, now).await,
            Self::Finality(round) => round.run(tools, view, now).await,
        }
    }
}

/// A chain that is followed.
struct Chain {
    round: Round,
}

/// What all lanes share.
pub struct Shared {
    main: Arc<dyn MainChain>,
    store: Store,
    submitter: Arc<Submitter>,
    collector: Arc<Collector>,
    chains: RwLock<BTreeMap<ChainId, Entry>>,
    lanes: watch::Sender<Lanes>,
    submit: SubmitConfig,
    deadline: Duration,
    board: Board,
    metrics: Arc<Metrics>,
    /// This relayer among those of its database.
    crew: Crew,
    view: Mutex<Seen>,
    /// The chain whose source had news last.
    news: watch::Sender<Option<ChainId>>,
    /// Counts the changes of `chains`.
    sources: watch::Sender<u64>,
}

/// The settings of all lanes, in the order of [`Level::ALL`].
type Lanes = [LaneConfig; Level::ALL.len()];

/// The newest view of the main chain; the lock makes one question of several simultaneous ones.
#[derive(Default)]
struct Seen {
    at: u64,
    view: Option<Arc<MainView>>,
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shared").field("chains", &self.chains().keys()).finish_non_exhaustive()
    }
}

/// What [`Shared::new`] puts together.
#[derive(Clone)]
pub struct Parts {
    /// The main chain.
    pub main: Arc<dyn MainChain>,
    /// The database.
    pub store: Store,
    /// The owner of nonces.
    pub submitter: Arc<Submitter>,
    /// Signatures for attested chains.
    pub collector: Arc<Collector>,
    /// Settings of the lanes, in the order of [`Level::ALL`].
    pub lanes: Lanes,
    /// Submission settings.
    pub submit: SubmitConfig,
    /// Deadline of one visit.
    pub deadline: Duration,
    /// What people see.
    pub board: Board,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// This relayer among those of its database.
    pub crew: Crew,
}

impl core::fmt::Debug for Parts {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Parts").field("crew", &self.crew.name()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Puts the parts together for these sources.
    #[must_use]
    pub fn new(parts: Parts, sources: Vec<ChainSource>) -> Self {
        let entry = |source: ChainSource| (source.chain().id().clone(), Entry::new(source));
        let Parts {
            main,
            store,
            submitter,
            collector,
            lanes,
            submit,
            deadline,
            board,
            metrics,
            crew,
        } = parts;
        Self {
            main,
            store,
            submitter,
            collector,
            chains: RwLock::new(sources.into_iter().map(entry).collect()),
            lanes: watch::Sender::new(lanes),
            submit,
            deadline,
            board,
            metrics,
            crew,
            view: Mutex::default(),
            news: watch::Sender::new(None),
            sources: watch::Sender::new(0),
        }
    }

    /// Wakes the lane of a chain whose source has news.
    pub(crate) fn wake(&self, chain: &ChainId) {
        self.news.send_replace(Some(chain.clone()));
    }

    /// The main chain's view, at most `max_age` milliseconds old.
    pub(crate) async fn view(&self, now: u64, max_age: u64) -> Result<Arc<MainView>, MainError> {
        let mut seen = self.view.lock().await;
        if let Some(view) = seen.view.as_ref().filter(|_| now.saturating_sub(seen.at) < max_age) {
            return Ok(view.clone());
        }
        match self.main.view().await {
            Ok(view) => {
                let view = Arc::new(view);
                *seen = Seen { at: now, view: Some(view.clone()) };
                self.board.main_seen(&view, now);
                self.submitter.set_terms(terms(&view));
                Ok(view)
            }
            Err(error) => {
                self.metrics.main_errors.with_label_values(&[error.label()]).inc();
                self.board.main_failed(&error.to_string());
                Err(error)
            }
        }
    }

    /// Chains of a level, or the one of them that is meant.
    fn of_level(
        &self,
        level: Level,
        view: &MainView,
        only: Option<&ChainId>,
    ) -> Vec<Arc<Mutex<Chain>>> {
        let level_of = |id: &ChainId| view.chain(id).map_or(UNREGISTERED, |info| info.level);
        self.chains()
            .iter()
            .filter(|(id, _)| level_of(id) == level && only.is_none_or(|only| only == *id))
            .map(|(_, entry)| entry.chain.clone())
            .collect()
    }

    /// One visit of every chain in turn, at a given time: what the lanes do, without their timers.
    ///
    /// # Errors
    /// When the main chain or the database fails. A failing source shows in the chain's row only.
    pub async fn visit_all(&self, lane: &LaneConfig, now: u64) -> Result<(), RoundError> {
        let view = self.view(now, 0).await?;
        let budget = AtomicU32::new(lane.budget);
        let chains: Vec<_> = self.chains().values().map(|entry| entry.chain.clone()).collect();
        for chain in chains {
            let mut chain = chain.lock().await;
            self.visit(&mut chain, lane, &view, &budget, now).await?;
        }
        Ok(())
    }

    /// Looks at both ends of a chain, when it is due, and hands its planned items to the main chain.
    async fn visit(
        &self,
        chain: &mut Chain,
        lane: &LaneConfig,
        view: &MainView,
        budget: &AtomicU32,
        now: u64,
    ) -> Result<(), StoreError> {
        let id = chain.round.source().id().clone();
        if self.paused(&id) {
            return Ok(());
        }
        let Some(row) = self.crew.hold(&id, now).await? else {
            // Another relayer works on it.
            self.board.chain_state(&id, ChainState::Active, None, 0);
            return Ok(());
        };
        if row.next_at > now {
            self.board.chain_state(&id, row.state, row.reason.as_deref(), row.next_at);
        } else {
            self.look(chain, &id, row, lane, view, now).await?;
        }
        // A look takes a while.
        if self.paused(&id) {
            return Ok(());
        }
        self.hand_in(&id, lane, view, budget, now).await
    }

    async fn look(
        &self,
        chain: &mut Chain,
        id: &ChainId,
        row: ChainRow,
        lane: &LaneConfig,
        view: &MainView,
        now: u64,
    ) -> Result<(), StoreError> {
        let tools = Tools {
            main: self.main.clone(),
            store: self.store.clone(),
            collector: self.collector.clone(),
            lane: *lane,
            submit: self.submit,
        };
        let run = tokio::time::timeout(self.deadline, chain.round.run(&tools, view, now));
        let outcome = match run.await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(RoundError::Late { chain: id.clone(), after: self.deadline }),
        };
        self.board.sources_seen(id, chain.round.source().view());
        let unreachable = outcome.as_ref().is_err_and(RoundError::is_local);
        let next = match outcome {
            Ok(report) => {
                self.report(id, &report, now);
                ChainRow::default()
            }
            Err(error) => self.trouble(id, &row, &error, lane, now),
        };
        self.board.chain_state(id, next.state, next.reason.as_deref(), next.next_at);
        if next != row {
            self.store.set_chain(id, &next, now).await?;
        }
        if row.state != ChainState::Active && next.state == ChainState::Active {
            tracing::info!(chain = %id, "relaying again");
        }
        if unreachable {
            self.crew.pass_on(id, now).await?;
        }
        Ok(())
    }

    fn report(&self, id: &ChainId, report: &Report, now: u64) {
        if let Some(tip) = report.source {
            self.board.source_seen(id, tip, now);
        }
        if let Some(depth) = report.reorg {
            tracing::info!(chain = %id, depth, "the source reorganised, following it");
            self.board.reorganised(id, depth);
            self.metrics.reorgs.with_label_values(&[id.as_str()]).inc();
            let depth = i64::try_from(depth).unwrap_or(i64::MAX);
            self.metrics.reorg_depth.with_label_values(&[id.as_str()]).set(depth);
        }
    }

    fn trouble(
        &self,
        id: &ChainId,
        row: &ChainRow,
        error: &RoundError,
        lane: &LaneConfig,
        now: u64,
    ) -> ChainRow {
        self.metrics.endpoint_error(id, error.label());
        let attempt = row.attempt.saturating_add(1);
        let pause = backoff(lane.backoff, lane.max_backoff, attempt, id.as_str());
        let (state, pause) = match error.class() {
            Class::Retry { after } => (ChainState::Waiting, pause.max(after)),
            Class::Wait { .. } => (ChainState::Waiting, pause.min(4 * lane.poll.max(lane.backoff))),
            Class::Reject { .. } => (ChainState::Waiting, pause),
            Class::Halt { .. } => (ChainState::Halted, lane.max_backoff),
        };
        let reason = error.to_string();
        if row.reason.as_ref() == Some(&reason) {
            tracing::debug!(chain = %id, %state, attempt, %reason, "still not relaying");
        } else {
            tracing::warn!(chain = %id, %state, attempt, %reason, "not relaying");
        }
        let next_at = now.saturating_add(millis(pause));
        ChainRow { state, attempt, next_at, reason: Some(reason) }
    }

    /// Submits planned items, lowest first, within the lane's budget.
    async fn hand_in(
        &self,
        id: &ChainId,
        lane: &LaneConfig,
        view: &MainView,
        budget: &AtomicU32,
        now: u64,
    ) -> Result<(), StoreError> {
        if self.store.items(id, Stage::Planned, 1).await?.is_empty() {
            return Ok(());
        }
        let limit = lane.in_flight.min(budget.load(Ordering::Relaxed));
        if limit == 0 {
            return Ok(());
        }
        let claims = self.store.claim(self.crew.name(), id, limit, now, self.submit.lease).await?;
        let mut failure = None;
        for claim in &claims {
            if failure.is_some() {
                // It builds on the one that failed.
                self.store.release(claim, false, now, "waits for an earlier item", now).await?;
                continue;
            }
            match self.submitter.submit(claim, terms(view), now).await {
                Ok(()) => {
                    let left = |left: u32| Some(left.saturating_sub(1));
                    // Always `Some`, so it cannot fail.
                    let _ = budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
                }
                Err(error) => {
                    match error {
                        SubmitError::DryRun { .. } => tracing::info!(item = %claim.key, "{error}"),
                        _ => tracing::warn!(item = %claim.key, %error, "submission not made"),
                    }
                    self.submitter.give_back(claim, &error, now).await?;
                    failure = Some(error);
                }
            }
        }
        Ok(())
    }
}

const fn terms(view: &MainView) -> Terms {
    Terms { chain_id: view.tip.chain_id, base_fee: view.base_fee }
}

fn timer(lane: &LaneConfig) -> tokio::time::Interval {
    let mut timer = tokio::time::interval(lane.poll);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    timer
}

/// Runs a lane until a stop.
pub async fn run(shared: Arc<Shared>, level: Level, pulse: Pulse, cancel: CancellationToken) {
    let mut lanes = shared.lanes.subscribe();
    let own = |lanes: &Lanes| lanes[usize::from(level.code())];
    let mut lane = own(&lanes.borrow_and_update());
    let mut timer = timer(&lane);
    let mut visits = JoinSet::new();
    let mut news = shared.news.subscribe();
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            Some(ended) = visits.join_next(), if !visits.is_empty() => {
                visited(level, ended, &shared.metrics);
            }
            _ = timer.tick() => {
                pulse.beat();
                if start_visits(&shared, level, lane, None, &mut visits).await {
                    pulse.progress();
                }
            }
            Ok(()) = lanes.changed() => {
                lane = own(&lanes.borrow_and_update());
                timer = self::timer(&lane);
            }
            Ok(()) = news.changed() => {
                let chain = news.borrow_and_update().clone();
                start_visits(&shared, level, lane, chain.as_ref(), &mut visits).await;
            }
        }
    }
    // A visit ends at its next await when it is aborted, and every step between two awaits is atomic.
    visits.shutdown().await;
}

/// Starts a visit of every chain of the level, or only of one. `false` without a view of the main chain.
async fn start_visits(
    shared: &Arc<Shared>,
    level: Level,
    lane: LaneConfig,
    only: Option<&ChainId>,
    visits: &mut JoinSet<Result<(), StoreError>>,
) -> bool {
    // Half a round: the other lanes' questions serve this one too.
    let view = match shared.view(now_ms(), millis(lane.poll) / 2).await {
        Ok(view) => view,
        Err(error) => {
            tracing::warn!(%level, %error, "no view of the main chain");
            return false;
        }
    };
    if let Err(error) = shared.refresh_pauses().await {
        tracing::warn!(%level, %error, "the operators' pauses cannot be read; the known ones hold");
    }
    let budget = Arc::new(AtomicU32::new(lane.budget));
    for chain in shared.of_level(level, &view, only) {
        // Still being visited: its turn comes again with the next round.
        let Ok(chain) = chain.try_lock_owned() else { continue };
        let (shared, view, budget) = (shared.clone(), view.clone(), budget.clone());
        visits.spawn(async move {
            let mut chain: OwnedMutexGuard<Chain> = chain;
            shared.visit(&mut chain, &lane, &view, &budget, now_ms()).await
        });
    }
    true
}

fn visited(
    level: Level,
    ended: Result<Result<(), StoreError>, tokio::task::JoinError>,
    metrics: &Metrics,
) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%level, %error, "visit failed"),
        Err(error) if error.is_cancelled() => {}
        Err(error) => {
            metrics.unclassified(Place::Visit);
            tracing::error!(%level, %error, "visit ended unexpectedly");
        }
    }
}
