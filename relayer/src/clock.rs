//! Time as the relayer writes it down, and the length of pauses.

use core::{fmt, time::Duration};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::keccak256;

use crate::store::millis;

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// A wall clock that is so far ahead of the time that has passed was set, or the machine slept: it is followed.
const AHEAD: u64 = 10_000;

/// What a [`Clock`] reads: the wall clock, milliseconds since 1970, and the time that has passed since any fixed
/// moment.
type Read = dyn Fn() -> (u64, Duration) + Send + Sync;

/// Time that never runs backwards while the process lives: pauses, leases and resends are differences of it,
/// and a wall clock that is set back by an hour must not stop them for an hour. Cheap to clone.
#[derive(Clone)]
pub struct Clock {
    read: Arc<Read>,
    /// A moment by both: everything else is counted from it.
    base: Arc<Mutex<(u64, Duration)>>,
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now_ms()).finish()
    }
}

impl Default for Clock {
    fn default() -> Self {
        let start = Instant::now();
        Self::of(move || (now_ms(), start.elapsed()))
    }
}

impl Clock {
    /// A clock over a wall clock (milliseconds since 1970) and the time that has passed since any fixed moment.
    #[must_use]
    pub fn of(read: impl Fn() -> (u64, Duration) + Send + Sync + 'static) -> Self {
        let base = Arc::new(Mutex::new(read()));
        Self { read: Arc::new(read), base }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let (wall, elapsed) = (self.read)();
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        let now = base.0.saturating_add(millis(elapsed.saturating_sub(base.1)));
        if wall > now.saturating_add(AHEAD) {
            *base = (wall, elapsed);
            return wall;
        }
        now
    }
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
    fn a_clock_that_is_set_back_goes_on_and_one_that_is_ahead_is_followed() {
        let time = Arc::new(Mutex::new((1_000_000, Duration::ZERO)));
        let read = time.clone();
        let clock = Clock::of(move || *read.lock().unwrap());
        let pass = |wall: u64, seconds: u64| {
            *time.lock().unwrap() = (wall, Duration::from_secs(seconds));
            clock.now_ms()
        };
        assert_eq!(pass(1_001_000, 1), 1_001_000);
        assert_eq!(pass(5_000, 2), 1_002_000, "set back: goes on");
        assert_eq!(pass(6_000, 3), 1_003_000);
        assert_eq!(pass(1_013_500, 4), 1_004_000, "a little ahead");
        assert_eq!(pass(9_000_000, 5), 9_000_000, "the machine slept");
        assert_eq!(pass(1_006_000, 6), 9_001_000, "and never back");
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
