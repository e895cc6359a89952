//! How a metric of each type is made.

use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

/// Makes a metric with or without labels.
pub(super) trait Make: Sized {
    /// Prometheus' word for the type.
    const KIND: &'static str;

    fn make(opts: Opts, labels: &[&str], buckets: &[f64]) -> Result<Self, prometheus::Error>;
}

impl Make for IntGauge {
    const KIND: &'static str = "gauge";

    fn make(opts: Opts, _: &[&str], _: &[f64]) -> Result<Self, prometheus::Error> {
        Self::with_opts(opts)
    }
}

impl Make for IntGaugeVec {
    const KIND: &'static str = "gauge";

    fn make(opts: Opts, labels: &[&str], _: &[f64]) -> Result<Self, prometheus::Error> {
        Self::new(opts, labels)
    }
}

impl Make for Gauge {
    const KIND: &'static str = "gauge";

    fn make(opts: Opts, _: &[&str], _: &[f64]) -> Result<Self, prometheus::Error> {
        Self::with_opts(opts)
    }
}

impl Make for GaugeVec {
    const KIND: &'static str = "gauge";

    fn make(opts: Opts, labels: &[&str], _: &[f64]) -> Result<Self, prometheus::Error> {
        Self::new(opts, labels)
    }
}

impl Make for IntCounterVec {
    const KIND: &'static str = "counter";

    fn make(opts: Opts, labels: &[&str], _: &[f64]) -> Result<Self, prometheus::Error> {
        Self::new(opts, labels)
    }
}

impl Make for HistogramVec {
    const KIND: &'static str = "histogram";

    fn make(opts: Opts, labels: &[&str], buckets: &[f64]) -> Result<Self, prometheus::Error> {
        Self::new(HistogramOpts::from(opts).buckets(buckets.to_vec()), labels)
    }
}
