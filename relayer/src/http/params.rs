//! Parameters and bodies, each within its limit.

use axum::{
    extract::{FromRequest, FromRequestParts, Path as AxumPath, Query as AxumQuery, Request},
    http::request::Parts,
};
use grid_core::ChainId;
use serde::{Deserialize, de::DeserializeOwned};

use super::error::{ApiError, Code};
use crate::store::{Place, Stage};

/// Most rows in one answer.
pub(super) const MAX_ROWS: u32 = 500;

/// Most headers in one answer: each is a question to the main chain.
pub(super) const MAX_HEADERS: u32 = 100;

/// Longest body of a request, in bytes.
pub(super) const MAX_BODY: usize = 4_096;

/// Longest key of an item; real ones have about 130 bytes.
pub(super) const MAX_KEY: usize = 256;

/// The query of a request. Unknown names are refused: a typing error must not widen a question.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let read = AxumQuery::<T>::try_from_uri(&parts.uri);
        read.map(|read| Self(read.0)).map_err(|error| ApiError::bad(error.body_text()))
    }
}

/// The variable part of a path.
#[derive(Debug)]
pub(super) struct Segment<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segment<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = AxumPath::<T>::from_request_parts(parts, state).await;
        read.map(|read| Self(read.0)).map_err(|error| ApiError::bad(error.body_text()))
    }
}

/// A JSON body, or none for every default.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned + Default> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let body = axum::body::to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| {
            ApiError::new(Code::TooLarge, format!("a body has at most {MAX_BODY} bytes"))
        })?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        serde_json::from_slice(&body).map(Self).map_err(|error| ApiError::bad(error.to_string()))
    }
}

/// How many rows, within a limit.
pub(super) fn rows(asked: Option<u32>, usual: u32, most: u32) -> Result<u32, ApiError> {
    match asked {
        None => Ok(usual),
        Some(rows) if (1..=most).contains(&rows) => Ok(rows),
        Some(rows) => Err(ApiError::bad(format!("limit is {rows}, must be 1 to {most}"))),
    }
}

/// A key that may be an item's.
pub(super) fn key(text: &str) -> Result<&str, ApiError> {
    if text.len() > MAX_KEY {
        return Err(ApiError::bad(format!("a key has at most {MAX_KEY} bytes")));
    }
    Ok(text)
}

/// Where a page of items begins: behind this place of this chain and stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) chain: ChainId,
    pub(super) stage: Stage,
    pub(super) place: Place,
}

impl core::fmt::Display for Cursor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { chain, stage, place } = self;
        write!(f, "{chain},{stage},{},{},{}", place.from, place.to, place.row)
    }
}

impl core::str::FromStr for Cursor {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let parts: Vec<&str> = text.split(',').collect();
        let read = || {
            let [chain, stage, from, to, row] = parts.as_slice() else { return None };
            let place =
                Place { from: from.parse().ok()?, to: to.parse().ok()?, row: row.parse().ok()? };
            Some(Self { chain: chain.parse().ok()?, stage: stage.parse().ok()?, place })
        };
        read().ok_or_else(|| ApiError::bad("`after` is not the `next` of an earlier answer"))
    }
}

/// `GET /v1/items`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemsQuery {
    pub(super) chain: Option<ChainId>,
    pub(super) stage: Option<Stage>,
    pub(super) limit: Option<u32>,
    pub(super) after: Option<String>,
}

/// `GET /v1/events`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    pub(super) key: String,
    pub(super) limit: Option<u32>,
    pub(super) after: Option<u64>,
}

/// `GET /v1/messages`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessagesQuery {
    pub(super) limit: Option<u32>,
}

/// `GET /v1/headers`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadersQuery {
    pub(super) chain: ChainId,
    pub(super) limit: Option<u32>,
    pub(super) after: Option<u64>,
}

/// `POST /v1/admin/items/retry-parked`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryQuery {
    pub(super) chain: Option<ChainId>,
}
