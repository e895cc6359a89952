//! The tasks of a node, and who looks after them.

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    task::{Id, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::NodeError;

/// How long the tasks have to end once the node stops. What has not ended then is cut off; what was promised to others is
/// on disk before.
const DRAIN: Duration = Duration::from_secs(6);

/// Tasks that must run as long as the node does: the end of one is the end of all.
#[derive(Debug)]
pub(crate) struct Tasks {
    set: JoinSet<Result<(), NodeError>>,
    names: BTreeMap<Id, &'static str>,
    cancel: CancellationToken,
    drain: Duration,
}

impl Tasks {
    /// No tasks yet; all of them stop when `cancel` fires.
    pub(crate) fn new(cancel: CancellationToken) -> Self {
        Self { set: JoinSet::new(), names: BTreeMap::new(), cancel, drain: DRAIN }
    }

    /// Fires when the node stops.
    pub(crate) const fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Starts a task that ends when the node stops.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), NodeError>> + Send + 'static,
    ) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits for the tasks: the first failure, or an end that nobody asked for, stops all of them.
    pub(crate) async fn supervise(mut self) -> Result<(), NodeError> {
        let mut outcome = Ok(());
        let mut deadline = None;
        while let Some(ended) = self.next(&mut deadline).await {
            let (id, result) = match ended {
                Ok((id, result)) => (id, result),
                Err(error) => (error.id(), Err(self.failed(error.id(), error.to_string()))),
            };
            let failure = match result {
                Ok(()) if self.cancel.is_cancelled() => None,
                Ok(()) => Some(self.failed(id, "it returned".into())),
                Err(error) => Some(error),
            };
            self.names.remove(&id);
            self.cancel.cancel();
            if let Some(error) = failure {
                tracing::error!(%error, "the node stops");
                if outcome.is_ok() {
                    outcome = Err(error);
                }
            }
        }
        outcome
    }

    /// The next task that ended; `None` when there is none left, or when the time to end is over.
    async fn next(
        &mut self,
        deadline: &mut Option<Instant>,
    ) -> Option<Result<(Id, Result<(), NodeError>), tokio::task::JoinError>> {
        if deadline.is_none() {
            tokio::select! {
                biased;
                ended = self.set.join_next_with_id() => return ended,
                () = self.cancel.cancelled() => {}
            }
        }
        let until = *deadline.get_or_insert_with(|| Instant::now() + self.drain);
        match tokio::time::timeout_at(until, self.set.join_next_with_id()).await {
            Ok(ended) => ended,
            Err(_) => {
                let names: Vec<_> = self.names.values().copied().collect();
                tracing::error!(tasks = names.join(", "), "cut off: they did not end in time");
                None
            }
        }
    }

    fn failed(&self, id: Id, reason: String) -> NodeError {
        NodeError::Task { task: self.names.get(&id).copied().unwrap_or("unknown"), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn until_cancelled(cancel: CancellationToken) -> Result<(), NodeError> {
        cancel.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn an_end_that_nobody_asked_for_stops_all_and_is_named() {
        let mut tasks = Tasks::new(CancellationToken::new());
        let cancel = tasks.cancel().clone();
        tasks.spawn("good", until_cancelled(cancel.clone()));
        tasks.spawn("short", async { Ok(()) });
        let error = tasks.supervise().await.unwrap_err();
        assert!(matches!(error, NodeError::Task { task: "short", .. }), "{error}");
        assert!(cancel.is_cancelled());
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_cut_off_in_time() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.drain = Duration::from_millis(50);
        let cancel = tasks.cancel().clone();
        tasks.spawn("good", until_cancelled(cancel.clone()));
        tasks.spawn("deaf", std::future::pending());
        cancel.cancel();
        tokio::time::timeout(Duration::from_secs(30), tasks.supervise()).await.unwrap().unwrap();
    }
}
