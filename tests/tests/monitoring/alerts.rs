//! Alerts, their tests and their runbooks.

use std::collections::BTreeSet;

use crate::files;

/// What every runbook answers.
const SECTIONS: [&str; 6] =
    ["## Meaning", "## Impact", "## Confirm", "## Causes", "## Fix", "## Escalate when"];

#[test]
fn every_alert_says_what_is_wrong_and_what_to_do_first() {
    let mut seen = BTreeSet::new();
    for (file, alert) in files::alerts() {
        let place = format!("{file}: {}", alert.name);
        assert!(seen.insert(alert.name.clone()), "{place} exists twice");
        assert!(alert.name.starts_with("Grid"), "{place}");
        let severity = alert.labels.get("severity").map(String::as_str);
        assert!(matches!(severity, Some("page" | "ticket")), "{place}: severity {severity:?}");
        let note = |key: &str| {
            alert.annotations.get(key).unwrap_or_else(|| panic!("{place} has no {key}")).as_str()
        };
        assert!(note("summary").ends_with('.'), "{place}");
        assert!(note("description").contains("First: "), "{place} names no first step");
        assert_eq!(note("runbook_url"), format!("docs/runbooks/{}.md", alert.name), "{place}");
    }
}

#[test]
fn every_alert_has_a_test_that_fires_and_one_that_must_not() {
    for (file, alert) in files::alerts() {
        let tests = files::rule_tests(&file);
        for (word, fires) in [("fires", true), ("quiet", false)] {
            let begin = format!("{}: {word}", alert.name);
            let mut of_it = tests.iter().filter(|test| test.name.starts_with(&begin)).peekable();
            assert!(of_it.peek().is_some(), "{file} has no test that begins with {begin:?}");
            for test in of_it {
                assert!(!test.promql_expr_test.is_empty(), "{}", test.name);
                for expected in &test.promql_expr_test {
                    let asks = format!("alertname=\"{}\"", alert.name);
                    assert!(expected.expr.contains(&asks), "{} asks for another", test.name);
                    assert_eq!(!expected.exp_samples.is_empty(), fires, "{}", test.name);
                }
            }
        }
    }
}

#[test]
fn every_test_belongs_to_an_alert() {
    let alerts: BTreeSet<String> =
        files::alerts().into_iter().map(|(_, alert)| alert.name).collect();
    for file in files::folder("config/prometheus/rules", "yml") {
        for test in files::rule_tests(&file) {
            let alert = test.name.split(':').next().unwrap_or_default();
            assert!(alerts.contains(alert), "{file}: {}", test.name);
        }
    }
}

#[test]
fn every_alert_has_a_complete_runbook_and_every_runbook_an_alert() {
    let alerts = files::alerts();
    let mut pages: BTreeSet<String> = files::folder("docs/runbooks", "md").into_iter().collect();
    assert!(pages.remove("README"), "docs/runbooks/README.md is missing");
    let named: BTreeSet<String> = alerts.iter().map(|(_, alert)| alert.name.clone()).collect();
    assert_eq!(pages, named, "left: pages, right: alerts");
    for (_, alert) in &alerts {
        let page = files::text(&format!("docs/runbooks/{}.md", alert.name));
        assert!(page.starts_with(&format!("# {}\n", alert.name)), "{}", alert.name);
        let severity = format!("Severity: {}.", alert.labels["severity"]);
        assert!(page.contains(&severity), "{}: not {severity}", alert.name);
        let mut at = 0;
        for section in SECTIONS {
            let found = page[at..].find(section);
            at += found.unwrap_or_else(|| panic!("{}: no {section} in place", alert.name));
        }
        for link in page.split("](").skip(1).filter_map(|part| part.split(')').next()) {
            let target = link.trim_end_matches(".md");
            assert!(named.contains(target), "{}: link to {link}", alert.name);
        }
    }
}

#[test]
fn addresses_in_runbooks_are_served() {
    let document = files::text("docs/openapi.json");
    let document: serde_json::Value = serde_json::from_str(&document).expect("JSON");
    let node = files::text("node/src/http.rs");
    for (address, of_relayer) in [("127.0.0.1:9640", true), ("127.0.0.1:9641", false)] {
        let serves = |path: &str| {
            if of_relayer {
                document["paths"].get(path).is_some()
            } else {
                node.contains(&format!(".route(\"{path}\""))
            }
        };
        for page in files::folder("docs/runbooks", "md") {
            let text = files::text(&format!("docs/runbooks/{page}.md"));
            for part in text.split(address).skip(1).filter(|part| part.starts_with('/')) {
                let path: String =
                    part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
                assert!(serves(&path), "{page}: {path} is not served");
            }
        }
    }
}

#[test]
fn alertmanager_silences_only_alerts_that_exist() {
    let alerts: BTreeSet<String> =
        files::alerts().into_iter().map(|(_, alert)| alert.name).collect();
    let config: serde_json::Value = files::yaml("docker/alertmanager/alertmanager.yml");
    let rules = files::list(&config["inhibit_rules"]);
    assert!(!rules.is_empty());
    for rule in rules {
        let matchers = files::list(&rule["source_matchers"]).iter();
        for matcher in matchers.chain(files::list(&rule["target_matchers"])) {
            let matcher = matcher.as_str().expect("a matcher");
            let names = matcher.split('"').nth(1).expect("a value");
            for name in names.split('|') {
                assert!(alerts.contains(name), "{matcher}: there is no alert {name}");
            }
        }
    }
}
