//! The probability that a double spend succeeds, in integers.
//!
//! An attacker with the share `q` of the hash rate mines in secret from below a payment's block; the
//! others, with `p = 1 - q`, have found `z` blocks from there on. Once behind by `n` blocks he catches up with
//! probability `(q/p)^n`. What differs is what is known of the blocks that he has by then:
//!
//! - [`rosenfeld`]: a negative binomial number, which is exact where only `z` is known. Source: M. Rosenfeld,
//!   *Analysis of hashrate-based double-spending*, 2012.
//! - [`time_conditioned`]: a Poisson number with the mean `κ·z·q/p`, exact where the `z` blocks are known to have
//!   taken `κ` times the expected time. Source: C. Grunspan, R. Pérez-Marco, *Double spend races*, 2017.
//! - [`nakamoto`]: the same with `κ = 1`: the approximation of the Bitcoin paper, section 11.
//!
//! All three count a tie as success: who is level has won, as the Bitcoin paper has it.
//!
//! # Exactness
//! Every machine gets the same bits: numbers are multiples of 2⁻¹¹² in 256-bit integers. Sums are brought
//! into forms without cancellation and without numbers that leave the range:
//!
//! - Rosenfeld's sum telescopes over `z`: `P(z) - P(z+1) = (p-q)·C(2z,z)·(pq)^z`, `P(0) = 1`. One
//!   term follows from the last by a factor below 1. `t` terms are each wrong by at most `5t` units, so `P` is too
//!   large by less than `3z²` units, never too small.
//! - The Poisson weights are built from the mode, which is 1, downwards and upwards by factors of at most 1, and
//!   divided by their sum: `e^-λ` is not needed. `1 - Q(z, λ) + (q/p)^z·e^(κz(p-q)/p)·Q(z, κz)` with its growing
//!   exponential is the same as `Pr[N >= z] + Σ_{k<z} Pr[N = k]·(q/p)^(z-k)`. A weight `n` steps from the mode is
//!   wrong by at most `n` units, and fewer than 2,048 are not zero.
//!
//! For `z` up to [`MAX_DEPTH`] both errors are below 2⁻⁸⁸, so that ten decimals are always those of the true value but
//! where that lies within 10⁻²⁶ of the middle of two.
//!
//! # Time
//! No input makes a function run longer than [`MAX_DEPTH`] does: some 0.3 ms for [`rosenfeld`], 0.5 ms for the others
//! (`benches/confirm.rs`). Six confirmations take 2 and 5 µs. [`Exposure::confirmations_by_time`] computes at most some twenty
//! probabilities, and one where blocks come in time.

mod exposure;
mod probability;
mod ratio;
#[cfg(test)]
mod tests;

use alloy_primitives::U256;

pub use exposure::{Exposure, Requirement};
pub use probability::Probability;
pub use ratio::{Ratio, RatioError};

use probability::{ONE, mul};

/// The most confirmations that are told apart; more count as so many. A week of Bitcoin blocks.
pub const MAX_DEPTH: u64 = 1_000;

/// Rosenfeld's probability that a double spend succeeds after `z` confirmations against a share `q`
/// of the hash rate. 1 where `q` is a half or more, or `z` is 0.
#[must_use]
pub fn rosenfeld(q: Ratio, z: u64) -> Probability {
    let depth = usize::try_from(z.min(MAX_DEPTH)).unwrap_or(usize::MAX);
    rosenfeld_by_depth(q).nth(depth).unwrap_or(Probability::ONE)
}

/// [`rosenfeld`] for 0, 1, 2, … confirmations up to [`MAX_DEPTH`], each in constant time from the one
/// before. Never increasing.
pub fn rosenfeld_by_depth(q: Ratio) -> impl Iterator<Item = Probability> {
    let p = Ratio::ONE.saturating_sub(q);
    // Zero from q = 1/2 on: every probability is 1 then.
    let lead = fixed(p.saturating_sub(q));
    let pq = mul(fixed(p), fixed(q.min(Ratio::ONE)));
    let mut term = ONE;
    let mut sum = U256::ZERO;
    (0..=MAX_DEPTH).map(move |z| {
        let found = Probability::from_raw(ONE.saturating_sub(mul(lead, sum)));
        sum = sum.saturating_add(term);
        // C(2z+2, z+1) / C(2z, z) = (4z + 2) / (z + 1)
        let grown = mul(term, pq).saturating_mul(U256::from(z.saturating_mul(4).saturating_add(2)));
        term = div(grown, z.saturating_add(1));
        found
    })
}

