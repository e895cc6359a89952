//! Time as the relayer writes it down, and the length of pauses.

use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::keccak256;

use crate::store::millis;

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// The pause after the `attempt`-th failure in a row (counted from 1): `first` doubled every time, at
/// most `longest`, and up to a quarter shorter, so that things which failed together are not tried
/// again together. The shortening is derived from `name`: the same failure gives the same pause.
#[must_use]
pub fn backoff(first: Duration, longest: Duration, attempt: u64, name: &str) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(20);
    let full = millis(first).saturating_mul(1 << doublings).min(millis(longest));
    let digest = keccak256(format!("{name}/{attempt}"));
    let share = u64::from(digest[0]);
    Duration::from_millis(full - full / 4 * share / 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_are_spread() {
        let pause = |attempt, name| {
            backoff(Duration::from_millis(500), Duration::from_secs(30), attempt, name)
        };
        let mut last = Duration::ZERO;
        for attempt in 1..7 {
            let now = pause(attempt, "x");
            assert!(now > last, "attempt {attempt}: {now:?} after {last:?}");
            assert!(now >= Duration::from_millis(375));
            last = now;
        }
        for attempt in [7, 30, u64::MAX] {
            let now = pause(attempt, "x");
            assert!(now <= Duration::from_secs(30) && now >= Duration::from_millis(22_500));
        }
        assert_ne!(pause(9, "a"), pause(9, "b"));
        assert_eq!(pause(9, "a"), pause(9, "a"));
    }
}
