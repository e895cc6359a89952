//! EIP-1559's base fee.

use alloy_consensus::Header;
use alloy_eips::eip1559::BaseFeeParams;

/// The base fee of the block after `parent`: Ethereum's rule (target half of the limit, at most one
/// eighth a block).
#[must_use]
pub fn next_base_fee(parent: &Header) -> u64 {
    parent
        .next_block_base_fee(BaseFeeParams::ethereum())
        .unwrap_or_else(|| parent.base_fee_per_gas.unwrap_or_default())
}
