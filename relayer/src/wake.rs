//! Waits for news of the sources and wakes their lanes.
//!
//! News only shorten the sleep of a lane: what is to be done is found by looking at both ends, so a
//! missed or a needless wake-up costs a moment, never a header. What a visit left to do is looked at again here, too.

use core::time::Duration;
use std::sync::Arc;

use futures::{StreamExt as _, stream::FuturesUnordered};
use grid_adapters::SourceChain;
use tokio_util::sync::CancellationToken;

use crate::{lane::Shared, supervise::Pulse};

/// Least time between two wake-ups by one source: a source that cries wolf must not keep a lane busy.
const PAUSE: Duration = Duration::from_millis(250);

/// Time between two signs of life while there are no news, and between two looks at what visits have left to do.
const BEAT: Duration = Duration::from_secs(2);

async fn news(source: Arc<dyn SourceChain>, pause: Duration) -> Arc<dyn SourceChain> {
    tokio::time::sleep(pause).await;
    source.changed().await;
    source
}

/// Runs until a stop.
pub(crate) async fn run(shared: Arc<Shared>, pulse: Pulse, cancel: CancellationToken) {
    let all = || shared.sources().into_iter().map(|source| news(source, Duration::ZERO));
    let mut changes = shared.source_changes();
    let mut waits: FuturesUnordered<_> = all().collect();
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            Some(source) = waits.next(), if !waits.is_empty() => {
                tracing::trace!(chain = %source.id(), "news");
                shared.wake(source.id());
                waits.push(news(source, PAUSE));
            }
            Ok(()) = changes.changed() => waits = all().collect(),
            _ = beat.tick() => {
                shared.wake_due();
                pulse.progress();
            }
        }
    }
}
