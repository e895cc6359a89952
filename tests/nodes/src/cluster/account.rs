//! Accounts whose keys every test knows.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, Bytes, TxKind, U256, keccak256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;

use crate::NodeError;

/// The key of account `at`, which [`Cluster`](super::Cluster) funds.
///
/// # Panics
/// Never: a hash is a key but for a chance of 2⁻¹²⁸.
pub fn signer(at: usize) -> PrivateKeySigner {
    let secret = keccak256(format!("grid test account {at}"));
    PrivateKeySigner::from_bytes(&secret).unwrap_or_else(|_| unreachable!("{secret} is a key"))
}

/// What a test sends: everything else is the same in all of them.
#[derive(Debug, Clone)]
pub struct Message {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The sender's nonce.
    pub nonce: u64,
    /// The receiver.
    pub to: Address,
    /// Smallest unit of GRID.
    pub value: U256,
    /// Call data.
    pub input: Bytes,
    /// Gas limit.
    pub gas: u64,
}

impl Message {
    /// Signs it as an EIP-1559 transaction that pays any base fee of a test.
    ///
    /// # Errors
    /// [`NodeError::Unexpected`] where the key cannot sign, which a key in memory always can.
    pub fn sign(self, signer: &PrivateKeySigner) -> Result<TxEnvelope, NodeError> {
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit: self.gas,
            max_fee_per_gas: 100_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to: TxKind::Call(self.to),
            value: self.value,
            input: self.input,
            ..TxEip1559::default()
        };
        let signature = signer.sign_hash_sync(&transaction.signature_hash()).map_err(|error| {
            NodeError::Unexpected { method: String::from("sign"), answer: error.to_string() }
        })?;
        Ok(transaction.into_signed(signature).into())
    }
}
