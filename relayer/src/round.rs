//! One round of one chain: look at both ends, plan, write items.

mod view;

use core::time::Duration;
use std::{collections::HashSet, sync::Arc};

use alloy_primitives::B256;
use grid_adapters::{AdapterError, Branch, Class, SourceChain, SourceHeader, SourceView};
use grid_core::{
    Family, Security,
    api::{BlockRef, ChainInfo},
};
use thiserror::Error;

use self::view::{adrift, is_full, is_lost, is_stranded, view};
use crate::{
    attest::{Collector, Shortfall},
    config::{LaneConfig, SubmitConfig},
    evidence::{self, EvidenceError},
    main_chain::{MainChain, MainError, MainView},
    plan::{Answer, Ask, Finished, Outcome, Planner, Step, View},
    store::{Item, NewItem, Planned, Stage, Store, StoreError},
};

/// Most questions of one run: the planner's own bound and some room.
const MAX_QUESTIONS: usize = 160;

/// Most unfinished rows of a chain that are looked at.
pub(crate) const MAX_ROWS: u32 = 256;

/// Why an item that nothing carries any more is dropped.
const LOST_BELOW: &str = "the main chain has lost the headers below it";

/// Most headers of a run that signatures are collected for, one below the other.
const MAX_COLLECTIONS: u32 = 3;

/// Why a round ended early.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RoundError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] AdapterError),
    /// The main chain failed.
    #[error(transparent)]
    Main(#[from] MainError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The source's headers cannot be submitted.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// Too few attesters sign.
    #[error(transparent)]
    Attest(#[from] Shortfall),
    /// The main chain does not know this chain.
    #[error("chain {0} is not registered on the main chain; register it, or remove its section")]
    Unregistered(grid_core::ChainId),
    /// The main chain follows the chain in another way.
    #[error(
        "chain {0} is configured as one that proves its finality ([chain.beacon], or kind = \"grid\") and is not \
         registered as one; change its section, or register the chain anew"
    )]
    NotFinality(grid_core::ChainId),
    /// No endpoint knows a block that the main chain calls final.
    #[error(
        "chain {chain}: no execution endpoint knows the final block {hash}; they are behind, or follow another \
         chain"
    )]
    UnknownFinal {
        /// Chain.
        chain: grid_core::ChainId,
        /// The block.
        hash: B256,
    },
    /// The main chain has stopped this chain.
    #[error("chain {chain} is {status} on the main chain; its governor can resume it")]
    Stopped {
        /// Chain.
        chain: grid_core::ChainId,
        /// Its status.
        status: String,
    },
    /// The source is on a branch that the main chain can no longer reach.
    #[error(
        "chain {chain}: the source and the main chain share no header from height {base} on, the oldest \
         that the main chain still holds; is the source on the right branch?"
    )]
    NoCommonHeader {
        /// Chain.
        chain: grid_core::ChainId,
        /// Oldest height that the main chain holds.
        base: u64,
    },
    /// The next step would be to sign.
    #[error("chain {chain}: dry run: signatures for header {height} would be collected now")]
    DryRun {
        /// Chain.
        chain: grid_core::ChainId,
        /// Height of the header.
        height: u64,
    },
    /// The round took longer than allowed.
    #[error("chain {chain}: the round was not finished within {} s", after.as_secs())]
    Late {
        /// Chain.
        chain: grid_core::ChainId,
        /// The deadline.
        after: Duration,
    },
}

impl RoundError {
    /// What to do about it.
    #[must_use]
    pub const fn class(&self) -> Class {
        const SOON: Class = Class::Retry { after: Duration::from_millis(500) };
        match self {
            Self::Source(error) => error.class(),
            Self::Main(_) | Self::Store(_) | Self::Late { .. } => SOON,
            Self::Evidence(
                EvidenceError::Broken { .. }
                | EvidenceError::Empty(_)
                | EvidenceError::OtherEnd { .. },
            ) => SOON,
            Self::UnknownFinal { .. } => Class::Wait { until: "final-block" },
            Self::NotFinality(_) => Class::Halt { reason: "not-a-finality-chain" },
            Self::Evidence(_) => Class::Halt { reason: "evidence" },
            Self::Attest(_) => Class::Wait { until: "attested" },
            Self::DryRun { .. } => Class::Wait { until: "no-dry-run" },
            Self::Unregistered(_) => Class::Wait { until: "registered" },
            Self::Stopped { .. } => Class::Wait { until: "resumed" },
            Self::NoCommonHeader { .. } => Class::Halt { reason: "no-common-header" },
        }
    }

