//! Budgets that refill with time.

use std::time::{Duration, Instant};

/// A token bucket: `burst` at once, `rate` a second in the long run.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    /// Time that one token takes to come back.
    interval: Duration,
    burst: u32,
    /// When the bucket will be full again.
    full_at: Instant,
}

impl Meter {
    /// A full bucket. A rate of zero counts as one.
    pub(super) fn new(rate: u32, burst: u32, now: Instant) -> Self {
        Self { interval: Duration::from_secs(1) / rate.max(1), burst, full_at: now }
    }

    /// How many tokens there are.
    pub(super) fn available(&self, now: Instant) -> u32 {
        let owed = self.full_at.saturating_duration_since(now).as_nanos();
        let spent = owed.div_ceil(self.interval.as_nanos().max(1));
        self.burst.saturating_sub(u32::try_from(spent).unwrap_or(u32::MAX))
    }

    /// Takes tokens, down to none; says whether there were enough.
    pub(super) fn take(&mut self, count: u32, now: Instant) -> bool {
        let available = self.available(now);
        let taken = count.min(available);
        self.full_at = self.full_at.max(now) + self.interval.saturating_mul(taken);
        taken == count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_through_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut meter = Meter::new(10, 5, start);
        assert!(meter.take(5, start));
        assert!(!meter.take(1, start));
        let later = start + Duration::from_millis(250);
        assert_eq!(meter.available(later), 2);
        assert!(!meter.take(3, later), "what is there is taken all the same");
        assert_eq!(meter.available(later), 0);
        assert_eq!(meter.available(later + Duration::from_secs(3_600)), 5, "never above the burst");
    }

    #[test]
    fn in_the_long_run_no_more_than_the_rate_goes_through() {
        let start = Instant::now();
        let mut meter = Meter::new(1_000, 50, start);
        let mut passed = 0;
        for tick in 0..10_000 {
            if meter.take(1, start + Duration::from_micros(100) * tick) {
                passed += 1;
            }
        }
        assert!((1_000..=1_051).contains(&passed), "{passed} in a second");
    }
}
