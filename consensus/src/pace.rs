//! When the next height may end.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a height that starts now should last.
///
/// The engine counts a height's time from each node's own start of it, so a node that is late once
/// would stay late for ever. Counting from the parent block's time instead pulls everybody back to
/// one beat: a block is built when its height starts, so the parent's height started at the parent's
/// time, should have ended one interval later, and this one should end two intervals later.
pub(crate) fn target(interval: Duration, parent_ms: u64, now_ms: u64) -> Duration {
    let end = u128::from(parent_ms) + 2 * interval.as_millis();
    let left = end.saturating_sub(u128::from(now_ms));
    let left = Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX));
    left.min(interval)
}

/// How long an idle chain may still rest: until the parent block is `pace` old, whatever the clocks show never longer
/// than that.
pub(crate) fn rest(pace: Duration, parent_ms: u64, now_ms: u64) -> Duration {
    let age = Duration::from_millis(now_ms.saturating_sub(parent_ms));
    pace.saturating_sub(age)
}

/// Milliseconds since 1970 by this machine's clock.
pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_height_lasts_what_is_left_of_two_intervals() {
        let second = Duration::from_secs(1);
        for (parent, now, expected) in [
            (10_000, 11_000, 1_000), // on the beat
            (10_000, 11_300, 700),   // late by 300 ms: shorter
            (10_000, 10_200, 1_000), // early: never longer than an interval
            (10_000, 12_500, 0),     // hopelessly late: at once
            (0, u64::MAX, 0),
            (u64::MAX, 0, 1_000),
        ] {
            let expected = Duration::from_millis(expected);
            assert_eq!(target(second, parent, now), expected, "parent {parent} now {now}");
        }
    }

    #[test]
    fn an_idle_chain_rests_until_the_parent_is_old_enough() {
        let pace = Duration::from_secs(5);
        for (parent, now, expected) in [
            (10_000, 10_000, 5_000),
            (10_000, 12_000, 3_000),
            (10_000, 15_000, 0),
            (10_000, 99_000, 0),
            (u64::MAX, 0, 5_000), // a clock that is behind
        ] {
            assert_eq!(rest(pace, parent, now), Duration::from_millis(expected), "at {now}");
        }
    }
}
