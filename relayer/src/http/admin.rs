//! The routes that change something, for who has the token.

use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use axum::{
    Json,
    extract::{Request, State},
    http::header,
    middleware::Next,
    response::{IntoResponse as _, Response},
    routing::post,
};
use grid_adapters::Secret;
use grid_core::ChainId;

use super::{
    answers::{ChainPause, ItemChanged, PauseRequest, Reloaded, Retried},
    error::{ApiError, Code},
    params::{self, Body, Query, RetryQuery, Segment},
    read::no_item,
    route::{Route, Served, Shape, optional, segment},
};
use crate::{
    clock::now_ms,
    relayer::Inner,
    store::{Pause, Stage},
};

/// Longest name of who pauses a chain.
const MAX_BY: usize = 64;

/// Longest reason.
const MAX_REASON: usize = 256;

/// Lets in who has the token. Hashes are compared, so that the time of a comparison says nothing about
/// the token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Door(B256);

impl Door {
    pub(super) fn new(token: &Secret) -> Self {
        Self(keccak256(token.expose()))
    }

    fn opens(self, request: &Request) -> bool {
        let given = request.headers().get(header::AUTHORIZATION);
        let token = given.and_then(|given| given.to_str().ok()?.strip_prefix("Bearer "));
        token.is_some_and(|token| keccak256(token) == self.0)
    }
}

/// Answers nothing before the token is known, not even whether a route exists.
pub(super) async fn guard(State(door): State<Door>, request: Request, next: Next) -> Response {
    if door.opens(&request) {
        return next.run(request).await;
    }
    tracing::warn!(path = %request.uri().path(), "administration refused: wrong or no token");
    ApiError::new(Code::Unauthorized, "a bearer token is needed")
        .fix("send `Authorization: Bearer TOKEN` with the content of relayer.admin.token_file")
        .into_response()
}

/// Every route that changes something.
pub(super) fn routes() -> Vec<Served> {
    let item = |path, id, summary| {
        Route::post(path, id, Shape::Json("ItemChanged"), summary)
            .takes([segment("key", "Key", "The item.")])
            .fails(&[Code::NotFound, Code::Conflict])
    };
    let chain = |path, id, summary| {
        Route::post(path, id, Shape::Json("ChainPause"), summary)
            .takes([segment("id", "ChainId", "The chain.")])
            .fails(&[Code::NotFound, Code::Conflict])
    };
    let summary = "Takes a parked item up again, with its failures forgotten.";
    let again = item("/v1/admin/items/{key}/retry", "retryItem", summary);
    let summary = "Gives up an item that is planned or parked.";
    let given_up = item("/v1/admin/items/{key}/drop", "dropItem", summary);
    let summary = "Takes every parked item up again.";
    let all = Route::post("/v1/admin/retry-parked", "retryParked", Shape::Json("Retried"), summary)
        .takes([optional("chain", "ChainId", "Only of this chain.")]);
    let summary = "Stops planning and submitting for a chain until it is resumed, over restarts. What is \
                   under way is brought to its end.";
    let still =
        chain("/v1/admin/chains/{id}/pause", "pauseChain", summary).with_body("PauseRequest");
    let on = chain("/v1/admin/chains/{id}/resume", "resumeChain", "Ends a pause.");
    let summary = "Reads the settings again and applies what can change while the relayer runs; nothing \
                   where one of them is wrong.";
    let anew = Route::post("/v1/admin/reload", "reload", Shape::Json("Reloaded"), summary)
        .fails(&[Code::Conflict]);
    vec![
        (anew, post(reload)),
        (again, post(retry)),
        (given_up, post(drop_item)),
        (all, post(retry_parked)),
        (still, post(pause)),
        (on, post(resume)),
    ]
}

async fn reload(State(inner): State<Arc<Inner>>) -> Result<Json<Reloaded>, ApiError> {
    let changes = inner.reload().await.map_err(|reason| {
        ApiError::new(Code::Conflict, reason).fix("`grid config check` names every fault")
    })?;
    Ok(Json(Reloaded { changes }))
}

async fn retry(
    State(inner): State<Arc<Inner>>,
    Segment(key): Segment<String>,
) -> Result<Json<ItemChanged>, ApiError> {
    let key = params::key(&key)?;
    let done = inner.store().retry(key, now_ms()).await?;
    changed(&inner, key, done, &[Stage::Parked], "retried").await
}

