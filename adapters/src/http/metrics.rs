//! What is counted about an endpoint.

use core::time::Duration;
use std::sync::Arc;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::BreakerState;
use crate::RpcError;

/// Upper bounds of the histogram of answers' times, seconds: a node in the same machine to the default
/// deadline.
const ANSWER_SECONDS: &[f64] =
    &[0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What a call comes to: an answer, the method's own error, no usable answer, given up because another
/// endpoint was faster, or not sent because the endpoint is left alone.
const OUTCOMES: [&str; 5] = ["ok", "error", "failed", "cancelled", "skipped"];

/// Why there is no usable answer.
const REASONS: [&str; 7] =
    ["unreachable", "timeout", "broken", "unauthorized", "limited", "status", "garbage"];

/// A method that is not in the endpoint's list.
const OTHER: &str = "other";

/// What is known of a metric without running anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricInfo {
    /// Name.
    pub name: &'static str,
    /// Prometheus' word for its type.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// HELP text.
    pub help: &'static str,
}

/// The metrics of all endpoints. Labels: the chain's id (`main` for the main chain's own nodes), the host
/// without credentials, and fixed words.
#[derive(Debug, Clone)]
pub struct EndpointMetrics {
    requests: IntCounterVec,
    failures: IntCounterVec,
    seconds: HistogramVec,
    breaker: IntGaugeVec,
    hedges: IntCounterVec,
}

const REQUESTS: MetricInfo = MetricInfo {
    name: "grid_endpoint_requests_total",
    kind: "counter",
    labels: &["chain", "provider", "method", "outcome"],
    help: "Calls to endpoints by what came of them: ok, error, failed, cancelled or skipped.",
};
const FAILURES: MetricInfo = MetricInfo {
    name: "grid_endpoint_failures_total",
    kind: "counter",
    labels: &["chain", "provider", "reason"],
    help: "Calls to endpoints without a usable answer by the reason.",
};
const SECONDS: MetricInfo = MetricInfo {
    name: "grid_endpoint_seconds",
    kind: "histogram",
    labels: &["chain", "provider"],
    help: "Time to the answer of an endpoint in seconds.",
};
const BREAKER: MetricInfo = MetricInfo {
    name: "grid_endpoint_breaker",
    kind: "gauge",
    labels: &["chain", "provider", "state"],
    help: "1 for the state of an endpoint's circuit breaker: closed, half-open or open.",
};
const HEDGES: MetricInfo = MetricInfo {
    name: "grid_endpoint_hedges_total",
    kind: "counter",
    labels: &["chain", "provider"],
    help: "Questions that an endpoint was asked because another one was slow.",
};

impl EndpointMetrics {
    /// Every metric, in order.
    pub const TABLE: &'static [MetricInfo] = &[REQUESTS, FAILURES, SECONDS, BREAKER, HEDGES];

    /// Without any series.
    ///
    /// # Errors
    /// Never with these names.
    pub fn new() -> prometheus::Result<Self> {
        let opts = |metric: MetricInfo| Opts::new(metric.name, metric.help);
        let answers = HistogramOpts::from(opts(SECONDS)).buckets(ANSWER_SECONDS.to_vec());
        Ok(Self {
            requests: IntCounterVec::new(opts(REQUESTS), REQUESTS.labels)?,
            failures: IntCounterVec::new(opts(FAILURES), FAILURES.labels)?,
            seconds: HistogramVec::new(answers, SECONDS.labels)?,
            breaker: IntGaugeVec::new(opts(BREAKER), BREAKER.labels)?,
            hedges: IntCounterVec::new(opts(HEDGES), HEDGES.labels)?,
        })
    }

    /// Exports them.
    ///
    /// # Errors
    /// Where the registry already has metrics of these names.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.failures.clone()))?;
        registry.register(Box::new(self.seconds.clone()))?;
        registry.register(Box::new(self.breaker.clone()))?;
        registry.register(Box::new(self.hedges.clone()))
    }

    /// Counts an endpoint's hedged questions.
    pub(super) fn hedges(&self, chain: &str, provider: &str) -> IntCounter {
        self.hedges.with_label_values(&[chain, provider])
    }
}

/// One endpoint's part of the metrics, every series made beforehand. Counts nothing by default.
#[derive(Debug, Clone, Default)]
pub(super) struct Meter(Option<Arc<Series>>);

