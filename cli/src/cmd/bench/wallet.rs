//! Accounts whose keys everybody knows: for benchmarks only.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use eyre::{Result, WrapErr as _};
use k256::ecdsa::SigningKey;

/// One GRID in its smallest unit.
pub(super) const GRID: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);
/// Gas of a transfer.
pub(super) const TRANSFER_GAS: u64 = 21_000;
/// What a transfer offers for a unit of gas: above what full blocks drive the base fee to in a minute or two.
pub(super) const MAX_FEE: u128 = 1_000_000_000_000;

/// An account that signs.
#[derive(Debug, Clone)]
pub(super) struct Wallet {
    key: SigningKey,
    address: Address,
}

/// A signed transaction.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) hash: B256,
    pub(super) raw: Bytes,
}

/// The key that a text names.
pub(super) fn key(name: &str) -> SigningKey {
    let mut seed = keccak256(name);
    loop {
        // Of 2^256 numbers all but 2^128 are keys.
        match SigningKey::from_slice(seed.as_slice()) {
            Ok(key) => return key,
            Err(_) => seed = keccak256(seed),
        }
    }
}

/// The first accounts. Number 0 is the one that a genesis funds.
pub(super) fn accounts(count: u64) -> Vec<Wallet> {
    (0..count).map(Wallet::number).collect()
}

impl Wallet {
    /// An account of the benchmark.
    pub(super) fn number(number: u64) -> Self {
        let key = key(&format!("GRID bench account {number}"));
        let address = Address::from_private_key(&key);
        Self { key, address }
    }

    pub(super) const fn address(&self) -> Address {
        self.address
    }

    /// Signs a transfer.
    pub(super) fn transfer(
        &self,
        chain_id: u64,
        nonce: u64,
        to: Address,
        value: U256,
    ) -> Result<Signed> {
        let body = TxEip1559 {
            chain_id,
            nonce,
            gas_limit: TRANSFER_GAS,
            max_fee_per_gas: MAX_FEE,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(to),
            value,
            ..TxEip1559::default()
        };
        let signature = self
            .key
            .sign_prehash_recoverable(body.signature_hash().as_slice())
            .wrap_err("a transfer cannot be signed")?;
        let envelope = TxEnvelope::from(body.into_signed(Signature::from(signature)));
        Ok(Signed { hash: *envelope.tx_hash(), raw: envelope.encoded_2718().into() })
    }
}
