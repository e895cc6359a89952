//! What a call passes before it is sent: the endpoint's pause, its rate, its circuit breaker.

use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, sleep};

use super::{
    BreakerState,
    breaker::{Admitted, Breaker},
    bucket::Bucket,
};
use crate::RpcError;

/// First pause after a refusal that names none; doubled with every further one in a row.
const FIRST_LIMIT: Duration = Duration::from_secs(1);

/// Longest pause that an endpoint can ask for: it cannot switch itself off for a day.
const LONGEST_LIMIT: Duration = Duration::from_secs(300);

/// An endpoint's gate. Clones of an [`Endpoint`](super::Endpoint) share it.
#[derive(Debug)]
pub(crate) struct Gate {
    origin: String,
    state: Mutex<State>,
    /// Shared by the endpoints of one provider.
    bucket: Option<Arc<Mutex<Bucket>>>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    last: Option<Box<RpcError>>,
    limited_until: Option<Instant>,
    /// Refusals for the rate in a row.
    limits: u32,
}

/// A call that got through. Dropped without [`leave`](Self::leave) it was given up.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    admitted: Option<Admitted>,
}

impl Gate {
    pub(super) fn new(origin: &str, break_after: u32, bucket: Option<Arc<Mutex<Bucket>>>) -> Self {
        let breaker = Breaker::new(break_after);
        let state = State { breaker, last: None, limited_until: None, limits: 0 };
        Self { origin: origin.into(), state: Mutex::new(state), bucket }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether calls get through.
    pub(crate) fn breaker(&self) -> BreakerState {
        self.state().breaker.state(Instant::now())
    }

    /// Waits for the turn of `cost` calls that travel together, at most `patience`. One that is no fit
    /// trial, since it is answered late by intention, does not pass while the endpoint is being tried.
    ///
    /// # Errors
    /// [`RpcError::RateLimited`] and [`RpcError::LeftAlone`], without anything sent.
    pub(super) async fn enter(
        &self,
        method: &str,
        cost: u32,
        fit_trial: bool,
        patience: Duration,
    ) -> Result<Pass<'_>, RpcError> {
        self.state().pause(Instant::now()).map_err(|left| self.limited(method, left))?;
        if let Some(bucket) = &self.bucket {
            let now = Instant::now();
            let turn =
                bucket.lock().unwrap_or_else(PoisonError::into_inner).take(cost, now, patience);
            let wait = turn.map_err(|wait| self.limited(method, wait))?;
            if !wait.is_zero() {
                sleep(wait).await;
                // The endpoint may have asked for a pause meanwhile.
                self.state().pause(Instant::now()).map_err(|left| self.limited(method, left))?;
            }
        }
        let mut state = self.state();
        match state.breaker.admit(Instant::now(), fit_trial) {
            Ok(admitted) => Ok(Pass { gate: self, admitted: Some(admitted) }),
            Err(after) => Err(RpcError::LeftAlone {
                endpoint: self.origin.clone(),
                method: method.into(),
                after,
                failures: state.breaker.failures(),
                last: state.last.as_ref().map(ToString::to_string).unwrap_or_default(),
            }),
        }
    }

    fn limited(&self, method: &str, after: Duration) -> RpcError {
        let (endpoint, method) = (self.origin.clone(), method.to_owned());
        RpcError::RateLimited { endpoint, method, after: Some(after) }
    }
}

impl State {
    /// Fails with what is left of the pause that the endpoint asked for.
    fn pause(&self, now: Instant) -> Result<(), Duration> {
        let left = self.limited_until.map(|until| until.saturating_duration_since(now));
        left.filter(|left| !left.is_zero()).map_or(Ok(()), Err)
    }

    /// Notes how a call has ended.
    fn ended(&mut self, admitted: Admitted, failure: Option<&RpcError>, now: Instant) {
        match failure {
            Some(RpcError::RateLimited { after, .. }) => {
                let own = FIRST_LIMIT.saturating_mul(1 << self.limits.min(10));
                let pause = after.unwrap_or(own).min(LONGEST_LIMIT);
                self.limits = self.limits.saturating_add(1);
                self.limited_until = now.checked_add(pause);
                // It is alive, and says so politely.
                self.breaker.given_up(admitted);
            }
            Some(error) if !matches!(error, RpcError::Server { .. }) => {
                self.last = Some(Box::new(error.clone()));
                self.breaker.failed(admitted, now);
            }
            _ => {
                self.limits = 0;
                self.last = None;
                self.breaker.succeeded();
            }
        }
    }
}