    /// Whether another relayer, with other endpoints, may have more luck.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::Source(_) | Self::Late { .. })
    }

    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Late { .. } => "timeout",
            other => other.class().label(),
        }
    }
}

/// What a round did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The source's tip.
    pub source: Option<BlockRef>,
    /// Items written.
    pub planned: u32,
    /// Depth of the reorganisation that was seen for the first time.
    pub reorg: Option<u64>,
}

/// What a round works with.
#[derive(Clone)]
pub struct Tools {
    /// The main chain.
    pub main: Arc<dyn MainChain>,
    /// The database.
    pub store: Store,
    /// Signatures for attested chains.
    pub collector: Arc<Collector>,
    /// Lane settings.
    pub lane: LaneConfig,
    /// Submission settings.
    pub submit: SubmitConfig,
}

impl Tools {
    /// Makes sure that an item has its row. `false` when it was finished a moment ago: the next view of the
    /// main chain will show it.
    pub(crate) async fn plan(
        &self,
        item: &NewItem,
        report: &mut Report,
        now: u64,
    ) -> Result<bool, StoreError> {
        match self.store.plan(item, now, self.submit.stale_after).await? {
            Planned::Exists(_) => Ok(false),
            Planned::Inserted | Planned::Revived => {
                report.planned += 1;
                Ok(true)
            }
        }
    }
}

impl core::fmt::Debug for Tools {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tools").field("store", &self.store).finish_non_exhaustive()
    }
}

/// What the main chain says of a chain that it follows.
#[expect(clippy::result_large_err, reason = "a round's own error, once a round")]
pub(crate) fn followed<'a>(
    main: &'a MainView,
    id: &grid_core::ChainId,
) -> Result<&'a ChainInfo, RoundError> {
    let info = main.chain(id).ok_or_else(|| RoundError::Unregistered(id.clone()))?;
    if info.status == "active" {
        return Ok(info);
    }
    Err(RoundError::Stopped { chain: id.clone(), status: info.status.clone() })
}

/// Headers of a source's active chain from a height on, in as many calls as the source needs; fewer where it
/// has no more. Whoever uses them checks that they are linked.
pub(crate) async fn headers_of(
    source: &dyn SourceChain,
    from: u64,
    count: usize,
) -> Result<Vec<SourceHeader>, AdapterError> {
    let mut headers: Vec<SourceHeader> = Vec::new();
    while headers.len() < count {
        let next = from.saturating_add(headers.len() as u64);
        let part = source.headers(next, count - headers.len()).await?;
        if part.is_empty() {
            break;
        }
        headers.extend(part);
    }
    Ok(headers)
}

/// A chain's part of the relayer. It remembers only what saves questions; forgetting it costs nothing.
pub struct ChainRound {
    source: Arc<dyn SourceChain>,
    /// Both tips of a run that found nothing to do: as long as neither moves there is nothing to ask.
    idle: Option<(BlockRef, BlockRef)>,
    /// The main chain's tip that was last seen to be off the source's branch.
    left: Option<BlockRef>,
    /// Ends of the competing branches that were planned already.
    shown: HashSet<B256>,
}

impl core::fmt::Debug for ChainRound {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ChainRound").field("chain", self.source.id()).finish_non_exhaustive()
    }
}

impl ChainRound {
    /// Follows this source.
    #[must_use]
    pub fn new(source: Arc<dyn SourceChain>) -> Self {
        Self { source, idle: None, left: None, shown: HashSet::new() }
    }

    /// The source.
    #[must_use]
    pub const fn source(&self) -> &Arc<dyn SourceChain> {
        &self.source
    }

