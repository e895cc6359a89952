//! Virtual time: a wall clock that can be set, and the time that has passed.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::Clock;

/// Both clocks. Nothing waits in real time.
#[derive(Debug)]
pub struct VirtualTime {
    wall: AtomicU64,
    passed: watch::Sender<u64>,
}

impl VirtualTime {
    /// Some day in 2023.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { wall: 1_700_000_000_000.into(), passed: watch::Sender::new(0) })
    }

    /// Milliseconds since the world began.
    #[must_use]
    pub fn passed(&self) -> u64 {
        *self.passed.borrow()
    }

    /// Lets time pass.
    pub fn pass(&self, millis: u64) {
        self.wall.fetch_add(millis, Ordering::Relaxed);
        self.passed.send_modify(|passed| *passed += millis);
    }

    /// Sets the wall clock so many milliseconds ahead, or back.
    pub fn jump(&self, millis: i64) {
        self.wall.fetch_add(millis.cast_unsigned(), Ordering::Relaxed);
    }

    /// Waits until so much time has passed since the world began.
    pub(super) async fn until(&self, passed: u64) {
        // The sender lives as long as `self`.
        let _ = self.passed.subscribe().wait_for(|now| *now >= passed).await;
    }

    /// The clock of a process that starts now.
    #[must_use]
    pub fn clock(self: &Arc<Self>) -> Clock {
        let time = self.clone();
        Clock::of(move || {
            let passed = Duration::from_millis(time.passed());
            (time.wall.load(Ordering::Relaxed), passed)
        })
    }
}
