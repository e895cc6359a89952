//! The node's metrics, in one struct. The doc comment of a field is its HELP text.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// What is known of a metric without running anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricInfo {
    /// Name.
    pub name: &'static str,
    /// Prometheus' word for its type.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// HELP text.
    pub help: &'static str,
}

/// Declares the struct, its registration and the table of names, labels and HELP texts in one place.
/// A histogram's buckets, upper bounds in seconds, follow its labels.
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $field:ident: $kind:ty = $name:literal [$($label:literal),*]
        $(buckets $buckets:expr)?;)+) => {
        /// Handles of the node's metrics, zero from the start.
        #[derive(Debug, Clone)]
        pub struct NodeMetrics {
            $($(#[doc = $help])+ pub $field: $kind,)+
        }

        impl NodeMetrics {
            /// Every metric, in order.
            pub const TABLE: &'static [MetricInfo] = &[$(MetricInfo {
                name: $name,
                kind: <$kind as Make>::KIND,
                labels: &[$($label),*],
                help: concat!($($help),+),
            }),+];

            /// Registers all metrics.
            ///
            /// # Errors
            /// Where the registry already has metrics of these names.
            pub fn register(registry: &Registry) -> prometheus::Result<Self> {
                $(let opts = Opts::new($name, concat!($($help),+).trim());
                let buckets: &[&[f64]] = &[$($buckets)?];
                let $field = <$kind as Make>::make(opts, &[$($label),*], &buckets.concat())?;
                registry.register(Box::new($field.clone()))?;)+
                Ok(Self { $($field),+ })
            }
        }
    };
}

/// Makes a metric with or without labels.
trait Make: Sized {
    /// Prometheus' word for the type.
    const KIND: &'static str;

    fn make(opts: Opts, labels: &[&str], buckets: &[f64]) -> prometheus::Result<Self>;
}

impl Make for IntGauge {
    const KIND: &'static str = "gauge";

    fn make(opts: Opts, _: &[&str], _: &[f64]) -> prometheus::Result<Self> {
        Self::with_opts(opts)
    }
}

impl Make for IntGaugeVec {
    const KIND: &'static str = "gauge";

    fn make(opts: Opts, labels: &[&str], _: &[f64]) -> prometheus::Result<Self> {
        Self::new(opts, labels)
    }
}

impl Make for IntCounter {
    const KIND: &'static str = "counter";

    fn make(opts: Opts, _: &[&str], _: &[f64]) -> prometheus::Result<Self> {
        Self::with_opts(opts)
    }
}

impl Make for IntCounterVec {
    const KIND: &'static str = "counter";

    fn make(opts: Opts, labels: &[&str], _: &[f64]) -> prometheus::Result<Self> {
        Self::new(opts, labels)
    }
}

impl Make for Histogram {
    const KIND: &'static str = "histogram";

    fn make(opts: Opts, _: &[&str], buckets: &[f64]) -> prometheus::Result<Self> {
        Self::with_opts(HistogramOpts::from(opts).buckets(buckets.to_vec()))
    }
}

/// Block times: from the shortest interval that can be set to a chain in trouble.
const INTERVALS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0];
/// Writes to disk: doubling from a millisecond.
const WRITES: &[f64] =
    &[0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048];