impl Pass<'_> {
    /// The call has ended.
    pub(super) fn leave(mut self, failure: Option<&RpcError>) {
        if let Some(admitted) = self.admitted.take() {
            self.gate.state().ended(admitted, failure, Instant::now());
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(admitted) = self.admitted {
            self.gate.state().breaker.given_up(admitted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn broken() -> RpcError {
        RpcError::Broken { endpoint: "x".into(), method: "m".into(), reason: "cut".into() }
    }

    fn limited(after: Option<u64>) -> RpcError {
        let after = after.map(Duration::from_secs);
        RpcError::RateLimited { endpoint: "x".into(), method: "m".into(), after }
    }

    async fn pass(gate: &Gate) -> Result<Pass<'_>, RpcError> {
        gate.enter("m", 1, true, PATIENCE).await
    }

    #[tokio::test]
    async fn failures_in_a_row_shut_it_and_the_reason_is_told() {
        let gate = Gate::new("http://x", 2, None);
        for failure in [Some(broken()), None, Some(broken()), Some(broken())] {
            pass(&gate).await.unwrap().leave(failure.as_ref());
        }
        let error = pass(&gate).await.unwrap_err();
        assert!(matches!(error, RpcError::LeftAlone { failures: 2, .. }), "{error:?}");
        assert!(error.to_string().contains("cut"), "{error}");
        assert_eq!(gate.breaker(), BreakerState::Open);
    }

    #[tokio::test]
    async fn neither_the_methods_own_errors_nor_calls_that_were_given_up_shut_it() {
        let gate = Gate::new("http://x", 2, None);
        let own = RpcError::Server {
            endpoint: "x".into(),
            method: "m".into(),
            code: -8,
            message: "no such height".into(),
            data: None,
        };
        for _ in 0..10 {
            pass(&gate).await.unwrap().leave(Some(&own));
            drop(pass(&gate).await.unwrap());
        }
        assert_eq!(gate.breaker(), BreakerState::Closed);
    }

    #[test]
    fn an_endpoint_is_left_alone_for_as_long_as_it_asks_but_not_for_ever() {
        let cases: [(&[Option<u64>], u64); 5] = [
            (&[Some(7)], 7),
            (&[None], 1),
            (&[None, None, None], 4),
            (&[Some(86_400)], 300),
            (&[None; 40], 300),
        ];
        for (asked, expected) in cases {
            let gate = Gate::new("http://x", 5, None);
            let (mut state, now) = (gate.state(), Instant::now());
            for after in asked {
                state.ended(Admitted::Freely, Some(&limited(*after)), now);
            }
            assert_eq!(state.pause(now), Err(Duration::from_secs(expected)), "{asked:?}");
            let later = now + Duration::from_secs(expected);
            assert_eq!(state.pause(later), Ok(()));
            assert_eq!(state.breaker.state(now), BreakerState::Closed);
            // An answer makes the next refusal the first again.
            state.ended(Admitted::Freely, None, later);
            state.ended(Admitted::Freely, Some(&limited(None)), later);
            assert_eq!(state.pause(later), Err(FIRST_LIMIT));
        }
    }

    #[tokio::test]
    async fn a_refused_rate_is_told_without_asking() {
        let gate = Gate::new("http://x", 5, None);
        pass(&gate).await.unwrap().leave(Some(&limited(Some(30))));
        let error = pass(&gate).await.unwrap_err();
        let RpcError::RateLimited { after: Some(after), .. } = error else { panic!("{error}") };
        assert!(after > Duration::from_secs(20), "{after:?}");
    }

    #[tokio::test]
    async fn endpoints_of_one_provider_share_its_rate() {
        let bucket = Arc::new(Mutex::new(Bucket::new(50, 2)));
        let gates = [0, 1].map(|_| Gate::new("http://x", 5, Some(bucket.clone())));
        let begun = Instant::now();
        for turn in 0..10 {
            pass(&gates[turn % 2]).await.unwrap().leave(None);
        }
        // Two at once, then one each 20 ms, whichever endpoint it is.
        assert!(begun.elapsed() >= Duration::from_millis(155), "{:?}", begun.elapsed());
        let error = gates[0].enter("m", 2, true, Duration::ZERO).await.unwrap_err();
        assert!(matches!(error, RpcError::RateLimited { .. }), "{error:?}");
    }
}
