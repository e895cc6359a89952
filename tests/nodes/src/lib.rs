//! Starts, controls and reliably stops the real nodes that development and tests run against:
//! Bitcoin Core on regtest, anvil, the `grid` daemon, PostgreSQL and Prometheus; and stands in between: an Esplora
//! server and a lying proxy over a real Bitcoin node, and a simulated beacon chain over a real anvil.
//!
//! What every node here guarantees:
//! - **Ready or an error.** `start` returns once the node answers, or fails after a deadline with
//!   the last lines of the node's own log in the error.
//! - **No orphan.** A node is killed when its value is dropped, and by the kernel when the process
//!   that started it dies in whatever way (see [`process`]).
//! - **Nothing shared.** Each node has its own free ports and its own data folder, so that tests run
//!   side by side; a folder given by the caller is kept, so that a node can be started on it again.
//!
//! The programs themselves are set up by `scripts/setup-nodes`; [`programs`] finds them.

pub mod anvil;
pub mod beacon;
pub mod bitcoind;
pub mod cluster;
pub mod disk;
pub mod error;
pub mod esplora;
pub mod folder;
pub mod grid;
pub mod liar;
pub mod mailbox;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod programs;
pub mod prometheus;
pub mod proxy;
pub mod rpc;
mod serve;
pub mod token;
pub mod wait;
pub mod web3;

pub use anvil::{Anvil, AnvilConfig};
pub use beacon::{BeaconConfig, BeaconSim};
pub use bitcoind::{Bitcoind, BitcoindConfig};
pub use cluster::{Cluster, ClusterConfig};
pub use disk::Disk;
pub use error::NodeError;
pub use esplora::Esplora;
pub use grid::{Grid, GridConfig};
pub use liar::{Liar, Lie};
pub use mailbox::{Mailbox, Outgoing};
pub use postgres::{Postgres, PostgresConfig};
pub use proxy::Proxy;
pub use token::Token;
pub use wait::wait_for;
