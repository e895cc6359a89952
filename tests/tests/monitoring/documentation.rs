//! docs/metrics.md against the code, the rules and the dashboards.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    files,
    metrics::{self, PROCESS},
    promql,
};

/// A line of a table.
struct Row {
    kind: String,
    labels: Vec<String>,
    unit: String,
    meaning: String,
    alerts: BTreeSet<String>,
    dashboards: BTreeSet<String>,
}

/// The tables' lines by metric.
fn rows() -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    for line in files::text("docs/metrics.md").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, kind, labels, unit, meaning, alerts, dashboards] = cells[..] else {
            panic!("not seven cells: {line}");
        };
        let words = |cell: &str| -> Vec<String> {
            let words = cell.split(", ").filter(|word| *word != "—");
            words.map(|word| word.trim_matches('`').to_owned()).collect()
        };
        let alert = |link: String| {
            let name =
                link.trim_start_matches('[').split(']').next().unwrap_or_default().to_owned();
            assert_eq!(link, format!("[{name}](runbooks/{name}.md)"));
            name
        };
        let row = Row {
            kind: kind.to_owned(),
            labels: words(labels),
            unit: unit.to_owned(),
            meaning: meaning.to_owned(),
            alerts: words(alerts).into_iter().map(alert).collect(),
            dashboards: words(dashboards).into_iter().collect(),
        };
        let name = name.trim_matches('`').to_owned();
        assert!(rows.insert(name.clone(), row).is_none(), "{name} has two lines");
    }
    rows
}

#[test]
fn every_metric_of_the_code_is_documented_as_it_is() {
    let (code, rows) = (metrics::of_the_code(), rows());
    for (name, metric) in &code {
        let row = rows.get(*name).unwrap_or_else(|| panic!("docs/metrics.md lacks {name}"));
        assert_eq!(row.kind, metric.kind, "type of {name}");
        assert_eq!(row.labels, metric.labels, "labels of {name}");
        assert_eq!(row.meaning, metric.help, "meaning of {name}");
        assert!(!row.unit.is_empty(), "{name} has no unit");
    }
    for name in rows.keys() {
        let exists = code.contains_key(name.as_str()) || PROCESS.contains(&name.as_str());
        assert!(exists, "docs/metrics.md has {name}, the code has not");
    }
}

#[test]
fn the_documentation_says_who_uses_a_metric() {
    let mut alerts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, alert) in files::alerts() {
        for (metric, _) in promql::names(&alert.expr).metrics {
            alerts.entry(metric).or_default().insert(alert.name.clone());
        }
    }
    let mut dashboards: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, dashboard) in files::dashboards() {
        for (_, expression, _) in files::expressions(&dashboard) {
            for (metric, _) in promql::names(&expression).metrics {
                dashboards.entry(metric).or_default().insert(file.clone());
            }
        }
    }
    for (name, row) in rows() {
        assert_eq!(row.alerts, alerts.remove(&name).unwrap_or_default(), "alerts of {name}");
        let used = dashboards.remove(&name).unwrap_or_default();
        assert_eq!(row.dashboards, used, "dashboards of {name}");
    }
}

#[test]
fn names_of_metrics_anywhere_in_the_documentation_exist() {
    let mut texts = vec![("docs/metrics.md".to_owned(), files::text("docs/metrics.md"))];
    for folder in ["docs", "docs/runbooks", "docker"] {
        for page in files::folder(folder, "md") {
            let name = format!("{folder}/{page}.md");
            let text = files::text(&name);
            texts.push((name, text));
        }
    }
    for (page, text) in texts {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        // Calls of the node's JSON-RPC are `grid_` and one word in camel case.
        for word in words.filter(|word| word.starts_with("grid_") && word.matches('_').count() > 1)
        {
            let known = metrics::labels(word).is_some() || is_crate(word);
            assert!(known, "{page}: there is no metric {word}");
        }
    }
}

/// Whether a word is a crate of the workspace.
fn is_crate(word: &str) -> bool {
    word.split("::").next().is_some_and(|name| matches!(name, "grid_test_nodes"))
}
