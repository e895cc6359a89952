//! The compatible header: one shape for the headers of every chain.

use alloy_primitives::B256;
use alloy_sol_types::{SolValue, sol};
use serde::{Deserialize, Serialize};

use crate::{ChainKey, hash};

sol! {
    /// A foreign header in Grid's common form. ABI: nine static words, 288 bytes.
    ///
    /// Hashes stay in their chain's internal byte order. A root that the chain does not have is
    /// zero; what a root commits to follows from the chain's family.
    #[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct CompatHeader {
        /// `keccak256(utf8(chain id))`.
        bytes32 chain;
        /// Height in its chain.
        uint64 height;
        /// The chain's own hash of the block.
        bytes32 blockHash;
        /// Hash of the parent block.
        bytes32 parentHash;
        /// The header's own time, seconds since 1970.
        uint64 time;
        /// Transactions: Bitcoin's SHA-256d tree over transaction ids, or an MPT root.
        bytes32 txRoot;
        /// Receipts: an MPT root, or zero.
        bytes32 receiptsRoot;
        /// State root, or zero.
        bytes32 stateRoot;
        /// Index root of a Grid chain, or zero.
        bytes32 indexRoot;
    }
}

impl CompatHeader {
    /// The header's leaf in its chain's accumulator: `keccak256(0x00 ‖ abi.encode(header))`.
    #[must_use]
    pub fn leaf(&self) -> B256 {
        hash::leaf(&self.abi_encode())
    }

    /// The chain's key.
    #[must_use]
    pub const fn chain_key(&self) -> ChainKey {
        ChainKey(self.chain)
    }
}
