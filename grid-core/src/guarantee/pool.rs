//! The pool's book: what is there, what is locked, and where all of it came from and went.

use alloy_primitives::U256;

use super::error::GuaranteeError;
use crate::staking::mul_div;

/// Shares that nobody holds, over one unit that nobody put in: what somebody adds to the pool to spoil the price for the next
/// depositor is lost to them.
const VIRTUAL_SHARES: u128 = 1_000;
/// A pool whose shares are worth less than this part of their first price is worn out.
const WORN_OUT: u128 = 1_000_000;

/// The pool behind all guarantees. Amounts are in the smallest unit of GRID.
///
/// Shares are in `pool + cover`: underwriters keep what is locked as cover until it is paid out; premiums are theirs
/// when their guarantees end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Book {
    /// Raised when a worn-out pool starts anew: shares of earlier generations are worth nothing.
    pub generation: u64,
    /// Shares.
    pub shares: u128,
    /// What is free.
    pub pool: u128,
    /// Cover and premiums of open guarantees.
    pub locked: u128,
    /// Cover of open guarantees.
    pub cover: u128,
    /// All deposits ever.
    pub deposited: U256,
    /// All withdrawals ever.
    pub withdrawn: U256,
    /// All premiums ever.
    pub premiums: U256,
    /// All that beneficiaries were ever paid.
    pub paid: U256,
}

impl Book {
    /// What all shares are worth.
    #[must_use]
    pub const fn value(&self) -> u128 {
        self.pool.saturating_add(self.cover)
    }

    /// Whether everything that came in is still there or went out, and all cover is locked.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let sum = |parts: [U256; 4]| {
            parts.into_iter().try_fold(U256::ZERO, |sum, part| sum.checked_add(part))
        };
        let there =
            sum([U256::from(self.pool), U256::from(self.locked), self.paid, self.withdrawn]);
        let came = sum([self.deposited, self.premiums, U256::ZERO, U256::ZERO]);
        there.is_some() && there == came && self.cover <= self.locked
    }

    /// What shares are worth, rounded down.
    #[must_use]
    pub fn worth(&self, shares: u128) -> u128 {
        let value = self.value().saturating_add(1);
        mul_div(shares, value, self.shares.saturating_add(VIRTUAL_SHARES)).unwrap_or(0)
    }

    /// Puts tokens in; returns the new shares, rounded down.
    ///
    /// # Errors
    /// [`GuaranteeError::Amount`] where a number gets too large, [`GuaranteeError::TooLittle`] for no share.
    pub fn deposit(&mut self, tokens: u128) -> Result<u128, GuaranteeError> {
        if self.is_worn_out() {
            self.generation = self.generation.saturating_add(1);
            self.shares = 0;
        }
        let all = self.shares.checked_add(VIRTUAL_SHARES).ok_or(GuaranteeError::Amount)?;
        let shares =
            mul_div(tokens, all, self.value().saturating_add(1)).ok_or(GuaranteeError::Amount)?;
        if shares == 0 {
            return Err(GuaranteeError::TooLittle {
                found: tokens,
                least: tokens.saturating_add(1),
            });
        }
        self.shares = add(self.shares, shares)?;
        self.pool = add(self.pool, tokens)?;
        self.deposited = total(self.deposited, tokens)?;
        Ok(shares)
    }

    /// Nothing is covered, and what is left is worth next to nothing to those who hold shares.
    const fn is_worn_out(&self) -> bool {
        let first = self.value().saturating_add(1).saturating_mul(VIRTUAL_SHARES);
        self.cover == 0 && first.saturating_mul(WORN_OUT) < self.shares
    }

    /// Takes shares out; returns their tokens. Only what is free can leave.
    ///
    /// # Errors
    /// [`GuaranteeError::Shares`] for more than there are, [`GuaranteeError::Locked`] for more than is free.
    pub fn redeem(&mut self, shares: u128) -> Result<u128, GuaranteeError> {
        let wanted = self.worth(shares);
        let missing = GuaranteeError::Shares { wanted: shares, held: self.shares };
        let left = self.shares.checked_sub(shares).ok_or(missing)?;
        let locked = GuaranteeError::Locked { wanted, free: self.pool };
        let pool = self.pool.checked_sub(wanted).ok_or(locked)?;
        self.withdrawn = total(self.withdrawn, wanted)?;
        (self.shares, self.pool) = (left, pool);
        Ok(wanted)
    }

    /// Takes a premium in and locks a cover with it.
    ///
    /// # Errors
    /// [`GuaranteeError::Locked`] where not so much is free.
    pub fn lock(&mut self, cover: u128, premium: u128) -> Result<(), GuaranteeError> {
        let locked = GuaranteeError::Locked { wanted: cover, free: self.pool };
        let pool = self.pool.checked_sub(cover).ok_or(locked)?;
        let more = add(cover, premium)?;
        (self.locked, self.cover) = (add(self.locked, more)?, add(self.cover, cover)?);
        self.premiums = total(self.premiums, premium)?;
        self.pool = pool;
        Ok(())
    }

    /// Ends a guarantee without loss: its cover is free again, its premium is earned.
    pub fn settle(&mut self, cover: u128, premium: u128) {
        self.unlock(cover, premium);
        self.pool = self.pool.saturating_add(cover).saturating_add(premium);
    }

    /// Ends a guarantee with a payment of its cover; the premium is earned all the same.
    pub fn pay(&mut self, cover: u128, premium: u128) {
        self.unlock(cover, premium);
        self.pool = self.pool.saturating_add(premium);
        self.paid = self.paid.saturating_add(U256::from(cover));
    }

    /// What a guarantee locked is there: [`Self::lock`] put it in.
    const fn unlock(&mut self, cover: u128, premium: u128) {
        self.locked = self.locked.saturating_sub(cover).saturating_sub(premium);
        self.cover = self.cover.saturating_sub(cover);
    }
}

fn add(one: u128, other: u128) -> Result<u128, GuaranteeError> {
    one.checked_add(other).ok_or(GuaranteeError::Amount)
}

fn total(sum: U256, more: u128) -> Result<U256, GuaranteeError> {
    sum.checked_add(U256::from(more)).ok_or(GuaranteeError::Amount)
}
