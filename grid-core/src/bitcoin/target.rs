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

/// The expected number of hashes behind a target: `floor(2^256 / (target + 1))`. Zero for the target
/// zero, which no header can claim.
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

#[cfg(test)]
mod tests {
    use alloy_primitives::{U256, uint};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bitcoin_core_s_compact_cases() {
        // bits, target, encoded again, negative, overflow: Core's arith_uint256_tests.cpp.
        let cases = [
            (0x00000000, U256::ZERO, 0, false, false),
            (0x00123456, U256::ZERO, 0, false, false),
            (0x01003456, U256::ZERO, 0, false, false),
            (0x04000000, U256::ZERO, 0, false, false),
            (0x00923456, U256::ZERO, 0, false, false),
            (0x01803456, U256::ZERO, 0, false, false),
            (0x01123456, uint!(0x12_U256), 0x01120000, false, false),
            (0x02123456, uint!(0x1234_U256), 0x02123400, false, false),
            (0x03123456, uint!(0x123456_U256), 0x03123456, false, false),
            (0x04123456, uint!(0x12345600_U256), 0x04123456, false, false),
            (0x04923456, uint!(0x12345600_U256), 0x04123456, true, false),
            (0x01fedcba, uint!(0x7e_U256), 0x017e0000, true, false),
            (0x05009234, uint!(0x92340000_U256), 0x05009234, false, false),
            (0x20123456, U256::from(0x123456).wrapping_shl(232), 0x20123456, false, false),
            (0xff123456, U256::ZERO, 0, false, true),
        ];
        for (bits, target, again, negative, overflow) in cases {
            assert_eq!(decode(bits), Compact { target, negative, overflow }, "{bits:08x}");
            assert_eq!(encode(&target), again, "{bits:08x}");
        }
        for (bits, overflow) in [
            (0x2100_ffff, false),
            (0x2101_0000, true),
            (0x2200_00ff, false),
            (0x2200_0100, true),
            (0x2300_0001, true),
            (0x2300_0000, false),
        ] {
            assert_eq!(decode(bits).overflow, overflow, "{bits:08x}");
        }
    }

    #[test]
    fn only_positive_targets_up_to_the_limit_are_valid() {
        let limit = decode(0x1d00ffff).target;
        assert_eq!(valid(0x1d00ffff, &limit), Some(limit));
        for bits in [0x1d010000, 0x1d80ffff, 0x00123456, 0xff123456, 0x207fffff] {
            assert_eq!(valid(bits, &limit), None, "{bits:08x}");
        }
    }

    #[test]
    fn work_of_known_targets() {
        assert_eq!(work(&decode(0x1d00ffff).target), U256::from(0x1_0001_0001u64));
        assert_eq!(work(&decode(0x207fffff).target), U256::from(2));
        assert_eq!(work(&U256::ZERO), U256::ZERO);
        assert_eq!(work(&U256::ONE), U256::ONE << 255);
        assert_eq!(work(&U256::MAX), U256::ONE);
    }

    proptest! {
        #[test]
        fn encoding_cuts_to_three_bytes_and_is_then_exact(limbs in any::<[u64; 4]>(), shift in 0..256usize) {
            let target = U256::from_limbs(limbs) >> shift;
            let bits = encode(&target);
            let Compact { target: cut, negative, overflow } = decode(bits);
            prop_assert!(!negative && !overflow && cut <= target);
            prop_assert_eq!(encode(&cut), bits);
            // At least fifteen significant bits are kept.
            prop_assert!(target - cut <= target >> 15);
        }

        #[test]
        fn work_is_the_quotient(limbs in any::<[u64; 4]>(), shift in 1..256usize) {
            let target = U256::from_limbs(limbs) >> shift;
            prop_assume!(!target.is_zero());
            let (work, divisor) = (work(&target), target + U256::ONE);
            // work * divisor <= 2^256 < (work + 1) * divisor, without the 257th bit.
            let product = work.checked_mul(divisor);
            prop_assert!(product.is_some() || work.wrapping_mul(divisor).is_zero());
            if let Some(product) = product {
                prop_assert!((U256::MAX - product).checked_add(U256::ONE).is_none_or(|rest| rest < divisor));
            }
        }
    }
}
