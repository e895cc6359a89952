//! The HTTP servers: health, metrics and the read-only API on `relayer.listen`; what changes something
//! on `relayer.admin.listen`, for who has the token.
//!
//! Every request has a limit on its length and its time, every parameter a limit of its own, every
//! failure the same form ([`ApiError`]). `docs/openapi.json` describes the routes; it is made of the table
//! that they are registered from.

mod admin;
mod answers;
mod error;
mod listener;
mod openapi;
mod params;
mod read;
mod route;
mod server;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::sync::Arc;

use crate::relayer::Inner;
use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use grid_adapters::Secret;

pub use answers::*;
pub use error::{ApiError, Code, ErrorBody};
pub use openapi::document as openapi;
pub(crate) use server::Server;

/// Time for one request, its body and its answer included.
const DEADLINE: Duration = Duration::from_secs(15);

/// Longest path and query.
const MAX_URI: usize = 2_048;

/// The routes of one address.
pub(crate) enum Routes {
    /// Health, metrics, the read-only API.
    Read,
    /// Administration, for who has this token.
    Admin(Secret),
}

impl Routes {
    /// The setting with their address.
    const fn setting(&self) -> &'static str {
        match self {
            Self::Read => "relayer.listen",
            Self::Admin(_) => "relayer.admin.listen",
        }
    }

    /// The task that serves them.
    const fn task(&self) -> &'static str {
        match self {
            Self::Read => "http",
            Self::Admin(_) => "admin",
        }
    }
}

fn router(routes: &Routes) -> Router<Arc<Inner>> {
    let served = match routes {
        Routes::Read => read::routes(),
        Routes::Admin(_) => admin::routes(),
    };
    let router = route::router(served)
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn(bounded));
    match routes {
        Routes::Read => router,
        Routes::Admin(token) => {
            let door = admin::Door::new(token);
            router.layer(middleware::from_fn_with_state(door, admin::guard))
        }
    }
}

/// Refuses what is too long and gives up what takes too long.
async fn bounded(request: Request, next: Next) -> Response {
    let uri = request.uri();
    let length = uri.path_and_query().map_or(0, |text| text.as_str().len());
    if length > MAX_URI {
        let message = format!("the path has {length} bytes, at most {MAX_URI} are read");
        return ApiError::new(Code::TooLarge, message).into_response();
    }
    let path = uri.path().to_owned();
    tokio::time::timeout(DEADLINE, next.run(request)).await.unwrap_or_else(|_elapsed| {
        tracing::warn!(%path, "an HTTP request took too long");
        let message = format!("no answer within {} s", DEADLINE.as_secs());
        ApiError::new(Code::Timeout, message)
            .fix("ask for less at once; `/v1/status` says whether the main chain answers")
            .into_response()
    })
}

async fn no_route(request: Request) -> ApiError {
    let message = format!("there is no {}", request.uri().path());
    ApiError::new(Code::NotFound, message)
        .fix("`/v1/openapi.json` lists every route; those that change something are on relayer.admin.listen")
}

async fn no_method(request: Request) -> ApiError {
    let message = format!("{} is not {}'s method", request.method(), request.uri().path());
    ApiError::new(Code::MethodNotAllowed, message).fix("`/v1/openapi.json` lists every route")
}
