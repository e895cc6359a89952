//! One round of a chain whose finality proves itself.

use std::sync::Arc;

use grid_adapters::FinalityChain;
use grid_core::api::{BlockRef, SyncStatus};

use crate::{
    config::MAX_FINAL_RUN,
    evidence::{self, Offer},
    main_chain::MainView,
    plan::finality::{FinalityPlan, FinalityView, Next, floor, plan},
    round::{MAX_ROWS, Report, RoundError, Tools, followed, headers_of},
    store::{NewItem, millis},
};

/// A chain's part of the relayer. It remembers only what saves a question.
pub struct FinalityRound {
    source: Arc<dyn FinalityChain>,
    /// A final block whose height was asked for.
    asked: Option<BlockRef>,
}

impl core::fmt::Debug for FinalityRound {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FinalityRound").field("chain", self.source.id()).finish_non_exhaustive()
    }
}

impl FinalityRound {
    /// Follows this source.
    #[must_use]
    pub fn new(source: Arc<dyn FinalityChain>) -> Self {
        Self { source, asked: None }
    }

    /// The source.
    #[must_use]
    pub const fn source(&self) -> &Arc<dyn FinalityChain> {
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
        let info = followed(main, &id)?;
        let sync = info.sync.as_ref().ok_or_else(|| RoundError::NotFinality(id.clone()))?;
        // First: a source without a trusted block of its own takes the main chain's from this question.
        let data = self.source.finality_data(sync).await?;
        let offer = evidence::offer(&id, &data);
        let mut report = Report::default();
        // Objects go their way even where no execution endpoint answers.
        let tip = self.source.tip().await;
        if let Ok(tip) = &tip {
            report.source = Some(BlockRef { height: tip.height, hash: tip.hash });
        }
        let target = match report.source {
            Some(tip) => self.target(sync, offer.as_ref(), tip).await,
            None => Ok(None),
        };
        let aim = target.as_ref().ok().copied().flatten();
        self.fill(tools, sync, offer.as_ref(), aim, &mut report, now).await?;
        tip?;
        target?;
        Ok(report)
    }

    /// The header with which the next run of the lowest gap ends.
    async fn target(
        &mut self,
        sync: &SyncStatus,
        offer: Option<&Offer>,
        tip: BlockRef,
    ) -> Result<Option<BlockRef>, RoundError> {
        let (_, linked) = floor(sync);
        let Some(hash) = sync.wanted.first().copied() else {
            // What the objects on their way will make wanted.
            return Ok(offer.filter(|offer| offer.anchor == tip.hash).map(|_| tip));
        };
        if let Some(lowest) = sync.lowest_pending.filter(|_| !linked) {
            return Ok(Some(BlockRef { height: lowest.height.saturating_sub(1), hash }));
        }
        if let Some(known) =
            [Some(tip), self.asked].into_iter().flatten().find(|at| at.hash == hash)
        {
            return Ok(Some(known));
        }
        let chain = self.source.id().clone();
        let found = self.source.block(hash).await?;
        let found = found.ok_or(RoundError::UnknownFinal { chain, hash })?;
        self.asked = Some(BlockRef { height: found.height, hash });
        Ok(self.asked)
    }

    /// Plans until nothing is missing or the lane's limit is reached.
    async fn fill(
        &self,
        tools: &Tools,
        sync: &SyncStatus,
        offer: Option<&Offer>,
        target: Option<BlockRef>,
        report: &mut Report,
        now: u64,
    ) -> Result<(), RoundError> {
        let id = self.source.id();
        let batch = u64::try_from(tools.lane.batch.min(MAX_FINAL_RUN)).unwrap_or(u64::MAX).max(1);
        loop {
            let rows = tools.store.unfinished(id, MAX_ROWS).await?;
            let view = FinalityView {
                sync,
                offer: offer.map(|offer| offer.item.last.hash),
                target,
                rows: &rows,
                room: usize::try_from(tools.lane.in_flight).unwrap_or(usize::MAX),
                batch,
                now,
                stale_after: millis(tools.submit.stale_after),
            };
            let FinalityPlan { next, done, stale } = plan(&view);
            for key in done {
                tools.store.finish_item(key, now).await?;
            }
            for key in stale {
                tools
                    .store
                    .drop_item(key, "the main chain does not wait for it any more", now)
                    .await?;
            }
            let item = match (next, offer) {
                (Next::Data, Some(offer)) => offer.item.clone(),
                (Next::Run { floor, last, whole }, _) => {
                    match self.section(floor, last, batch, whole).await? {
                        Some(item) => item,
                        None => return Ok(()),
                    }
                }
                (Next::Nothing | Next::Data, _) => return Ok(()),
            };
            if !tools.plan(&item, report, now).await? {
                return Ok(());
            }
        }
    }

    /// The item for the end of the gap between `floor` and `last`.
    async fn section(
        &self,
        floor: u64,
        last: BlockRef,
        batch: u64,
        whole: bool,
    ) -> Result<Option<NewItem>, RoundError> {
        let below = last.height.saturating_sub(batch).max(floor);
        let count = usize::try_from(last.height.saturating_sub(below)).unwrap_or(usize::MAX);
        let headers = headers_of(&*self.source, below.saturating_add(1), count).await?;
        Ok(evidence::section(self.source.id(), &headers, last, whole)?)
    }
}
