//! One visit of one chain: look at both ends, then hand planned items to the main chain.

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::Address;
use grid_adapters::{Class as Failure, SourceChain};
use grid_core::{
    ChainId,
    api::{BlockRef, ChainInfo},
};
use tokio::sync::OwnedMutexGuard;

use super::{
    Shared,
    news::News,
    shares::{Class, Shares},
    turns::{self, Turn},
};
use crate::{
    clock::backoff,
    config::LaneConfig,
    evidence,
    finality::FinalityRound,
    main_chain::MainView,
    round::{ChainRound, Report, RoundError, Tools},
    source::ChainSource,
    status::DisagreementStatus,
    store::{ChainRow, ChainState, Item, Stage, StoreError, millis},
    submit::Terms,
};

/// A visit that leaves something to do is repeated after this time at the earliest, unless there are news.
const AGAIN: Duration = Duration::from_secs(5);

/// A chain's rounds, by how it is followed.
enum Round {
    Headers(ChainRound),
    Finality(FinalityRound),
}

impl Round {
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

/// A chain and what the relayer remembers of it between two visits.
pub(super) struct Chain {
    round: Round,
    /// The source's tip, as last seen.
    tip: Option<BlockRef>,
    turn: Turn,
    /// What the sources disagree on, as it was stored last.
    differ: Option<Option<DisagreementStatus>>,
}

impl Chain {
    pub(super) fn new(source: ChainSource) -> Self {
        let round = match source {
            ChainSource::Headers(source) => Round::Headers(ChainRound::new(source)),
            ChainSource::Finality(source) => Round::Finality(FinalityRound::new(source)),
        };
        Self { round, tip: None, turn: Turn::default(), differ: None }
    }

    /// Whether the main chain has the source's tip, as last seen.
    fn is_served(&self, info: Option<&ChainInfo>) -> bool {
        self.tip.is_some_and(|tip| info.is_some_and(|info| info.tracked == tip))
    }

    /// Whether the chain is at its tip, or lacks more than one submission can bring.
    fn class(&self, info: Option<&ChainInfo>, lane: &LaneConfig) -> Class {
        let (Some(info), Some(tip)) = (info, self.tip) else { return Class::Live };
        let waiting = info.sync.as_ref().map_or(0, |sync| sync.pending);
        let missing = tip.height.saturating_sub(info.tracked.height).saturating_sub(waiting);
        let batch = lane.batch.min(evidence::batch_limit(info.family));
        let batch = u64::try_from(batch).unwrap_or(u64::MAX);
        if missing > batch { Class::Backfill } else { Class::Live }
    }
}

/// What one visit has to go by.
pub(super) struct Visit {
    pub(super) shared: Arc<Shared>,
    /// Whether the source has news, or may have.
    pub(super) looks: bool,
    /// Takes what is left to do.
    pub(super) news: Arc<News>,
    pub(super) lane: LaneConfig,
    pub(super) shares: Arc<Mutex<Shares>>,
    pub(super) view: Arc<MainView>,
}

impl Visit {
    /// Looks at both ends of a chain, when it is due, and hands its planned items to the main chain.
    pub(super) async fn run(self, mut chain: OwnedMutexGuard<Chain>) -> Result<(), StoreError> {
        let chain = &mut *chain;
        let shared = &self.shared;
        let id = chain.round.source().id().clone();
        if shared.paused(&id) {
            return Ok(());
        }
        let now = shared.clock.now_ms();
        let Some(row) = shared.crew.hold(&id, now).await? else {
            // Another relayer works on it.
            shared.board.chain_state(&id, ChainState::Active, None, 0);
            shared.forget_sources(&id);
            return Ok(());
        };
        if row.next_at > now {
            shared.board.chain_state(&id, row.state, row.reason.as_deref(), row.next_at);
            self.again_at(row.next_at, now);
        } else if self.looks || row.state != ChainState::Active || self.has_work(chain, &id).await?
        {
            self.look(chain, &id, row, now).await?;
        } else {
            return Ok(());
        }
        // A look takes a while.
        if shared.paused(&id) {
            return Ok(());
        }
        self.hand_in(chain, &id).await
    }

