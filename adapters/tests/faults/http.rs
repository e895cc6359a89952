//! The HTTP and JSON-RPC client.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::{StatusCode, header::AUTHORIZATION};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use grid_adapters::{Auth, Class, Endpoint, HttpJsonRpc, RpcError};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, hasty, limits, no_rest};

async fn error_of(reply: impl Fn() -> Reply + Send + Sync + 'static) -> RpcError {
    let fake = Fake::start(move |_| reply()).await;
    let client = HttpJsonRpc::new(fake.endpoint()).unwrap();
    failing(&client).await
}

async fn failing(client: &HttpJsonRpc) -> RpcError {
    let begin = Instant::now();
    let error = client.call("getthing", json!([])).await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(30), "{error} took {:?}", begin.elapsed());
    let text = error.to_string();
    assert!(text.contains("127.0.0.1") && text.contains("getthing"), "{text}");
    error
}

#[tokio::test]
async fn every_transport_fault_is_its_own_error() {
    let hanging = Fake::start(|_| Reply::Hang).await.endpoint().with_limits(hasty());
    let hang = failing(&HttpJsonRpc::new(hanging).unwrap()).await;
    assert!(matches!(hang, RpcError::Timeout { .. }), "{hang:?}");
    let cut = error_of(|| Reply::Cut(br#"{"id":1,"resu"#.to_vec())).await;
    assert!(matches!(cut, RpcError::Broken { .. }), "{cut:?}");
    let endless = error_of(|| Reply::Endless).await;
    assert!(matches!(endless, RpcError::TooLarge { limit, .. } if limit == 1 << 20), "{endless:?}");
    let giant = error_of(|| Reply::Send(StatusCode::OK, vec![b' '; 2 << 20])).await;
    assert!(matches!(giant, RpcError::TooLarge { .. }), "{giant:?}");
}

#[tokio::test]
async fn every_useless_body_is_its_own_error() {
    let html = || Reply::Send(StatusCode::OK, b"<html>\n<title>Welcome to nginx!</title>".to_vec());
    let html = error_of(html).await;
    assert!(html.to_string().contains("\"<html>·<title>Welcome to nginx!"), "{html}");
    assert!(matches!(html, RpcError::NotJson { .. }));
    let truncated =
        error_of(|| Reply::Send(StatusCode::OK, br#"{"id":1,"result":"#.to_vec())).await;
    assert!(matches!(truncated, RpcError::NotJson { .. }), "{truncated:?}");
    let wrong_id = error_of(|| Reply::json(&json!({"id": 999, "result": 1}))).await;
    assert!(matches!(wrong_id, RpcError::Malformed { .. }), "{wrong_id:?}");
    assert!(wrong_id.to_string().contains("999"), "{wrong_id}");
    let neither = error_of(|| Reply::json(&json!({"id": 1}))).await;
    assert!(matches!(neither, RpcError::Malformed { .. }), "{neither:?}");
    let empty = error_of(|| Reply::Send(StatusCode::OK, Vec::new())).await;
    assert!(matches!(empty, RpcError::NotJson { .. }), "{empty:?}");
}

#[tokio::test]
async fn http_statuses_are_told_apart() {
    let refused = error_of(|| Reply::Send(StatusCode::UNAUTHORIZED, Vec::new())).await;
    assert_eq!(refused.class(), Class::Halt { reason: "unauthorized" });
    let text = refused.to_string();
    assert!(text.contains("`rpc_password_file`") && text.contains("chain[0].rpc[0]"), "{text}");
    let broken =
        error_of(|| Reply::Send(StatusCode::INTERNAL_SERVER_ERROR, b"oops".to_vec())).await;
    assert!(matches!(&broken, RpcError::Status { status: 500, .. }), "{broken:?}");
    assert!(matches!(broken.class(), Class::Retry { .. }));
    let moved = error_of(|| Reply::Send(StatusCode::FOUND, Vec::new())).await;
    assert!(moved.to_string().contains("redirects are not followed"), "{moved}");
    let forbidden = error_of(|| Reply::Send(StatusCode::FORBIDDEN, Vec::new())).await;
    assert!(forbidden.to_string().contains("rpcallowip"), "{forbidden}");
    let limited = error_of(|| Reply::Send(StatusCode::TOO_MANY_REQUESTS, Vec::new())).await;
    assert!(matches!(limited, RpcError::RateLimited { .. }), "{limited:?}");
    // Bitcoin Core before version 28 sends method errors with status 500.
    let body = br#"{"result":null,"error":{"code":-8,"message":"out of range"},"id":1}"#;
    let own = error_of(|| Reply::Send(StatusCode::INTERNAL_SERVER_ERROR, body.to_vec())).await;
    assert_eq!(own.code(), Some(-8), "{own:?}");
}

#[tokio::test]
async fn a_refused_connection_names_the_address() {
    let endpoint = Endpoint::new("http://127.0.0.1:1", "chain[0].rpc[0]").unwrap();
    let client = HttpJsonRpc::new(endpoint.with_limits(limits())).unwrap();
    let error = client.call("getthing", json!([])).await.unwrap_err();
    assert!(matches!(error, RpcError::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains("http://127.0.0.1:1"), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn batches_are_split_reordered_and_keep_their_own_errors() {
    let exchanges = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&exchanges);
    let echo = Fake::rpc(
        move |_, params| {
            counter.fetch_add(1, Ordering::Relaxed);
            if params[0] == json!(5) { Err((-8, "five")) } else { Ok(params[0].clone()) }
        },
        no_rest,
    )
    .await;
    let client = HttpJsonRpc::new(echo.endpoint()).unwrap();
    for count in [0_usize, 1, 6, 7, 8, 15, 20] {
        let calls: Vec<_> = (0..count).map(|n| ("echo", json!([n]))).collect();
        let answers = client.batch(&calls).await.unwrap();
        assert_eq!(answers.len(), count);
        for (n, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(value) => assert_eq!(value, json!(n)),
                Err(error) => assert_eq!((n, error.code()), (5, Some(-8))),
            }
        }
    }
    assert_eq!(exchanges.load(Ordering::Relaxed), 57);
}

#[tokio::test]
async fn a_batch_with_a_hole_fails_only_that_item() {
    let fake = Fake::start(|request| {
        let calls: Vec<Value> = serde_json::from_slice(&request.body).unwrap();
        Reply::json(
            &json!([{"id": calls[2]["id"], "result": 2}, {"id": calls[0]["id"], "result": 0}]),
        )
    })
    .await;
    let client = HttpJsonRpc::new(fake.endpoint()).unwrap();
    let calls = [("a", json!([])), ("b", json!([])), ("c", json!([]))];
    let answers = client.batch(&calls).await.unwrap();
    assert_eq!((&answers[0], &answers[2]), (&Ok(json!(0)), &Ok(json!(2))));
    assert!(matches!(answers[1], Err(RpcError::Malformed { .. })));
}

#[tokio::test]
async fn a_rewritten_cookie_is_read_again_and_a_wrong_one_is_explained() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "__cookie__:first").unwrap();
    let fake = Fake::start(|request| {
        let expected = format!("Basic {}", STANDARD.encode("__cookie__:second"));
        let given = request.headers.get(AUTHORIZATION).map(|value| value.as_bytes());
        if given == Some(expected.as_bytes()) {
            let call: Value = serde_json::from_slice(&request.body).unwrap();
            Reply::json(&json!({"id": call["id"], "result": "in"}))
        } else {
            Reply::Send(StatusCode::UNAUTHORIZED, Vec::new())
        }
    })
    .await;
    let auth = Auth::Cookie { path: file.path().into() };
    let client = HttpJsonRpc::new(fake.endpoint().with_auth(auth).unwrap()).unwrap();
    let error = client.call("m", json!([])).await.unwrap_err();
    assert!(error.to_string().contains("`cookie_file`"), "{error}");
    std::fs::write(file.path(), "__cookie__:second\n").unwrap();
    assert_eq!(client.call("m", json!([])).await.unwrap(), json!("in"));
    std::fs::write(file.path(), "no colon").unwrap();
    assert_eq!(
        client.call("m", json!([])).await.unwrap(),
        json!("in"),
        "the cached one still works"
    );
}

#[tokio::test]
async fn a_missing_cookie_names_the_file() {
    let endpoint = Endpoint::new("http://127.0.0.1:1", "chain[0].rpc[0]").unwrap();
    let auth = Auth::Cookie { path: "/nonexistent/.cookie".into() };
    let client = HttpJsonRpc::new(endpoint.with_auth(auth).unwrap()).unwrap();
    let error = client.call("m", json!([])).await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/.cookie"), "{error}");
    assert!(error.to_string().contains("chain[0].rpc[0]"), "{error}");
}

#[tokio::test]
async fn no_error_and_no_debug_text_contains_a_credential() {
    let replies: [fn() -> Reply; 4] = [
        || Reply::Hang,
        || Reply::Send(StatusCode::UNAUTHORIZED, Vec::new()),
        || Reply::Send(StatusCode::OK, b"x".to_vec()),
        || Reply::Cut(b"{".to_vec()),
    ];
    for reply in replies {
        let fake = Fake::start(move |_| reply()).await;
        let url = fake.url().replace("http://", "http://alice:hunter2@") + "/v3/secretkey";
        let endpoint = Endpoint::new(&url, "chain[0].rpc[0]").unwrap().with_limits(hasty());
        let client = HttpJsonRpc::new(endpoint).unwrap();
        let error = client.call("m", json!([])).await.unwrap_err();
        let shown = format!("{error} {error:?} {client:?}");
        let encoded = STANDARD.encode("alice:hunter2");
        for secret in ["hunter2", "secretkey", &encoded] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_behind_https_is_a_failed_connection() {
    let fake = Fake::start(|_| Reply::Hang).await;
    let url = fake.url().replace("http://", "https://");
    let endpoint = Endpoint::new(&url, "chain[0].rpc[0]").unwrap().with_limits(limits());
    match HttpJsonRpc::new(endpoint) {
        Ok(client) => {
            let error = client.call("m", json!([])).await.unwrap_err();
            assert!(matches!(error, RpcError::Connect { .. }), "{error:?}");
        }
        // A machine without root certificates.
        Err(error) => assert!(error.to_string().contains("ca-certificates"), "{error}"),
    }
}
