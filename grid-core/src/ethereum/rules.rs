//! Sanity of execution headers that no finality proves: what every honest node's headers satisfy.
//!
//! A header's content is bound to its hash, its hash to its child. These rules add what a chain's
//! consensus demands of a header by itself and after its parent, as far as headers alone show it. They
//! catch a broken or clumsy node; whoever can make blocks can obey them.
//!
//! Source: Yellow Paper 4.4.4, EIP-1559, 3675, 4844, and the execution specs' `validate_header`.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use thiserror::Error;

use super::SealedEthHeader;

/// Which rules a chain's headers obey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderRules {
    /// Ethereum and its public test networks: all of them.
    Ethereum,
    /// Other EVM chains: what holds for all. Rollups choose their fees, limits and clocks.
    Evm,
}

/// A rule that a header breaks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RuleError {
    /// More gas than the block may use.
    #[error("gas used {used} is above the gas limit {limit}")]
    GasUsed {
        /// Gas used.
        used: u64,
        /// The block's limit.
        limit: u64,
    },
    /// Outside the bounds of any block.
    #[error("gas limit {0} is outside {MIN_GAS_LIMIT} to {MAX_GAS_LIMIT}")]
    GasLimitBounds(u64),
    /// More than a block may differ from its parent.
    #[error("gas limit {found} differs from the parent's {parent} by a 1024th or more")]
    GasLimitStep {
        /// Its limit.
        found: u64,
        /// The parent's limit, doubled where the first base fee comes with it.
        parent: u64,
    },
    /// Too long.
    #[error("extra data has {0} bytes, at most {MAX_EXTRA_DATA} are allowed")]
    ExtraData(usize),
    /// Leftovers of mining.
    #[error("a block of proof of stake has {0}")]
    Mined(&'static str),
    /// Mining came back.
    #[error("difficulty {0} after a block of proof of stake")]
    Difficulty(alloy_primitives::U256),
    /// Heights do not follow each other.
    #[error("height {child} after height {parent}")]
    Height {
        /// The parent's height.
        parent: u64,
        /// The child's height.
        child: u64,
    },
    /// Of another parent.
    #[error("its parent hash is not the parent's hash")]
    Parent,
    /// Not after its parent.
    #[error("time {child} after time {parent}")]
    Time {
        /// The parent's time, in seconds.
        parent: u64,
        /// The child's time, in seconds.
        child: u64,
    },
    /// A field that its parent has is gone.
    #[error("the field {0} of its parent is missing")]
    FieldGone(&'static str),
    /// Not what the parent's load makes it.
    #[error("base fee is {found:?}, after its parent it must be {expected}")]
    BaseFee {
        /// What it says.
        found: Option<u64>,
        /// What it must be.
        expected: u64,
    },
    /// Not a number of blobs.
    #[error("blob gas used {0} is no multiple of {GAS_PER_BLOB}")]
    BlobGas(u64),
    /// More than the parent's blobs can have left over.
    #[error("excess blob gas is {found}, at most {most} can be left over from its parent")]
    ExcessBlobGas {
        /// What it says.
        found: u64,
        /// The parent's excess and use together.
        most: u64,
    },
}

const MIN_GAS_LIMIT: u64 = 5_000;
const MAX_GAS_LIMIT: u64 = i64::MAX.unsigned_abs();
const MAX_EXTRA_DATA: usize = 32;
/// EIP-4844: `GAS_PER_BLOB`.
const GAS_PER_BLOB: u64 = 1 << 17;
/// EIP-1559: `INITIAL_BASE_FEE`, `ELASTICITY_MULTIPLIER`, `BASE_FEE_MAX_CHANGE_DENOMINATOR`.
const INITIAL_BASE_FEE: u64 = 1_000_000_000;
const ELASTICITY: u64 = 2;
const MAX_CHANGE: u128 = 8;

impl HeaderRules {
    /// The rules of a chain by its EIP-155 number.
    #[must_use]
    pub const fn of(chain: u64) -> Self {
        match chain {
            // Mainnet, Sepolia, Hoodi, Holesky.
            1 | 11_155_111 | 560_048 | 17_000 => Self::Ethereum,
            _ => Self::Evm,
        }
    }

    /// Checks a header by itself.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check(self, header: &Header) -> Result<(), RuleError> {
        let (used, limit) = (header.gas_used, header.gas_limit);
        if used > limit {
            return Err(RuleError::GasUsed { used, limit });
        }
        if self == Self::Evm {
            return Ok(());
        }
        if !(MIN_GAS_LIMIT..=MAX_GAS_LIMIT).contains(&limit) {
            return Err(RuleError::GasLimitBounds(limit));
        }
        if header.extra_data.len() > MAX_EXTRA_DATA {
            return Err(RuleError::ExtraData(header.extra_data.len()));
        }
        if header.difficulty.is_zero() && header.number > 0 {
            if !header.nonce.is_zero() {
                return Err(RuleError::Mined("a nonce"));
            }
            if header.ommers_hash != EMPTY_OMMER_ROOT_HASH {
                return Err(RuleError::Mined("ommers"));
            }
        }
        match header.blob_gas_used {
            Some(used) if !used.is_multiple_of(GAS_PER_BLOB) => Err(RuleError::BlobGas(used)),
            _ => Ok(()),
        }
    }

    /// Checks a header after its parent, and by itself.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn check_child(self, parent: &SealedEthHeader, child: &Header) -> Result<(), RuleError> {
        self.check(child)?;
        let SealedEthHeader { header: parent, hash } = parent;
        if Some(child.number) != parent.number.checked_add(1) {
            return Err(RuleError::Height { parent: parent.number, child: child.number });
        }
        if child.parent_hash != *hash {
            return Err(RuleError::Parent);
        }
        // A rollup may make several blocks a second.
        let same = child.timestamp == parent.timestamp && self == Self::Ethereum;
        if child.timestamp < parent.timestamp || same {
            return Err(RuleError::Time { parent: parent.timestamp, child: child.timestamp });
        }
        check_fields(parent, child)?;
        if self == Self::Evm {
            return Ok(());
        }
        if parent.difficulty.is_zero() && parent.number > 0 && !child.difficulty.is_zero() {
            return Err(RuleError::Difficulty(child.difficulty));
        }
        check_gas_limit(parent, child)?;
        check_base_fee(parent, child)?;
        check_excess(parent, child)
    }
}

