//! How much of the machine calls may take, so that no flood of them delays blocks.
//!
//! Calls read the database, so they run on blocking threads. Each lane runs few at once, lets a bounded
//! number wait for a bounded time, and refuses the rest at once. A call that scans looks at its deadline.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use super::RpcError;
use crate::RpcLimits;

/// What a call costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Some reads.
    Read,
    /// Taking a transaction.
    Submit,
    /// Execution, scans and proofs: never in the way of the reads.
    Heavy,
}

/// When a running call must end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    end: Instant,
    time: Duration,
}

impl Deadline {
    pub(super) fn after(time: Duration) -> Self {
        let now = Instant::now();
        Self { end: now.checked_add(time).unwrap_or(now), time }
    }

    /// Refuses to go on after the deadline; `place` says how far it came.
    pub(super) fn check(&self, place: impl FnOnce() -> String) -> Result<(), RpcError> {
        if Instant::now() < self.end {
            return Ok(());
        }
        Err(RpcError::limit(format!(
            "the call took longer than {:?} and ended at {}; ask for less at once",
            self.time,
            place()
        )))
    }
}

/// Calls of one kind: those that run, and those that run or wait.
#[derive(Debug)]
struct Queue {
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Queue {
    fn new(running: usize, waiting: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running)),
            places: Arc::new(Semaphore::new(running.saturating_add(waiting))),
        }
    }
}

/// The budget of one group of callers.
#[derive(Debug)]
pub(super) struct Budget {
    reads: Queue,
    submits: Queue,
    heavy: Queue,
    notices: Arc<Semaphore>,
    wait: Duration,
    time: Duration,
}

impl Budget {
    pub(super) fn new(limits: &RpcLimits) -> Self {
        Self {
            reads: Queue::new(limits.reads, limits.waiting),
            submits: Queue::new(limits.heavy, limits.waiting),
            heavy: Queue::new(limits.heavy, limits.waiting),
            notices: Arc::new(Semaphore::new(1)),
            wait: limits.wait,
            time: limits.call_time,
        }
    }

    /// Blocking threads that calls can take at once.
    pub(super) const fn threads(limits: &RpcLimits) -> usize {
        limits.reads.saturating_add(limits.heavy.saturating_mul(2)).saturating_add(1)
    }

    /// Runs a call on a blocking thread when its turn comes.
    pub(super) async fn run<R, F>(&self, lane: Lane, work: F) -> Result<R, RpcError>
    where
        R: Send + 'static,
        F: FnOnce(Deadline) -> Result<R, RpcError> + Send + 'static,
    {
        let queue = match lane {
            Lane::Read => &self.reads,
            Lane::Submit => &self.submits,
            Lane::Heavy => &self.heavy,
        };
        let Ok(place) = queue.places.clone().try_acquire_owned() else {
            return Err(RpcError::busy("too many calls are waiting"));
        };
        let turn = tokio::time::timeout(self.wait, queue.running.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(RpcError::busy(&format!("no turn came within {:?}", self.wait)));
        };
        let time = self.time;
        // The permits stay with the work: a caller that goes away does not make room for more.
        let work = move || {
            let _held = (place, turn);
            work(Deadline::after(time))
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(broken(&error)))
    }

    /// Runs a subscription's work one after another; the number of subscriptions bounds who waits.
    pub(super) async fn notify<R, F>(&self, work: F) -> Result<R, RpcError>
    where
        R: Send + 'static,
        F: FnOnce() -> Result<R, RpcError> + Send + 'static,
    {
        let turn = self.notices.clone().acquire_owned().await;
        let turn = turn.map_err(|error| RpcError::internal(error.to_string()))?;
        let work = move || {
            let _held = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(broken(&error)))
    }
}

/// A call that did not come back is a defect of this program, and a test looks for these words.
fn broken(error: &tokio::task::JoinError) -> RpcError {
    tracing::error!(%error, "a call broke off");
    RpcError::internal(format!("the call broke off: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(heavy: usize, waiting: usize) -> Arc<Budget> {
        let limits = RpcLimits {
            heavy,
            waiting,
            wait: Duration::from_millis(50),
            call_time: Duration::ZERO,
            ..RpcLimits::default()
        };
        Arc::new(Budget::new(&limits))
    }

    #[tokio::test]
    async fn what_is_over_the_budget_is_refused_and_reads_go_on() {
        let budget = budget(1, 1);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (started, starts) = tokio::sync::oneshot::channel();
        let long = tokio::spawn({
            let budget = budget.clone();
            async move {
                let work = move |_| {
                    let _ = started.send(());
                    let _ = held.recv();
                    Ok(1)
                };
                budget.run(Lane::Heavy, work).await
            }
        });
        starts.await.unwrap();
        // One waits in vain, a second finds no place to wait.
        let waiting = budget.run(Lane::Heavy, |_| Ok(2));
        let second = async {
            tokio::task::yield_now().await;
            budget.run(Lane::Heavy, |_| Ok(3)).await
        };
        let (waiting, second) = tokio::join!(waiting, second);
        assert!(waiting.unwrap_err().message.contains("no turn came"));
        assert!(second.unwrap_err().message.contains("too many"));
        assert_eq!(budget.run(Lane::Read, |_| Ok(4)).await.unwrap(), 4);
        release.send(()).unwrap();
        assert_eq!(long.await.unwrap().unwrap(), 1);
        assert_eq!(budget.run(Lane::Heavy, |_| Ok(5)).await.unwrap(), 5);
    }

    #[tokio::test]
    async fn a_call_without_time_left_says_where_it_ended() {
        let late = |deadline: Deadline| deadline.check(|| "block 7".into());
        let error = budget(1, 1).run(Lane::Heavy, late).await.unwrap_err();
        assert!(error.message.contains("ended at block 7"), "{error}");
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_of_that_call_alone() {
        let budget = budget(1, 1);
        let broken: Result<(), _> = budget.run(Lane::Heavy, |_| panic!("a defect")).await;
        assert!(broken.unwrap_err().message.contains("broke off"));
        assert_eq!(budget.run(Lane::Heavy, |_| Ok(1)).await.unwrap(), 1);
    }
}
