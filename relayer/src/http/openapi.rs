//! The `OpenAPI` document, made of the table that the routes are registered from.

use serde_json::{Map, Value, json};

use super::{
    admin,
    error::Code,
    read,
    route::{Param, Place, Route, Served, Shape},
};

/// JSON schemas of parameters, bodies and answers, by name.
const SCHEMAS: &str = include_str!("schemas.json");

/// Failures of every route.
const COMMON: [Code; 5] =
    [Code::BadRequest, Code::TooLarge, Code::Internal, Code::Unavailable, Code::Timeout];

/// The document over every route.
#[must_use]
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let routes = read::routes().into_iter().chain(admin::routes());
    for (route, _) in routes.map(|served: Served| served) {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(route.method.to_owned(), operation(&route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Grid relayer",
            "description": "Health, metrics and state of a Grid relayer on relayer.listen (read-only), and its administration on relayer.admin.listen with a bearer token. Times are milliseconds since 1970, hashes are in their chain's internal byte order.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:9640", "description": "relayer.listen" }],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "admin": { "type": "http", "scheme": "bearer", "description": "The content of relayer.admin.token_file." },
            },
        },
    })
}

fn schemas() -> Value {
    // A test reads it, so it is JSON.
    serde_json::from_str(SCHEMAS).unwrap_or_default()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn operation(route: &Route) -> Value {
    let mut shown = json!({
        "operationId": route.id,
        "summary": route.summary,
        "parameters": route.params.iter().map(parameter).collect::<Vec<_>>(),
        "responses": responses(route),
    });
    let Some(map) = shown.as_object_mut() else { return shown };
    if let Some(body) = route.body {
        let content = json!({ "application/json": { "schema": reference(body) } });
        map.insert("requestBody".to_owned(), json!({ "content": content }));
    }
    if route.admin {
        let servers =
            json!([{ "url": "http://127.0.0.1:9642", "description": "relayer.admin.listen" }]);
        map.insert("servers".to_owned(), servers);
        map.insert("security".to_owned(), json!([{ "admin": [] }]));
    }
    shown
}

fn parameter(param: &Param) -> Value {
    let place = match param.place {
        Place::Path => "path",
        Place::Query => "query",
    };
    json!({
        "name": param.name,
        "in": place,
        "required": param.required,
        "description": param.text,
        "schema": reference(param.schema),
    })
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    let (media, schema) = match route.answer {
        Shape::Json(schema) => ("application/json", reference(schema)),
        Shape::Text(media) => (media, json!({ "type": "string" })),
    };
    let good = json!({ "description": "The answer.", "content": { media: { "schema": schema } } });
    responses.insert("200".to_owned(), good);
    let admin = route.admin.then_some(Code::Unauthorized);
    for code in COMMON.iter().chain(route.fails).copied().chain(admin) {
        let content =
            if matches!(route.answer, Shape::Text("text/plain")) && code == Code::Unavailable {
                json!({ "text/plain": { "schema": { "type": "string" } } })
            } else {
                json!({ "application/json": { "schema": reference("ErrorBody") } })
            };
        let shown = json!({ "description": describe(code), "content": content });
        responses.insert(code.status().to_string(), shown);
    }
    for status in route.also {
        let either = json!({ "oneOf": [schema, reference("ErrorBody")] });
        let content = json!({ media: { "schema": either } });
        let shown = json!({ "description": "Why there is none.", "content": content });
        responses.insert(status.to_string(), shown);
    }
    Value::Object(responses)
}

const fn describe(code: Code) -> &'static str {
    match code {
        Code::BadRequest => "A parameter or the body is not what the route takes.",
        Code::Unauthorized => "The token is missing or wrong.",
        Code::NotFound => "There is no such thing.",
        Code::MethodNotAllowed => "The route has another method.",
        Code::Conflict => "The thing is in a state in which this can't be done to it.",
        Code::TooLarge => "The request is larger than the route takes.",
        Code::Internal => "Something went wrong in here; the log has it.",
        Code::NotSupported => "This process can't do it.",
        Code::Unavailable => "The database or the main chain does not answer; not ready.",
        Code::Timeout => "The answer took too long.",
    }
}
