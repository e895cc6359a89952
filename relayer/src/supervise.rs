//! Named tasks that are watched.
//!
//! A task reports a heartbeat when it begins a round and progress when it ends one. A task that ends,
//! panics or is late with its heartbeat is started again; one that beats without progress shows as a
//! problem. After a stop every task gets the drain time to finish its round.

use core::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{collections::HashMap, sync::Arc};

use tokio::task::{AbortHandle, Id, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{clock::now_ms, metrics::Metrics, status::TaskStatus, store::millis};

/// What a task runs as.
pub type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Shortest time between two starts of a task.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Time between two looks at the heartbeats.
const LOOK: Duration = Duration::from_secs(1);

/// A task's signs of life. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Marks>);

#[derive(Debug)]
struct Marks {
    name: &'static str,
    heartbeat: AtomicU64,
    progress: AtomicU64,
    restarts: AtomicU64,
}

impl Pulse {
    pub(crate) fn new(name: &'static str) -> Self {
        let now = now_ms();
        Self(Arc::new(Marks {
            name,
            heartbeat: now.into(),
            progress: now.into(),
            restarts: 0.into(),
        }))
    }

    /// A round begins.
    pub fn beat(&self) {
        self.0.heartbeat.store(now_ms(), Ordering::Relaxed);
    }

    /// A round ended as it should.
    pub fn progress(&self) {
        let now = now_ms();
        self.0.heartbeat.store(now, Ordering::Relaxed);
        self.0.progress.store(now, Ordering::Relaxed);
    }

    /// The task's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    fn heartbeat_age(&self, now: u64) -> u64 {
        now.saturating_sub(self.0.heartbeat.load(Ordering::Relaxed))
    }

    fn progress_age(&self, now: u64) -> u64 {
        now.saturating_sub(self.0.progress.load(Ordering::Relaxed))
    }
}

/// How to run a task.
pub struct TaskSpec {
    name: &'static str,
    late: Duration,
    start: Box<dyn Fn(Pulse, CancellationToken) -> TaskFuture + Send>,
}

impl core::fmt::Debug for TaskSpec {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TaskSpec").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TaskSpec {
    /// A task that is restarted when its heartbeat is older than `late`.
    pub fn new<F>(
        name: &'static str,
        late: Duration,
        start: impl Fn(Pulse, CancellationToken) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { name, late, start: Box::new(move |pulse, cancel| Box::pin(start(pulse, cancel))) }
    }
}

struct Running {
    spec: TaskSpec,
    pulse: Pulse,
    handle: Option<AbortHandle>,
    started: u64,
}

/// Signs of life of all tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pulses(Arc<Vec<(Pulse, u64)>>);

impl Pulses {
    /// No task.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::default())
    }

    /// Every task.
    #[must_use]
    pub fn status(&self) -> Vec<TaskStatus> {
        let now = now_ms();
        let status = |(pulse, _): &(Pulse, u64)| TaskStatus {
            name: pulse.0.name.into(),
            heartbeat_age_seconds: pulse.heartbeat_age(now) / 1000,
            progress_age_seconds: pulse.progress_age(now) / 1000,
            restarts: pulse.0.restarts.load(Ordering::Relaxed),
        };
        self.0.iter().map(status).collect()
    }

    /// Names of tasks whose heartbeat is late: they are about to be started again.
    #[must_use]
    pub fn late(&self) -> Vec<&'static str> {
        let now = now_ms();
        let late = |(pulse, late): &&(Pulse, u64)| pulse.heartbeat_age(now) > *late;
        self.0.iter().filter(late).map(|(pulse, _)| pulse.0.name).collect()
    }

    /// Names of tasks that beat and get nothing done.
    #[must_use]
    pub fn stuck(&self) -> Vec<&'static str> {
        let now = now_ms();
        let stuck = |(pulse, late): &&(Pulse, u64)| {
            pulse.heartbeat_age(now) <= *late && pulse.progress_age(now) > late.saturating_mul(2)
        };
        self.0.iter().filter(stuck).map(|(pulse, _)| pulse.0.name).collect()
    }
}

/// Runs tasks until a stop.
pub struct Supervisor {
    running: Vec<Running>,
    set: JoinSet<()>,
    by_id: HashMap<Id, usize>,
    metrics: Arc<Metrics>,
    cancel: CancellationToken,
}

impl core::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Supervisor").field("tasks", &self.running.len()).finish_non_exhaustive()
    }
}

impl Supervisor {
    /// Prepares tasks; nothing runs before [`Self::run`].
    #[must_use]
    pub fn new(specs: Vec<TaskSpec>, metrics: Arc<Metrics>, cancel: CancellationToken) -> Self {
        let running = specs
            .into_iter()
            .map(|spec| Running { pulse: Pulse::new(spec.name), spec, handle: None, started: 0 })
            .collect();
        Self { running, set: JoinSet::new(), by_id: HashMap::new(), metrics, cancel }
    }

    /// The tasks' signs of life.
    #[must_use]
    pub fn pulses(&self) -> Pulses {
        let pulse = |running: &Running| (running.pulse.clone(), millis(running.spec.late));
        Pulses(Arc::new(self.running.iter().map(pulse).collect()))
    }

