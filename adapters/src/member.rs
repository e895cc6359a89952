//! One of several sources of a chain: its name, and how it has been doing.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use grid_core::ChainId;
use prometheus::IntCounter;
use tokio::time::Instant;

use crate::{
    AdapterError, Class, Endpoint, Health, PoolSettings, SourceChain, SourceKind, http::Gate,
    latency::Latency,
};

/// Most sources of one chain.
pub const MAX_MEMBERS: usize = 16;

/// Shortest pause after a failure. It only changes the order: a chain's only member is asked at once.
const LEAST_PAUSE: Duration = Duration::from_secs(5);

/// Longest pause of a member that needs its operator.
const HALT_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct State {
    height: Option<u64>,
    /// When it told its height.
    heard: Option<Instant>,
    /// Blocks behind the others, when all were asked last.
    lag: u64,
    latency: Latency,
    last_error: Option<AdapterError>,
    failures: u32,
    refused: u64,
    hedges: u64,
    paused_until: Option<Instant>,
}

/// A source as part of a [`Pool`](crate::Pool) or a [`Quorum`](crate::bitcoin::Quorum); inside this
/// crate also an endpoint of another kind, `S`.
pub struct Member<S: ?Sized = dyn SourceChain> {
    pub(crate) name: String,
    pub(crate) kind: SourceKind,
    pub(crate) source: Arc<S>,
    settings: PoolSettings,
    gate: Option<Arc<Gate>>,
    counted: Option<IntCounter>,
    state: Mutex<State>,
}

impl<S: ?Sized> core::fmt::Debug for Member<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Member").field("name", &self.name).field("kind", &self.kind).finish()
    }
}

impl Member {
    /// A source; `name` says where it is configured, for example `chain[0].rpc[1]`.
    #[must_use]
    pub fn new(name: String, kind: SourceKind, source: Arc<dyn SourceChain>) -> Self {
        Self::of(name, kind, source)
    }

    /// Where it is configured.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The source itself, for who asks it apart from the others.
    #[must_use]
    pub const fn source(&self) -> &Arc<dyn SourceChain> {
        &self.source
    }

    /// Checks that the members can work together, and returns their chain.
    pub(crate) fn check(members: &[Self], agree: usize) -> Result<ChainId, AdapterError> {
        let invalid = |reason: String| Err(AdapterError::Invalid(reason));
        let count = members.len();
        let Some(first) = members.first() else {
            return invalid("a chain needs at least one source".into());
        };
        let chain = first.source.id().clone();
        if count > MAX_MEMBERS {
            return invalid(format!("{chain} has {count} sources; at most {MAX_MEMBERS}"));
        }
        if agree == 0 || agree > count {
            return invalid(format!(
                "{chain}: `agree` is {agree}; expected 1 to {count}, the number of sources"
            ));
        }
        if let Some(other) = members.iter().find(|member| *member.source.id() != chain) {
            let (name, id) = (&other.name, other.source.id());
            return invalid(format!("source {name} is of {id}, the others of {chain}"));
        }
        Ok(chain)
    }
}

impl<S: ?Sized> Member<S> {
    /// An endpoint of any kind.
    pub(crate) fn of(name: String, kind: SourceKind, source: Arc<S>) -> Self {
        let settings = PoolSettings::default();
        Self { name, kind, source, settings, gate: None, counted: None, state: Mutex::default() }
    }

    /// Says which endpoint the source asks: its settings hold, and its circuit breaker shows.
    #[must_use]
    pub fn at(mut self, endpoint: &Endpoint) -> Self {
        self.settings = endpoint.settings();
        self.gate = Some(endpoint.gate().clone());
        self.counted = endpoint.hedges();
        self
    }

    /// Longest time without an answer before another member is asked as well.
    pub(crate) const fn hedge_after(&self) -> Duration {
        self.settings.hedge_after
    }

