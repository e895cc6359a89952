//! Probabilities in fixed point.

use core::fmt;

use alloy_primitives::U256;

/// Bits below the point.
pub(super) const BITS: usize = 112;

/// 1 in fixed point.
pub(super) const ONE: U256 = U256::from_limbs([0, 1 << 48, 0, 0]);

/// What a computed probability is wrong by at most: 2⁻⁸⁸.
const ERROR: U256 = U256::from_limbs([1 << 24, 0, 0, 0]);

/// The most decimals that are shown; the bits hold 33.
const MAX_DECIMALS: usize = 30;

/// A probability: a multiple of 2⁻¹¹² from 0 to 1.
///
/// Shown with the format's number of decimals (ten where it gives none, at most 30), half rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability(U256);

impl Probability {
    /// Impossible.
    pub const ZERO: Self = Self(U256::ZERO);
    /// Certain.
    pub const ONE: Self = Self(ONE);

    /// From units of 2⁻¹¹²; more than 1 is 1.
    pub(super) fn from_raw(raw: U256) -> Self {
        Self(raw.min(ONE))
    }

    /// `value` times the probability, rounded up, in the unit of `value`. The bound of the probability's own error, 2⁻⁸⁸, is
    /// taken off first: what is a whole number stays one.
    #[must_use]
    pub fn expected_loss(self, value: u64) -> u64 {
        // At most `value`, for the probability is at most 1.
        u64::try_from(self.of(value.into())).unwrap_or(value)
    }

    /// [`Self::expected_loss`] of an amount of up to 128 bits.
    #[must_use]
    pub fn of(self, value: u128) -> u128 {
        let product = self.0.saturating_sub(ERROR).saturating_mul(U256::from(value));
        let up = product.saturating_add(ONE.wrapping_sub(U256::ONE)).wrapping_shr(BITS);
        u128::try_from(up).unwrap_or(value)
    }

    /// The greatest that the probability of one event or the other can be: the sum, at most 1.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::from_raw(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(10).min(MAX_DECIMALS);
        let scale = U256::from(10).saturating_pow(U256::from(decimals));
        let half = ONE.wrapping_shr(1);
        let rounded = self.0.saturating_mul(scale).saturating_add(half).wrapping_shr(BITS);
        let (whole, rest) = rounded.div_rem(scale);
        if decimals == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{rest:0>decimals$}")
    }
}

/// The product of two numbers in fixed point, rounded down. Both below 2¹⁶: the product of the integers
/// fits 256 bits then.
pub(super) fn mul(one: U256, other: U256) -> U256 {
    one.saturating_mul(other).wrapping_shr(BITS)
}
