//! Several servers of the main chain: questions are hedged, transactions are sent once and safely again.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use grid_adapters::{AdapterError, EndpointGroup, PoolSettings, RpcError, RpcPool};
use serde_json::{Value, json};

use super::{BAD, Bad, HASTY, IN_TIME, at, group};
use crate::fake::{Fake, Reply, no_rest};

const METHODS: [&str; 2] = ["grid_tip", "send"];

/// A server at a height, and what was sent to it.
async fn server(height: u64) -> (Fake, Arc<Mutex<Vec<Value>>>) {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&sent);
    let fake = Fake::rpc(
        move |method, params| match method {
            "grid_tip" => Ok(json!({ "height": height })),
            "send" if taken.lock().unwrap().contains(&params[0]) => Err((-32000, "already known")),
            "send" => {
                taken.lock().unwrap().push(params[0].clone());
                Ok(json!("hash"))
            }
            _ => Err((-32601, "no such method")),
        },
        no_rest,
    )
    .await;
    (fake, sent)
}

fn height(answer: &Value) -> Option<u64> {
    answer["height"].as_u64()
}

async fn pool(bad: &[Bad], good: &[&Fake], group: &EndpointGroup) -> RpcPool {
    let mut endpoints = Vec::new();
    for bad in bad {
        endpoints.push(bad.endpoint(endpoints.len(), group).await.0);
    }
    for fake in good {
        endpoints.push(at(&fake.url(), endpoints.len(), group));
    }
    RpcPool::new("the main chain", endpoints, &METHODS).unwrap().with_height(("grid_tip", height))
}

#[tokio::test]
async fn one_good_server_is_enough_to_ask_and_to_send() {
    let (good, sent) = server(7).await;
    for (number, bad) in BAD.into_iter().enumerate() {
        let (group, _) = group(HASTY);
        let pool = pool(&[bad, BAD[(number + 4) % BAD.len()]], &[&good], &group).await;
        for _ in 0..3 {
            let begun = Instant::now();
            let tip = pool.call("grid_tip", json!([])).await.unwrap();
            assert_eq!(tip["height"], 7, "{bad:?}");
            assert!(begun.elapsed() < IN_TIME, "{bad:?} took {:?}", begun.elapsed());
        }
        let begun = Instant::now();
        pool.send("send", json!([number])).await.unwrap();
        assert!(begun.elapsed() < IN_TIME, "{bad:?} took {:?}", begun.elapsed());
        assert_eq!(pool.health()[2].failures, 0);
    }
    assert_eq!(*sent.lock().unwrap(), (0..BAD.len()).map(|n| json!(n)).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_methods_own_error_is_an_answer() {
    let ((one, _), (other, sent)) = (server(7).await, server(7).await);
    let (group, _) = group(HASTY);
    let pool = pool(&[], &[&one, &other], &group).await;
    pool.send("send", json!([1])).await.unwrap();
    let refused = pool.send("send", json!([1])).await.unwrap_err();
    assert!(refused.in_doubt.is_none());
    assert!(matches!(refused.error, AdapterError::Rpc(RpcError::Server { code: -32000, .. })));
    let unknown = pool.call("nonsense", json!([])).await.unwrap_err();
    assert!(matches!(unknown, AdapterError::Rpc(RpcError::Server { code: -32601, .. })));
    assert!(sent.lock().unwrap().is_empty(), "the second was not asked");
    assert!(pool.health().iter().all(|health| health.failures == 0));
}

#[tokio::test]
async fn after_a_doubtful_failure_the_next_server_is_sent_the_same_and_the_doubt_is_told() {
    let (good, sent) = server(7).await;
    // It takes the transaction, shares it with its peer, and breaks the connection.
    let shared = Arc::clone(&sent);
    let cuts = Fake::start(move |request| {
        let call: Value = serde_json::from_slice(&request.body).unwrap();
        if call["method"] == "send" {
            shared.lock().unwrap().push(call["params"][0].clone());
        }
        Reply::Cut(b"{".to_vec())
    })
    .await;
    let (group, _) = group(HASTY);
    let endpoints = vec![at(&cuts.url(), 0, &group), at(&good.url(), 1, &group)];
    let pool = RpcPool::new("the main chain", endpoints, &METHODS).unwrap();
    let known = pool.send("send", json!(["raw"])).await.unwrap_err();
    assert!(known.error.to_string().contains("already known"), "{known:?}");
    assert!(matches!(known.in_doubt, Some(RpcError::Broken { .. })), "{known:?}");
    assert_eq!(*sent.lock().unwrap(), [json!("raw")]);
    // What was never delivered leaves no doubt.
    let gone = pool_of_gone(&good, &group).await;
    sent.lock().unwrap().push(json!("other"));
    let known = gone.send("send", json!(["other"])).await.unwrap_err();
    assert!(known.in_doubt.is_none(), "{known:?}");
}

async fn pool_of_gone(good: &Fake, group: &EndpointGroup) -> RpcPool {
    pool(&[Bad::Gone], &[good], group).await
}

#[tokio::test]
async fn a_server_that_lags_is_asked_last() {
    let ((late, late_sent), (one, sent), (other, _)) =
        (server(50).await, server(100).await, server(101).await);
    let (group, _) = group(HASTY);
    let pool = pool(&[], &[&late, &one, &other], &group).await;
    assert_eq!(pool.call("grid_tip", json!([])).await.unwrap()["height"], 100);
    pool.send("send", json!([1])).await.unwrap();
    assert_eq!((late_sent.lock().unwrap().len(), sent.lock().unwrap().len()), (0, 1));
    assert_eq!(pool.health()[0].lag, 51);
}

#[tokio::test]
async fn a_question_goes_to_a_second_server_when_the_first_is_slow_and_a_send_does_not() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    // Slow, but in time for its deadline.
    let slow = Fake::start(move |request| {
        counter.fetch_add(1, Ordering::Relaxed);
        let call: Value = serde_json::from_slice(&request.body).unwrap();
        let answer = json!({"id": call["id"], "result": {"height": 7}}).to_string();
        let (parts, receiver) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(600)).await;
            let _ = parts.send(answer.into_bytes());
        });
        Reply::Stream(receiver)
    })
    .await;
    let (good, sent) = server(7).await;
    let (group, metrics) = group(PoolSettings { deadline: Duration::from_secs(5), ..HASTY });
    let endpoints = vec![at(&slow.url(), 0, &group), at(&good.url(), 1, &group)];
    let first = endpoints[0].clone();
    let pool = RpcPool::new("the main chain", endpoints, &METHODS).unwrap();
    pool.send("send", json!([1])).await.unwrap();
    assert_eq!((asked.load(Ordering::Relaxed), sent.lock().unwrap().len()), (1, 0));
    pool.call("grid_tip", json!([])).await.unwrap();
    assert_eq!(pool.health()[1].hedges, 1);
    assert_eq!(metrics.requests(&first, "cancelled"), 1, "the loser is given up");
    // From now on it comes second, for a while.
    let quick = join_all((0..5).map(|_| pool.call("grid_tip", json!([])))).await;
    assert!(quick.iter().all(Result::is_ok));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}
