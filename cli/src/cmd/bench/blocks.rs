//! Watching blocks take the load.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use eyre::{Result, bail};

use super::load::{PATIENCE, Shared};

/// How often the newest block is asked for: the error of a latency.
const POLL: Duration = Duration::from_millis(10);

/// What was seen of a run.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// Transfers that blocks have.
    pub(super) transfers: usize,
    /// When the load began, and the time of the block that ended it, Unix milliseconds.
    pub(super) span_ms: (u64, u64),
    /// Times between blocks in this span, milliseconds. Not the one in which the load began: a chain
    /// without work waits longer.
    pub(super) intervals_ms: Vec<u64>,
    /// Bytes of the blocks in this span.
    pub(super) bytes: Vec<u64>,
    /// From the offer of a transfer to the notice of its final block, milliseconds.
    pub(super) latency_ms: Vec<u64>,
    /// Blocks from the newest one when a transfer was offered to its own.
    pub(super) latency_blocks: Vec<u64>,
}

/// Follows the blocks above `first` until they have `count` transfers of the load, which began at `began_ms`.
pub(super) async fn watch(shared: &Shared, first: u64, count: usize, began_ms: u64) -> Result<Run> {
    let mut run = Run { span_ms: (began_ms, began_ms), ..Run::default() };
    let mut height = first;
    let mut time_ms = shared.target.block(first).await?.time_ms;
    let mut progress = Instant::now();
    while run.transfers < count {
        let newest = shared.target.height().await?;
        if newest == height {
            if progress.elapsed() > PATIENCE {
                bail!(
                    "{} of {count} transfers are final, and no block came for {} s",
                    run.transfers,
                    PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(POLL).await;
            continue;
        }
        let now = Instant::now();
        while height < newest {
            height = height.saturating_add(1);
            let block = shared.target.block(height).await?;
            let taken = run.count(shared, &block.transactions, height, now);
            shared.window.add_permits(taken);
            if taken > 0 {
                progress = now;
            } else if progress.elapsed() > PATIENCE {
                bail!("{} of {count} transfers are final, the blocks take no more", run.transfers);
            }
            if run.transfers > 0 {
                if time_ms >= began_ms {
                    run.intervals_ms.push(block.time_ms.saturating_sub(time_ms));
                }
                run.span_ms.1 = block.time_ms;
                run.bytes.push(block.bytes);
            }
            time_ms = block.time_ms;
        }
        shared.height.send_replace(height);
    }
    Ok(run)
}

impl Run {
    /// Counts the transfers of a block; returns how many are of the load.
    fn count(
        &mut self,
        shared: &Shared,
        transactions: &[alloy_primitives::B256],
        height: u64,
        now: Instant,
    ) -> usize {
        let mut offered = shared.offered.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.transfers;
        for hash in transactions {
            let Some((at, newest)) = offered.remove(hash) else { continue };
            self.transfers += 1;
            let elapsed = now.saturating_duration_since(at).as_millis();
            self.latency_ms.push(u64::try_from(elapsed).unwrap_or(u64::MAX));
            self.latency_blocks.push(height.saturating_sub(newest));
        }
        self.transfers - before
    }
}
