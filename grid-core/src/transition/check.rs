//! What makes a transaction valid, for a block and for the mempool.

use alloy_consensus::Transaction;
use alloy_eips::eip2718::{Encodable2718, Typed2718};
use alloy_primitives::U256;

use super::{MAX_TRANSACTION_BYTES, RecoveredTx, TxReject};
use crate::{
    modules::{self, CallError},
    state::{Account, StateRead, system},
};

/// Gas of any transaction.
pub(super) const TRANSACTION_GAS: u64 = 21_000;
/// A zero byte of call data.
const ZERO_BYTE_GAS: u64 = 4;
/// Another byte of call data.
const BYTE_GAS: u64 = 16;
/// An address of an access list (EIP-2930). Access lists have no use here; they are paid as on Ethereum.
const ACCESS_ADDRESS_GAS: u64 = 2_400;
/// A storage key of an access list.
const ACCESS_KEY_GAS: u64 = 1_900;

/// Gas of the transaction itself: base, call data (16 a byte, 4 a zero byte), access list.
#[must_use]
pub fn intrinsic_gas(tx: &impl Transaction) -> u64 {
    let input = input_gas(tx.input());
    let list = tx.access_list().map_or(0, |list| {
        list.0.iter().fold(0u64, |sum, item| {
            let keys = u64::try_from(item.storage_keys.len()).unwrap_or(u64::MAX);
            sum.saturating_add(ACCESS_ADDRESS_GAS)
                .saturating_add(keys.saturating_mul(ACCESS_KEY_GAS))
        })
    });
    TRANSACTION_GAS.saturating_add(input).saturating_add(list)
}

pub(super) fn input_gas(input: &[u8]) -> u64 {
    let zeros = input.iter().filter(|byte| **byte == 0).count();
    let others = input.len().saturating_sub(zeros);
    let gas = |count: usize, price| u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(price);
    gas(zeros, ZERO_BYTE_GAS).saturating_add(gas(others, BYTE_GAS))
}

/// Against what a transaction is checked.
pub(super) struct Validity {
    pub(super) base_fee: u64,
    /// Gas that the block has left.
    pub(super) gas: u64,
    /// Whether its nonce must be the very next one.
    pub(super) next: bool,
}

/// Checks everything but the call itself; returns the intrinsic gas.
pub(super) fn validity(
    state: &dyn StateRead,
    tx: &RecoveredTx,
    chain_id: u64,
    against: &Validity,
) -> Result<u64, TxReject> {
    let intrinsic = form(tx, chain_id)?;
    let (max_fee, base_fee) = (tx.max_fee_per_gas(), against.base_fee);
    if max_fee < u128::from(base_fee) {
        return Err(TxReject::FeeTooLow { max_fee, base_fee });
    }
    if tx.gas_limit() > against.gas {
        return Err(TxReject::BlockGas { limit: tx.gas_limit(), available: against.gas });
    }
    let sender = tx.signer();
    let account = Account::read(state, &sender)?;
    let (expected, found) = (account.nonce, tx.nonce());
    if found < expected {
        return Err(TxReject::NonceTooLow { sender, expected, found });
    }
    if found > expected && against.next {
        return Err(TxReject::NonceTooHigh { sender, expected, found });
    }
    let cost =
        U256::from(max_fee).saturating_mul(U256::from(tx.gas_limit())).saturating_add(tx.value());
    if account.balance < cost {
        return Err(TxReject::Funds { sender, balance: account.balance, cost });
    }
    Ok(intrinsic)
}

/// What can be said without the state.
fn form(tx: &RecoveredTx, chain_id: u64) -> Result<u64, TxReject> {
    if tx.ty() > 2 {
        return Err(TxReject::Type(tx.ty()));
    }
    if tx.chain_id() != Some(chain_id) {
        let found = tx.chain_id().unwrap_or(0);
        return Err(TxReject::ChainId { expected: chain_id, found });
    }
    let size = tx.encode_2718_len();
    if size > MAX_TRANSACTION_BYTES {
        return Err(TxReject::Size { size, limit: MAX_TRANSACTION_BYTES });
    }
    if tx.is_create() {
        return Err(TxReject::Creation);
    }
    // The last nonce is never used: the account's nonce could not count it.
    if tx.nonce() == u64::MAX {
        let (sender, found) = (tx.signer(), tx.nonce());
        return Err(TxReject::NonceTooHigh { sender, expected: 0, found });
    }
    if let Some(priority) = tx.max_priority_fee_per_gas()
        && priority > tx.max_fee_per_gas()
    {
        return Err(TxReject::PriorityFee { priority, max_fee: tx.max_fee_per_gas() });
    }
    let needed = intrinsic_gas(tx.inner());
    if tx.gas_limit() < needed {
        return Err(TxReject::IntrinsicGas { limit: tx.gas_limit(), needed });
    }
    Ok(needed)
}

/// The mempool's check against the newest state: format, chain id, nonce not used, funds, fee cap not below
/// `base_fee`, gas limit, and for submissions of headers and proofs that they say something new. A nonce ahead of the
/// account's is fine here; how far ahead is the mempool's policy.
///
/// The caller has recovered the sender from the signature.
///
/// # Errors
/// A [`TxReject`]; see [`TxReject::is_transient`].
pub fn check(state: &dyn StateRead, tx: &RecoveredTx, base_fee: u64) -> Result<(), TxReject> {
    let constants = system::Constants::read(state)?;
    let validity_now = Validity { base_fee, gas: constants.gas_limit, next: false };
    validity(state, tx, constants.chain_id, &validity_now)?;
    let Some(to) = tx.to() else { return Err(TxReject::Creation) };
    match modules::is_known(state, to, tx.input()) {
        Ok(false) => Ok(()),
        Ok(true) | Err(CallError::AlreadyKnown) => Err(TxReject::AlreadyKnown),
        Err(CallError::Storage(error)) => Err(error.into()),
        Err(CallError::Revert(reason)) => Err(TxReject::Submission(reason)),
        Err(CallError::OutOfGas) => Err(TxReject::Submission("out of gas".into())),
    }
}
