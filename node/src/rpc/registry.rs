//! The methods under construction.

use std::sync::Arc;

use jsonrpsee::RpcModule;
use serde::Serialize;

use super::{Module, RpcError, args::Args, context::Context, method::Method, openrpc, subscribe};

/// A module under construction, with the description of all its methods.
pub(super) struct Methods {
    module: RpcModule<Context>,
    described: Vec<Method>,
}

impl Methods {
    pub(super) fn new(context: Context) -> Self {
        Self { module: RpcModule::new(context), described: Vec::new() }
    }

    /// Adds a method. It runs on a blocking thread when its lane has one.
    pub(super) fn add<R, F>(&mut self, method: Method, body: F)
    where
        R: Serialize + Clone + Send + 'static,
        F: Fn(&Context, &mut Args) -> Result<R, RpcError> + Copy + Send + Sync + 'static,
    {
        let (name, params, lane) = (method.name, method.params.clone(), method.lane);
        let added = self.module.register_async_method(name, move |given, context, _| {
            let (working, params) = (context.clone(), params.clone());
            let work = move |deadline| body(&working, &mut Args::parse(&given, params, deadline)?);
            async move {
                context.chain.metrics().rpc_calls_total.inc();
                context.budget.run(lane, work).await.inspect_err(|error| {
                    tracing::debug!(method = name, code = error.code, %error, "call refused");
                })
            }
        });
        // Names are constants of this crate; a test lists them all.
        debug_assert!(added.is_ok(), "method {name} is registered twice");
        self.described.push(method);
    }

    /// Adds what is not a plain call: subscriptions and the document of all methods.
    pub(super) fn finish(self) -> Module {
        let Self { mut module, mut described } = self;
        described.extend(subscribe::register(&mut module));
        described.push(openrpc::discover());
        let document = Arc::new(openrpc::document(&described));
        let added = module.register_method(openrpc::DISCOVER, move |_, context, _| {
            context.chain.metrics().rpc_calls_total.inc();
            Ok::<_, RpcError>(document.clone())
        });
        debug_assert!(added.is_ok(), "{} is registered twice", openrpc::DISCOVER);
        module.into()
    }
}
