//! Calls that change nothing.

use alloy_eips::BlockId;
use alloy_primitives::{TxKind, U256};
use alloy_rpc_types_eth::TransactionRequest;
use grid_core::{
    state::Account,
    transition::{self, CallContext, CallOutcome, next_base_fee},
};
use serde_json::Value;

use super::{
    Method, Methods, RpcError,
    args::{Args, quantity},
    context::{Context, header, newest},
    error,
    method::Param,
    optional, required,
};
use crate::store::View;

const PARAMS: &[Param] = &[
    required("call", "TransactionRequest"),
    optional("block", "BlockId"),
    optional("overrides", "NoOverrides"),
];

pub(super) fn register(methods: &mut Methods) {
    let errors = [error::NOT_FOUND, error::REFUSED, error::REVERTED];
    let add = |name, result, summary| {
        Method::new(name, PARAMS, result, summary)
            .heavy()
            .fails(&errors)
            .limits("the gas limit of a block; state overrides are not supported")
    };
    let summary = "Executes a call on the newest state without changing it. A revert carries its return data, Error(string).";
    methods.add(add("eth_call", "Bytes", summary), |context, args| {
        Ok(call(context, args)?.outcome.output)
    });
    let summary = "A gas limit with which the transaction would succeed on the newest state. Only a plain transfer costs exactly this.";
    methods.add(add("eth_estimateGas", "Quantity", summary), estimate);
    let summary = "An empty access list, which has no use here, and the gas that the call used.";
    methods.add(add("eth_createAccessList", "AccessListAnswer", summary), |context, args| {
        Ok(serde_json::json!({
            "accessList": Value::Array(Vec::new()),
            "gasUsed": quantity(call(context, args)?.outcome.gas_used),
        }))
    });
}

/// A call that succeeded.
struct Called {
    outcome: CallOutcome,
    /// The most gas that it may take.
    allowed: u64,
}

fn estimate(context: &Context, args: &mut Args) -> Result<alloy_primitives::U64, RpcError> {
    let Called { outcome, allowed } = call(context, args)?;
    // Gas is a fixed schedule, but what a call has to do may grow until its block: other submissions
    // come first, a tree gains a level.
    let plain = outcome.logs.is_empty() && outcome.output.is_empty();
    let margin = if plain { 0 } else { outcome.gas_used / 8 };
    Ok(quantity(outcome.gas_used.saturating_add(margin).min(allowed)))
}

/// Executes a call on the newest state.
fn call(context: &Context, args: &mut Args) -> Result<Called, RpcError> {
    let request = args.required::<TransactionRequest>()?;
    let block = args.optional::<BlockId>()?;
    if let Some(overrides) = args.optional::<Value>()?
        && overrides.as_object().is_none_or(|map| !map.is_empty())
    {
        return Err(RpcError::params("state overrides are not supported"));
    }
    let view = context.view()?;
    newest(&view, block)?;
    let (header, _) = header(&view, view.height())?;
    let fee_cap = fee_cap(&request, next_base_fee(&header))?;
    let call = to_call(context, request)?;
    let affordable = affordable_gas(&view, &call, fee_cap)?;
    let wanted = call.gas.unwrap_or(header.gas_limit).min(header.gas_limit);
    let allowed = wanted.min(affordable);
    let call = CallContext { gas: Some(allowed), ..call };
    let outcome = transition::call(&view, &call, &header)
        .map_err(|error| RpcError::refused(error.to_string()))?;
    match &outcome.reverted {
        None => Ok(Called { outcome, allowed }),
        // A revert has return data; anything else was no execution, or ran out of gas.
        Some(reason) if !outcome.output.is_empty() => {
            Err(RpcError::reverted(reason, &outcome.output))
        }
        Some(reason) if affordable < wanted => Err(RpcError::refused(format!(
            "insufficient funds: the account pays for {affordable} gas at {fee_cap} each beside the value; {reason}"
        ))),
        Some(reason) => Err(RpcError::refused(reason.clone())),
    }
}

/// What a unit of gas may cost; zero where the request names no price. The words are those that wallets
/// look for.
fn fee_cap(request: &TransactionRequest, base_fee: u64) -> Result<u128, RpcError> {
    let cap = match (request.gas_price, request.max_fee_per_gas) {
        (Some(_), Some(_)) => {
            return Err(RpcError::params("both gasPrice and maxFeePerGas are given"));
        }
        (price, cap) => price.or(cap).unwrap_or(0),
    };
    let tip = request.max_priority_fee_per_gas.unwrap_or(0);
    if request.max_fee_per_gas.is_some_and(|cap| cap > 0 && tip > cap) {
        return Err(RpcError::refused(format!(
            "max priority fee per gas higher than max fee per gas: {tip} is above {cap}"
        )));
    }
    if cap > 0 && cap < u128::from(base_fee) {
        return Err(RpcError::refused(format!(
            "max fee per gas less than block base fee: {cap} is below {base_fee}"
        )));
    }
    Ok(cap)
}

/// The gas that the caller can pay for beside the value; without a price, any.
fn affordable_gas(view: &View, call: &CallContext, fee_cap: u128) -> Result<u64, RpcError> {
    if fee_cap == 0 && call.value.is_zero() {
        return Ok(u64::MAX);
    }
    let balance = Account::read(view, &call.from)?.balance;
    let Some(rest) = balance.checked_sub(call.value) else {
        return Err(RpcError::refused(format!(
            "insufficient funds for transfer: {} has {balance}, the value is {}",
            call.from, call.value
        )));
    };
    let gas = rest.checked_div(U256::from(fee_cap)).unwrap_or(U256::MAX);
    Ok(u64::try_from(gas).unwrap_or(u64::MAX))
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