    /// Whether there is something to do without news of the source. Without a look nothing is handed in: it finds
    /// what others have brought meanwhile.
    async fn has_work(&self, chain: &Chain, id: &ChainId) -> Result<bool, StoreError> {
        let planned = self.shared.store.items(id, Stage::Planned, 1).await?;
        Ok(!planned.is_empty() || !chain.is_served(self.view.chain(id)))
    }

    async fn look(
        &self,
        chain: &mut Chain,
        id: &ChainId,
        row: ChainRow,
        now: u64,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        let tools = Tools {
            main: shared.main.clone(),
            store: shared.store.clone(),
            collector: shared.collector.clone(),
            lane: self.lane,
            submit: shared.submit,
        };
        let run = tokio::time::timeout(shared.deadline, chain.round.run(&tools, &self.view, now));
        let outcome = match run.await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(RoundError::Late { chain: id.clone(), after: shared.deadline }),
        };
        let (view, now) = (chain.round.source().view(), shared.clock.now_ms());
        let differ = view.disagreement.clone().map(DisagreementStatus::from);
        shared.board.sources_seen(id, view);
        let unreachable = outcome.as_ref().is_err_and(RoundError::is_local);
        let next = match outcome {
            Ok(report) => {
                chain.tip = report.source.or(chain.tip);
                shared.report(id, &report, now);
                ChainRow::default()
            }
            Err(error) => shared.trouble(id, &row, &error, &self.lane, now),
        };
        shared.board.chain_state(id, next.state, next.reason.as_deref(), next.next_at);
        if next.next_at > now {
            self.again_at(next.next_at, now);
        }
        if chain.differ.as_ref() != Some(&differ) {
            shared.store.set_disagreement(id, differ.as_ref(), now).await?;
            chain.differ = Some(differ);
        }
        if next != row {
            shared.store.set_chain(id, &next, now).await?;
        }
        if row.state != ChainState::Active && next.state == ChainState::Active {
            tracing::info!(chain = %id, "relaying again");
        }
        if unreachable {
            shared.crew.pass_on(id, now).await?;
        }
        Ok(())
    }

    /// Submits planned items, lowest first, when it is this relayer's turn, within the lane's budget and the
    /// key's room.
    async fn hand_in(&self, chain: &mut Chain, id: &ChainId) -> Result<(), StoreError> {
        let shared = &self.shared;
        let planned = shared.store.items(id, Stage::Planned, self.lane.in_flight).await?;
        let info = self.view.chain(id);
        let ours = self.ours(chain, info, &planned).await?;
        let class = chain.class(info, &self.lane);
        let want = u32::try_from(ours).unwrap_or(u32::MAX).min(shared.submitter.room());
        let granted = self.shares(|shares| shares.take(id, class, want));
        let now = shared.clock.now_ms();
        let all = usize::try_from(granted).is_ok_and(|granted| granted >= planned.len());
        if !all {
            // Another's turn, a spent budget, no room: none of them ends with a settled transaction of ours.
            self.again_at(now, now);
        }
        if granted == 0 {
            return Ok(());
        }
        let claims =
            shared.store.claim(shared.crew.owner(), id, granted, now, shared.submit.lease).await;
        let submitted = match &claims {
            Ok(claims) => {
                let now = shared.clock.now_ms();
                shared.submitter.submit(claims, terms(&self.view), now).await
            }
            Err(_) => Ok(0),
        };
        let unused = granted.saturating_sub(*submitted.as_ref().unwrap_or(&0));
        if unused > 0 {
            // Refused, or an item that pauses.
            self.again_at(now, now);
        }
        self.shares(|shares| shares.give_back(class, unused));
        claims?;
        submitted.map(drop)
    }