/// A fork adds fields and takes none.
fn check_fields(parent: &Header, child: &Header) -> Result<(), RuleError> {
    let fields = [
        ("baseFeePerGas", parent.base_fee_per_gas.is_some(), child.base_fee_per_gas.is_some()),
        ("withdrawalsRoot", parent.withdrawals_root.is_some(), child.withdrawals_root.is_some()),
        ("blobGasUsed", parent.blob_gas_used.is_some(), child.blob_gas_used.is_some()),
        ("excessBlobGas", parent.excess_blob_gas.is_some(), child.excess_blob_gas.is_some()),
        (
            "parentBeaconBlockRoot",
            parent.parent_beacon_block_root.is_some(),
            child.parent_beacon_block_root.is_some(),
        ),
        ("requestsHash", parent.requests_hash.is_some(), child.requests_hash.is_some()),
    ];
    match fields.into_iter().find(|(_, before, after)| *before && !after) {
        Some((field, ..)) => Err(RuleError::FieldGone(field)),
        None => Ok(()),
    }
}

/// The parent's limit, doubled in the block that brings the base fee: its target is half of it.
fn scaled_limit(parent: &Header, child: &Header) -> u64 {
    let first = parent.base_fee_per_gas.is_none() && child.base_fee_per_gas.is_some();
    parent.gas_limit.saturating_mul(if first { ELASTICITY } else { 1 })
}

fn check_gas_limit(parent: &Header, child: &Header) -> Result<(), RuleError> {
    let before = scaled_limit(parent, child);
    if child.gas_limit.abs_diff(before) < (before / 1_024).max(1) {
        return Ok(());
    }
    Err(RuleError::GasLimitStep { found: child.gas_limit, parent: before })
}

fn check_base_fee(parent: &Header, child: &Header) -> Result<(), RuleError> {
    let expected = match (parent.base_fee_per_gas, child.base_fee_per_gas) {
        (None, None) => return Ok(()),
        (None, Some(_)) => INITIAL_BASE_FEE,
        (Some(fee), _) => next_base_fee(fee, parent.gas_used, parent.gas_limit / ELASTICITY),
    };
    let found = child.base_fee_per_gas;
    if found == Some(expected) { Ok(()) } else { Err(RuleError::BaseFee { found, expected }) }
}

// EIP-1559: validate_block
fn next_base_fee(fee: u64, used: u64, target: u64) -> u64 {
    let change = |distance: u64| {
        u128::from(fee)
            .saturating_mul(u128::from(distance))
            .checked_div(u128::from(target))
            .map_or(0, |change| u64::try_from(change / MAX_CHANGE).unwrap_or(u64::MAX))
    };
    match used.checked_sub(target) {
        Some(0) => fee,
        Some(above) => fee.saturating_add(change(above).max(1)),
        None => fee.saturating_sub(change(target.saturating_sub(used))),
    }
}

