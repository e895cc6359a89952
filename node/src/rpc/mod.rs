//! JSON-RPC: what Ethereum's tools ask of a chain (`eth_*`, `net_*`, `web3_*`) and what Grid adds
//! (`grid_*`).
//!
//! One module of methods serves HTTP, WebSocket and callers in the same process. Only the newest state is
//! kept: reads of accounts and calls answer for the newest block alone. Every block here is final, so
//! `latest`, `safe`, `finalized` and `pending` name the same block.

mod accounts;
mod args;
mod blocks;
mod budget;
mod calls;
mod context;
mod error;
mod fees;
mod filters;
mod grid;
mod light;
mod logs;
mod method;
mod net;
mod node;
mod openrpc;
mod origin;
mod prove;
mod raw_blocks;
mod registry;
mod server;
mod subscribe;
mod transactions;
mod txpool;

use std::sync::Arc;

pub use args::MAX_PARAMS_BYTES;
use context::Context;
pub use error::RpcError;
pub use fees::MAX_FEE_HISTORY;
pub use light::MAX_HAND_OVER;
pub use logs::{MAX_LOG_BLOCKS, MAX_LOGS};
use method::{Method, optional, required};
pub use raw_blocks::MAX_RAW_BLOCKS;
use registry::Methods;
pub(crate) use server::{RpcServer, bind};

use crate::{RpcLimits, chain::GridChain, health::Health};

/// The finished methods: cheap to clone, served and called in-process.
pub(crate) type Module = jsonrpsee::Methods;

/// All methods, with a budget of their own.
pub(crate) fn module(chain: Arc<GridChain>, health: Arc<Health>, limits: &RpcLimits) -> Module {
    let mut methods = Methods::new(Context::new(chain, health, limits));
    net::register(&mut methods);
    blocks::register(&mut methods);
    transactions::register(&mut methods);
    accounts::register(&mut methods);
    calls::register(&mut methods);
    fees::register(&mut methods);
    logs::register(&mut methods);
    filters::register(&mut methods);
    txpool::register(&mut methods);
    grid::register(&mut methods);
    light::register(&mut methods);
    node::register(&mut methods);
    prove::register(&mut methods);
    raw_blocks::register(&mut methods);
    methods.finish()
}