    /// How many of the planned items, from the first on, are this relayer's to submit now.
    async fn ours(
        &self,
        chain: &mut Chain,
        info: Option<&ChainInfo>,
        planned: &[Item],
    ) -> Result<usize, StoreError> {
        let (Some(info), Some(first)) = (info, planned.first()) else { return Ok(planned.len()) };
        if info.sync.is_none() && first.last.height <= info.tracked.height {
            // Evidence of a branch beside the tracked one, which not everybody has: it waits for nobody.
            return Ok(planned.len());
        }
        let shared = &self.shared;
        let mut own = vec![shared.submitter.address()];
        let listed = |own: &[Address]| own.iter().any(|key| info.submitters.contains(key));
        let place = stretch(info, first);
        let mut rank = turns::rank(info.key, place, &own, &info.submitters);
        if rank > 0 || !listed(&own) {
            // Relayers that share this store are no strangers.
            own.extend(shared.store.signers().await?);
            rank = turns::rank(info.key, place, &own, &info.submitters);
        }
        let stranger = !listed(&own) && !info.submitters.is_empty();
        let joins = stranger && chain.turn.joins(info.key, first.from, &own);
        if joins {
            rank = 0;
        }
        let ours = info.submitters.first().is_some_and(|newest| own.contains(newest));
        let (now, block) = (shared.clock.now_ms(), self.view.tip.height);
        let look = turns::Look { place, rank, progress: progress(info), ours, now, block };
        // Who goes first looks once in a poll.
        let delay = shared.submit.turn_delay.saturating_add(self.lane.poll);
        if !chain.turn.come(&look, delay) || (rank > 0 && self.has_moved(info).await) {
            return Ok(0);
        }
        if !listed(&own) {
            // Somebody else may think the same: one at a time shows whose it is.
            let tried = shared.store.items(&info.id, Stage::Sent, 1).await?;
            if joins && tried.is_empty() {
                chain.turn.attempted(false);
            }
            return Ok(usize::from(tried.is_empty()));
        }
        chain.turn.attempted(true);
        let mine = |item: &&Item| {
            let other = stretch(info, item);
            other == place || turns::rank(info.key, other, &own, &info.submitters) == 0
        };
        Ok(planned.iter().take_while(mine).count())
    }

    /// Whether somebody has delivered since this round's view of the main chain, or it cannot be told.
    async fn has_moved(&self, info: &ChainInfo) -> bool {
        match self.shared.view(Duration::ZERO).await {
            Ok(view) => view.chain(&info.id).is_none_or(|now| progress(now) != progress(info)),
            Err(_) => true,
        }
    }

    /// Something is left to do from `time` on. A short poll is there first and asks the source once, not twice.
    fn again_at(&self, time: u64, now: u64) {
        self.news.again_at(time.max(now.saturating_add(millis(AGAIN))));
    }

    fn shares<R>(&self, change: impl FnOnce(&mut Shares) -> R) -> R {
        // Nothing in here panics half-way through a change.
        change(&mut self.shares.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The stretch of a chain's heights that an item belongs to. Runs and objects of a chain that proves its finality
/// follow what the main chain misses.
const fn stretch(info: &ChainInfo, item: &Item) -> u64 {
    match &info.sync {
        Some(sync) => turns::place(info.level, sync.missing_above.height, 1),
        None => {
            let headers = item.last.height.saturating_sub(item.from).saturating_add(1);
            turns::place(info.level, item.from, headers)
        }
    }
}

/// Changes whenever somebody brings something of a chain.
fn progress(info: &ChainInfo) -> (u64, u64) {
    info.sync.as_ref().map_or((info.tracked.height, info.tracked_headers), |sync| {
        (sync.finalized_slot, sync.missing_above.height.saturating_add(sync.pending))
    })
}

impl Shared {
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
            Failure::Retry { after } => (ChainState::Waiting, pause.max(after)),
            Failure::Wait { .. } => {
                (ChainState::Waiting, pause.min(4 * lane.poll.max(lane.backoff)))
            }
            Failure::Reject { .. } => (ChainState::Waiting, pause),
            Failure::Halt { .. } => (ChainState::Halted, lane.max_backoff),
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
}

pub(super) const fn terms(view: &MainView) -> Terms {
    Terms { chain_id: view.tip.chain_id, base_fee: view.base_fee }
}
