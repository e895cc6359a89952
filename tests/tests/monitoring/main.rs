//! Code, documentation, alert rules, dashboards and containers tell the same story.
//!
//! Nothing here needs a network or a program. That the rules do what they say is tested by `promtool test rules`, that the panels have data by the
//! end-to-end test of the metrics.

mod alerts;
mod compose;
mod dashboards;
mod documentation;
mod files;
mod metrics;
mod promql;
