//! The read-only routes.

use core::time::Duration;
use std::{collections::BTreeSet, sync::Arc};

use alloy_primitives::B256;
use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use futures::{StreamExt as _, TryStreamExt as _};
use grid_core::{ChainId, CompatHeader};

use super::{
    answers::{ChainList, EventPage, HeaderPage, ItemDetail, ItemPage, MessageList},
    error::{ApiError, Code},
    openapi,
    params::{
        self, Cursor, EventsQuery, HeadersQuery, ItemsQuery, MAX_HEADERS, MAX_ROWS, MessagesQuery,
        Query, Segment,
    },
    route::{Route, Served, Shape, optional, required, segment},
};
use crate::{
    explain::{self, Explanation},
    guarantee,
    main_chain::{HeaderId, MainChain},
    messages,
    relayer::Inner,
    status::Status,
    store::{Place, Stage},
};

/// Rows in an answer unless asked for others.
const USUAL_ROWS: u32 = 100;

/// Headers in an answer unless asked for others.
const USUAL_HEADERS: u32 = 20;

/// Headers that the main chain is asked for at the same time.
const AT_ONCE: usize = 8;

/// Stages that are listed where none is named: those that somebody still waits for.
const UNFINISHED: [Stage; 4] = [Stage::Parked, Stage::Planned, Stage::Sent, Stage::Included];

const PLAIN: Shape = Shape::Text("text/plain");

/// Every read-only route.
pub(super) fn routes() -> Vec<Served> {
    let mut served = about_the_process();
    served.extend(about_work());
    served.extend(about_messages());
    served.extend(about_chains());
    served
}

fn about_the_process() -> Vec<Served> {
    let probe =
        |path, id, summary| Route::get(path, id, PLAIN, summary).fails(&[Code::Unavailable]);
    let exposition = Shape::Text("text/plain; version=0.0.4; charset=utf-8");
    let scraped = Route::get("/metrics", "metrics", exposition, "Prometheus' text format.");
    let summary = "One snapshot of everything.";
    let snapshot = Route::get("/v1/status", "status", Shape::Json("Status"), summary);
    let this = Route::get("/v1/openapi.json", "openapi", Shape::Json("Any"), "This document.");
    let summary = "200 while everything works; else what is missing.";
    vec![
        (probe("/livez", "livez", "200 while no task is late."), get(livez)),
        (probe("/readyz", "readyz", summary), get(readyz)),
        (scraped, get(scrape)),
        (snapshot, get(status)),
        (this, get(document)),
    ]
}

fn about_work() -> Vec<Served> {
    let key = "The item.";
    let summary = "Units of work by chain, stage and height; without a stage those that are not finished, \
                   parked ones first.";
    let page = Route::get("/v1/items", "items", Shape::Json("ItemPage"), summary).takes([
        optional("chain", "ChainId", "Only of this chain."),
        optional("stage", "Stage", "Only in this stage."),
        optional("limit", "Rows", "Most items in the answer; 100 where absent."),
        optional("after", "Cursor", "`next` of the page before."),
    ]);
    let summary = "One unit of work with its lease and its transactions.";
    let one = Route::get("/v1/items/{key}", "item", Shape::Json("ItemDetail"), summary)
        .takes([segment("key", "Key", key)])
        .fails(&[Code::NotFound]);
    let summary = "The history of an item, oldest first.";
    let events = Route::get("/v1/events", "events", Shape::Json("EventPage"), summary)
        .takes([
            required("key", "Key", key),
            optional("limit", "Rows", "Most events in the answer; 100 where absent."),
            optional("after", "Integer", "`next` of the page before."),
        ])
        .fails(&[Code::NotFound]);
    let summary = "Where a header, an item or a transaction stands, why, and what happens next.";
    let id = "An item's key, CHAIN:HEIGHT, the hash of a header in either byte order, or of a transaction.";
    let explain = Route::get("/v1/explain/{id}", "explain", Shape::Json("Explanation"), summary)
        .takes([segment("id", "String", id)]);
    vec![
        (page, get(items)),
        (one, get(one_item)),
        (events, get(history)),
        (explain, get(explained)),
    ]
}