async fn drop_item(
    State(inner): State<Arc<Inner>>,
    Segment(key): Segment<String>,
) -> Result<Json<ItemChanged>, ApiError> {
    let key = params::key(&key)?;
    let done = inner.store().drop_item(key, "an operator dropped it", now_ms()).await?;
    changed(&inner, key, done, &[Stage::Planned, Stage::Parked], "dropped").await
}

/// The item after a change, or why there was none.
async fn changed(
    inner: &Inner,
    key: &str,
    done: bool,
    from: &[Stage],
    what: &str,
) -> Result<Json<ItemChanged>, ApiError> {
    let item = inner.store().item(key).await?.ok_or_else(|| no_item(key))?;
    if done {
        tracing::info!(item = %key, "{what} by an operator");
        inner.shared().wake(&item.chain);
        return Ok(Json(ItemChanged { item }));
    }
    let from: Vec<&str> = from.iter().map(|stage| stage.as_str()).collect();
    let message = format!(
        "item {key} is {}; only one that is {} can be {what}",
        item.stage,
        from.join(" or ")
    );
    Err(ApiError::new(Code::Conflict, message)
        .fix(format!("`grid relayer explain {key}` says what it waits for")))
}

async fn retry_parked(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<RetryQuery>,
) -> Result<Json<Retried>, ApiError> {
    let chains = query.chain.map_or_else(|| inner.board().ids(), |chain| vec![chain]);
    let mut retried = 0;
    for chain in &chains {
        retried += inner.store().retry_parked(chain, now_ms()).await?;
        inner.shared().wake(chain);
    }
    tracing::info!(retried, "parked items taken up again by an operator");
    Ok(Json(Retried { retried }))
}

/// A chain that this relayer knows.
fn known(inner: &Inner, id: &str) -> Result<ChainId, ApiError> {
    let chain: ChainId =
        id.parse().map_err(|_| ApiError::bad(format!("{id:?} is no chain's id")))?;
    if inner.board().ids().contains(&chain) {
        return Ok(chain);
    }
    let error = ApiError::new(
        Code::NotFound,
        format!("chain {chain} is neither configured nor registered"),
    );
    Err(error.fix("`/v1/chains` lists those that are"))
}

async fn pause(
    State(inner): State<Arc<Inner>>,
    Segment(id): Segment<String>,
    Body(request): Body<PauseRequest>,
) -> Result<Json<ChainPause>, ApiError> {
    let chain = known(&inner, &id)?;
    let by = text("by", request.by, MAX_BY)?.unwrap_or_else(|| "an operator".into());
    let reason = text("reason", request.reason, MAX_REASON)?;
    let pause = Pause { since: now_ms(), by, reason };
    if !inner.store().pause(&chain, &pause).await? {
        let error = ApiError::new(Code::Conflict, format!("chain {chain} is paused already"));
        return Err(
            error.fix(format!("`grid status` says by whom; `grid relayer resume {chain}` ends it"))
        );
    }
    tracing::warn!(%chain, by = %pause.by, reason = pause.reason, "chain paused by an operator");
    inner.shared().refresh_pauses().await?;
    Ok(Json(ChainPause { chain, paused: Some(pause) }))
}

async fn resume(
    State(inner): State<Arc<Inner>>,
    Segment(id): Segment<String>,
) -> Result<Json<ChainPause>, ApiError> {
    let chain = known(&inner, &id)?;
    if !inner.store().resume(&chain).await? {
        return Err(ApiError::new(Code::Conflict, format!("chain {chain} is not paused")));
    }
    tracing::info!(%chain, "chain resumed by an operator");
    inner.shared().refresh_pauses().await?;
    inner.shared().wake(&chain);
    Ok(Json(ChainPause { chain, paused: None }))
}

/// A text of an operator: printable, within its limit.
fn text(name: &str, text: Option<String>, most: usize) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if text.chars().count() > most || text.chars().any(char::is_control) => {
            Err(ApiError::bad(format!(
                "{name} has at most {most} characters, none of them a control character"
            )))
        }
        text => Ok(text.filter(|text| !text.trim().is_empty())),
    }
}
