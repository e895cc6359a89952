//! A token bucket: so many calls a second on average, a burst of them at once.
//!
//! It is kept as the moment at which the bucket will be full again (the generic cell rate algorithm), so
//! there is nothing to refill. Calls reserve their turn and wait for it: those that wait are served in
//! the order in which they came.

use core::time::Duration;

use tokio::time::Instant;

/// See the module's introduction.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Time that one call takes from the bucket.
    each: Duration,
    /// Calls that a full bucket holds.
    burst: u32,
    /// When the bucket is full again; in the past where it is.
    full_at: Option<Instant>,
}

impl Bucket {
    /// `per_second` calls a second, at least one, and bursts of `burst`, at least one. The bucket is full.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let each = Duration::from_secs(1) / per_second.max(1);
        Self { each, burst: burst.max(1), full_at: None }
    }

    /// Reserves a turn for `cost` calls that travel together; returns how long to wait for it. More than a
    /// burst at once goes when the bucket is full, and leaves it in debt.
    ///
    /// # Errors
    /// The wait, where it is longer than `patience`: then nothing is reserved.
    pub(super) fn take(
        &mut self,
        cost: u32,
        now: Instant,
        patience: Duration,
    ) -> Result<Duration, Duration> {
        let from = self.full_at.map_or(now, |at| at.max(now));
        let debt = from.saturating_duration_since(now).saturating_add(self.each * cost);
        let wait = debt.saturating_sub(self.each * self.burst.max(cost));
        if wait > patience {
            return Err(wait);
        }
        self.full_at = now.checked_add(debt);
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_burst_goes_at_once_and_the_next_call_waits_for_its_token() {
        let (mut bucket, now) = (Bucket::new(4, 3), Instant::now());
        for _ in 0..3 {
            assert_eq!(bucket.take(1, now, MINUTE), Ok(Duration::ZERO));
        }
        assert_eq!(bucket.take(1, now, MINUTE), Ok(Duration::from_millis(250)));
        assert_eq!(bucket.take(1, now, Duration::ZERO), Err(Duration::from_millis(500)));
        let later = now + Duration::from_millis(500);
        assert_eq!(bucket.take(1, later, Duration::ZERO), Ok(Duration::ZERO));
    }

    #[test]
    fn a_batch_larger_than_the_burst_goes_when_the_bucket_is_full_and_is_paid_for() {
        let (mut bucket, now) = (Bucket::new(10, 5), Instant::now());
        assert_eq!(bucket.take(100, now, MINUTE), Ok(Duration::ZERO));
        assert_eq!(bucket.take(100, now, MINUTE), Ok(Duration::from_secs(10)));
    }

    proptest! {
        #[test]
        fn no_window_has_more_calls_than_the_rate_and_one_burst(
            per_second in 1_u32..200,
            burst in 1_u32..50,
            calls in prop::collection::vec((1_u32..10, 0_u64..400), 1..200),
        ) {
            let (mut bucket, start) = (Bucket::new(per_second, burst), Instant::now());
            let (mut now, mut sent) = (start, Vec::new());
            for (cost, gap) in calls {
                now += Duration::from_millis(gap);
                if let Ok(wait) = bucket.take(cost, now, Duration::from_secs(5)) {
                    prop_assert!(wait <= Duration::from_secs(5));
                    sent.push((now + wait, cost));
                }
            }
            // Whatever goes out in a window is covered by what flows in during it, and a full bucket.
            for (begin, _) in &sent {
                let mut sum = 0;
                for (at, cost) in sent.iter().filter(|(at, _)| at >= begin) {
                    sum += u64::from(*cost);
                    let micros = u64::try_from((*at - *begin).as_micros()).unwrap();
                    let flown = micros * u64::from(per_second) / 1_000_000 + 1;
                    prop_assert!(sum <= flown + u64::from(burst.max(10)), "{sum} in {micros} us");
                }
            }
        }

        #[test]
        fn who_waits_for_nothing_never_loses_a_turn(cost in 1_u32..100, burst in 1_u32..100) {
            let (mut bucket, now) = (Bucket::new(1, burst), Instant::now());
            while bucket.take(cost, now, Duration::ZERO).is_ok() {}
            let refused = bucket.take(cost, now, Duration::ZERO).unwrap_err();
            // Refusals reserve nothing: after exactly that wait the call goes.
            prop_assert_eq!(bucket.take(cost, now + refused, Duration::ZERO), Ok(Duration::ZERO));
        }
    }
}
