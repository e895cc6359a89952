//! The endpoints of one chain: how they are treated, and where their calls are counted.

use core::time::Duration;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{EndpointMetrics, bucket::Bucket};

/// How the endpoints of one chain are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// Time for one whole exchange: the wait for its turn, connection and body included.
    pub deadline: Duration,
    /// A question is asked of another endpoint too when the first has not answered for so long. An
    /// endpoint that is usually faster is waited for less, down to a quarter of it.
    pub hedge_after: Duration,
    /// Calls to one provider within a second; 0 for no limit but its own.
    pub requests_per_second: u32,
    /// Calls that may go at once before the rate holds.
    pub burst: u32,
    /// An endpoint that is further behind the others is asked last and decides nothing. Blocks.
    pub max_lag_blocks: u64,
    /// Failures in a row after which an endpoint is left alone for a while; 0 for never.
    pub break_after: u32,
}

impl Default for PoolSettings {
    /// 10 s for an exchange, another endpoint after 2 s (slower than any usable one), no rate of our own
    /// (what a provider asks for by HTTP 429 is kept anyway), 10 blocks, 5 failures.
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            hedge_after: Duration::from_secs(2),
            requests_per_second: 0,
            burst: 20,
            max_lag_blocks: 10,
            break_after: 5,
        }
    }
}

/// What the endpoints of one chain have in common. Clones are the same group.
#[derive(Debug, Clone)]
pub struct EndpointGroup {
    chain: String,
    settings: PoolSettings,
    metrics: Option<EndpointMetrics>,
    /// By provider: its host and port.
    buckets: Arc<Mutex<BTreeMap<String, Arc<Mutex<Bucket>>>>>,
}

impl EndpointGroup {
    /// `chain` is the label in the metrics: the chain's id.
    #[must_use]
    pub fn new(chain: &str, settings: PoolSettings, metrics: Option<EndpointMetrics>) -> Self {
        Self { chain: chain.into(), settings, metrics, buckets: Arc::default() }
    }

    /// How its endpoints are treated.
    #[must_use]
    pub const fn settings(&self) -> &PoolSettings {
        &self.settings
    }

    pub(super) fn chain(&self) -> &str {
        &self.chain
    }

    pub(super) const fn metrics(&self) -> Option<&EndpointMetrics> {
        self.metrics.as_ref()
    }

    /// The bucket of a provider, if its rate is limited.
    pub(super) fn bucket(&self, provider: &str) -> Option<Arc<Mutex<Bucket>>> {
        let PoolSettings { requests_per_second, burst, .. } = self.settings;
        if requests_per_second == 0 {
            return None;
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Mutex::new(Bucket::new(requests_per_second, burst)));
        Some(buckets.entry(provider.into()).or_insert_with(new).clone())
    }
}
