//! Ethereum's finality, proven by its sync committees: nobody is trusted but the first block.
//!
//! [`LightSource`] runs the light client of [`grid_core::ethereum::sync`] over several beacon nodes and
//! reads headers from several execution nodes. A beacon node can withhold, an execution node can lag;
//! neither can make the source name a block final that no committee signed, or hand out a header that is
//! not that block's ancestor.
//!
//! * Beacon nodes are asked over their REST API, in SSZ or JSON. Before the first update a node's genesis
//!   and configuration are compared with ours. Each answer is verified; what does not verify costs the
//!   node its standing, and the next one is asked. The newest finality that any of them proves counts.
//! * Execution headers are fetched by hash or linked by hash down from a final block.
//! * Optionally, the proven block must also be what several execution nodes call finalized.
//! * What was verified is kept in a file and verified again when it is read. What is too old to be safe is
//!   refused: at the start, after a restart, and after a sleep.

mod api;
pub mod checkpoint;
mod error;
mod events;
mod execution;
mod follow;
mod history;
mod network;
mod nodes;
mod source;
mod store;
mod wire;

pub use checkpoint::{Checkpoint, newest_checkpoint};
pub use error::BeaconError;
pub use source::{LightConfig, LightSource, LightStatus};
pub use store::{Kept, StoreFile};
