//! Who decides the next epoch.

use std::cmp::Reverse;

use alloy_primitives::Address;

use crate::grid::{Validator, ValidatorSet};

/// Powers are scaled so that their sum has at most this many bits (and at most one more unit a validator). The
/// engine needs a sum below 2^64 / 3.
const POWER_BITS: u32 = 60;

/// A delegate that may be elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The address of its signing key.
    pub account: Address,
    /// All stake behind it.
    pub tokens: u128,
}

/// The `most` candidates with the most stake; the lower address wins a tie. `None` where nobody has any.
///
/// A power is the stake without its lowest bits, so many for all that the sum fits, and at least 1. The order in which
/// candidates are given does not matter; of two with one address the larger counts.
#[must_use]
pub fn elect(mut candidates: Vec<Candidate>, most: usize) -> Option<ValidatorSet> {
    candidates.retain(|candidate| candidate.tokens > 0);
    candidates.sort_unstable_by_key(|c| (c.account, Reverse(c.tokens)));
    candidates.dedup_by_key(|candidate| candidate.account);
    candidates.sort_unstable_by_key(|c| (Reverse(c.tokens), c.account));
    candidates.truncate(most);
    let total = candidates.iter().fold(0u128, |sum, c| sum.saturating_add(c.tokens));
    let bits = u128::BITS.saturating_sub(total.leading_zeros());
    let shift = bits.saturating_sub(POWER_BITS);
    let mut validators = candidates
        .into_iter()
        .map(|Candidate { account, tokens }| {
            let power = tokens.checked_shr(shift).unwrap_or(0);
            Validator { account, power: u64::try_from(power).unwrap_or(u64::MAX).max(1) }
        })
        .collect::<Vec<_>>();
    validators.sort_unstable_by_key(|validator| validator.account);
    ValidatorSet::new(validators).ok()
}
