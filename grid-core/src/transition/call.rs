//! Executing a message without keeping anything: `eth_call` and `eth_estimateGas`.

use alloy_consensus::Header;

use super::{
    CallContext, CallOutcome, TransitionError,
    check::{TRANSACTION_GAS, input_gas},
    execute::{Message, execute_message},
};
use crate::{
    grid::Extension,
    modules::{BlockEnv, Clients},
    state::{Overlay, StateRead, system},
};

/// Executes a message as the first one of the block after `header`, one millisecond later, on the state that
/// `header` left. No fee is taken and no nonce used; value must be covered by the caller's balance.
///
/// # Errors
/// [`TransitionError::Storage`] where the state cannot be read, [`TransitionError::Extension`] where the header is not a
/// Grid header. A refused message is an [outcome](CallOutcome::reverted), not an error.
pub fn call(
    state: &dyn StateRead,
    context: &CallContext,
    header: &Header,
) -> Result<CallOutcome, TransitionError> {
    let extension = Extension::of(header).map_err(|error| TransitionError::Extension {
        which: "parent",
        reason: error.to_string(),
    })?;
    let constants = system::Constants::read(state)?;
    let gas_limit = context.gas.unwrap_or(u64::MAX).min(header.gas_limit);
    let intrinsic = TRANSACTION_GAS.saturating_add(input_gas(&context.input));
    let refuse = |reason: String| CallOutcome {
        output: Default::default(),
        gas_used: gas_limit,
        logs: Vec::new(),
        reverted: Some(reason),
    };
    let Some(to) = context.to else {
        return Ok(refuse("contract creation is not supported".into()));
    };
    let Some(gas) = gas_limit.checked_sub(intrinsic) else {
        return Ok(refuse(format!("out of gas: the call itself needs {intrinsic}")));
    };
    let parent_hash = header.hash_slow();
    let block = BlockEnv {
        height: header.number.saturating_add(1),
        time_ms: extension.timeMs.saturating_add(1),
        chain_id: constants.chain_id,
        governor: constants.governor,
    };
    let mut overlay = Overlay::new(state);
    system::store_block_hash(&mut overlay, header.number, parent_hash);
    let message =
        Message { from: context.from, to, value: context.value, input: &context.input, gas };
    let outcome = execute_message(&mut overlay, &mut Clients::default(), block, &message)?;
    Ok(CallOutcome {
        output: outcome.output,
        gas_used: intrinsic.saturating_add(outcome.gas_used),
        logs: outcome.logs,
        reverted: outcome.failure.map(|failure| failure.reason()),
    })
}
