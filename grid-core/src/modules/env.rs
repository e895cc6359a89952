//! What a call to a system contract sees and may change.

use alloy_primitives::{Address, Log, U256};
use alloy_sol_types::SolEvent;

use super::{Clients, Gas};
use crate::{
    state::{Overlay, StorageError},
    transition::IndexEvent,
};

/// The block that is being executed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockEnv {
    /// Its height.
    pub(crate) height: u64,
    /// Its time, milliseconds since 1970.
    pub(crate) time_ms: u64,
    /// The chain's EIP-155 id.
    pub(crate) chain_id: u64,
    /// The chain's governor.
    pub(crate) governor: Address,
}

/// One call, or the chain's own work at a block's start.
#[derive(Debug)]
pub(crate) struct Env<'a, 'o> {
    pub(crate) overlay: &'o mut Overlay<'a>,
    pub(crate) clients: &'o mut Clients,
    pub(crate) block: BlockEnv,
    pub(crate) caller: Address,
    pub(crate) value: U256,
    pub(crate) gas: Gas,
    pub(crate) logs: Vec<Log>,
    pub(crate) events: Vec<IndexEvent>,
}

impl Env<'_, '_> {
    /// Emits an event as a receipt log.
    pub(crate) fn log(&mut self, address: Address, event: &impl SolEvent) {
        self.logs.push(Log { address, data: event.encode_log_data() });
    }

    /// Refuses GRID sent to a function that does not take any.
    pub(crate) fn not_payable(&self) -> Result<(), CallError> {
        if self.value.is_zero() {
            Ok(())
        } else {
            Err(CallError::revert("system contracts take no value"))
        }
    }
}

/// Why a call had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallError {
    /// Refused, with the reason for the caller.
    Revert(String),
    /// A submission without news: refused, and not worth a place in a block.
    AlreadyKnown,
    /// The gas limit was too low.
    OutOfGas,
    /// No verdict: the block cannot be executed.
    Storage(StorageError),
}

impl CallError {
    /// Refuses with a reason.
    pub(crate) fn revert(reason: impl Into<String>) -> Self {
        Self::Revert(reason.into())
    }
}

impl From<StorageError> for CallError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}
