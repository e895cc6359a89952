//! Ratios in decimal fixed point.

use core::{fmt, str::FromStr};

use thiserror::Error;

/// Decimals of a [`Ratio`].
const DECIMALS: usize = 12;

/// A number from 0 to some 18 million, in units of 10⁻¹²: a share of the hash rate, or how slowly blocks came.
///
/// As text a decimal number with at most twelve decimals: `0.1`, `2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(u64);

/// Why a text is not a [`Ratio`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a decimal number from 0 to 18446744 with at most {DECIMALS} decimals, such as 0.25"
)]
pub struct RatioError(pub String);

impl Ratio {
    /// 0.
    pub const ZERO: Self = Self(0);
    /// 1.
    pub const ONE: Self = Self(1_000_000_000_000);

    /// Parts per million.
    #[must_use]
    pub const fn from_ppm(parts: u32) -> Self {
        // Below 2^52.
        Self((parts as u64).saturating_mul(1_000_000))
    }

    /// `numerator / denominator`, rounded down. The greatest ratio where that is greater or the
    /// denominator is zero.
    #[must_use]
    pub fn of(numerator: u64, denominator: u64) -> Self {
        let product = u128::from(numerator).saturating_mul(u128::from(Self::ONE.0));
        let quotient = product.checked_div(u128::from(denominator)).unwrap_or(u128::MAX);
        Self(u64::try_from(quotient).unwrap_or(u64::MAX))
    }

    /// In units of 10⁻¹².
    #[must_use]
    pub const fn parts(self) -> u64 {
        self.0
    }

    /// The difference, or 0 where `other` is greater.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl FromStr for Ratio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, RatioError> {
        let error = || RatioError(text.into());
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > DECIMALS {
            return Err(error());
        }
        let padded = format!("{decimals:0<DECIMALS$}");
        let whole: u64 = whole.parse().map_err(|_| error())?;
        let parts: u64 = padded.parse().map_err(|_| error())?;
        whole
            .checked_mul(Self::ONE.0)
            .and_then(|whole| whole.checked_add(parts))
            .map(Self)
            .ok_or_else(error)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0 / Self::ONE.0;
        let rest = format!("{:0>DECIMALS$}", self.0 % Self::ONE.0);
        match rest.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            decimals => write!(f, "{whole}.{decimals}"),
        }
    }
}
