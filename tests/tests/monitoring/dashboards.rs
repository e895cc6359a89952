//! Dashboards that Grafana loads as they are and a person can read.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::files::{self, list, panels};

/// The newest layout that Grafana 12 writes.
const SCHEMA: u64 = 41;
/// Panels that Grafana ships.
const KINDS: [&str; 4] = ["stat", "table", "timeseries", "state-timeline"];

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn dashboards_have_what_grafana_needs() {
    let mut seen = BTreeSet::new();
    for (file, dashboard) in files::dashboards() {
        let uid = word(&dashboard["uid"]);
        assert!(uid.starts_with("grid-") && uid.len() <= 40, "{file}: uid {uid}");
        assert!(seen.insert(uid.to_owned()), "{file}: uid {uid} is taken");
        assert_eq!(dashboard["schemaVersion"], SCHEMA, "{file}");
        assert!(dashboard.get("id").is_none_or(Value::is_null), "{file}: ids are Grafana's");
        let mut ids = BTreeSet::new();
        for panel in list(&dashboard["panels"]) {
            assert!(ids.insert(panel["id"].as_u64().expect("id")), "{file}: {}", panel["id"]);
        }
    }
    let provider: Value = files::yaml("docker/grafana/provisioning/dashboards/grid.yml");
    assert_eq!(provider["providers"][0]["options"]["path"], "/etc/grafana/dashboards");
    let links: Vec<_> = files::dashboards();
    for (file, dashboard) in &links {
        for link in list(&dashboard["links"]) {
            let uid = word(&link["url"]).trim_start_matches("/d/");
            assert!(seen.contains(uid), "{file} links to {uid}");
        }
    }
}

#[test]
fn every_panel_explains_itself() {
    for (file, dashboard) in files::dashboards() {
        let mut titles = BTreeSet::new();
        for panel in panels(&dashboard) {
            let place = format!("{file}: {}", panel["title"]);
            assert!(KINDS.contains(&word(&panel["type"])), "{place}: {}", panel["type"]);
            let title = word(&panel["title"]);
            assert!(!title.is_empty() && word(&panel["description"]).ends_with('.'), "{place}");
            // `Database` may stand as a number and as a curve.
            assert!(titles.insert((word(&panel["type"]), title)), "{place} exists twice");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(!word(&defaults["unit"]).is_empty(), "{place} has no unit");
            assert!(!list(&defaults["thresholds"]["steps"]).is_empty(), "{place}");
            let targets = list(&panel["targets"]);
            assert!(!targets.is_empty(), "{place} asks nothing");
            let refs: BTreeSet<&str> =
                targets.iter().map(|target| word(&target["refId"])).collect();
            assert_eq!(refs.len(), targets.len(), "{place}: refId twice");
            for source in targets.iter().chain([panel]).map(|value| &value["datasource"]["uid"]) {
                assert_eq!(word(source), "${datasource}", "{place}");
            }
        }
    }
}

#[test]
fn panels_do_not_overlap() {
    for (file, dashboard) in files::dashboards() {
        let mut taken = BTreeSet::new();
        for panel in list(&dashboard["panels"]) {
            let side = |name: &str| panel["gridPos"][name].as_u64().expect("a number");
            assert!(side("x") + side("w") <= 24, "{file}: {}", panel["title"]);
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(taken.insert((x, y)), "{file}: {} overlaps", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn variables_are_declared_and_used() {
    for (file, dashboard) in files::dashboards() {
        let declared: BTreeSet<&str> =
            list(&dashboard["templating"]["list"]).iter().map(|one| word(&one["name"])).collect();
        let mut used = BTreeSet::from(["datasource"]);
        let all = files::expressions(&dashboard);
        for (title, expression, _) in &all {
            for part in expression.split('$').skip(1) {
                let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
                let name = &part[..end.unwrap_or(part.len())];
                let known = declared.contains(name) || name == "__rate_interval";
                assert!(known, "{file}: {title}: ${name} is not declared");
                used.insert(name);
            }
        }
        let idle: Vec<_> = declared.difference(&used).collect();
        assert!(idle.is_empty(), "{file}: {idle:?} change nothing");
    }
}
