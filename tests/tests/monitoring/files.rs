//! Reading the repository's files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// A path in the repository.
pub(crate) fn path(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(inside)
}

/// A file's text.
pub(crate) fn text(inside: &str) -> String {
    fs::read_to_string(path(inside)).unwrap_or_else(|error| panic!("{inside}: {error}"))
}

/// A YAML file.
pub(crate) fn yaml<T: DeserializeOwned>(inside: &str) -> T {
    serde_saphyr::from_str(&text(inside)).unwrap_or_else(|error| panic!("{inside}: {error}"))
}

/// Files of a folder with an extension, by name without it.
pub(crate) fn folder(inside: &str, extension: &str) -> Vec<String> {
    let entries = fs::read_dir(path(inside)).unwrap_or_else(|error| panic!("{inside}: {error}"));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|file| file.extension().is_some_and(|found| found == extension))
        .map(|file| file.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty(), "{inside} has no .{extension}");
    names
}

/// One alert of the rule files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Alert {
    #[serde(rename = "alert")]
    pub(crate) name: String,
    pub(crate) expr: String,
    #[serde(rename = "for")]
    pub(crate) _for: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Alert>,
}

/// All alerts, each with its rule file's name.
pub(crate) fn alerts() -> Vec<(String, Alert)> {
    let read = |name: String| {
        let file: RuleFile = yaml(&format!("config/prometheus/rules/{name}.yml"));
        let rules = file.groups.into_iter().flat_map(|group| group.rules);
        rules.map(|rule| (name.clone(), rule)).collect::<Vec<_>>()
    };
    folder("config/prometheus/rules", "yml").into_iter().flat_map(read).collect()
}

/// A test group of `promtool test rules`, as far as it is looked at here.
#[derive(Debug, Deserialize)]
pub(crate) struct RuleTest {
    pub(crate) name: String,
    pub(crate) input_series: Vec<Series>,
    pub(crate) promql_expr_test: Vec<Expectation>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Series {
    pub(crate) series: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Expectation {
    pub(crate) expr: String,
    pub(crate) exp_samples: Vec<Value>,
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<RuleTest>,
}

/// The tests of one rule file.
pub(crate) fn rule_tests(name: &str) -> Vec<RuleTest> {
    yaml::<TestFile>(&format!("config/prometheus/tests/{name}_test.yml")).tests
}

/// A dashboard's folder and file names.
pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let read = |name: String| {
        let text = text(&format!("docker/grafana/dashboards/{name}.json"));
        (name.clone(), serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}")))
    };
    folder("docker/grafana/dashboards", "json").into_iter().map(read).collect()
}

/// Elements of a JSON array; none where there is no array.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Panels of a dashboard, without rows.
pub(crate) fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row")
}

/// Every expression of a dashboard with its panel's title and its legend.
pub(crate) fn expressions(dashboard: &Value) -> Vec<(String, String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    panels(dashboard)
        .flat_map(|panel| {
            list(&panel["targets"]).iter().map(|target| {
                (word(&panel["title"]), word(&target["expr"]), word(&target["legendFormat"]))
            })
        })
        .collect()
}