    /// Compares both ends and writes the items that are missing, as many as the lane allows in flight.
    ///
    /// # Errors
    /// Everything that keeps this chain from being relayed right now.
    pub async fn run(
        &mut self,
        tools: &Tools,
        main: &MainView,
        now: u64,
    ) -> Result<Report, RoundError> {
        let id = self.source.id().clone();
        let tip = self.source.tip().await?;
        let tip = BlockRef { height: tip.height, hash: tip.hash };
        let sight = self.source.view();
        let info = followed(main, &id)?;
        let mut report = Report { source: Some(tip), ..Report::default() };
        let rows = tools.store.unfinished(&id, MAX_ROWS).await?;
        let idle = tip == info.tracked || self.idle == Some((tip, info.tracked));
        if !idle || !rows.is_empty() {
            self.idle = None;
            self.fill(tools, info, tip, rows, &mut report, now).await?;
        }
        if tip == info.tracked {
            self.compete(tools, info, &sight, &mut report, now).await?;
        }
        Ok(report)
    }

    /// Plans the branches beside the active one, each once, so that the main chain's light client knows
    /// of the competition: its rule may ask for more confirmations then. Only while the main chain has
    /// everything else, since none of it may wait for them; a submission that fails is not repeated.
    /// Nothing while the source stands still for a disagreement: the main chain would hear of the weaker
    /// branch alone.
    async fn compete(
        &mut self,
        tools: &Tools,
        info: &ChainInfo,
        sight: &SourceView,
        report: &mut Report,
        now: u64,
    ) -> Result<(), RoundError> {
        let end = |branch: &Branch| branch.headers.last().map(|last| last.compat.blockHash);
        self.shown.retain(|hash| sight.branches.iter().any(|branch| end(branch) == Some(*hash)));
        let held = sight.disagreement.as_ref().is_some_and(|disagreement| disagreement.held);
        if held || info.family != Family::Bitcoin {
            return Ok(());
        }
        for branch in &sight.branches {
            let Some(end) = end(branch) else { continue };
            let above = BlockRef { height: branch.fork.height, hash: branch.fork.hash };
            if above.height < info.base.height || !self.shown.insert(end) {
                continue;
            }
            let item = evidence::item(&info.id, info.family, above, &branch.headers)?;
            tools.plan(&item, report, now).await?;
        }
        Ok(())
    }

    /// Runs the planner until nothing is missing or the lane's limit is reached. Each item is written down at once,
    /// not all together at the end: a source may be too slow for all of them in one round.
    async fn fill(
        &mut self,
        tools: &Tools,
        info: &ChainInfo,
        tip: BlockRef,
        mut rows: Vec<Item>,
        report: &mut Report,
        now: u64,
    ) -> Result<(), RoundError> {
        for row in adrift(tools, info, &mut rows, now) {
            tools.store.drop_item(&row.key, LOST_BELOW, now).await?;
        }
        loop {
            let view = view(tools, info, tip, &rows, now);
            let (finished, headers) = self.plan(tools, view).await?;
            self.settle(tools, info, &finished, &rows, report, now).await?;
            if finished.outcome == Outcome::InSync {
                // Of a branch that the main chain lost and the source left: nobody waits for it.
                for row in rows.iter().filter(|row| is_lost(tools, row, now)) {
                    tools.store.finish_item(&row.key, now).await?;
                }
            }
            match finished.outcome {
                Outcome::InSync | Outcome::Behind => {
                    self.idle = Some((tip, info.tracked));
                    return Ok(());
                }
                Outcome::Covered | Outcome::Moved => return Ok(()),
                Outcome::NoCommonHeader => {
                    let chain = info.id.clone();
                    return Err(RoundError::NoCommonHeader { chain, base: info.base.height });
                }
                Outcome::Relay { above, .. } => {
                    if is_full(tools, &rows) {
                        return Ok(());
                    }
                    let item = match info.security {
                        Security::Attested => attested(tools, info, above, &headers, now).await?,
                        _ => evidence::item(&info.id, info.family, above, &headers)?,
                    };
                    if !tools.plan(&item, report, now).await? {
                        return Ok(());
                    }
                    rows.push(item.planned(now));
                }
            }
        }
    }