#[derive(Debug)]
struct Series {
    requests: Vec<(&'static str, [IntCounter; OUTCOMES.len()])>,
    failures: [IntCounter; REASONS.len()],
    seconds: Histogram,
    breaker: [IntGauge; BreakerState::ALL.len()],
}

impl Meter {
    /// The series of an endpoint with these methods: JSON-RPC's names, or beginnings of paths without
    /// their slash, the more special ones first.
    pub(super) fn new(
        metrics: &EndpointMetrics,
        chain: &str,
        provider: &str,
        methods: &[&'static str],
    ) -> Self {
        let requests = |method: &'static str| {
            let counter =
                |outcome| metrics.requests.with_label_values(&[chain, provider, method, outcome]);
            (method, OUTCOMES.map(counter))
        };
        let failure = |reason| metrics.failures.with_label_values(&[chain, provider, reason]);
        let state = |state: BreakerState| {
            metrics.breaker.with_label_values(&[chain, provider, state.as_str()])
        };
        let series = Series {
            requests: methods.iter().copied().chain([OTHER]).map(requests).collect(),
            failures: REASONS.map(failure),
            seconds: metrics.seconds.with_label_values(&[chain, provider]),
            breaker: BreakerState::ALL.map(state),
        };
        metrics.hedges(chain, provider);
        let meter = Self(Some(Arc::new(series)));
        meter.breaker(BreakerState::Closed);
        meter
    }

    /// A call has ended; `took` where its time says something about the endpoint.
    pub(super) fn ended(&self, method: &str, failure: Option<&RpcError>, took: Option<Duration>) {
        let Some(series) = &self.0 else { return };
        let reason = failure.and_then(reason);
        series.count(
            method,
            match (failure, reason) {
                (None, _) => "ok",
                (Some(_), None) => "error",
                (Some(_), Some(_)) => "failed",
            },
        );
        match reason {
            Some(reason) => {
                let place = REASONS.iter().position(|known| *known == reason);
                place
                    .and_then(|place| series.failures.get(place))
                    .into_iter()
                    .for_each(IntCounter::inc);
            }
            None => took.into_iter().for_each(|took| series.seconds.observe(took.as_secs_f64())),
        }
    }

    /// A call was given up, because another endpoint was faster or nobody waits any more.
    pub(super) fn cancelled(&self, method: &str) {
        if let Some(series) = &self.0 {
            series.count(method, "cancelled");
        }
    }

    /// A call was not sent.
    pub(super) fn skipped(&self, method: &str) {
        if let Some(series) = &self.0 {
            series.count(method, "skipped");
        }
    }

    pub(super) fn breaker(&self, now: BreakerState) {
        let Some(series) = &self.0 else { return };
        for (state, gauge) in BreakerState::ALL.iter().zip(&series.breaker) {
            gauge.set((*state == now).into());
        }
    }
}

impl Series {
    fn count(&self, method: &str, outcome: &str) {
        let method = method.trim_start_matches('/');
        let known = self.requests.iter().find(|(known, _)| method.starts_with(known));
        let Some((_, outcomes)) = known.or_else(|| self.requests.last()) else { return };
        let place = OUTCOMES.iter().position(|known| *known == outcome);
        place.and_then(|place| outcomes.get(place)).into_iter().for_each(IntCounter::inc);
    }
}

/// Why an endpoint gave no usable answer; `None` for a method's own error.
const fn reason(error: &RpcError) -> Option<&'static str> {
    Some(match error {
        RpcError::Connect { .. } => "unreachable",
        RpcError::Timeout { .. } => "timeout",
        RpcError::Broken { .. } => "broken",
        RpcError::Unauthorized { .. } | RpcError::Cookie { .. } => "unauthorized",
        RpcError::RateLimited { .. } => "limited",
        RpcError::Status { .. } => "status",
        RpcError::TooLarge { .. } | RpcError::NotJson { .. } | RpcError::Malformed { .. } => {
            "garbage"
        }
        RpcError::Server { .. } | RpcError::LeftAlone { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> RpcError {
        RpcError::Broken { endpoint: "x".into(), method: "m".into(), reason: "cut".into() }
    }

    #[test]
    fn every_series_of_an_endpoint_is_there_from_the_start_and_none_comes_later() {
        let (metrics, registry) = (EndpointMetrics::new().unwrap(), Registry::new());
        metrics.register(&registry).unwrap();
        let meter = Meter::new(&metrics, "c", "p", &["getblockhash", "getblock"]);
        let series = || registry.gather().iter().map(|family| family.get_metric().len()).sum();
        let before: usize = series();
        assert_eq!(before, 3 * OUTCOMES.len() + REASONS.len() + 1 + BreakerState::ALL.len() + 1);
        let took = Some(Duration::from_millis(3));
        for method in ["getblock", "getblockhash", "/getblock/7", "unheard of", ""] {
            meter.ended(method, None, took);
            meter.ended(method, Some(&broken()), took);
            meter.cancelled(method);
            meter.skipped(method);
        }
        assert_eq!(before, series());
        let count = |method, outcome| {
            metrics.requests.with_label_values(&["c", "p", method, outcome]).get()
        };
        assert_eq!((count("getblock", "ok"), count("getblockhash", "ok")), (2, 1));
        assert_eq!((count("other", "failed"), count("getblock", "skipped")), (2, 2));
        assert_eq!(metrics.failures.with_label_values(&["c", "p", "broken"]).get(), 5);
        assert_eq!(registry.gather().len(), EndpointMetrics::TABLE.len());
    }
}
