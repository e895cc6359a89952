//! The `OpenRPC` document against the methods that are registered.

use std::{collections::BTreeSet, path::Path};

use serde_json::{Value, json};

use super::support::*;

/// All `$ref`s in a value.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner.as_str() {
                    Some(target) if key == "$ref" => found.push(target.to_owned()),
                    _ => references(inner, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_describes_exactly_the_registered_methods() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(config(directory.path())).await;
    let document = ask(&node, "rpc.discover", json!([])).await;
    let described = names(&document["methods"]);
    let registered: BTreeSet<&str> = node.caller().methods().method_names().collect();
    assert_eq!(described, registered.into_iter().collect::<Vec<_>>());

    let mut targets = Vec::new();
    references(&document, &mut targets);
    assert!(targets.len() > 100);
    for target in &targets {
        let found = document.pointer(target.strip_prefix('#').unwrap());
        assert!(found.is_some(), "{target} leads nowhere");
    }
    let used: BTreeSet<&str> =
        targets.iter().filter_map(|one| one.strip_prefix("#/components/schemas/")).collect();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let unused: Vec<_> = schemas.keys().filter(|name| !used.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "schemas that nothing uses: {unused:?}");
    for method in document["methods"].as_array().unwrap() {
        assert!(method["summary"].as_str().unwrap().ends_with('.'), "{method}");
        assert_eq!(method["paramStructure"], "by-position");
        // OpenRPC: what is required comes before what is optional.
        let required = |param: &Value| param["required"].as_bool().unwrap();
        assert!(method["params"].as_array().unwrap().is_sorted_by_key(|param| !required(param)));
        let codes = method["errors"].as_array().unwrap();
        assert_eq!(codes.iter().collect::<std::collections::HashSet<_>>().len(), codes.len());
    }
    stop(node).await;
}

/// `GRID_WRITE_DOCS=1` writes the file instead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_of_the_document_is_the_served_one() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(config(directory.path())).await;
    let document = ask(&node, "rpc.discover", json!([])).await;
    let text = serde_json::to_string_pretty(&document).unwrap() + "\n";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openrpc.json");
    if std::env::var_os("GRID_WRITE_DOCS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written == text, "docs/openrpc.json is old: run this test with GRID_WRITE_DOCS=1");
    stop(node).await;
}

/// docs/json-rpc.md names every method.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_manual_names_every_method() {
    let directory = tempfile::tempdir().unwrap();
    let node = start(config(directory.path())).await;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json-rpc.md");
    let manual = std::fs::read_to_string(file).unwrap();
    for name in node.caller().methods().method_names() {
        assert!(manual.contains(&format!("`{name}`")), "docs/json-rpc.md does not name {name}");
    }
    stop(node).await;
}
