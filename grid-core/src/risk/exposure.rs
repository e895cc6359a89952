//! How many confirmations a payment needs.

use super::{MAX_DEPTH, Probability, Ratio, rosenfeld_by_depth, time_conditioned};

/// What is at stake, and what may be lost of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure {
    /// What a successful double spend takes, satoshi.
    pub value: u64,
    /// The greatest expected loss that is accepted, satoshi.
    pub max_loss: u64,
    /// The attacker's share of the hash rate.
    pub share: Ratio,
}

/// How many confirmations a payment needs, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// What the value asks for: [`Exposure::confirmations`].
    pub by_value: Option<u64>,
    /// One more than the deepest branch that lost lately; at least that many.
    pub floor: u64,
    /// What is needed in the end: the greater of both, and more where the blocks came slowly. `None` if no number
    /// up to [`MAX_DEPTH`] is enough, or not so many blocks are there.
    pub needed: Option<u64>,
}

impl Exposure {
    /// How many confirmations are needed where a branch of `stale` blocks lost lately; `kappa` as for
    /// [`Self::confirmations_by_time`].
    #[must_use]
    pub fn requirement(&self, stale: u64, kappa: impl Fn(u64) -> Option<Ratio>) -> Requirement {
        let (by_value, floor) = (self.confirmations(), stale.saturating_add(1));
        let needed = by_value.and_then(|z| self.confirmations_by_time(z.max(floor), kappa));
        Requirement { by_value, floor, needed }
    }

    /// Whether the expected loss at that probability is accepted.
    #[must_use]
    pub fn accepts(&self, probability: Probability) -> bool {
        probability.expected_loss(self.value) <= self.max_loss
    }

    /// The least number of confirmations that are enough by [`rosenfeld`](super::rosenfeld). `None` if [`MAX_DEPTH`] are
    /// too few.
    #[must_use]
    pub fn confirmations(&self) -> Option<u64> {
        (0u64..)
            .zip(rosenfeld_by_depth(self.share))
            .find(|(_, probability)| self.accepts(*probability))
            .map(|(z, _)| z)
    }

    /// The least number of confirmations from `least` on that are enough by [`time_conditioned`] too, where
    /// `kappa` tells how slowly the last `z` blocks came, or `None` if there are not so many. `None` if there is no
    /// such number up to [`MAX_DEPTH`].
    ///
    /// Looks at `least` and at 1, 3, 7, … confirmations more, and then closes in between the last two: some twenty
    /// looks at most, and what is found is always enough. It is the least wherever more confirmations are always better.
    #[must_use]
    pub fn confirmations_by_time(
        &self,
        least: u64,
        kappa: impl Fn(u64) -> Option<Ratio>,
    ) -> Option<u64> {
        let too_few =
            |z| kappa(z).is_some_and(|kappa| !self.accepts(time_conditioned(self.share, z, kappa)));
        let (mut low, mut high) = (least, least);
        let mut step = 1u64;
        while too_few(high) {
            if high >= MAX_DEPTH {
                return None;
            }
            low = high;
            high = high.saturating_add(step).min(MAX_DEPTH);
            step = step.saturating_mul(2);
        }
        while high.saturating_sub(low) > 1 {
            let middle = low.midpoint(high);
            if too_few(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        // Where there are not so many blocks, nothing was enough.
        kappa(high).map(|_| high)
    }
}