fn about_messages() -> Vec<Served> {
    let list = Shape::Json("MessageList");
    let summary = "Messages that were seen on the sources, the last ones first.";
    let all = Route::get("/v1/messages", "messages", list, summary).takes([optional(
        "limit",
        "Rows",
        "Most messages in the answer; 100 where absent.",
    )]);
    let summary = "Where a message was seen, how it stands there, and why; the newest place first.";
    let one = Route::get("/v1/messages/{id}", "message", list, summary).takes([segment(
        "id",
        "Hash",
        "Id of the message.",
    )]);
    vec![(all, get(seen)), (one, get(one_message))]
}

fn about_chains() -> Vec<Served> {
    let summary = "Chains that are registered or configured.";
    let list = Route::get("/v1/chains", "chains", Shape::Json("ChainList"), summary);
    let summary =
        "Confirmed headers of a chain from the main chain's index; without `after` the newest.";
    let headers = Route::get("/v1/headers", "headers", Shape::Json("HeaderPage"), summary)
        .takes([
            required("chain", "ChainId", "The chain."),
            optional("limit", "HeaderRows", "Most headers in the answer; 20 where absent."),
            optional("after", "Integer", "The height below the first."),
        ])
        .fails(&[Code::NotFound]);
    let summary = "A signature over a header of an attested chain, for relayers with a token of \
                   relayer.attest_tokens.";
    let attest = Route {
        admin: false,
        also: &[404, 409, 429, 503],
        ..Route::post("/v1/attest", "attest", Shape::Json("AttestAnswer"), summary)
    };
    let attest = attest.with_body("AttestRequest").fails(&[Code::Unauthorized]);
    vec![(list, get(chains)), (headers, get(confirmed)), (attest, post(attested))]
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

async fn scrape(State(inner): State<Arc<Inner>>) -> Result<Response, ApiError> {
    let text = inner.render_metrics().await?.map_err(|error| {
        tracing::error!(%error, "metrics cannot be written");
        ApiError::new(Code::Internal, "metrics cannot be written, see the log")
    })?;
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((kind, text).into_response())
}

async fn status(State(inner): State<Arc<Inner>>) -> Result<Json<Status>, ApiError> {
    Ok(Json(inner.status().await?))
}

async fn chains(State(inner): State<Arc<Inner>>) -> Result<Json<ChainList>, ApiError> {
    Ok(Json(ChainList { chains: inner.status().await?.chains }))
}

async fn attested(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    inner.attest().serve(request).await
}

async fn document() -> Response {
    Json(openapi::document()).into_response()
}

async fn items(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<ItemsQuery>,
) -> Result<Json<ItemPage>, ApiError> {
    let limit = params::rows(query.limit, USUAL_ROWS, MAX_ROWS)?;
    let after: Option<Cursor> = query.after.as_deref().map(str::parse).transpose()?;
    let queues = [guarantee::queue(), messages::queue()].map(ChainId::clone);
    let chains: BTreeSet<ChainId> = match query.chain {
        Some(chain) => BTreeSet::from([chain]),
        None => inner.board().ids().into_iter().chain(queues).collect(),
    };
    let stages = query.stage.map_or_else(|| UNFINISHED.to_vec(), |stage| vec![stage]);
    let mut places = Vec::new();
    for chain in &chains {
        places.extend(stages.iter().map(|stage| (chain, *stage)));
    }
    if let Some(after) = &after {
        let begun =
            |(chain, stage): &(&ChainId, Stage)| **chain == after.chain && *stage == after.stage;
        // A chain that is known no more has no next page.
        places.drain(..places.iter().position(begun).unwrap_or(places.len()));
    }
    let mut found = Vec::new();
    for (chain, stage) in places {
        let here = after.as_ref().filter(|after| after.chain == *chain && after.stage == stage);
        let place = here.map_or_else(Place::default, |after| after.place);
        // One more than asked for shows whether there is another page.
        let have = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let room = limit.saturating_add(1).saturating_sub(have);
        let rows = inner.store().page(chain, stage, place, room).await?;
        let named = |(place, item)| (Cursor { chain: chain.clone(), stage, place }, item);
        found.extend(rows.into_iter().map(named));
        if u32::try_from(found.len()).unwrap_or(u32::MAX) > limit {
            break;
        }
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > most;
    found.truncate(most);
    let next = found.last().filter(|_| more).map(|(cursor, _)| cursor.to_string());
    Ok(Json(ItemPage { items: found.into_iter().map(|(_, item)| item).collect(), next }))
}

/// Why there is no item of that name.
pub(super) fn no_item(key: &str) -> ApiError {
    ApiError::new(Code::NotFound, format!("no item {key:?}"))
        .fix("`grid relayer items` lists keys; finished items are deleted after a week")
}

async fn one_item(
    State(inner): State<Arc<Inner>>,
    Segment(key): Segment<String>,
) -> Result<Json<ItemDetail>, ApiError> {
    let key = params::key(&key)?;
    let store = inner.store();
    let item = store.item(key).await?.ok_or_else(|| no_item(key))?;
    let lease = store.lease(key, crate::clock::now_ms()).await?;
    let transactions = store.carried(key, MAX_ROWS).await?;
    Ok(Json(ItemDetail { item, lease, transactions }))
}

async fn history(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<EventsQuery>,
) -> Result<Json<EventPage>, ApiError> {
    let key = params::key(&query.key)?;
    let limit = params::rows(query.limit, USUAL_ROWS, MAX_ROWS)?;
    let item = inner.store().item(key).await?.ok_or_else(|| no_item(key))?;
    let rows =
        inner.store().history(key, query.after.unwrap_or(0), limit.saturating_add(1)).await?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let next = rows.get(most.saturating_sub(1)).filter(|_| rows.len() > most).map(|(id, _)| *id);
    let events = rows.into_iter().take(most).map(|(_, event)| event).collect();
    Ok(Json(EventPage { item, events, next }))
}

async fn seen(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<MessagesQuery>,
) -> Result<Json<MessageList>, ApiError> {
    let limit = params::rows(query.limit, USUAL_ROWS, MAX_ROWS)?;
    Ok(Json(MessageList { messages: inner.store().recent_messages(limit).await? }))
}

async fn one_message(
    State(inner): State<Arc<Inner>>,
    Segment(id): Segment<B256>,
) -> Result<Json<MessageList>, ApiError> {
    Ok(Json(MessageList { messages: inner.store().message(&id).await? }))
}

async fn explained(
    State(inner): State<Arc<Inner>>,
    Segment(id): Segment<String>,
) -> Result<Json<Explanation>, ApiError> {
    Ok(Json(explain::explain(&inner, &id).await?))
}

async fn confirmed(
    State(inner): State<Arc<Inner>>,
    Query(query): Query<HeadersQuery>,
) -> Result<Json<HeaderPage>, ApiError> {
    let limit = u64::from(params::rows(query.limit, USUAL_HEADERS, MAX_HEADERS)?);
    let view = inner.shared().view(FRESH).await?;
    let info = view.chain(&query.chain).ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            format!("chain {} is not registered on the main chain", query.chain),
        )
        .fix("`/v1/chains` lists those that are")
    })?;
    let Some(newest) = info.confirmed.map(|confirmed| confirmed.height) else {
        return Ok(Json(HeaderPage { headers: Vec::new(), next: None }));
    };
    let first = match query.after {
        Some(after) => after.saturating_add(1),
        None => newest.saturating_add(1).saturating_sub(limit),
    };
    let first = first.max(info.first_height);
    let last = newest.min(first.saturating_add(limit).saturating_sub(1));
    let headers = collect(inner.main().as_ref(), &query.chain, first, last).await?;
    let next = headers.last().map(|last| last.height).filter(|last| *last < newest);
    Ok(Json(HeaderPage { headers, next }))
}

/// The main chain's view may be so old.
const FRESH: Duration = Duration::from_secs(2);

async fn collect(
    main: &dyn MainChain,
    chain: &ChainId,
    first: u64,
    last: u64,
) -> Result<Vec<CompatHeader>, ApiError> {
    let asked = futures::stream::iter(first..=last)
        .map(|height| main.header(chain, HeaderId::Height(height)))
        .buffered(AT_ONCE);
    let found: Vec<Option<CompatHeader>> = asked.try_collect().await?;
    // A reorganisation meanwhile may have taken the newest back.
    Ok(found.into_iter().map_while(core::convert::identity).collect())
}
