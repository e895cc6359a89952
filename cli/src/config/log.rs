//! `[log]`: what the daemon says of itself.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use super::check::Faults;

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSection {
    /// A `tracing` filter such as `info` or `info,grid_relayer=debug`.
    pub(crate) filter: String,
    /// One JSON object a line instead of text.
    pub(crate) json: bool,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            filter: "info,arc_malachitebft=warn,arc_malachitebft_engine::node=error,arc_malachitebft_network=off,libp2p=warn"
                .into(),
            json: false,
        }
    }
}

impl LogSection {
    /// What types alone cannot say.
    pub(super) fn check(&self, faults: &mut Faults<'_>) {
        if let Err(error) = EnvFilter::try_new(&self.filter) {
            faults.note("filter", format!("{:?} is no filter: {error}", self.filter));
        }
    }
}
