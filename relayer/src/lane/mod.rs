//! One task per speed level.
//!
//! A lane wakes by its own timer, and for the chains that have [`news`]; it starts a visit of every chain of its
//! level that is meant and not still being visited, and never waits for one: a chain that hangs occupies nothing
//! but its own place. Visits share the lane's budget of submissions, in [`shares`] for chains at their tip and for those that catch up.
//! Several relayers take [`turns`]. Trouble of a chain is kept in its row, so that a restart does not forget
//! its pause.

mod followed;
mod news;
mod pauses;
pub mod shares;
pub mod turns;
mod visit;

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use futures::future::BoxFuture;
use grid_core::{ChainId, Level};
use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub use self::news::Occasion;
use self::{
    followed::Entry,
    shares::Shares,
    visit::{Visit, terms},
};
use crate::{
    attest::Collector,
    clock::Clock,
    config::{LaneConfig, SubmitConfig},
    crew::Crew,
    main_chain::{MainChain, MainError, MainView},
    metrics::{Metrics, Place},
    source::ChainSource,
    status::Board,
    store::{Store, StoreError, millis},
    submit::Submitter,
    supervise::Pulse,
};

/// The level of chains that the main chain does not know (yet): nothing urgent can be done for them.
const UNREGISTERED: Level = Level::L3;

/// News are looked at with a view of the main chain of at most this age: the next look may be a long poll away.
const NEWS_VIEW: Duration = Duration::from_millis(250);

/// News that cannot be looked at without a view of the main chain are tried again after this time.
const NEWS_RETRY: Duration = Duration::from_secs(1);

