//! A whole node: real engine, real database, real sockets.

mod audit;
mod index;
mod kill;
mod lifecycle;
mod rpc;
mod staking;
pub(crate) mod support;