    /// That time for a member that is usually as fast as this one.
    pub(crate) fn patience(&self) -> Duration {
        self.with(|state| state.latency.patience(self.hedge_after()))
    }

    /// Notes that it is asked because another one is slow.
    pub(crate) fn hedged(&self) {
        self.with(|state| state.hedges = state.hedges.saturating_add(1));
        if let Some(counted) = &self.counted {
            counted.inc();
        }
    }

    /// Runs one question and notes how it went.
    pub(crate) async fn ask<T>(
        &self,
        question: BoxFuture<'_, Result<T, AdapterError>>,
    ) -> Result<T, AdapterError> {
        let begun = Instant::now();
        let outcome = question.await;
        match &outcome {
            Err(error) if counts_against(error) => self.failed(error),
            // The node works; it only has no answer to this question.
            Err(_) | Ok(_) => self.answered(begun.elapsed()),
        }
        outcome
    }

    fn answered(&self, took: Duration) {
        self.with(|state| {
            state.latency.note(took);
            state.failures = 0;
            state.paused_until = None;
            state.last_error = None;
        });
    }

    /// Notes a failure: the member is not preferred until its pause is over.
    pub(crate) fn failed(&self, error: &AdapterError) {
        self.with(|state| {
            state.failures = state.failures.saturating_add(1);
            state.refused = state.refused.saturating_add(u64::from(is_lie(error)));
            state.paused_until = Instant::now().checked_add(pause(error, state.failures));
            state.last_error = Some(error.clone());
        });
        tracing::debug!(source = self.name, %error, "source failed");
    }

    /// Notes that another one answered and this one did not within that time. Not within
    /// [`hedge_after`](Self::hedge_after) is a failure; a shorter time only changes the order for a moment.
    pub(crate) fn overtaken(&self, after: Duration) {
        if after >= self.hedge_after() {
            self.failed(&AdapterError::Late { endpoint: self.name.clone(), after });
            return;
        }
        self.with(|state| {
            state.latency.note(after);
            let until = Instant::now().checked_add(LEAST_PAUSE);
            state.paused_until = state.paused_until.max(until);
        });
    }

    pub(crate) fn paused(&self, now: Instant) -> bool {
        self.with(|state| state.paused_until.is_some_and(|until| until > now))
    }

    /// Whether it is too far behind the others to decide anything.
    pub(crate) fn lags(&self) -> bool {
        self.with(|state| state.lag > self.settings.max_lag_blocks)
    }

