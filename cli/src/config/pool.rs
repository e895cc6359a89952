//! `[chain.pool]` and `[relayer.pool]`: how endpoints are treated, and addresses of which there may be several.

use std::time::Duration;

use grid_adapters::PoolSettings;
use serde::{Deserialize, Serialize};

use super::check::Faults;

/// Deadlines between these make sense: shorter ones fail on a busy day, longer ones outlast a round.
const DEADLINES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// How the endpoints of a chain, or of the main chain, are treated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PoolSection {
    /// Time for one whole exchange.
    #[serde(with = "humantime_serde")]
    pub(crate) deadline: Duration,
    /// A question goes to the next endpoint too when the first has not answered for so long.
    #[serde(with = "humantime_serde")]
    pub(crate) hedge_after: Duration,
    /// Calls to one provider within a second; 0 for no limit but its own.
    pub(crate) requests_per_second: u32,
    /// Calls that may go at once before that rate holds.
    pub(crate) burst: u32,
    /// An endpoint that is further behind the others is asked last.
    pub(crate) max_lag_blocks: u64,
    /// Failures in a row after which an endpoint is left alone for a while; 0 for never.
    pub(crate) break_after: u32,
}

impl Default for PoolSection {
    fn default() -> Self {
        let PoolSettings {
            deadline,
            hedge_after,
            requests_per_second,
            burst,
            max_lag_blocks,
            break_after,
        } = PoolSettings::default();
        Self { deadline, hedge_after, requests_per_second, burst, max_lag_blocks, break_after }
    }
}

impl PoolSection {
    /// For the adapters.
    pub(crate) const fn settings(&self) -> PoolSettings {
        PoolSettings {
            deadline: self.deadline,
            hedge_after: self.hedge_after,
            requests_per_second: self.requests_per_second,
            burst: self.burst,
            max_lag_blocks: self.max_lag_blocks,
            break_after: self.break_after,
        }
    }

    /// Whether nothing is set.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What types alone cannot say.
    pub(super) fn check(&self, faults: &mut Faults<'_>) {
        if self.deadline < DEADLINES.0 || self.deadline > DEADLINES.1 {
            faults.note("deadline", "must be between 100ms and 30s");
        }
        if self.hedge_after.is_zero() || self.hedge_after > self.deadline {
            faults.note("hedge_after", "must be above 0s and at most the deadline");
        }
        if self.burst == 0 {
            faults.note("burst", "must be at least 1");
        }
    }
}

/// One address or several, best first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected an address or a list of addresses")]
pub(crate) enum Addresses {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Addresses {
    /// All of them.
    pub(crate) fn list(&self) -> &[String] {
        match self {
            Self::One(address) => std::slice::from_ref(address),
            Self::Several(addresses) => addresses,
        }
    }

    /// Each with its place below `path`.
    pub(crate) fn named(&self, path: &str) -> Vec<(String, &str)> {
        let place = |n| match self {
            Self::One(_) => path.to_owned(),
            Self::Several(_) => format!("{path}[{n}]"),
        };
        self.list().iter().enumerate().map(|(n, url)| (place(n), url.as_str())).collect()
    }
}

impl From<String> for Addresses {
    fn from(address: String) -> Self {
        Self::One(address)
    }
}