metrics! {
    /// Height of the newest committed block.
    head_height: IntGauge = "grid_node_head_height" [];
    /// Time of the newest committed block, milliseconds since 1970.
    head_time_ms: IntGauge = "grid_node_head_time_ms" [];
    /// Age of the newest committed block by this node's clock, seconds.
    head_age_seconds: IntGauge = "grid_node_head_age_seconds" [];
    /// 1 while the node is ready: consensus goes on and the node has caught up.
    ready: IntGauge = "grid_node_ready" [];
    /// Consensus peers that the node is connected to.
    peers: IntGauge = "grid_node_peers" [];
    /// Consensus peers that the configuration names.
    configured_peers: IntGauge = "grid_node_configured_peers" [];
    /// Round of the height that is being decided; above 0 a proposer did not make it.
    round: IntGauge = "grid_node_round" [];
    /// Validators of the next block.
    validators: IntGauge = "grid_node_validators" [];
    /// 1 while the validators of the next block include the node's key.
    in_validator_set: IntGauge = "grid_node_in_validator_set" [];
    /// Turns to propose a committed block that a validator let pass, since the start, by validator.
    missed_proposals_total: IntCounterVec = "grid_node_missed_proposals_total" ["validator"];
    /// Time between committed blocks by their headers, seconds.
    block_interval_seconds: Histogram = "grid_node_block_interval_seconds" [] buckets INTERVALS;
    /// Time to make a decided block durable, seconds.
    commit_seconds: Histogram = "grid_node_commit_seconds" [] buckets WRITES;
    /// Transactions in committed blocks since the start.
    transactions_total: IntCounter = "grid_node_transactions_total" [];
    /// Gas used by committed blocks since the start.
    gas_used_total: IntCounter = "grid_node_gas_used_total" [];
    /// Transactions waiting in the mempool.
    mempool_transactions: IntGauge = "grid_node_mempool_transactions" [];
    /// Bytes of the transactions waiting in the mempool.
    mempool_bytes: IntGauge = "grid_node_mempool_bytes" [];
    /// Transactions that the mempool refused since the start.
    mempool_refused_total: IntCounter = "grid_node_mempool_refused_total" [];
    /// Peers that transactions are exchanged with.
    gossip_peers: IntGauge = "grid_node_gossip_peers" [];
    /// Transactions from peers since the start, by outcome: accepted, refused, useless or invalid.
    gossip_received_total: IntCounterVec = "grid_node_gossip_received_total" ["outcome"];
    /// Peers dropped since the start, by reason: chain, silent, invalid or useless.
    gossip_dropped_total: IntCounterVec = "grid_node_gossip_dropped_total" ["reason"];
    /// Confirmed headers in the index, by chain.
    index_headers: IntGaugeVec = "grid_node_index_headers" ["chain"];
    /// Confirmed headers taken back by reorganisations since the start, by chain.
    index_reverted_total: IntCounterVec = "grid_node_index_reverted_total" ["chain"];
    /// Headers that the light client holds, all branches, by chain.
    light_client_headers: IntGaugeVec = "grid_light_client_headers" ["chain"];
    /// Bytes that the light client's headers take in the state, by chain.
    light_client_bytes: IntGaugeVec = "grid_light_client_bytes" ["chain"];
    /// Size of the database file, bytes.
    store_bytes: IntGauge = "grid_node_store_bytes" [];
    /// Certificates that this validator has shown the chain since the start, to have signers counted.
    attendance_sent_total: IntCounter = "grid_node_attendance_sent_total" [];
    /// Evidence against validators that this validator has sent since the start.
    evidence_sent_total: IntCounter = "grid_node_evidence_sent_total" [];
    /// Evidence against validators that the chain does not know yet.
    evidence_waiting: IntGauge = "grid_node_evidence_waiting" [];
    /// Transactions of a validator's duties that its account could not pay since the start.
    duties_unpaid_total: IntCounter = "grid_node_duties_unpaid_total" [];
    /// Answered JSON-RPC calls since the start, in-process calls included.
    rpc_calls_total: IntCounter = "grid_node_rpc_calls_total" [];
}

/// A number as a gauge's value.
pub(crate) fn gauge(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_exported_at_once_as_the_table_says() {
        let registry = Registry::new();
        let metrics = NodeMetrics::register(&registry).unwrap();
        for gauge in
            [&metrics.index_headers, &metrics.light_client_headers, &metrics.light_client_bytes]
        {
            gauge.with_label_values(&["eip155:1"]);
        }
        metrics.index_reverted_total.with_label_values(&["eip155:1"]);
        metrics.missed_proposals_total.with_label_values(&["0x01"]);
        metrics.gossip_received_total.with_label_values(&["accepted"]);
        metrics.gossip_dropped_total.with_label_values(&["silent"]);
        let families = registry.gather();
        assert_eq!(families.len(), NodeMetrics::TABLE.len());
        for MetricInfo { name, kind, labels, help } in NodeMetrics::TABLE {
            let family = families.iter().find(|family| family.name() == *name).unwrap();
            assert_eq!(family.help(), help.trim());
            assert_eq!(format!("{:?}", family.get_field_type()).to_lowercase(), *kind, "{name}");
            let shown: Vec<_> =
                family.get_metric()[0].get_label().iter().map(|l| l.name()).collect();
            assert_eq!(shown, *labels, "{name}");
        }
        assert!(NodeMetrics::register(&registry).is_err());
    }

    #[test]
    fn histograms_have_their_own_buckets() {
        let registry = Registry::new();
        NodeMetrics::register(&registry).unwrap();
        let bounds = |name: &str| -> Vec<f64> {
            let families = registry.gather();
            let family = families.iter().find(|family| family.name() == name).unwrap();
            let histogram = family.get_metric()[0].get_histogram().clone();
            histogram.get_bucket().iter().map(|bucket| bucket.upper_bound()).collect()
        };
        assert!(bounds("grid_node_commit_seconds").starts_with(WRITES));
        assert!(bounds("grid_node_block_interval_seconds").starts_with(INTERVALS));
    }
}
