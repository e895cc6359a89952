//! The daemon's configuration: one TOML file, every value with its default declared here.
//!
//! Reading collects **all** faults and names each by its path, so that an operator fixes a file in one
//! go. `GRID_NODE_<KEY>`, `GRID_RELAYER_<KEY>` and `GRID_LOG_<KEY>` override the file, and `--set` overrides
//! both.

mod admin;
mod beacon;
mod chain;
mod check;
mod error;
mod load;
mod log;
mod messages;
mod node;
mod origin;
mod path;
mod pool;
mod relayer;
mod secret;
mod source;
mod words;

pub(crate) use admin::AdminSection;
pub(crate) use beacon::BeaconSection;
pub(crate) use chain::{AttesterSection, ChainKind, ChainSection};
pub(crate) use check::faults;
pub(crate) use error::{ConfigError, Fault};
pub(crate) use load::{Loaded, Overrides, load};
pub(crate) use messages::MessagesSection;
pub(crate) use node::{NodeRole, NodeSection, P2pSection};
pub(crate) use origin::{Origin, Origins};
pub(crate) use path::leaves;
pub(crate) use pool::{Addresses, PoolSection};
pub(crate) use relayer::{ADMIN_TOKEN, RelayerSection};
pub(crate) use secret::{masked, masked_value};
pub(crate) use source::SourceSection;

use serde::{Deserialize, Serialize};

use self::log::LogSection;

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The Grid chain.
    pub(crate) node: NodeSection,
    /// The relayer daemon.
    pub(crate) relayer: RelayerSection,
    /// Logging.
    pub(crate) log: LogSection,
    /// The foreign chains to follow.
    #[serde(rename = "chain", skip_serializing_if = "Vec::is_empty")]
    pub(crate) chains: Vec<ChainSection>,
}

#[cfg(test)]
mod tests;
