//! The daemon's configuration: one TOML file, every value with its default declared here.
//!
//! Reading collects **all** faults and names each by its path, so that an operator fixes a file in one
//! go. `GRID_NODE_<KEY>`, `GRID_RELAYER_<KEY>` and `GRID_LOG_<KEY>` override the file.

mod error;
mod load;
mod node;
mod sections;

pub(crate) use error::{ConfigError, Fault};
pub(crate) use load::{faults, load};
pub(crate) use node::{NodeRole, NodeSection, P2pSection};
pub(crate) use sections::{
    AttesterSection, BeaconSection, ChainKind, ChainSection, Config, SourceSection,
};

#[cfg(test)]
mod tests;
