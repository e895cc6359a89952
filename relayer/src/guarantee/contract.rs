//! The guarantee contract, as the relayer asks it.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolCall;
use grid_core::{
    ChainKey,
    guarantee::{GuaranteeParams, Status},
    modules::abi::{GUARANTEE, Guarantee},
};

use crate::main_chain::{MainChain, MainError};

/// JSON-RPC method of every question.
const METHOD: &str = "eth_call";

/// What the main chain's guarantee contract answers.
pub(super) struct Contract<'a>(pub(super) &'a dyn MainChain);

/// What does not change of an open guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) id: B256,
    /// Internal byte order, as the block's hash.
    pub(super) txid: B256,
    pub(super) block: B256,
    pub(super) height: u64,
    pub(super) deadline: u64,
    /// Smallest unit of GRID.
    pub(super) cover: U256,
}

/// GRID in the pool, smallest unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) free: U256,
    pub(super) locked: U256,
    /// Part of what is locked; the rest are premiums that are not earned yet.
    pub(super) cover: U256,
    /// All that was ever paid to beneficiaries.
    pub(super) paid: U256,
}

impl Pool {
    /// What all shares are worth.
    pub(super) fn value(&self) -> U256 {
        self.free.saturating_add(self.cover)
    }
}

impl Contract<'_> {
    /// The rules; `None` on a main chain without guarantees.
    pub(super) async fn params(&self) -> Result<Option<GuaranteeParams>, MainError> {
        let Some(json) = self.read(&Guarantee::paramsCall {}).await? else { return Ok(None) };
        let params = serde_json::from_slice(&json).map_err(|error| bad(&error));
        params.map(Some)
    }

    pub(super) async fn pool(&self) -> Result<Pool, MainError> {
        let pool = self.must(&Guarantee::poolCall {}).await?;
        let totals = self.must(&Guarantee::totalsCall {}).await?;
        let Guarantee::poolReturn { free, locked, cover, .. } = pool;
        Ok(Pool { free, locked, cover, paid: totals.paid })
    }

    /// The ids of a chain's open guarantees.
    pub(super) async fn open_of(&self, chain: ChainKey) -> Result<Vec<B256>, MainError> {
        Ok(self.must(&Guarantee::openOfCall { chain: chain.0 }).await?.ids)
    }

    pub(super) async fn open(&self, id: B256) -> Result<Open, MainError> {
        let found = self.must(&Guarantee::guaranteeOfCall { id }).await?;
        Ok(Open {
            id,
            txid: found.txid,
            block: found.blockHash,
            height: found.height,
            deadline: found.deadline,
            cover: found.cover,
        })
    }

    /// Whether a guarantee has ended: one that is not looked at here may be open.
    pub(super) async fn has_ended(&self, id: B256) -> Result<bool, MainError> {
        let status = self.must(&Guarantee::guaranteeOfCall { id }).await?.status;
        Ok(Status::from_code(status.into()).is_none_or(|status| status != Status::Guaranteed))
    }

    /// Whether the contract would take a call now.
    pub(super) async fn takes(&self, input: &Bytes) -> Result<bool, MainError> {
        Ok(self.0.call(&Address::ZERO, &GUARANTEE, input).await?.is_ok())
    }

    async fn read<C: SolCall>(&self, call: &C) -> Result<Option<C::Return>, MainError> {
        match self.0.call(&Address::ZERO, &GUARANTEE, &call.abi_encode().into()).await? {
            Ok(bytes) => C::abi_decode_returns(&bytes).map(Some).map_err(|error| bad(&error)),
            Err(_refused) => Ok(None),
        }
    }

    /// A view that always answers where there are guarantees.
    async fn must<C: SolCall>(&self, call: &C) -> Result<C::Return, MainError> {
        let answer = self.read(call).await?;
        answer.ok_or_else(|| bad(&format_args!("{} was refused", C::SIGNATURE)))
    }
}

fn bad(reason: &dyn core::fmt::Display) -> MainError {
    MainError::BadAnswer { method: METHOD, reason: reason.to_string() }
}
