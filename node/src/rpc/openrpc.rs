//! The `OpenRPC` document: what every method takes, answers and refuses, made of the same descriptions that
//! the methods are registered with.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    error::{self, COMMON},
    method::{Method, Param},
};

/// Where the document is served.
pub(super) const DISCOVER: &str = "rpc.discover";
/// JSON schemas of parameters and answers, by name.
const SCHEMAS: &str = include_str!("schemas.json");

/// The method that serves the document.
pub(super) fn discover() -> Method {
    Method::new(DISCOVER, &[], "OpenRpc", "This document.")
}

/// The document over these methods, sorted by name.
pub(super) fn document(methods: &[Method]) -> Value {
    let mut sorted: Vec<&Method> = methods.iter().collect();
    sorted.sort_by_key(|method| method.name);
    let used: BTreeSet<i32> =
        methods.iter().flat_map(|one| one.errors.iter().copied()).chain(COMMON).collect();
    let errors: Map<String, Value> = used
        .into_iter()
        .map(|code| {
            let (name, message) = error::describe(code);
            (name.to_owned(), json!({ "code": code, "message": message }))
        })
        .collect();
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "Grid",
            "description": "JSON-RPC 2.0 of a Grid node over HTTP and WebSocket: Ethereum's methods for its tools, and grid_* for the index and proofs. docs/json-rpc.md explains it.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "methods": sorted.into_iter().map(describe).collect::<Vec<_>>(),
        "components": { "schemas": schemas(), "errors": errors },
    })
}

fn schemas() -> Value {
    // A test reads it, so it is JSON.
    serde_json::from_str(SCHEMAS).unwrap_or_default()
}

fn describe(method: &Method) -> Value {
    let reference =
        |code: &i32| json!({ "$ref": format!("#/components/errors/{}", error::describe(*code).0) });
    let mut shown = json!({
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-position",
        "params": method.params.iter().map(param).collect::<Vec<_>>(),
        "result": { "name": "result", "schema": schema(method.result) },
        "errors": COMMON.iter().chain(&method.errors).map(reference).collect::<Vec<_>>(),
    });
    if let (Some(limits), Some(map)) = (&method.limits, shown.as_object_mut()) {
        map.insert("description".to_owned(), json!(format!("Limits: {limits}.")));
    }
    shown
}

fn param(one: &Param) -> Value {
    json!({ "name": one.name, "required": one.required, "schema": schema(one.shape) })
}

/// The JSON schema of a shape: a name, `[X]` or `X?`.
fn schema(shape: &str) -> Value {
    if let Some(inner) = shape.strip_suffix('?') {
        return json!({ "oneOf": [schema(inner), { "type": "null" }] });
    }
    if let Some(inner) = shape.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return json!({ "type": "array", "items": schema(inner) });
    }
    json!({ "$ref": format!("#/components/schemas/{shape}") })
}