    pub(crate) fn note_height(&self, height: u64) {
        self.with(|state| {
            state.height = Some(height);
            state.heard = Some(Instant::now());
        });
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        // Nothing in here panics half-way through a change.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is known about each member, in configured order.
pub(crate) fn health<S: ?Sized>(members: &[Member<S>]) -> Vec<Health> {
    let read = |member: &Member<S>| {
        member.with(|state| Health {
            name: member.name.clone(),
            kind: member.kind,
            height: state.height,
            lag: 0,
            work: None,
            last_error: state.last_error.clone(),
            failures: state.failures,
            refused: state.refused,
            hedges: state.hedges,
            breaker: member.gate.as_ref().map(|gate| gate.breaker()),
        })
    };
    let mut all: Vec<Health> = members.iter().map(read).collect();
    let best = all.iter().filter_map(|health| health.height).max();
    for health in &mut all {
        let lag = best.zip(health.height).map(|(best, own)| best.saturating_sub(own));
        health.lag = lag.unwrap_or(0);
    }
    all
}

/// Members in the order to ask them: as configured, those that lag behind the others after the rest, those
/// in a pause last.
pub(crate) fn order<S: ?Sized>(members: &[Member<S>]) -> Vec<&Member<S>> {
    let now = Instant::now();
    let mut order: Vec<&Member<S>> = members.iter().collect();
    order.sort_by_key(|member| (member.paused(now), member.lags()));
    order
}

/// The members that are in no pause; all of them where these are fewer than `enough`.
pub(crate) fn due<S: ?Sized>(members: &[Member<S>], enough: usize) -> Vec<&Member<S>> {
    let now = Instant::now();
    let due: Vec<&Member<S>> = members.iter().filter(|member| !member.paused(now)).collect();
    if due.len() >= enough { due } else { members.iter().collect() }
}

/// Measures how far the members that told their height since `since` are behind each other: two against
/// the higher one, more against the median, so that a single one that names a height out of the air does
/// not make all others late. On an idle chain nobody is.
pub(crate) fn measure_lag<S: ?Sized>(members: &[Member<S>], since: Instant) {
    let told = |member: &Member<S>| {
        member.with(|state| state.height.filter(|_| state.heard.is_some_and(|at| at >= since)))
    };
    let mut heights: Vec<u64> = members.iter().filter_map(told).collect();
    heights.sort_unstable_by(|one, other| other.cmp(one));
    let middle = heights.len().saturating_sub(1) / 2;
    let Some(reference) = heights.get(middle).copied().filter(|_| heights.len() > 1) else {
        return;
    };
    for member in members {
        if let Some(height) = told(member) {
            member.with(|state| state.lag = reference.saturating_sub(height));
        }
    }
}

/// Returns once a member has a wake-up.
pub(crate) async fn any_changed(members: &[Member]) {
    futures::future::select_all(members.iter().map(|member| member.source.changed())).await;
}

/// One member's error stays itself; several become one with the mildest class.
pub(crate) fn all_failed<S: ?Sized>(
    chain: &dyn core::fmt::Display,
    mut failures: Vec<(&Member<S>, AdapterError)>,
) -> AdapterError {
    if failures.len() == 1
        && let Some((_, only)) = failures.pop()
    {
        return only;
    }
    let mildest = failures.iter().map(|(_, error)| error.class()).min_by_key(severity);
    let reasons: Vec<String> = failures.iter().map(|(_, error)| error.to_string()).collect();
    AdapterError::AllFailed {
        chain: chain.to_string(),
        reasons: reasons.join("; "),
        class: mildest.unwrap_or(Class::Retry { after: Duration::from_secs(1) }),
    }
}

/// Lower is milder.
const fn severity(class: &Class) -> u8 {
    match class {
        Class::Retry { .. } => 0,
        Class::Wait { .. } => 1,
        Class::Halt { .. } => 2,
        Class::Reject { .. } => 3,
    }
}

/// Whether an error says something about the source rather than about the question.
const fn counts_against(error: &AdapterError) -> bool {
    !matches!(
        error,
        AdapterError::NotFound { .. }
            | AdapterError::NotIncluded { .. }
            | AdapterError::Unavailable { .. }
            | AdapterError::Invalid(_)
            | AdapterError::WrongFamily { .. }
            | AdapterError::Reorganised { .. }
            | AdapterError::Stale { .. }
            | AdapterError::RootMismatch { .. }
            | AdapterError::Unproven { .. }
    )
}

/// Whether an answer was well-formed and false, or could never be right.
const fn is_lie(error: &AdapterError) -> bool {
    match error {
        AdapterError::EditedHeader { .. }
        | AdapterError::NoWork { .. }
        | AdapterError::InvalidHeader { .. } => true,
        AdapterError::Beacon(error) => error.is_lie(),
        _ => false,
    }
}

/// Pause after a failure: what the error asks for but at least [`LEAST_PAUSE`], doubled with every
/// further one, at most a minute.
fn pause(error: &AdapterError, failures: u32) -> Duration {
    let base = match error.class() {
        Class::Retry { after } => after.max(LEAST_PAUSE),
        Class::Wait { .. } => LEAST_PAUSE,
        Class::Halt { .. } | Class::Reject { .. } => return HALT_PAUSE,
    };
    base.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(HALT_PAUSE)
}
