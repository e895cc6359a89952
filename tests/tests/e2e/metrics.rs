//! The daemon's HTTP interface, as Prometheus, Grafana and a container's health check see it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use grid_test_nodes::{NodeError, prometheus::Prometheus, wait_for};
use serde_json::Value;

use crate::world::World;

/// How long Prometheus may take until everything was scraped and evaluated a few times.
const SCRAPED: Duration = Duration::from_secs(90);

const NO_LIGHT_CLIENT: &str = "this Ethereum chain is attested";
const IN_PROCESS: &str = "the main chain's node is in the same process";
/// Panels that have no data here, with the reason.
const EMPTY: [(&str, &str); 10] = [
    ("What to do", "no alert fires"),
    ("Light client expires in", NO_LIGHT_CLIENT),
    ("Age of finality", NO_LIGHT_CLIENT),
    ("Finality", NO_LIGHT_CLIENT),
    ("Missing headers", NO_LIGHT_CLIENT),
    ("Free disk", "node_exporter does not run"),
    ("Requests to attesters", "the relayer's own key is enough"),
    ("Answers to other relayers", "nobody asks"),
    ("Time to an answer of a node", IN_PROCESS),
    ("Failed calls of a node", IN_PROCESS),
];

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A real Prometheus with the real rules reads the real daemon, and every panel of every dashboard has data.
#[tokio::test]
async fn prometheus_rules_and_dashboards_work_on_the_daemon() {
    // Who ends guarantees counts them.
    let world = World::start_with(|config| config.replace("keep = false", "keep = true")).await;
    world.wait_indexed().await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(world.grid.get(path).await.expect("an answer").0, 200, "{path}");
    }
    let listen = world.grid.config().listen.clone();
    let server = match Prometheus::start(&repository("config/prometheus"), &[listen], &[]).await {
        Err(NodeError::ProgramMissing { .. }) => {
            println!("SKIPPED: no Prometheus here; scripts/setup-nodes --with-prometheus");
            return;
        }
        other => other.expect("prometheus"),
    };
    wait_for("every rule", SCRAPED, || rules_are_good(&server)).await.expect("rules");
    let panels = panels();
    assert!(panels.len() > 60, "{} expressions", panels.len());
    wait_for("data for every panel", SCRAPED, || have_data(&server, &panels))
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let firing = server.query("ALERTS{alertstate=\"firing\"}").await.expect("an answer");
    assert_eq!(firing, Value::Array(Vec::new()), "nothing is wrong with this daemon");
}

/// Every alert of the rule files is loaded, and its expression was evaluated.
async fn rules_are_good(server: &Prometheus) -> Result<(), String> {
    let mut expected = 0;
    for file in std::fs::read_dir(repository("config/prometheus/rules")).expect("rules") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        expected += text.matches("- alert: ").count();
    }
    let rules = server.rules().await.map_err(|error| error.to_string())?;
    assert_eq!(rules.len(), expected);
    match rules.iter().find(|rule| rule["health"] != "ok") {
        None => Ok(()),
        Some(rule) => Err(rule.to_string()),
    }
}

/// Title and expression of every panel's every target, with variables set as Grafana does for "All".
fn panels() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(repository("docker/grafana/dashboards")).expect("dashboards") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        for panel in dashboard["panels"].as_array().expect("panels") {
            let title = panel["title"].as_str().expect("a title");
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expression = target["expr"].as_str().expect("an expression");
                let set = [("$__rate_interval", "20s"), ("$instance", ".*"), ("$chain", ".*")];
                let expression = set
                    .iter()
                    .fold(expression.to_owned(), |text, (from, to)| text.replace(from, to));
                found.push((title.to_owned(), expression));
            }
        }
    }
    found
}

async fn have_data(server: &Prometheus, panels: &[(String, String)]) -> Result<(), String> {
    let mut empty = Vec::new();
    for (title, expression) in panels {
        let result = server.query(expression).await.map_err(|error| error.to_string())?;
        let expected = EMPTY.iter().any(|(name, _)| name == title);
        if result.as_array().is_none_or(Vec::is_empty) != expected {
            empty.push(format!("{title}: {expression} gives {result}"));
        }
    }
    if empty.is_empty() { Ok(()) } else { Err(empty.join("\n")) }
}

/// The container's health check agrees with the daemon, and with its absence.
#[tokio::test]
async fn the_health_check_of_the_image_tells_the_truth() {
    let mut world = World::start().await;
    let listen = world.grid.config().listen.clone();
    let (host, port) = listen.split_once(':').expect("host and port");
    let healthy = async || {
        let script = repository("docker/healthcheck");
        let run = tokio::process::Command::new(script).args([host, port]).output();
        run.await.expect("bash").status.success()
    };
    assert!(healthy().await);
    world.grid.stop().await.expect("stop");
    assert!(!healthy().await);
}
