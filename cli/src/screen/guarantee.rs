//! What the main chain's guarantee holds, where it has one.

use alloy_primitives::U256;
use alloy_sol_types::SolCall as _;
use grid_adapters::{AdapterError, RpcError};
use grid_core::modules::abi::{GUARANTEE, Guarantee as Contract};

use crate::main_chain::GridRpc;

/// The pool behind guarantees. Amounts are in the smallest unit of GRID.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Guarantee {
    /// Nobody has answered yet.
    #[default]
    Unknown,
    /// The main chain has none.
    None,
    /// It has one.
    Pool {
        /// What new guarantees can take.
        free: U256,
        /// What open ones hold.
        locked: U256,
        /// What open ones pay at most.
        cover: U256,
    },
}

/// Asks the main chain.
pub(super) async fn ask(rpc: &GridRpc) -> Guarantee {
    let input = Contract::poolCall {}.abi_encode().into();
    match rpc.call(GUARANTEE, &input).await {
        Ok(answer) => read(&answer),
        Err(error) if refused(&error) => Guarantee::None,
        Err(_) => Guarantee::Unknown,
    }
}

/// An account without code answers nothing.
pub(super) fn read(answer: &[u8]) -> Guarantee {
    match Contract::poolCall::abi_decode_returns(answer) {
        Ok(pool) => Guarantee::Pool { free: pool.free, locked: pool.locked, cover: pool.cover },
        Err(_) => Guarantee::None,
    }
}

/// Whether a node answered, and had nothing to answer.
fn refused(error: &eyre::Report) -> bool {
    error.chain().any(|cause| {
        let of_pool = cause.downcast_ref::<AdapterError>();
        matches!(of_pool, Some(AdapterError::Rpc(RpcError::Server { .. })))
            || matches!(cause.downcast_ref::<RpcError>(), Some(RpcError::Server { .. }))
    })
}