    /// Answers the planner's questions. Also returns the headers of the last answer.
    async fn plan(
        &self,
        tools: &Tools,
        view: View,
    ) -> Result<(Finished, Vec<SourceHeader>), RoundError> {
        let mut headers = Vec::new();
        let (mut planner, mut step) = Planner::start(view);
        for _ in 0..MAX_QUESTIONS {
            let answer = match step {
                Step::Finished(finished) => return Ok((finished, headers)),
                Step::Ask(Ask::Locator) => {
                    Answer::Locator(tools.main.locator(self.source.id()).await?.best)
                }
                Step::Ask(Ask::HeaderAt(height)) => {
                    let header = self.source.header_at(height).await?;
                    Answer::HeaderAt(header.map(|header| header.compat.blockHash))
                }
                Step::Ask(Ask::Headers { from, count }) => {
                    headers = headers_of(&*self.source, from, count).await?;
                    Answer::Headers(headers.iter().map(evidence::link).collect())
                }
            };
            (planner, step) = planner.answer(answer);
        }
        let moved = Finished { outcome: Outcome::Moved, common: None, stale: Vec::new() };
        Ok((moved, headers))
    }

    /// Writes down what a run has found out about existing items.
    async fn settle(
        &mut self,
        tools: &Tools,
        info: &ChainInfo,
        finished: &Finished,
        rows: &[Item],
        report: &mut Report,
        now: u64,
    ) -> Result<(), RoundError> {
        let Some(common) = finished.common else { return Ok(()) };
        let passed = |row: &&Item| row.last.height <= common.height && row.stage != Stage::Sent;
        if rows.iter().any(|row| passed(&row)) {
            tools.store.finish(&info.id, common.height, now).await?;
        }
        for row in rows.iter().filter(|row| matches!(row.stage, Stage::Planned | Stage::Parked)) {
            let off = finished.stale.iter().any(|stale| stale.last == row.last);
            let partly = row.from <= common.height && row.last.height > common.height;
            let reason = if off {
                "the source left this branch"
            } else if partly {
                "another relayer brought its first headers"
            } else if is_stranded(tools, rows, row, common, now) {
                LOST_BELOW
            } else {
                continue;
            };
            tools.store.drop_item(&row.key, reason, now).await?;
        }
        if common.height < info.tracked.height && finished.outcome != Outcome::Behind {
            if self.left != Some(info.tracked) {
                self.left = Some(info.tracked);
                report.reorg = Some(info.tracked.height.saturating_sub(common.height));
            }
        } else {
            self.left = None;
        }
        Ok(())
    }
}

/// The item for headers of an attested chain. Where enough attesters have reached only a lower header, that
/// one is taken: attesters whose endpoints are a block apart would otherwise never agree on a fast chain.
async fn attested(
    tools: &Tools,
    info: &ChainInfo,
    above: BlockRef,
    headers: &[SourceHeader],
    now: u64,
) -> Result<NewItem, RoundError> {
    let id = &info.id;
    let set = info.attesters.as_ref().ok_or_else(|| EvidenceError::NoAttesters(id.clone()))?;
    let (mut run, mut last) = evidence::run(id, above, headers)?;
    if tools.submit.dry_run {
        return Err(RoundError::DryRun { chain: id.clone(), height: last.height });
    }
    let mut tries = 0;
    loop {
        let shortfall = match tools.collector.collect(id, set, last, now).await {
            Ok(signatures) => return Ok(evidence::attested(id, above, last, run, &signatures)),
            Err(shortfall) => shortfall,
        };
        tries += 1;
        let lower = shortfall
            .reached
            .and_then(|height| usize::try_from(height.checked_sub(above.height)?).ok())
            .and_then(|count| run.get(..count).filter(|lower| lower.len() < run.len()));
        let Some(shorter) = lower.filter(|_| tries < MAX_COLLECTIONS) else {
            return Err(shortfall.into());
        };
        let Some(end) = shorter.last() else { return Err(shortfall.into()) };
        (run, last) = (shorter, evidence::link(end).block);
    }
}
