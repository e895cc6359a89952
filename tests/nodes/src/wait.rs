//! Waiting with a deadline instead of sleeping and hoping.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use crate::NodeError;

/// How long to wait between two looks at a condition.
const POLL: Duration = Duration::from_millis(50);

/// Looks at a condition until it is true: `check` returns `Ok(value)` when it is, and otherwise what
/// it saw, which goes into the error.
///
/// # Errors
/// [`NodeError::Deadline`] with what was seen last, when `limit` has passed.
pub async fn wait_for<T, F, Fut>(
    what: impl Into<String>,
    limit: Duration,
    mut check: F,
) -> Result<T, NodeError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let started = Instant::now();
    let mut last = String::from("nothing yet");
    loop {
        let left = limit.saturating_sub(started.elapsed());
        // The check itself may hang: it, too, ends at the deadline.
        match tokio::time::timeout(left, check()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => last = seen,
            Err(_) => return Err(NodeError::Deadline { what: what.into(), waited: limit, last }),
        }
        if started.elapsed() >= limit {
            return Err(NodeError::Deadline { what: what.into(), waited: limit, last });
        }
        tokio::time::sleep(POLL).await;
    }
}
