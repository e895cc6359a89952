//! Many holders' tokens as one number.

use alloy_primitives::U256;

use super::{error::StakingError, params::WHOLE};

/// Tokens that belong to the holders of shares, in proportion.
///
/// Shares are counted in the tokens of the first deposit. Deposits and redemptions round down, so what others
/// hold never loses by them; the last one to leave takes the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pool {
    /// Tokens, smallest unit of GRID.
    pub tokens: u128,
    /// Shares in them.
    pub shares: u128,
}

/// `a · b / c`, rounded down; `None` where `c` is zero or the result too large.
pub(crate) fn mul_div(a: u128, b: u128, c: u128) -> Option<u128> {
    let product = U256::from(a).checked_mul(U256::from(b))?;
    u128::try_from(product.checked_div(U256::from(c))?).ok()
}

/// Parts of 10,000 of an amount, rounded down.
pub(super) fn parts_of(amount: u128, parts: u16) -> u128 {
    mul_div(amount, parts.min(WHOLE).into(), WHOLE.into()).unwrap_or(0)
}

impl Pool {
    /// Puts tokens in; returns the new shares.
    ///
    /// # Errors
    /// [`StakingError::Nothing`] where that is no share, [`StakingError::Emptied`] where shares are worth
    /// nothing, [`StakingError::Amount`] where a number gets too large.
    pub fn deposit(&mut self, tokens: u128) -> Result<u128, StakingError> {
        let shares = match (self.tokens, self.shares) {
            (_, 0) => tokens,
            (0, _) => return Err(StakingError::Emptied),
            (held, shares) => mul_div(tokens, shares, held).ok_or(StakingError::Amount)?,
        };
        if shares == 0 {
            return Err(StakingError::Nothing);
        }
        let sum = |a: u128, b| a.checked_add(b).ok_or(StakingError::Amount);
        *self = Self { tokens: sum(self.tokens, tokens)?, shares: sum(self.shares, shares)? };
        Ok(shares)
    }

    /// Takes shares out; returns their tokens.
    ///
    /// # Errors
    /// [`StakingError::Nothing`] for no share, [`StakingError::Shares`] for more than there are.
    pub fn redeem(&mut self, shares: u128) -> Result<u128, StakingError> {
        if shares == 0 {
            return Err(StakingError::Nothing);
        }
        let tokens = self.worth(shares);
        let missing = StakingError::Shares { wanted: shares, held: self.shares };
        let left = self.shares.checked_sub(shares).ok_or(missing)?;
        *self = Self { tokens: self.tokens.saturating_sub(tokens), shares: left };
        Ok(tokens)
    }

    /// What shares are worth, rounded down.
    #[must_use]
    pub fn worth(&self, shares: u128) -> u128 {
        mul_div(shares, self.tokens, self.shares).unwrap_or(0)
    }

    /// Takes a part away, rounded up so that no stake is too small to be slashed; returns it.
    pub fn slash(&mut self, parts: u16) -> u128 {
        let kept = parts_of(self.tokens, WHOLE.saturating_sub(parts));
        let slashed = self.tokens.saturating_sub(kept);
        self.tokens = kept;
        slashed
    }
}
