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

/// A length of time for people, from its two largest units: `12 s`, `3 min 5 s`, `2 h 3 min`, `5 d 3 h`.
#[must_use]
pub fn span(millis: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = millis / 1_000;
    let first = UNITS.iter().position(|(length, _)| seconds >= *length).unwrap_or(3);
    let (mut left, mut text) = (seconds, String::new());
    for (length, name) in UNITS.iter().skip(first).take(2) {
        let count = left / length;
        left %= length;
        if text.is_empty() {
            text = format!("{count} {name}");
        } else if count > 0 {
            text.push_str(&format!(" {count} {name}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_told_in_their_two_largest_units() {
        let cases = [
            (0, "0 s"),
            (999, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min"),
            (185_000, "3 min 5 s"),
            (3_600_000, "1 h"),
            (7_380_999, "2 h 3 min"),
            (443_000_000, "5 d 3 h"),
        ];
        for (millis, expected) in cases {
            assert_eq!(span(millis), expected);
        }
        assert!(span(u64::MAX).contains(" d "));
    }

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
