//! JSON-RPC: what Ethereum's tools ask of a chain (`eth_*`, `net_*`, `web3_*`) and what Grid adds
//! (`grid_*`).
//!
//! One module of methods serves HTTP, WebSocket and callers in the same process. Only the newest state is
//! kept: reads of accounts and calls answer for the newest block alone. Every block here is final, so
//! `latest`, `safe`, `finalized` and `pending` name the same block.

mod accounts;
mod args;
mod blocks;
mod calls;
mod context;
mod error;
mod fees;
mod grid;
mod light;
mod logs;
mod net;
mod node;
mod prove;
mod raw_blocks;
mod server;
mod subscribe;
mod transactions;

use std::sync::Arc;

use jsonrpsee::RpcModule;
use serde::Serialize;

use args::Args;
pub use args::MAX_PARAMS_BYTES;
use context::Context;
pub use error::RpcError;
pub use fees::MAX_FEE_HISTORY;
pub use light::MAX_HAND_OVER;
pub use logs::{MAX_LOG_BLOCKS, MAX_LOGS};
pub use raw_blocks::MAX_RAW_BLOCKS;
pub(crate) use server::{RpcServer, bind};

use crate::{chain::GridChain, health::Health};

/// The finished methods: cheap to clone, served and called in-process.
pub(crate) type Module = jsonrpsee::Methods;

/// All methods.
pub(crate) fn module(chain: Arc<GridChain>, health: Arc<Health>) -> Module {
    let mut methods = Methods(RpcModule::new(Context { chain, health }));
    net::register(&mut methods);
    blocks::register(&mut methods);
    transactions::register(&mut methods);
    accounts::register(&mut methods);
    calls::register(&mut methods);
    fees::register(&mut methods);
    logs::register(&mut methods);
    grid::register(&mut methods);
    light::register(&mut methods);
    node::register(&mut methods);
    prove::register(&mut methods);
    raw_blocks::register(&mut methods);
    subscribe::register(&mut methods.0);
    methods.0.into()
}

/// A module under construction.
struct Methods(RpcModule<Context>);

impl Methods {
    /// Adds a method that takes at most `most` positional parameters. It may read the database, so it
    /// runs on a blocking thread.
    fn add<R, F>(&mut self, name: &'static str, most: usize, method: F)
    where
        R: Serialize + Clone + Send + 'static,
        F: Fn(&Context, &mut Args) -> Result<R, RpcError> + Copy + Send + Sync + 'static,
    {
        let added = self.0.register_blocking_method(name, move |params, context, _| {
            context.chain.metrics().rpc_calls_total.inc();
            let mut args = Args::parse(&params, most)?;
            method(&context, &mut args).inspect_err(|error| {
                tracing::debug!(method = name, code = error.code, %error, "call refused");
            })
        });
        // Names are constants of this crate; a test lists them all.
        debug_assert!(added.is_ok(), "method {name} is registered twice");
    }
}