    /// Runs every task until the token is cancelled, then waits at most `drain` for them to end. Returns
    /// the names of those that had to be aborted.
    pub async fn run(mut self, drain: Duration) -> Vec<&'static str> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => break,
                ended = self.set.join_next_with_id(), if !self.set.is_empty() => self.ended(ended),
                _ = look.tick() => self.look(),
            }
        }
        self.stop(drain).await
    }

    fn look(&mut self) {
        let now = now_ms();
        for index in 0..self.running.len() {
            let Some(task) = self.running.get_mut(index) else { continue };
            let age = task.pulse.heartbeat_age(now);
            self.metrics.task(task.spec.name, age, task.pulse.progress_age(now));
            match &task.handle {
                // Its end is noticed by the join, which clears the handle.
                Some(handle) if age > millis(task.spec.late) => {
                    tracing::error!(
                        task = task.spec.name,
                        age_ms = age,
                        "task is late, restarting it"
                    );
                    handle.abort();
                }
                Some(_) => {}
                None if now.saturating_sub(task.started) >= millis(RESTART_PAUSE) => {
                    self.start(index, now);
                }
                None => {}
            }
        }
    }

    fn start(&mut self, index: usize, now: u64) {
        let Some(task) = self.running.get_mut(index) else { return };
        if task.started > 0 {
            task.pulse.0.restarts.fetch_add(1, Ordering::Relaxed);
            self.metrics.restarted(task.spec.name);
        }
        task.started = now;
        task.pulse.beat();
        let future = (task.spec.start)(task.pulse.clone(), self.cancel.child_token());
        let handle = self.set.spawn(future);
        self.by_id.insert(handle.id(), index);
        task.handle = Some(handle);
    }

    fn ended(&mut self, ended: Option<Result<(Id, ()), tokio::task::JoinError>>) {
        let (id, reason) = match ended {
            None => return,
            Some(Ok((id, ()))) => (id, "it returned".to_owned()),
            Some(Err(error)) => (error.id(), error.to_string()),
        };
        let Some(task) = self.by_id.remove(&id).and_then(|index| self.running.get_mut(index))
        else {
            return;
        };
        task.handle = None;
        if !self.cancel.is_cancelled() {
            tracing::error!(task = task.spec.name, %reason, "task ended, restarting it");
        }
    }

    async fn stop(mut self, drain: Duration) -> Vec<&'static str> {
        let ended = tokio::time::timeout(drain, async {
            while let Some(ended) = self.set.join_next_with_id().await {
                self.ended(Some(ended));
            }
        });
        if ended.await.is_ok() {
            return Vec::new();
        }
        let late: Vec<_> = self
            .running
            .iter()
            .filter(|task| task.handle.is_some())
            .map(|task| task.spec.name)
            .collect();
        self.set.shutdown().await;
        late
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicUsize;

    use super::*;

    async fn until(what: &str, mut done: impl FnMut() -> bool) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(tokio::time::Instant::now() < deadline, "{what}: not in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn ended_panicking_and_hanging_tasks_are_restarted_and_a_stop_drains() {
        let counts: Arc<[AtomicUsize; 3]> = Arc::default();
        let spec = |index: usize, name| {
            let counts = counts.clone();
            TaskSpec::new(name, Duration::from_millis(300), move |_, cancel| {
                let counts = counts.clone();
                async move {
                    let starts = counts[index].fetch_add(1, Ordering::SeqCst);
                    match (index, starts) {
                        (0, 0) => {}
                        (1, 0) => std::panic::panic_any("deliberate"),
                        (2, 0) => std::future::pending().await,
                        _ => cancel.cancelled().await,
                    }
                }
            })
        };
        let specs = vec![spec(0, "ends"), spec(1, "panics"), spec(2, "hangs")];
        let cancel = CancellationToken::new();
        let metrics = Arc::new(Metrics::new().unwrap());
        let supervisor = Supervisor::new(specs, metrics, cancel.clone());
        let pulses = supervisor.pulses();
        let run = tokio::spawn(supervisor.run(Duration::from_secs(5)));
        until("restarts", || counts.iter().all(|count| count.load(Ordering::SeqCst) >= 2)).await;
        assert!(pulses.status().iter().all(|task| task.restarts >= 1));
        cancel.cancel();
        let late = tokio::time::timeout(Duration::from_secs(5), run).await.unwrap().unwrap();
        assert!(late.is_empty(), "{late:?}");
    }

    #[tokio::test]
    async fn a_task_that_ignores_the_stop_is_aborted_and_named() {
        let spec = TaskSpec::new("deaf", Duration::from_secs(60), |pulse, _| async move {
            pulse.beat();
            std::future::pending().await
        });
        let cancel = CancellationToken::new();
        let metrics = Arc::new(Metrics::new().unwrap());
        let supervisor = Supervisor::new(vec![spec], metrics, cancel.clone());
        let run = tokio::spawn(supervisor.run(Duration::from_millis(50)));
        tokio::time::sleep(Duration::from_millis(20)).await;
        cancel.cancel();
        assert_eq!(run.await.unwrap(), vec!["deaf"]);
    }
}
