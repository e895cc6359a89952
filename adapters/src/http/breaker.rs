//! A circuit breaker: an endpoint that fails again and again is left alone, and tried with one call from
//! time to time.

use core::time::Duration;

use tokio::time::Instant;

/// First pause of an endpoint that failed too often; doubled with every failed try.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause: a repaired endpoint is back within this time.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// What a refused call is told to wait while another one tries the endpoint.
const WHILE_TRIED: Duration = Duration::from_millis(250);

/// Whether calls get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// All of them.
    Closed,
    /// One, to see whether the endpoint works again.
    HalfOpen,
    /// None.
    Open,
}

impl BreakerState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// The word in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// How a call got through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admitted {
    /// As one of many.
    Freely,
    /// As the one that tries the endpoint.
    OnTrial,
}

/// See the module's introduction.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Failures in a row after which it opens; 0 for never.
    break_after: u32,
    failures: u32,
    /// Pauses in a row.
    pauses: u32,
    open_until: Option<Instant>,
    on_trial: bool,
}

impl Breaker {
    pub(super) const fn new(break_after: u32) -> Self {
        Self { break_after, failures: 0, pauses: 0, open_until: None, on_trial: false }
    }

    /// Failures in a row.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.open_until {
            None => BreakerState::Closed,
            Some(until) if now < until => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// Lets a call through. One that is no fit trial, such as a question that is answered late by
    /// intention, only while all is well.
    ///
    /// # Errors
    /// How long to wait before another attempt makes sense.
    pub(super) fn admit(&mut self, now: Instant, fit_trial: bool) -> Result<Admitted, Duration> {
        let Some(until) = self.open_until else { return Ok(Admitted::Freely) };
        if now < until {
            return Err(until.saturating_duration_since(now));
        }
        if self.on_trial || !fit_trial {
            return Err(WHILE_TRIED);
        }
        self.on_trial = true;
        Ok(Admitted::OnTrial)
    }

    /// The endpoint answered.
    pub(super) fn succeeded(&mut self) {
        *self = Self::new(self.break_after);
    }

    /// The endpoint gave no usable answer.
    pub(super) fn failed(&mut self, admitted: Admitted, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let opens = match admitted {
            Admitted::OnTrial => true,
            // A call from before the pause says nothing new.
            Admitted::Freely => {
                self.open_until.is_none()
                    && self.break_after > 0
                    && self.failures >= self.break_after
            }
        };
        if opens {
            self.on_trial = false;
            let pause = FIRST_PAUSE.saturating_mul(1 << self.pauses.min(6)).min(LONGEST_PAUSE);
            self.pauses = self.pauses.saturating_add(1);
            self.open_until = now.checked_add(pause);
        }
    }

    /// The call was given up before its end: it says nothing, and another one may try.
    pub(super) fn given_up(&mut self, admitted: Admitted) {
        if admitted == Admitted::OnTrial {
            self.on_trial = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn opened() -> (Breaker, Instant) {
        let (mut breaker, now) = (Breaker::new(3), Instant::now());
        for _ in 0..3 {
            assert_eq!(breaker.admit(now, true), Ok(Admitted::Freely));
            breaker.failed(Admitted::Freely, now);
        }
        assert_eq!(breaker.state(now), BreakerState::Open);
        (breaker, now)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let (mut breaker, now) = (Breaker::new(3), Instant::now());
        for _ in 0..10 {
            breaker.failed(Admitted::Freely, now);
            breaker.failed(Admitted::Freely, now);
            breaker.succeeded();
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
        let (mut breaker, now) = opened();
        assert_eq!(breaker.admit(now, true), Err(FIRST_PAUSE));
        // What was under way before it opened does not lengthen the pause.
        breaker.failed(Admitted::Freely, now);
        assert_eq!(breaker.admit(now, true), Err(FIRST_PAUSE));
        let mut never = Breaker::new(0);
        (0..100).for_each(|_| never.failed(Admitted::Freely, now));
        assert_eq!(never.state(now), BreakerState::Closed);
    }

    #[test]
    fn one_call_tries_the_endpoint_and_the_pause_grows_to_its_limit() {
        let (mut breaker, mut now) = opened();
        for seconds in [2, 4, 8, 16, 20, 20] {
            now += LONGEST_PAUSE;
            assert_eq!(breaker.state(now), BreakerState::HalfOpen);
            assert_eq!(breaker.admit(now, false), Err(WHILE_TRIED));
            assert_eq!(breaker.admit(now, true), Ok(Admitted::OnTrial));
            assert_eq!(breaker.admit(now, true), Err(WHILE_TRIED));
            breaker.failed(Admitted::OnTrial, now);
            assert_eq!(breaker.admit(now, true), Err(Duration::from_secs(seconds)));
        }
        now += LONGEST_PAUSE;
        assert_eq!(breaker.admit(now, true), Ok(Admitted::OnTrial));
        breaker.given_up(Admitted::OnTrial);
        assert_eq!(breaker.admit(now, true), Ok(Admitted::OnTrial), "another one may try");
        breaker.succeeded();
        assert_eq!(breaker.admit(now, false), Ok(Admitted::Freely));
    }

    proptest! {
        /// Whatever happens, at most one call is on trial, none passes while it is open, and after the
        /// longest pause one gets through.
        #[test]
        fn a_breaker_never_lets_a_crowd_through_and_never_shuts_for_good(
            break_after in 1_u32..5,
            steps in prop::collection::vec((0_u8..4, 0_u64..30_000), 1..200),
        ) {
            let (mut breaker, mut now) = (Breaker::new(break_after), Instant::now());
            let mut out: Vec<Admitted> = Vec::new();
            for (step, gap) in steps {
                now += Duration::from_millis(gap);
                let before = breaker.state(now);
                match (step, out.pop()) {
                    (0, Some(one)) => breaker.failed(one, now),
                    (1, Some(_)) => breaker.succeeded(),
                    (2, Some(one)) => breaker.given_up(one),
                    (_, one) => {
                        out.extend(one);
                        if let Ok(admitted) = breaker.admit(now, true) {
                            let expected = match before {
                                BreakerState::Closed => Some(Admitted::Freely),
                                BreakerState::HalfOpen => Some(Admitted::OnTrial),
                                BreakerState::Open => None,
                            };
                            prop_assert_eq!(Some(admitted), expected);
                            out.push(admitted);
                        }
                    }
                }
            }
            out.into_iter().for_each(|one| breaker.given_up(one));
            prop_assert!(breaker.admit(now + LONGEST_PAUSE, true).is_ok());
        }
    }
}
