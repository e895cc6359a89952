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
}
