//! One endpoint: its rate, its pauses, its circuit breaker, and questions that are asked once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use futures::future::join_all;
use grid_adapters::{BreakerState, HttpJsonRpc, PoolSettings, RpcError};
use serde_json::{Value, json};

use super::{BAD, Bad, HASTY, at, group};
use crate::fake::{Fake, Reply};

/// Answers every call with its first parameter, after `pause`, and counts exchanges.
async fn echo(pause: Duration) -> (Fake, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let fake = Fake::start(move |request| {
        counter.fetch_add(1, Ordering::Relaxed);
        let one = |call: &Value| json!({"id": call["id"], "result": call["params"][0]});
        let answer = match serde_json::from_slice(&request.body).unwrap() {
            Value::Array(batch) => batch.iter().map(one).collect(),
            call => one(&call),
        };
        let (parts, receiver) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let _ = parts.send(serde_json::to_vec(&answer).unwrap());
        });
        Reply::Stream(receiver)
    })
    .await;
    (fake, asked)
}

#[tokio::test]
async fn no_exchange_outlives_its_deadline() {
    for bad in BAD {
        let (group, _) = group(HASTY);
        let (endpoint, _) = bad.endpoint(0, &group).await;
        let client = HttpJsonRpc::new(endpoint).unwrap();
        let begun = Instant::now();
        let error = client.call("m", json!([])).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(3), "{bad:?}: {:?}", begun.elapsed());
        let timeout = matches!(error, RpcError::Timeout { .. });
        assert_eq!(timeout, matches!(bad, Bad::Hangs | Bad::Drips), "{bad:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_rate_limit_is_kept_without_asking_again() {
    // By HTTP, by HTTP with a reason of JSON-RPC, by JSON-RPC alone, by a server that is overloaded.
    let replies: [fn(&Value) -> Reply; 4] = [
        |_| Reply::With(StatusCode::TOO_MANY_REQUESTS, vec![("retry-after", "7".into())], vec![]),
        |call| {
            let error =
                json!({"id": call["id"], "error": {"code": -32000, "message": "slow down"}});
            Reply::Send(StatusCode::TOO_MANY_REQUESTS, error.to_string().into_bytes())
        },
        |call| {
            Reply::json(&json!({"id": call["id"], "error": {"code": -32005, "message": "limit"}}))
        },
        |_| Reply::With(StatusCode::SERVICE_UNAVAILABLE, vec![("retry-after", "7".into())], vec![]),
    ];
    for (number, reply) in replies.into_iter().enumerate() {
        let (group, metrics) = group(HASTY);
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let fake = Fake::start(move |request| {
            counter.fetch_add(1, Ordering::Relaxed);
            reply(&serde_json::from_slice(&request.body).unwrap())
        })
        .await;
        let endpoint = at(&fake.url(), 0, &group);
        let client = HttpJsonRpc::new(endpoint.clone()).unwrap();
        for _ in 0..10 {
            let error = client.call("m", json!([])).await.unwrap_err();
            assert!(matches!(error, RpcError::RateLimited { .. }), "{number}: {error:?}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1, "{number}");
        let count = |outcome| metrics.requests(&endpoint, outcome);
        assert_eq!((count("failed"), count("skipped")), (1, 9), "{number}");
        assert_eq!(metrics.breaker(&endpoint), BreakerState::Closed, "it is alive");
    }
}

#[tokio::test]
async fn the_configured_rate_holds_for_all_callers_together() {
    let settings = PoolSettings { requests_per_second: 40, burst: 4, ..PoolSettings::default() };
    let (group, _) = group(settings);
    let (fake, asked) = echo(Duration::ZERO).await;
    let clients = [0, 1].map(|place| HttpJsonRpc::new(at(&fake.url(), place, &group)).unwrap());
    let begun = Instant::now();
    let answers = join_all((0..24).map(|n| clients[n % 2].call("m", json!([n])))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 24);
    // Four at once, then one each 25 ms.
    assert!(begun.elapsed() >= Duration::from_millis(495), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_dead_endpoint_is_tried_rarely_and_a_repaired_one_is_back_soon() {
    let (group, metrics) = group(HASTY);
    let (repaired, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (works, counter) = (Arc::clone(&repaired), Arc::clone(&asked));
    let fake = Fake::start(move |request| {
        counter.fetch_add(1, Ordering::Relaxed);
        if !works.load(Ordering::Relaxed) {
            return Reply::Send(StatusCode::BAD_GATEWAY, Vec::new());
        }
        let call: Value = serde_json::from_slice(&request.body).unwrap();
        Reply::json(&json!({"id": call["id"], "result": 1}))
    })
    .await;
    let endpoint = at(&fake.url(), 0, &group);
    let client = HttpJsonRpc::new(endpoint.clone()).unwrap();
    for _ in 0..100 {
        assert!(client.call("m", json!([])).await.is_err());
    }
    assert_eq!(asked.load(Ordering::Relaxed), 5);
    assert_eq!(metrics.breaker(&endpoint), BreakerState::Open);
    let error = client.call("m", json!([])).await.unwrap_err();
    assert!(error.to_string().contains("502"), "the cause is told: {error}");
    repaired.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    while client.call("m", json!([])).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it never came back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 6, "one call tried it");
    assert_eq!(metrics.breaker(&endpoint), BreakerState::Closed);
}

#[tokio::test]
async fn equal_questions_at_the_same_time_are_one_exchange_and_sends_are_not() {
    let (group, _) = group(HASTY);
    let (fake, asked) = echo(Duration::from_millis(100)).await;
    let client = HttpJsonRpc::new(at(&fake.url(), 0, &group)).unwrap();
    let answers = join_all((0..10).map(|_| client.call("m", json!([7])))).await;
    assert!(answers.iter().all(|answer| *answer == Ok(json!(7))), "{answers:?}");
    assert_eq!(asked.swap(0, Ordering::Relaxed), 1);
    let batch = [("m", json!([1])), ("m", json!([2]))];
    let answers = join_all((0..5).map(|_| client.batch(&batch))).await;
    assert!(answers.iter().all(|a| a.as_ref().unwrap() == &[Ok(json!(1)), Ok(json!(2))]));
    assert_eq!(asked.swap(0, Ordering::Relaxed), 1);
    let different = join_all((0..10).map(|n| client.call("m", json!([n])))).await;
    assert!(different.iter().enumerate().all(|(n, answer)| *answer == Ok(json!(n))));
    assert_eq!(asked.swap(0, Ordering::Relaxed), 10);
    let sent = join_all((0..10).map(|_| client.send("m", json!([7])))).await;
    assert!(sent.iter().all(Result::is_ok));
    assert_eq!(asked.load(Ordering::Relaxed), 10);
}

#[tokio::test]
async fn a_server_that_takes_short_batches_only_gets_short_ones() {
    let longest = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&longest);
    let fake = Fake::start(move |request| {
        let one = |call: &Value| json!({"id": call["id"], "result": call["params"][0]});
        match serde_json::from_slice(&request.body).unwrap() {
            Value::Array(batch) if batch.len() > 3 => {
                let error =
                    json!({"id": null, "error": {"code": -32600, "message": "batch too large"}});
                Reply::json(&error)
            }
            Value::Array(batch) => {
                seen.fetch_max(batch.len(), Ordering::Relaxed);
                Reply::json(&batch.iter().map(one).collect())
            }
            call => Reply::json(&one(&call)),
        }
    })
    .await;
    let client = HttpJsonRpc::new(fake.endpoint()).unwrap();
    let calls: Vec<_> = (0..20).map(|n| ("m", json!([n]))).collect();
    for _ in 0..2 {
        let answers = client.batch(&calls).await.unwrap();
        assert!(answers.into_iter().enumerate().all(|(n, answer)| answer == Ok(json!(n))));
    }
    assert_eq!(longest.load(Ordering::Relaxed), 3);
}
