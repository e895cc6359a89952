//! A client that asks every node again and again for its newest block.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use super::{SharedSeen, seen};
use crate::rpc::Rpc;

/// Between two rounds of questions.
const POLL: Duration = Duration::from_millis(100);
/// How long a node may take; one that is dead refuses at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// The network's height, and how long it stood still at most.
#[derive(Debug, Clone, Copy)]
struct Pace {
    height: u64,
    since: Instant,
    longest: Duration,
}

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Witness {
    pace: Arc<Mutex<Pace>>,
    task: JoinHandle<()>,
}

impl Witness {
    /// Asks these nodes, and notes what they say in `seen`.
    pub fn start(nodes: Vec<Rpc>, seen: SharedSeen) -> Self {
        let start = Pace { height: 0, since: Instant::now(), longest: Duration::ZERO };
        let pace = Arc::new(Mutex::new(start));
        let task = tokio::spawn(watch(nodes, seen, Arc::clone(&pace)));
        Self { pace, task }
    }

    /// The longest time in which no node told of a new block, that of now included.
    pub fn longest_halt(&self) -> Duration {
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.longest.max(pace.since.elapsed())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(nodes: Vec<Rpc>, seen: SharedSeen, pace: Arc<Mutex<Pace>>) {
    loop {
        for node in &nodes {
            let asked = tokio::time::timeout(PATIENCE, seen::tip(node)).await;
            let Ok(Ok((height, hash))) = asked else { continue };
            seen.block(height, hash);
            let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
            if height > pace.height {
                let longest = pace.longest.max(pace.since.elapsed());
                *pace = Pace { height, since: Instant::now(), longest };
            }
        }
        tokio::time::sleep(POLL).await;
    }
}
