//! `ExecutionPayloadHeader`, which light-client data carried from Capella to Fulu.

use alloy_primitives::{Address, B256, Bloom, Bytes, U256};
use serde::Deserialize;

use super::{
    json::{quoted, quoted_u256},
    merkle,
};

/// `MAX_EXTRA_DATA_BYTES`.
pub const MAX_EXTRA_DATA_BYTES: usize = 32;

/// Place of `block_hash` among the fields.
const BLOCK_HASH_FIELD: usize = 12;

/// The header of an execution payload. Its roots of transactions and withdrawals are SSZ roots, not
/// those of the RLP header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)] // The names are the spec's.
pub struct ExecutionPayloadHeader {
    pub parent_hash: B256,
    pub fee_recipient: Address,
    pub state_root: B256,
    pub receipts_root: B256,
    pub logs_bloom: Bloom,
    pub prev_randao: B256,
    #[serde(with = "quoted")]
    pub block_number: u64,
    #[serde(with = "quoted")]
    pub gas_limit: u64,
    #[serde(with = "quoted")]
    pub gas_used: u64,
    #[serde(with = "quoted")]
    pub timestamp: u64,
    pub extra_data: Bytes,
    #[serde(deserialize_with = "quoted_u256")]
    pub base_fee_per_gas: U256,
    pub block_hash: B256,
    pub transactions_root: B256,
    pub withdrawals_root: B256,
    /// From Deneb on.
    #[serde(default, with = "quoted")]
    pub blob_gas_used: u64,
    /// From Deneb on.
    #[serde(default, with = "quoted")]
    pub excess_blob_gas: u64,
}

impl ExecutionPayloadHeader {
    /// Roots of the fields, with or without Deneb's two.
    fn leaves(&self, deneb: bool) -> Vec<B256> {
        let extra_data = merkle::node(
            &merkle::bytes(&self.extra_data),
            &merkle::bytes(&self.extra_data.len().to_le_bytes()),
        );
        let mut leaves = vec![
            self.parent_hash,
            merkle::bytes(self.fee_recipient.as_slice()),
            self.state_root,
            self.receipts_root,
            merkle::byte_vector(self.logs_bloom.as_slice()),
            self.prev_randao,
            merkle::uint(self.block_number),
            merkle::uint(self.gas_limit),
            merkle::uint(self.gas_used),
            merkle::uint(self.timestamp),
            extra_data,
            B256::new(self.base_fee_per_gas.to_le_bytes()),
            self.block_hash,
            self.transactions_root,
            self.withdrawals_root,
        ];
        if deneb {
            leaves.extend([merkle::uint(self.blob_gas_used), merkle::uint(self.excess_blob_gas)]);
        }
        leaves
    }

    /// `hash_tree_root`, of Capella's or of Deneb's form.
    #[must_use]
    pub fn root(&self, deneb: bool) -> B256 {
        merkle::root(&self.leaves(deneb))
    }

    /// The proof of `block_hash` in [`Self::root`], lowest sibling first.
    #[must_use]
    pub fn block_hash_branch(&self, deneb: bool) -> Vec<B256> {
        merkle::branch(&self.leaves(deneb), BLOCK_HASH_FIELD)
    }
}