/// News begin a round of the budget when the last one began so long ago, however long the poll is.
const NEWS_ROUND: Duration = Duration::from_secs(5);

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
    clock: Clock,
    view: Mutex<Seen>,
    /// Counts the news of all chains.
    news: watch::Sender<u64>,
    /// When transactions have last come to an end: an older view does not show what they did.
    settled_at: AtomicU64,
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
    /// The time.
    pub clock: Clock,
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
            clock,
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
            clock,
            view: Mutex::default(),
            news: watch::Sender::new(0),
            settled_at: 0.into(),
            sources: watch::Sender::new(0),
        }
    }

    /// The main chain's view, at most `max_age` old, and asked for after everything that has been settled.
    pub(crate) async fn view(&self, max_age: Duration) -> Result<Arc<MainView>, MainError> {
        let mut seen = self.view.lock().await;
        let now = self.clock.now_ms();
        let fresh = now.saturating_sub(seen.at) < millis(max_age)
            && seen.at > self.settled_at.load(Ordering::Acquire);
        if let Some(view) = seen.view.as_ref().filter(|_| fresh) {
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

    /// The visits that a lane begins now: one for each chain of its level, or for each that has news, that is not
    /// still being visited. Each is to be run on its own: it may take long.
    ///
    /// # Errors
    /// Without a view of the main chain.
    pub async fn visits(
        self: &Arc<Self>,
        lane: &Lane,
        occasion: Occasion,
    ) -> Result<Vec<(ChainId, BoxFuture<'static, Result<(), StoreError>>)>, MainError> {
        // Half a round: the other lanes' questions serve this one too.
        let half = lane.config.poll / 2;
        let view = match occasion {
            Occasion::Round => self.view(half).await?,
            Occasion::News if !self.has_news() => return Ok(Vec::new()),
            Occasion::News => self.view(half.min(NEWS_VIEW)).await?,
        };
        if let Err(error) = self.refresh_pauses().await {
            tracing::warn!(
                level = %lane.level, %error,
                "the operators' pauses cannot be read; the known ones hold"
            );
        }
        let level_of = |id: &ChainId| view.chain(id).map_or(UNREGISTERED, |info| info.level);
        let meant = |id: &ChainId, entry: &Entry| {
            level_of(id) == lane.level && (occasion == Occasion::Round || entry.news.any())
        };
        let mut visits: Vec<(ChainId, BoxFuture<'static, _>)> = Vec::new();
        for (id, entry) in self.chains().iter().filter(|(id, entry)| meant(id, entry)) {
            // Still being visited: its turn comes with the next round, or at the visit's end if it has news.
            let Ok(chain) = entry.chain.clone().try_lock_owned() else { continue };
            let told = entry.news.take();
            let visit = Visit {
                shared: self.clone(),
                looks: told || occasion == Occasion::Round,
                news: entry.news.clone(),
                lane: lane.config,
                shares: lane.shares.clone(),
                view: view.clone(),
            };
            visits.push((id.clone(), Box::pin(visit.run(chain))));
        }
        Ok(visits)
    }
}

/// A lane: the chains of a level, its settings, and what its budget has left.
#[derive(Debug, Clone)]
pub struct Lane {
    level: Level,
    config: LaneConfig,
    shares: Arc<std::sync::Mutex<Shares>>,
}

impl Lane {
    /// The lane of a level.
    #[must_use]
    pub fn new(level: Level, config: LaneConfig) -> Self {
        let shares = Shares::new(config.budget, config.live_share);
        Self { level, config, shares: Arc::new(std::sync::Mutex::new(shares)) }
    }

    /// Begins a round, with a new budget.
    pub fn begin(&self) {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner).begin();
    }
}

fn timer(lane: &LaneConfig) -> tokio::time::Interval {
    let mut timer = tokio::time::interval(lane.poll);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    timer
}

/// Runs a lane until a stop.
pub async fn run(shared: Arc<Shared>, level: Level, pulse: Pulse, cancel: CancellationToken) {
    let mut lanes = shared.lanes.subscribe();
    let own = |lanes: &Lanes| Lane::new(level, lanes[usize::from(level.code())]);
    let mut lane = own(&lanes.borrow_and_update());
    let mut timer = timer(&lane.config);
    let mut visits = JoinSet::new();
    let mut news = shared.news.subscribe();
    // Without a view of the main chain, and since when the budget is spent.
    let (mut blind, mut begun) = (false, Instant::now());
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            Some(ended) = visits.join_next(), if !visits.is_empty() => {
                visited(level, ended, &shared.metrics);
                // News that came while it was under way.
                blind = !start_visits(&shared, &lane, Occasion::News, &mut visits).await;
            }
            _ = timer.tick() => {
                pulse.beat();
                lane.begin();
                begun = Instant::now();
                if start_visits(&shared, &lane, Occasion::Round, &mut visits).await {
                    pulse.progress();
                }
            }
            Ok(()) = lanes.changed() => {
                lane = own(&lanes.borrow_and_update());
                timer = self::timer(&lane.config);
            }
            () = waked(&mut news, blind) => {
                if begun.elapsed() >= NEWS_ROUND {
                    lane.begin();
                    begun = Instant::now();
                }
                blind = !start_visits(&shared, &lane, Occasion::News, &mut visits).await;
            }
        }
    }
    // A visit ends at its next await when it is aborted, and every step between two awaits is atomic.
    visits.shutdown().await;
}

/// Returns when there are news, or when those that could not be looked at are to be tried again.
async fn waked(news: &mut watch::Receiver<u64>, blind: bool) {
    let changed = async {
        // Whoever tells of news lives as long as the lanes.
        if news.changed().await.is_err() {
            core::future::pending::<()>().await;
        }
    };
    if blind {
        let _ = tokio::time::timeout(NEWS_RETRY, changed).await;
    } else {
        changed.await;
    }
}

/// Starts the visits of an occasion. `false` without a view of the main chain.
async fn start_visits(
    shared: &Arc<Shared>,
    lane: &Lane,
    occasion: Occasion,
    visits: &mut JoinSet<Result<(), StoreError>>,
) -> bool {
    match shared.visits(lane, occasion).await {
        Ok(due) => {
            for (_, visit) in due {
                visits.spawn(visit);
            }
            true
        }
        Err(error) => {
            tracing::warn!(level = %lane.level, %error, "no view of the main chain");
            false
        }
    }
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
