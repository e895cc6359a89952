//! A Grid chain: execution, block store, mempool, JSON-RPC, supervision.
//!
//! [`Node::start`] opens the [`store`], puts a [`chain`] over it, runs the consensus engine on that chain and
//! serves JSON-RPC. All rules about what is valid live in grid-core; this crate keeps its results, feeds it
//! transactions and time, and answers questions.
//!
//! Invariants: a decided block is one durable transaction; a node whose engine failed stops with an
//! error and never lives on dead; every input is bounded.

pub mod chain;
mod clock;
mod config;
mod duties;
mod error;
pub mod gossip;
mod health;
mod http;
pub mod mempool;
mod metrics;
mod node;
pub mod rpc;
pub mod store;
mod tasks;

pub use clock::Clock;
pub use config::{NodeConfig, RpcLimits};
pub use error::NodeError;
pub use gossip::GossipConfig;
pub use grid_consensus::{Net, Role};
pub use metrics::{MetricInfo, NodeMetrics};
pub use node::{Caller, Node, NodeHandle, peer_id};
pub use rpc::RpcError;

#[cfg(test)]
mod tests;
