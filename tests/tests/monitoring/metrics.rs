//! The metrics that exist: those of the code, of the process, and what Prometheus and `node_exporter` add.

use std::collections::{BTreeMap, BTreeSet};

use crate::{files, promql};

/// A metric of the code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) kind: &'static str,
    pub(crate) labels: Vec<&'static str>,
    pub(crate) help: &'static str,
}

/// What the `prometheus` crate exports of a process.
pub(crate) const PROCESS: [&str; 7] = [
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_threads",
];

/// `node_exporter`'s metrics that one alert and one panel use, with their labels.
const MACHINE: [&str; 2] = ["node_filesystem_avail_bytes", "node_filesystem_size_bytes"];
const MACHINE_LABELS: [&str; 3] = ["device", "fstype", "mountpoint"];

/// Every metric of relayer and node.
pub(crate) fn of_the_code() -> BTreeMap<&'static str, Metric> {
    let relayer = grid_relayer::Metrics::TABLE.iter().map(|metric| {
        let grid_relayer::MetricInfo { name, kind, labels, help } = *metric;
        (name, Metric { kind, labels: labels.to_vec(), help: help.trim() })
    });
    let node = grid_node::NodeMetrics::TABLE.iter().map(|metric| {
        let grid_node::MetricInfo { name, kind, labels, help } = *metric;
        (name, Metric { kind, labels: labels.to_vec(), help: help.trim() })
    });
    let endpoints = grid_adapters::EndpointMetrics::TABLE.iter().map(|metric| {
        let grid_adapters::http::MetricInfo { name, kind, labels, help } = *metric;
        (name, Metric { kind, labels: labels.to_vec(), help: help.trim() })
    });
    relayer.chain(node).chain(endpoints).collect()
}

/// The labels of a metric's series in Prometheus; `None` for one that does not exist.
pub(crate) fn labels(name: &str) -> Option<BTreeSet<&'static str>> {
    let code = of_the_code();
    let own: &[&'static str] = if let Some(metric) = code.get(name) {
        &metric.labels
    } else if MACHINE.contains(&name) {
        &MACHINE_LABELS
    } else if PROCESS.contains(&name) || name == "up" {
        &[]
    } else if name == "ALERTS" {
        &["alertname", "alertstate", "severity", "chain"]
    } else {
        return None;
    };
    let histogram = code.get(name).filter(|metric| metric.kind == "histogram").map(|_| "le");
    Some(own.iter().copied().chain(["job", "instance"]).chain(histogram).collect())
}

/// Fails where an expression reads a metric or a label that does not exist, or a legend one that the expression does not give.
pub(crate) fn assert_exist(place: &str, expression: &str, legend: &str) {
    let found = promql::names(expression);
    assert!(!found.metrics.is_empty(), "{place} reads no metric: {expression}");
    let mut given = BTreeSet::new();
    for (name, asked) in &found.metrics {
        let labels = labels(name).unwrap_or_else(|| panic!("{place}: there is no metric {name}"));
        for label in asked {
            assert!(labels.contains(label.as_str()), "{place}: {name} has no label {label}");
        }
        given.extend(labels);
    }
    for label in found.grouping.iter().map(String::as_str).chain(placeholders(legend)) {
        assert!(given.contains(label), "{place}: no metric of {expression} has a label {label}");
    }
}

/// The labels in `{{label}}`.
fn placeholders(legend: &str) -> impl Iterator<Item = &str> {
    legend.split("{{").skip(1).filter_map(|part| part.split_once("}}")).map(|(name, _)| name.trim())
}

#[test]
fn alerts_and_panels_read_only_metrics_that_exist() {
    for (file, alert) in files::alerts() {
        assert_exist(&format!("{file}: {}", alert.name), &alert.expr, "");
    }
    for (file, dashboard) in files::dashboards() {
        for (title, expression, legend) in files::expressions(&dashboard) {
            assert_exist(&format!("{file}: {title}"), &expression, &legend);
        }
    }
}

#[test]
fn synthetic_series_have_the_labels_of_real_ones() {
    for file in files::folder("config/prometheus/rules", "yml") {
        for test in files::rule_tests(&file) {
            for series in &test.input_series {
                assert_exist(&test.name, &series.series, "");
            }
        }
    }
}
