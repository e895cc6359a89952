//! What the source is doing, for those who wait for it.

use core::time::Duration;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::PeerError;
use crate::{Branch, SourceTip};

/// What a source is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SyncPhase {
    /// Reading and verifying the headers file.
    #[default]
    Loading,
    /// Looking for a peer.
    Connecting,
    /// Weighing a peer's chain without storing it.
    Presync,
    /// Downloading headers.
    Downloading,
    /// Following new blocks.
    Synced,
}

/// How far a source is, for a progress bar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What is being done.
    pub phase: SyncPhase,
    /// Height reached in this phase.
    pub height: u64,
    /// The greatest height that a connected peer claims; only a claim.
    pub best_known: u64,
    /// Headers of the last seconds, a second.
    pub headers_per_second: u64,
    /// Connected peers, after their handshake.
    pub peers: usize,
}

/// All that is shown of the owner's state.
#[derive(Debug, Clone, Default)]
pub(super) struct Status {
    pub(super) progress: Progress,
    pub(super) tip: Option<SourceTip>,
    /// Branches beside the best one, near its tip.
    pub(super) branches: Vec<Branch>,
    /// Why peers were lost, those that were configured first; only while none is connected.
    pub(super) errors: Vec<(String, PeerError)>,
}

/// Headers a second, over windows of some seconds.
#[derive(Debug)]
pub(super) struct Rate {
    since: Instant,
    count: u64,
    last: u64,
}

/// Length of a window.
const WINDOW: Duration = Duration::from_secs(2);

impl Rate {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, count: 0, last: 0 }
    }

    pub(super) const fn add(&mut self, headers: usize) {
        self.count = self.count.saturating_add(headers as u64);
    }

    pub(super) fn per_second(&mut self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
            self.last = self.count.saturating_mul(1_000) / millis;
            *self = Self { since: now, count: 0, last: self.last };
        }
        self.last
    }
}
