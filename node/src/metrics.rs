//! The node's metrics. The doc comment of a field is its HELP text.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector,
};

/// Handles of the node's metrics, zero from the start.
#[derive(Debug, Clone)]
pub struct NodeMetrics {
    /// Height of the newest committed block.
    pub head_height: IntGauge,
    /// Time of the newest committed block, milliseconds since 1970.
    pub head_time_ms: IntGauge,
    /// Time between committed blocks by their headers, seconds.
    pub block_interval_seconds: Histogram,
    /// Time to make a decided block durable, seconds.
    pub commit_seconds: Histogram,
    /// Transactions in committed blocks since the start.
    pub transactions_total: IntCounter,
    /// Gas used by committed blocks since the start.
    pub gas_used_total: IntCounter,
    /// Transactions waiting in the mempool.
    pub mempool_transactions: IntGauge,
    /// Bytes of the transactions waiting in the mempool.
    pub mempool_bytes: IntGauge,
    /// Transactions that the mempool refused since the start.
    pub mempool_refused_total: IntCounter,
    /// Confirmed headers in the index, by chain.
    pub index_headers: IntGaugeVec,
    /// Confirmed headers taken back by reorganisations since the start, by chain.
    pub index_reverted_total: IntCounterVec,
    /// Headers that the light client holds, all branches, by chain.
    pub light_client_headers: IntGaugeVec,
    /// Bytes that the light client's headers take in the state, by chain.
    pub light_client_bytes: IntGaugeVec,
    /// Size of the database file, bytes.
    pub store_bytes: IntGauge,
    /// Answered JSON-RPC calls since the start, in-process calls included.
    pub rpc_calls_total: IntCounter,
}

/// Registers and returns a collector.
fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let collector = collector?;
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Declares one metric.
macro_rules! metric {
    ($registry:expr, $kind:ident, $name:literal, $help:literal) => {
        register($registry, $kind::new(concat!("grid_node_", $name), $help))?
    };
}

/// Declares one metric with a value a chain; the name is whole.
macro_rules! by_chain {
    ($registry:expr, $kind:ident, $name:literal, $help:literal) => {
        register($registry, $kind::new(Opts::new($name, $help), &["chain"]))?
    };
}

impl NodeMetrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// Where the registry already has metrics of these names.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            head_height: metric!(
                registry,
                IntGauge,
                "head_height",
                "Height of the newest committed block."
            ),
            head_time_ms: metric!(
                registry,
                IntGauge,
                "head_time_ms",
                "Time of the newest committed block, milliseconds since 1970."
            ),
            block_interval_seconds: register(
                registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "grid_node_block_interval_seconds",
                        "Time between committed blocks by their headers, seconds.",
                    )
                    .buckets(vec![0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0]),
                ),
            )?,
            commit_seconds: register(
                registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "grid_node_commit_seconds",
                        "Time to make a decided block durable, seconds.",
                    )
                    .buckets(prometheus::exponential_buckets(0.001, 2.0, 12)?),
                ),
            )?,
            transactions_total: metric!(
                registry,
                IntCounter,
                "transactions_total",
                "Transactions in committed blocks since the start."
            ),
            gas_used_total: metric!(
                registry,
                IntCounter,
                "gas_used_total",
                "Gas used by committed blocks since the start."
            ),
            mempool_transactions: metric!(
                registry,
                IntGauge,
                "mempool_transactions",
                "Transactions waiting in the mempool."
            ),
            mempool_bytes: metric!(
                registry,
                IntGauge,
                "mempool_bytes",
                "Bytes of the transactions waiting in the mempool."
            ),
            mempool_refused_total: metric!(
                registry,
                IntCounter,
                "mempool_refused_total",
                "Transactions that the mempool refused since the start."
            ),
            index_headers: by_chain!(
                registry,
                IntGaugeVec,
                "grid_node_index_headers",
                "Confirmed headers in the index, by chain."
            ),
            light_client_headers: by_chain!(
                registry,
                IntGaugeVec,
                "grid_light_client_headers",
                "Headers that the light client holds, all branches, by chain."
            ),
            light_client_bytes: by_chain!(
                registry,
                IntGaugeVec,
                "grid_light_client_bytes",
                "Bytes that the light client's headers take in the state, by chain."
            ),
            index_reverted_total: by_chain!(
                registry,
                IntCounterVec,
                "grid_node_index_reverted_total",
                "Confirmed headers taken back by reorganisations since the start, by chain."
            ),
            store_bytes: metric!(
                registry,
                IntGauge,
                "store_bytes",
                "Size of the database file, bytes."
            ),
            rpc_calls_total: metric!(
                registry,
                IntCounter,
                "rpc_calls_total",
                "Answered JSON-RPC calls since the start, in-process calls included."
            ),
        })
    }
}

/// A number as a gauge's value.
pub(crate) fn gauge(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_exported_at_once_with_its_fields_doc_as_help() {
        let registry = Registry::new();
        let metrics = NodeMetrics::register(&registry).unwrap();
        metrics.index_headers.with_label_values(&["eip155:1"]);
        metrics.index_reverted_total.with_label_values(&["eip155:1"]);
        metrics.light_client_headers.with_label_values(&["eip155:1"]);
        metrics.light_client_bytes.with_label_values(&["eip155:1"]);
        let families = registry.gather();
        assert_eq!(families.len(), 15);
        for family in families {
            let field = family.name().trim_start_matches("grid_").trim_start_matches("node_");
            let doc = format!("/// {}\n    pub {field}:", family.help());
            assert!(include_str!("metrics.rs").contains(&doc), "{doc}");
        }
        assert!(NodeMetrics::register(&registry).is_err());
    }
}
