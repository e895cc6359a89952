//! Calls that change nothing.

use alloy_eips::BlockId;
use alloy_primitives::TxKind;
use alloy_rpc_types_eth::TransactionRequest;
use grid_core::transition::{self, CallContext, CallOutcome};
use serde_json::Value;

use super::{
    Methods, RpcError,
    args::{Args, quantity},
    context::{Context, header, newest},
};

pub(super) fn register(methods: &mut Methods) {
    methods.add("eth_call", 3, |context, args| {
        let (outcome, _) = call(context, args)?;
        Ok(outcome.output)
    });
    methods.add("eth_estimateGas", 3, |context, args| {
        let (outcome, gas_limit) = call(context, args)?;
        // Gas is a fixed schedule, but what a call has to do may grow until its block: other
        // submissions come first, a tree gains a level.
        let plain = outcome.logs.is_empty() && outcome.output.is_empty();
        let margin = if plain { 0 } else { outcome.gas_used / 8 };
        Ok(quantity(outcome.gas_used.saturating_add(margin).min(gas_limit)))
    });
    methods.add("eth_createAccessList", 2, |context, args| {
        let (outcome, _) = call(context, args)?;
        Ok(serde_json::json!({
            "accessList": Value::Array(Vec::new()),
            "gasUsed": quantity(outcome.gas_used),
        }))
    });
}

/// Executes a call on the newest state and returns the block gas limit with its outcome.
fn call(context: &Context, args: &mut Args) -> Result<(CallOutcome, u64), RpcError> {
    let request = args.required::<TransactionRequest>("call")?;
    let block = args.optional::<BlockId>("block")?;
    if let Some(overrides) = args.optional::<Value>("overrides")?
        && overrides.as_object().is_none_or(|map| !map.is_empty())
    {
        return Err(RpcError::params("state overrides are not supported"));
    }
    let view = context.view()?;
    newest(&view, block)?;
    let (header, _) = header(&view, view.height())?;
    let call = to_call(context, request)?;
    let outcome = transition::call(&view, &call, &header)
        .map_err(|error| RpcError::refused(error.to_string()))?;
    match &outcome.reverted {
        Some(reason) => Err(RpcError::reverted(reason, &outcome.output)),
        None => Ok((outcome, header.gas_limit)),
    }
}

fn to_call(context: &Context, request: TransactionRequest) -> Result<CallContext, RpcError> {
    if let Some(other) = request.chain_id.filter(|id| *id != context.chain.id()) {
        return Err(RpcError::params(format!(
            "call is for chain {other}, this is chain {}",
            context.chain.id()
        )));
    }
    let (input, data) = (request.input.input, request.input.data);
    if let (Some(input), Some(data)) = (&input, &data)
        && input != data
    {
        return Err(RpcError::params("call has both input and data, and they differ"));
    }
    let to = match request.to {
        Some(TxKind::Call(to)) => Some(to),
        Some(TxKind::Create) | None => None,
    };
    Ok(CallContext {
        from: request.from.unwrap_or_default(),
        to,
        value: request.value.unwrap_or_default(),
        input: input.or(data).unwrap_or_default(),
        gas: request.gas,
    })
}
