//! Endpoints as providers really are: in a pool, one good one is enough, and the others cost nothing but
//! a counter.

mod gates;
mod main_chain;
mod pools;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::StatusCode;
use grid_adapters::{BreakerState, Endpoint, EndpointGroup, EndpointMetrics, PoolSettings};
use prometheus::{Registry, proto::Metric};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, Request, limits};

/// What is wrong with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bad {
    /// Takes the question and never answers.
    Hangs,
    /// Answers a byte at a time.
    Drips,
    /// Breaks the connection in the middle of the answer.
    Cuts,
    /// Answers in the language of another kind of server.
    Garbage,
    /// Answers without end.
    Giant,
    /// Answers another question.
    WrongId,
    /// Says that it was asked too often.
    Limited,
    /// Says that it is broken.
    Broken,
    /// Is not there.
    Gone,
}

const BAD: [Bad; 9] = [
    Bad::Hangs,
    Bad::Drips,
    Bad::Cuts,
    Bad::Garbage,
    Bad::Giant,
    Bad::WrongId,
    Bad::Limited,
    Bad::Broken,
    Bad::Gone,
];

impl Bad {
    fn reply(self, request: &Request) -> Reply {
        match self {
            Self::Hangs | Self::Gone => Reply::Hang,
            Self::Drips => drip(),
            Self::Cuts => Reply::Cut(br#"{"jsonrpc":"2.0","id":1,"resu"#.to_vec()),
            Self::Garbage => Reply::Send(StatusCode::OK, b"<html>It works!</html>".to_vec()),
            Self::Giant => Reply::Endless,
            Self::WrongId => match serde_json::from_slice(&request.body) {
                Ok(Value::Array(batch)) => {
                    Reply::json(&batch.iter().map(|_| json!({"id": 0, "result": 1})).collect())
                }
                _ => Reply::json(&json!({"id": 0, "result": 1})),
            },
            Self::Limited => {
                let after = vec![("retry-after", String::from("3600"))];
                Reply::With(StatusCode::TOO_MANY_REQUESTS, after, Vec::new())
            }
            Self::Broken => Reply::Send(StatusCode::BAD_GATEWAY, Vec::new()),
        }
    }

    /// An endpoint with this trouble, and the number of questions that reach it.
    async fn endpoint(self, place: usize, group: &EndpointGroup) -> (Endpoint, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let fake = Fake::start(move |request| {
            counter.fetch_add(1, Ordering::Relaxed);
            self.reply(request)
        })
        .await;
        let url = if self == Self::Gone { "http://127.0.0.1:1".into() } else { fake.url() };
        (at(&url, place, group), asked)
    }
}

fn drip() -> Reply {
    let (drops, receiver) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while drops.send(vec![b' ']).is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    Reply::Stream(receiver)
}

/// The endpoint at a place of the list.
fn at(url: &str, place: usize, group: &EndpointGroup) -> Endpoint {
    let endpoint = Endpoint::new(url, &format!("chain[0].rpc[{place}]")).unwrap();
    endpoint.with_limits(limits()).in_group(group)
}

/// Impatient, so that a test is short.
const HASTY: PoolSettings = PoolSettings {
    deadline: Duration::from_secs(1),
    hedge_after: Duration::from_millis(200),
    requests_per_second: 0,
    burst: 20,
    max_lag_blocks: 3,
    break_after: 5,
};

/// What all but one endpoint may cost a question at most: each one the wait until the next is asked.
const IN_TIME: Duration = Duration::from_secs(3);

/// The metrics of some endpoints.
pub(crate) struct Counted(Registry);

impl Counted {
    pub(crate) fn new() -> (Self, EndpointMetrics) {
        let (registry, metrics) = (Registry::new(), EndpointMetrics::new().unwrap());
        metrics.register(&registry).unwrap();
        (Self(registry), metrics)
    }

    /// The sum of a metric's series with these values among their labels.
    #[expect(clippy::cast_possible_truncation, reason = "counts")]
    pub(crate) fn sum(&self, metric: &str, values: &[&str]) -> u64 {
        let families = self.0.gather();
        let family = families.iter().find(|family| family.name() == metric).unwrap();
        let fits = |series: &&Metric| {
            let has = |value: &&str| series.get_label().iter().any(|label| label.value() == *value);
            values.iter().all(has)
        };
        let value =
            |series: &Metric| series.get_counter().get_value() + series.get_gauge().get_value();
        let sum: f64 = family.get_metric().iter().filter(fits).map(value).sum();
        sum as u64
    }

    /// Calls to an endpoint that came to this.
    fn requests(&self, endpoint: &Endpoint, outcome: &str) -> u64 {
        self.sum("grid_endpoint_requests_total", &[&provider(endpoint), outcome])
    }

    /// How often an endpoint failed, or was given up for a faster one.
    fn troubles(&self, endpoint: &Endpoint) -> u64 {
        let failures = self.sum("grid_endpoint_failures_total", &[&provider(endpoint)]);
        assert_eq!(failures, self.requests(endpoint, "failed"));
        failures + self.requests(endpoint, "cancelled")
    }

    fn breaker(&self, endpoint: &Endpoint) -> BreakerState {
        let provider = provider(endpoint);
        let is = |state: &BreakerState| {
            self.sum("grid_endpoint_breaker", &[&provider, state.as_str()]) == 1
        };
        BreakerState::ALL.into_iter().find(is).unwrap()
    }
}

fn group(settings: PoolSettings) -> (EndpointGroup, Counted) {
    let (counted, metrics) = Counted::new();
    (EndpointGroup::new("a chain", settings, Some(metrics)), counted)
}

/// Host and port, as the metrics name an endpoint.
fn provider(endpoint: &Endpoint) -> String {
    endpoint.origin().trim_start_matches("http://").into()
}
