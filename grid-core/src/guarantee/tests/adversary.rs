//! Attackers with a part of the hash rate against the pool, over long runs. Integers only, seeded.
//!
//! Attempts are played on counts of blocks. A block is the attacker's with probability `q`. Amounts are in
//! millionths of a block's value.

use super::*;
use crate::risk::{Ratio, rosenfeld};

const BLOCK: i128 = 1_000_000;
/// So far behind nobody goes on.
const HOPELESS: i64 = 25;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn hits(&mut self, ppm: u32) -> bool {
        self.next() % 1_000_000 < u64::from(ppm)
    }
}

/// When an attacker asks for a guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Always, at `z` confirmations, and mines in secret until he is level or hopeless.
    Blind,
    /// Only when his secret branch is longer already.
    Knowing,
    /// He shows his own branch to the main chain alone, as soon as it leads, and asks on it; the network never sees it.
    Withholding,
}

/// What a run brought, in millionths of a block's value; from the pool's and from the attacker's side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    asked: u64,
    lost: u64,
    premiums: i128,
    paid: i128,
    /// Blocks that the attacker mined for nothing.
    wasted: i128,
}

impl Sum {
    const fn pool(&self) -> i128 {
        self.premiums - self.paid
    }

    /// Cover less premiums and wasted blocks.
    const fn attacker(&self) -> i128 {
        self.paid - self.premiums - self.wasted * BLOCK
    }
}

/// Plays attempts of one kind: `share` is the attacker's, `assumed` what the terms say, the cover as large as the limit.
fn play(kind: Kind, share: u32, assumed: u32, z: u64, loading: u32, attempts: u64) -> Sum {
    let rules = GuaranteeParams { loading_parts: loading, base_premium: U128::ZERO, ..params() };
    let cover = u128::from(z) * BLOCK as u128;
    let risk = rosenfeld(Ratio::from_ppm(assumed), z);
    let Ok(price) = premium(&rules, risk, cover) else { return Sum::default() };
    let (price, cover) = (price as i128, cover as i128);
    let mut chance = Chance(u64::from(share) << 32 | z << 8 | kind as u64);
    let mut sum = Sum::default();
    for _ in 0..attempts {
        let (mut own, mut public) = (0i64, 0i64);
        while public < z as i64 && !(kind == Kind::Withholding && own >= z as i64) {
            if chance.hits(share) { own += 1 } else { public += 1 }
        }
        let asks = match kind {
            Kind::Blind => true,
            Kind::Knowing | Kind::Withholding => own > public,
        };
        if !asks {
            sum.wasted += i128::from(own);
            continue;
        }
        sum.asked += 1;
        sum.premiums += price;
        let won = match kind {
            Kind::Withholding => {
                sum.wasted += i128::from(own);
                true
            }
            _ => {
                while own < public && public - own < HOPELESS {
                    if chance.hits(share) { own += 1 } else { public += 1 }
                }
                if own < public {
                    sum.wasted += i128::from(own);
                }
                own >= public
            }
        };
        if won {
            sum.lost += 1;
            sum.paid += cover;
        }
    }
    sum
}

const ATTEMPTS: u64 = 50_000;
const LOADING: u32 = 15_000;

/// A seeded play of the table in docs/guarantee.md; `--nocapture` prints it.
#[test]
fn the_pool_does_not_lose_to_who_asks_blindly_and_nobody_gains() {
    println!("| attacker | share | z | asked | lost | pool | attacker |");
    for kind in [Kind::Blind, Kind::Knowing, Kind::Withholding] {
        for share in [50_000, 100_000, 200_000, 300_000, 400_000] {
            for z in [1, 2, 3, 6] {
                let sum = play(kind, share, 100_000, z, LOADING, ATTEMPTS);
                let blocks = |amount: i128| amount / BLOCK;
                println!(
                    "| {kind:?} | {}.{} % | {z} | {} | {} | {} | {} |",
                    share / 10_000,
                    share / 1_000 % 10,
                    sum.asked,
                    sum.lost,
                    blocks(sum.pool()),
                    blocks(sum.attacker())
                );
                // Blindly and with a greater share than the terms assume, he wins more than the premium is for.
                if share <= 100_000 || kind != Kind::Blind {
                    assert!(sum.attacker() <= 0, "{kind:?} {share} {z} {sum:?}");
                }
                if share <= 100_000 && kind == Kind::Blind {
                    assert!(sum.pool() > 0, "{share} {z} {sum:?}");
                }
            }
        }
    }
}

#[test]
fn without_loading_the_pool_gains_nothing_to_speak_of() {
    let cover = i128::from(ATTEMPTS) * BLOCK;
    let even = play(Kind::Blind, 100_000, 100_000, 1, 10_000, ATTEMPTS);
    // One standard deviation of 50,000 attempts with a probability of a fifth is 0.18 %.
    assert!(even.pool().abs() < cover / 100, "{even:?}");
    let loaded = play(Kind::Blind, 100_000, 100_000, 1, LOADING, ATTEMPTS);
    assert!(loaded.pool() > cover / 12, "{loaded:?}");
}

/// What the limit by work is for: without it, somebody who asks only when he has won already takes all.
#[test]
fn the_limit_by_work_is_what_stops_who_knows() {
    let sum = play(Kind::Knowing, 100_000, 100_000, 1, LOADING, ATTEMPTS);
    assert!(sum.pool() < 0 && sum.attacker() < 0, "{sum:?}");
    // Per unit of cover he gains what the pool loses, and pays in blocks: where the two meet.
    let breaks_even = sum.wasted * BLOCK * 10 / -sum.pool();
    println!("a knowing attacker breaks even at {breaks_even} tenths of a block's value");
    assert!(breaks_even > 10);
}
