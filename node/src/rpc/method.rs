//! What is said of a method, once: its registration, its limits and the `OpenRPC` document come from it.

use std::sync::Arc;

use super::budget::Lane;

/// A positional parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Param {
    pub(super) name: &'static str,
    /// A [shape](Method::result).
    pub(super) shape: &'static str,
    pub(super) required: bool,
}

/// A parameter that must be there.
pub(super) const fn required(name: &'static str, shape: &'static str) -> Param {
    Param { name, shape, required: true }
}

/// A parameter that may be left out or null.
pub(super) const fn optional(name: &'static str, shape: &'static str) -> Param {
    Param { name, shape, required: false }
}

/// A method.
#[derive(Debug, Clone)]
pub(super) struct Method {
    pub(super) name: &'static str,
    /// What it answers, in a sentence or two.
    pub(super) summary: &'static str,
    pub(super) params: Arc<[Param]>,
    /// The name of a schema in `schemas.json`; `[X]` is a list of X, `X?` is X or null.
    pub(super) result: &'static str,
    /// Codes beside those that every method has.
    pub(super) errors: Vec<i32>,
    /// Limits beside those of the server, in words.
    pub(super) limits: Option<String>,
    pub(super) lane: Lane,
}

impl Method {
    /// A method that reads little.
    pub(super) fn new(
        name: &'static str,
        params: &[Param],
        result: &'static str,
        summary: &'static str,
    ) -> Self {
        let (params, errors) = (params.into(), Vec::new());
        Self { name, summary, params, result, errors, limits: None, lane: Lane::Read }
    }

    /// It may take long: few of its kind run at once.
    pub(super) fn heavy(self) -> Self {
        self.in_lane(Lane::Heavy)
    }

    pub(super) fn in_lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// It can also fail with these codes.
    pub(super) fn fails(mut self, codes: &[i32]) -> Self {
        self.errors.extend(codes);
        self
    }

    /// Its own limits, in words.
    pub(super) fn limits(mut self, words: impl Into<String>) -> Self {
        self.limits = Some(words.into());
        self
    }
}
