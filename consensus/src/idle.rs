//! The pause of a chain that has nothing to do.
//!
//! After a commit the engine asks for the next height. While the chain has no work, the answer is held until one of
//! these: the chain has work; a validator calls, or a peer shows that it decides the next height already; the parent
//! block is `empty_block_interval` old. So nobody is left behind, and a node that alone knows of a transaction gets its
//! block: it starts the height and calls the others ([`Part::call`]).

use std::{sync::Arc, time::Duration};

use arc_malachitebft_app_channel::{Reply, app::engine::host::Next};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use crate::{chain::Chain, context::Grid, pace, status::Progress};

/// How often the chain is asked for work that is due by time.
const LOOK: Duration = Duration::from_millis(250);

/// How long a node that starts a height because of work waits for a part of it before it calls the others: where
/// everybody knows of the work, the proposer's first part makes all calls needless.
const CALL_AFTER: Duration = Duration::from_millis(50);

/// What the message loop is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Start the next height, which the chain has work for.
    Work,
    /// Start the next height, which others decide already or which is due by time.
    Start,
    /// Call the other validators to the height.
    Call,
}

/// The pause, if there is one now, and what ends it.
pub(crate) struct Idle {
    chain: Arc<dyn Chain>,
    work: Arc<Notify>,
    progress: watch::Receiver<Progress>,
    /// From a block to the one after it without work; `None` where there are no pauses.
    pace: Option<Duration>,
    /// The held answer and when it is given at the latest.
    held: Option<(Reply<Next<Grid>>, Instant)>,
    /// When to call the others.
    call: Option<Instant>,
    /// The highest height that a validator sent a part of, or called to.
    wanted: u64,
}

impl Idle {
    pub(crate) fn new(
        chain: Arc<dyn Chain>,
        progress: watch::Receiver<Progress>,
        interval: Duration,
        empty: Duration,
    ) -> Self {
        let work = chain.work();
        let pace = (empty > interval).then_some(empty);
        Self { chain, work, progress, pace, held: None, call: None, wanted: 0 }
    }

    /// Notes that a validator (perhaps this one) wants `height` decided.
    pub(crate) fn want(&mut self, height: u64) {
        self.wanted = self.wanted.max(height);
    }

    /// Holds the answer that starts the height after a block of `parent_ms`.
    pub(crate) fn hold(&mut self, reply: Reply<Next<Grid>>, parent_ms: u64) {
        let rest =
            self.pace.map_or(Duration::ZERO, |pace| pace::rest(pace, parent_ms, pace::now_ms()));
        self.call = None;
        self.held = Some((reply, Instant::now() + rest));
    }

    /// Takes the held answer.
    pub(crate) fn release(&mut self) -> Option<Reply<Next<Grid>>> {
        self.held.take().map(|(reply, _)| reply)
    }

    /// Plans to call the others.
    pub(crate) fn plan_call(&mut self) {
        self.call = Some(Instant::now() + CALL_AFTER);
    }

    /// Whether a planned call is still of use; it is planned no longer.
    pub(crate) const fn take_call(&mut self, height: u64) -> bool {
        self.call.take().is_some() && self.wanted < height
    }

    /// Waits until something is due for the height after the head; may be dropped and asked again.
    pub(crate) async fn due(&mut self, next: u64) -> Due {
        match (&self.held, self.call) {
            (Some((_, until)), _) => {
                let until = *until;
                self.wait(next, until).await
            }
            (None, Some(call)) => {
                sleep_until(call).await;
                Due::Call
            }
            (None, None) => std::future::pending().await,
        }
    }

    async fn wait(&mut self, next: u64, until: Instant) -> Due {
        loop {
            if self.pace.is_none() {
                return Due::Start;
            }
            if self.chain.has_work() {
                return Due::Work;
            }
            let others = self.progress.borrow_and_update().ahead.max(self.wanted) >= next;
            if others || Instant::now() >= until {
                return Due::Start;
            }
            tokio::select! {
                () = self.work.notified() => {}
                changed = self.progress.changed() => if changed.is_err() {
                    // The network is gone, which ends the run elsewhere.
                    sleep_until(until).await;
                },
                () = sleep_until(until.min(Instant::now() + LOOK)) => {}
            }
        }
    }
}
