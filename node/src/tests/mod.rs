//! A whole node: real engine, real database, real sockets.

mod audit;
mod index;
mod kill;
mod lifecycle;
mod openrpc;
mod rpc;
mod rpc_flood;
mod rpc_web;
mod skew;
mod staking;
pub(crate) mod support;