/// Nakamoto's probability that a double spend succeeds after `z` confirmations against a share `q` of
/// the hash rate. 1 where `q` is a half or more, or `z` is 0.
#[must_use]
pub fn nakamoto(q: Ratio, z: u64) -> Probability {
    time_conditioned(q, z, Ratio::ONE)
}

/// The probability that a double spend succeeds after `z` confirmations against a share `q` of the hash
/// rate, where they took `kappa` times the expected time. 1 where `q` is a half or more, or `z` is 0.
#[must_use]
pub fn time_conditioned(q: Ratio, z: u64, kappa: Ratio) -> Probability {
    let z = z.min(MAX_DEPTH);
    let p = Ratio::ONE.saturating_sub(q);
    if z == 0 || p <= q {
        return Probability::ONE;
    }
    // z·κ·q/p, below 2^64·2^64·2^40 units of 10^-24 before the division.
    let blocks = U256::from(kappa.parts()).saturating_mul(U256::from(z));
    let (q, p) = (U256::from(q.parts()), U256::from(p.parts()));
    let unit = p.saturating_mul(U256::from(Ratio::ONE.parts()));
    let mean = divide(blocks.saturating_mul(q), unit);
    // Fewer than 2^-112 lies below z there (Chernoff's bound), and no number below gets too large.
    if mean >= U256::from(z.saturating_mul(4).saturating_add(128)).wrapping_shl(probability::BITS) {
        return Probability::ONE;
    }
    catch_up(divide(q, p), z, mean)
}

/// The probability that an attacker with the share `q` of the hash rate ever draws level who is known to be `behind`
/// blocks behind: `(q/p)^behind`. 1 where `q` is a half or more, or `behind` is 0. Too small by less than `behind`
/// units of 2⁻¹¹²; more than [`MAX_DEPTH`] blocks count as so many.
#[must_use]
pub fn drawing_level(q: Ratio, behind: u64) -> Probability {
    let p = Ratio::ONE.saturating_sub(q);
    if p <= q {
        return Probability::ONE;
    }
    let ratio = divide(U256::from(q.parts()), U256::from(p.parts()));
    let steps = 0..behind.min(MAX_DEPTH);
    Probability::from_raw(steps.fold(ONE, |power, _| mul(power, ratio)))
}

/// `Σ Pr[N = k]·min(1, ratio^(z-k))` over the Poisson numbers `N` of that mean.
fn catch_up(ratio: U256, z: u64, mean: U256) -> Probability {
    let mode = u64::try_from(mean.wrapping_shr(probability::BITS)).unwrap_or(u64::MAX);
    // From the mode down: the sum of the weights and the sum of weight times ratio^(top-k).
    let top = mode.min(z);
    let (mut weight, mut power) = (ONE, ONE);
    let (mut total, mut won) = (ONE, ONE);
    for k in (0..mode).rev() {
        let above = U256::from(k.saturating_add(1));
        weight = divide(weight.saturating_mul(above), mean);
        if weight.is_zero() {
            break;
        }
        if k < top {
            power = mul(power, ratio);
        }
        total = total.saturating_add(weight);
        won = won.saturating_add(mul(weight, power));
    }
    // From the mode up: each k up to z takes the deficit of all below it one block further.
    weight = ONE;
    let mut k = mode;
    while k < z || !weight.is_zero() {
        k = k.saturating_add(1);
        weight = div(mul(weight, mean), k);
        if k <= z {
            won = mul(won, ratio);
        }
        total = total.saturating_add(weight);
        won = won.saturating_add(weight);
    }
    Probability::from_raw(divide(won, total))
}

/// A ratio of at most 1 in fixed point, rounded down.
fn fixed(ratio: Ratio) -> U256 {
    divide(U256::from(ratio.parts()), U256::from(Ratio::ONE.parts()))
}

/// `number / divisor` in fixed point, rounded down; `number` has at most 144 bits.
fn divide(number: U256, divisor: U256) -> U256 {
    number.wrapping_shl(probability::BITS).checked_div(divisor).unwrap_or(U256::MAX)
}

/// `number / divisor`, rounded down.
fn div(number: U256, divisor: u64) -> U256 {
    number.checked_div(U256::from(divisor)).unwrap_or(U256::MAX)
}
