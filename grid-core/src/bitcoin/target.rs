//! Targets, their compact form, and work.
//!
//! Source: Bitcoin Core `arith_uint256.cpp` (`SetCompact`, `GetCompact`) and `chain.cpp`
//! (`GetBlockProof`).

use alloy_primitives::{B256, U256};

/// A decoded compact target, with the two flags that make one unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compact {
    /// The magnitude, reduced to 256 bits.
    pub target: U256,
    /// The sign bit was set on a magnitude other than zero.
    pub negative: bool,
    /// The magnitude does not fit 256 bits.
    pub overflow: bool,
}

/// Decodes `nBits`, flags and all.
#[must_use]
pub fn decode(bits: u32) -> Compact {
    let size = bits >> 24;
    let mut word = bits & 0x007f_ffff;
    let target = if size <= 3 {
        word >>= 8u32.saturating_mul(3u32.saturating_sub(size));
        U256::from(word)
    } else {
        // Bits shifted out are lost, as in Core; the flag below tells.
        U256::from(word).wrapping_shl(shift_for(size))
    };
    // Sign and overflow are judged on the word after the shift.
    let negative = word != 0 && bits & 0x0080_0000 != 0;
    let overflow =
        word != 0 && (size > 34 || (word > 0xff && size > 33) || (word > 0xffff && size > 32));
    Compact { target, negative, overflow }
}

fn shift_for(size: u32) -> usize {
    usize::try_from(8u32.saturating_mul(size.saturating_sub(3))).unwrap_or(usize::MAX)
}

/// The target of `bits` if a header may claim it: positive, not zero, at most `pow_limit`.
#[must_use]
pub fn valid(bits: u32, pow_limit: &U256) -> Option<U256> {
    let Compact { target, negative, overflow } = decode(bits);
    (!negative && !overflow && !target.is_zero() && target <= *pow_limit).then_some(target)
}

/// The compact form: three significant bytes, the rest cut off.
#[must_use]
pub fn encode(target: &U256) -> u32 {
    let mut size = u32::try_from(target.byte_len()).unwrap_or(u32::MAX);
    let word = if size <= 3 {
        target.wrapping_shl(8usize.saturating_mul(3usize.saturating_sub(target.byte_len())))
    } else {
        target.wrapping_shr(shift_for(size))
    };
    let mut word = u32::try_from(word).unwrap_or(u32::MAX);
    // The top bit of the word is the sign, so a magnitude may not use it.
    if word & 0x0080_0000 != 0 {
        word >>= 8;
        size = size.saturating_add(1);
    }
    word | size.wrapping_shl(24)
}

/// The expected number of hashes behind a target: `floor(2^256 / (target + 1))`.
#[must_use]
pub fn work(target: &U256) -> U256 {
    // 2^256 does not fit: (2^256 - target - 1) / (target + 1) + 1 is the same number. A divisor
    // of zero means the target 2^256 - 1, which every hash meets.
    (!*target)
        .checked_div(target.wrapping_add(U256::ONE))
        .map_or(U256::ONE, |quotient| quotient.wrapping_add(U256::ONE))
}

/// A block hash as the number that is compared with a target.
#[must_use]
pub const fn hash_number(hash: &B256) -> U256 {
    U256::from_le_bytes(hash.0)
}
