//! The HTTP server: `/livez`, `/readyz`, `/metrics`, `/v1/status`, `/v1/items`, `/v1/events`, all of them
//! read-only; and `/v1/attest`, where other relayers ask for signatures with a token.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use grid_core::ChainId;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    relayer::Inner,
    store::{Stage, StoreError},
    supervise::Pulse,
};

/// Most rows in one answer.
const MAX_ROWS: u32 = 500;

/// Time between two signs of life while nobody asks.
const BEAT: core::time::Duration = core::time::Duration::from_secs(2);

/// Serves until a stop.
pub(crate) async fn run(
    inner: Arc<Inner>,
    listener: std::net::TcpListener,
    pulse: Pulse,
    cancel: CancellationToken,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the HTTP server cannot use its socket");
            return;
        }
    };
    let stop = cancel.clone();
    let serve = axum::serve(listener, router(inner))
        .with_graceful_shutdown(async move { stop.cancelled().await });
    let beats = async {
        let mut timer = tokio::time::interval(BEAT);
        loop {
            timer.tick().await;
            pulse.progress();
        }
    };
    tokio::select! {
        served = serve => if let Err(error) = served {
            tracing::error!(%error, "the HTTP server ended");
        },
        () = beats => {}
    }
}

fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
        .route("/v1/items", get(items))
        .route("/v1/events", get(events))
        .route("/v1/attest", post(attest))
        .with_state(inner)
}

/// A failure as an answer; details of the database stay in the log.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, Json(serde_json::json!({ "error": self.1 }))).into_response()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the database failed for an HTTP request");
        Self(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer, see the log".into())
    }
}

async fn livez(State(inner): State<Arc<Inner>>) -> Response {
    let late = inner.pulses().late();
    if late.is_empty() {
        return (StatusCode::OK, "ok\n").into_response();
    }
    let text = format!("late tasks: {}\n", late.join(", "));
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn readyz(State(inner): State<Arc<Inner>>) -> Response {
    let problems = inner.not_ready();
    if problems.is_empty() {
        return (StatusCode::OK, "ok\n").into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", problems.join("\n"))).into_response()
}

async fn metrics(State(inner): State<Arc<Inner>>) -> Result<Response, Failure> {
    let text = inner.render_metrics().await?.map_err(|error| {
        tracing::error!(%error, "metrics cannot be written");
        Failure(StatusCode::INTERNAL_SERVER_ERROR, "metrics cannot be written, see the log".into())
    })?;
    let kind = [("content-type", "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, text).into_response())
}

async fn status(State(inner): State<Arc<Inner>>) -> Result<Response, Failure> {
    Ok(Json(inner.status().await?).into_response())
}

async fn attest(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    inner.attest().serve(request).await
}

#[derive(Deserialize)]
struct ItemsQuery {
    chain: ChainId,
    stage: Option<Stage>,
    limit: Option<u32>,
}

async fn items(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<ItemsQuery>,
) -> Result<Response, Failure> {
    let limit = query.limit.unwrap_or(MAX_ROWS).min(MAX_ROWS);
    let items = match query.stage {
        Some(stage) => inner.store().items(&query.chain, stage, limit).await?,
        None => inner.store().unfinished(&query.chain, limit).await?,
    };
    Ok(Json(items).into_response())
}

#[derive(Deserialize)]
struct EventsQuery {
    key: String,
}

async fn events(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<EventsQuery>,
) -> Result<Response, Failure> {
    let Some(item) = inner.store().item(&query.key).await? else {
        return Err(Failure(StatusCode::NOT_FOUND, format!("no item {:?}", query.key)));
    };
    let events = inner.store().events(&query.key).await?;
    Ok(Json(serde_json::json!({ "item": item, "events": events })).into_response())
}
