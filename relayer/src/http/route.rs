//! What is said of a route, once: its registration and its part of the `OpenAPI` document come from it.

use std::sync::Arc;

use axum::{Router, routing::MethodRouter};

use super::error::Code;
use crate::relayer::Inner;

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
}

/// A parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) required: bool,
    /// The name of a schema.
    pub(super) schema: &'static str,
    pub(super) text: &'static str,
}

/// A variable part of the path.
pub(super) const fn segment(name: &'static str, schema: &'static str, text: &'static str) -> Param {
    Param { name, place: Place::Path, required: true, schema, text }
}

/// A parameter that must be there.
pub(super) const fn required(
    name: &'static str,
    schema: &'static str,
    text: &'static str,
) -> Param {
    Param { name, place: Place::Query, required: true, schema, text }
}

/// A parameter that may be left out.
pub(super) const fn optional(
    name: &'static str,
    schema: &'static str,
    text: &'static str,
) -> Param {
    Param { name, place: Place::Query, required: false, schema, text }
}

/// What a route answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// JSON of a schema.
    Json(&'static str),
    /// Text of a media type.
    Text(&'static str),
}

/// A route.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) path: &'static str,
    /// `get` or `post`.
    pub(super) method: &'static str,
    /// Name of the operation in generated clients.
    pub(super) id: &'static str,
    /// What it does, in a sentence.
    pub(super) summary: &'static str,
    pub(super) params: Vec<Param>,
    /// The schema of its body, which may be left out.
    pub(super) body: Option<&'static str>,
    pub(super) answer: Shape,
    /// Failures beside those that every route has.
    pub(super) fails: &'static [Code],
    /// Statuses with which the answer's form comes too, beside that of a failure.
    pub(super) also: &'static [u16],
    /// Whether it changes something: then it is served on `relayer.admin.listen` only.
    pub(super) admin: bool,
}

impl Route {
    pub(super) fn get(
        path: &'static str,
        id: &'static str,
        answer: Shape,
        summary: &'static str,
    ) -> Self {
        Self {
            path,
            method: "get",
            id,
            summary,
            params: Vec::new(),
            body: None,
            answer,
            fails: &[],
            also: &[],
            admin: false,
        }
    }

    pub(super) fn post(
        path: &'static str,
        id: &'static str,
        answer: Shape,
        summary: &'static str,
    ) -> Self {
        let route = Self::get(path, id, answer, summary);
        Self { method: "post", admin: true, ..route }
    }

    pub(super) fn takes<const N: usize>(self, params: [Param; N]) -> Self {
        Self { params: params.into(), ..self }
    }

    pub(super) fn with_body(self, schema: &'static str) -> Self {
        Self { body: Some(schema), ..self }
    }

    pub(super) fn fails(self, fails: &'static [Code]) -> Self {
        Self { fails, ..self }
    }
}

/// A route and what answers it.
pub(super) type Served = (Route, MethodRouter<Arc<Inner>>);

/// A router with these routes.
pub(super) fn router(served: Vec<Served>) -> Router<Arc<Inner>> {
    let add =
        |router: Router<Arc<Inner>>, (route, handler): Served| router.route(route.path, handler);
    served.into_iter().fold(Router::new(), add)
}
