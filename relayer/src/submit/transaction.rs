//! The signed EIP-1559 transaction.

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::{Encodable2718 as _, eip2930::AccessList};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use thiserror::Error;

use crate::{
    evidence, guarantee, messages,
    store::{Kind, NewTransaction},
};

/// The key refused to sign.
#[derive(Debug, Error)]
#[error("the submitting key {address} cannot sign: {reason}")]
pub struct SignError {
    /// Its address.
    pub address: Address,
    /// The signer's reason.
    pub reason: String,
}

/// What a transaction pays per gas, smallest unit of GRID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// At most, all together.
    pub max: u128,
    /// Part of it for the proposer.
    pub priority: u128,
}

impl Fees {
    /// Fees that stay valid while the base fee doubles.
    #[must_use]
    pub const fn new(base: u128, priority: u128) -> Self {
        Self { max: base.saturating_mul(2).saturating_add(priority), priority }
    }

    /// The fees that replace `self`: an eighth more, as every mempool demands at least a tenth, and no
    /// less than what a new transaction would pay.
    #[must_use]
    pub fn raised(self, base: u128) -> Self {
        let more = |fee: u128| fee.saturating_add(fee / 8).saturating_add(1);
        let fresh = Self::new(base, self.priority);
        Self { max: more(self.max).max(fresh.max), priority: more(self.priority) }
    }

    /// The most that this much gas costs.
    #[must_use]
    pub fn most(self, gas: u64) -> U256 {
        U256::from(self.max).saturating_mul(U256::from(gas))
    }
}

/// Gas of a transaction that does nothing.
pub(super) const IDLE_GAS: u64 = 21_000;

/// Gas that the submission of an item may use.
pub(super) fn gas_limit(kind: Kind, payload: &[u8], headers: u64) -> u64 {
    match kind {
        Kind::Headers | Kind::Run | Kind::Sync => evidence::gas_limit(payload, headers),
        Kind::Guarantee => guarantee::gas_limit(payload),
        Kind::Message => messages::gas_limit(payload),
    }
}

/// Signs a call of a contract, or without one a transfer of nothing to oneself.
pub(super) fn sign(
    signer: &PrivateKeySigner,
    chain_id: u64,
    nonce: u64,
    gas_limit: u64,
    fees: Fees,
    call: Option<(Kind, Bytes)>,
) -> Result<NewTransaction, SignError> {
    let (to, input) = call.map_or_else(
        || (signer.address(), Bytes::new()),
        |(kind, payload)| (kind.contract(), payload),
    );
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas: fees.max,
        max_priority_fee_per_gas: fees.priority,
        to: TxKind::Call(to),
        value: U256::ZERO,
        access_list: AccessList::default(),
        input,
    };
    let signature = signer
        .sign_hash_sync(&transaction.signature_hash())
        .map_err(|error| SignError { address: signer.address(), reason: error.to_string() })?;
    let signed = transaction.into_signed(signature);
    let raw = signed.encoded_2718().into();
    Ok(NewTransaction {
        hash: *signed.hash(),
        signer: signer.address(),
        nonce,
        raw,
        max_fee: fees.max,
        priority_fee: fees.priority,
    })
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{Transaction as _, TxEnvelope, transaction::SignerRecoverable as _};
    use alloy_eips::Decodable2718 as _;
    use alloy_primitives::keccak256;

    use super::*;

    #[test]
    fn bytes_decode_to_the_transaction_and_recover_the_signer() {
        let signer = PrivateKeySigner::random();
        let input = Bytes::from_static(&[1, 2, 3]);
        for kind in Kind::ALL {
            let call = Some((kind, input.clone()));
            let new = sign(&signer, 7, 5, 100_000, Fees::new(10, 1), call).unwrap();
            assert_eq!(new.hash, keccak256(&new.raw));
            let decoded = TxEnvelope::decode_2718(&mut new.raw.as_ref()).unwrap();
            assert_eq!(decoded.recover_signer().unwrap(), signer.address());
            assert_eq!((decoded.nonce(), decoded.chain_id()), (5, Some(7)));
            assert_eq!((decoded.to(), decoded.input()), (Some(kind.contract()), &input));
        }
    }

    #[test]
    fn raised_fees_are_a_tenth_higher_and_follow_the_base_fee() {
        let fees = Fees::new(1_000, 7);
        let raised = fees.raised(1_000);
        assert!(raised.max * 10 >= fees.max * 11 && raised.priority * 10 >= fees.priority * 11);
        assert!(fees.raised(1_000_000).max >= 2_000_000);
        assert!(Fees { max: u128::MAX, priority: 0 }.raised(u128::MAX).max == u128::MAX);
    }
}