/// The target is not in the header, and since Fulu neither is the rule's other half, so this is a bound.
// EIP-4844: calc_excess_blob_gas
fn check_excess(parent: &Header, child: &Header) -> Result<(), RuleError> {
    let Some(found) = child.excess_blob_gas else { return Ok(()) };
    let before = parent.excess_blob_gas.unwrap_or(0);
    let most = before.saturating_add(parent.blob_gas_used.unwrap_or(0));
    if found <= most { Ok(()) } else { Err(RuleError::ExcessBlobGas { found, most }) }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{B64, B256, Bytes, U256};

    use super::*;

    type Change = fn(&mut Header);

    fn seal(header: Header) -> SealedEthHeader {
        let hash = header.hash_slow();
        SealedEthHeader { header, hash }
    }

    fn pair() -> (SealedEthHeader, Header) {
        let parent = seal(Header {
            number: 20_000_000,
            gas_limit: 30_000_000,
            gas_used: 30_000_000,
            timestamp: 1_700_000_000,
            base_fee_per_gas: Some(8_000_000_000),
            withdrawals_root: Some(B256::ZERO),
            blob_gas_used: Some(3 * GAS_PER_BLOB),
            excess_blob_gas: Some(GAS_PER_BLOB),
            parent_beacon_block_root: Some(B256::ZERO),
            ..Header::default()
        });
        let child = Header {
            number: 20_000_001,
            parent_hash: parent.hash,
            timestamp: 1_700_000_012,
            // A full block raises the fee by an eighth.
            base_fee_per_gas: Some(9_000_000_000),
            excess_blob_gas: Some(GAS_PER_BLOB),
            ..parent.header.clone()
        };
        (parent, child)
    }

    #[test]
    fn a_good_child_passes_and_each_rule_is_noticed() {
        let (parent, child) = pair();
        HeaderRules::Ethereum.check_child(&parent, &child).expect("good");
        let refused = |change: Change| {
            let mut child = child.clone();
            change(&mut child);
            HeaderRules::Ethereum.check_child(&parent, &child).expect_err("bad").to_string()
        };
        let cases: [(Change, &str); 15] = [
            (|h| h.gas_used = 30_000_001, "above the gas limit"),
            (|h| (h.gas_limit, h.gas_used) = (4_999, 0), "is outside"),
            (|h| h.gas_limit = 30_000_000 + 30_000_000 / 1_024, "differs from the parent's"),
            (|h| h.extra_data = Bytes::from(vec![0; 33]), "extra data has 33"),
            (|h| h.nonce = B64::repeat_byte(1), "a nonce"),
            (|h| h.ommers_hash = B256::ZERO, "ommers"),
            (|h| h.difficulty = U256::from(1), "difficulty 1"),
            (|h| h.number += 1, "height 20000002"),
            (|h| h.parent_hash = B256::ZERO, "parent hash"),
            (|h| h.timestamp = 1_700_000_000, "time 1700000000"),
            (|h| h.base_fee_per_gas = None, "baseFeePerGas"),
            (|h| h.base_fee_per_gas = Some(9_000_000_001), "must be 9000000000"),
            (|h| h.withdrawals_root = None, "withdrawalsRoot"),
            (|h| h.blob_gas_used = Some(1), "no multiple"),
            (|h| h.excess_blob_gas = Some(4 * GAS_PER_BLOB + 1), "can be left over"),
        ];
        for (change, words) in cases {
            let text = refused(change);
            assert!(text.contains(words), "{text} / {words}");
        }
    }

    #[test]
    fn other_chains_choose_their_fees_limits_and_clocks() {
        let (parent, child) = pair();
        let rollup = Header {
            timestamp: parent.header.timestamp,
            gas_limit: 1 << 50,
            base_fee_per_gas: Some(1),
            difficulty: U256::from(1),
            extra_data: Bytes::from(vec![0; 97]),
            ..child
        };
        assert_eq!(HeaderRules::of(42_161), HeaderRules::Evm);
        HeaderRules::Evm.check_child(&parent, &rollup).expect("good");
        let earlier = Header { timestamp: rollup.timestamp - 1, ..rollup.clone() };
        let refused = HeaderRules::Evm.check_child(&parent, &earlier);
        assert!(matches!(refused, Err(RuleError::Time { .. })));
        let fuller = Header { gas_used: (1 << 50) + 1, ..rollup };
        let refused = HeaderRules::Evm.check_child(&parent, &fuller);
        assert!(matches!(refused, Err(RuleError::GasUsed { .. })));
    }

    #[test]
    fn base_fees_follow_the_load() {
        assert_eq!(next_base_fee(1_000, 50, 50), 1_000);
        assert_eq!(next_base_fee(1_000, 100, 50), 1_125);
        assert_eq!(next_base_fee(1_000, 0, 50), 875);
        assert_eq!(next_base_fee(1, 51, 50), 2, "at least one more");
        assert_eq!(next_base_fee(7, 0, 0), 7, "no limit, no division");
        assert_eq!(next_base_fee(u64::MAX, u64::MAX, 1), u64::MAX);
    }
}
