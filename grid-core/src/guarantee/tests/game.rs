//! The best that an attacker can do, whatever he knows: a game of blocks, solved backwards in integers.
//!
//! He mines in secret since the block below the payment's, and looks at both branches before each block. He may stop, publish a
//! longer branch, ask for cover up to the limit by work, or mine on. There are two ways to be paid:
//!
//! - [`Way::Replace`]: the payment is in the network's branch, and his own replaces it.
//! - [`Way::Withhold`]: the payment is in his own branch, which he shows to the main chain only.
//!
//! He loses the blocks that he mined and does not publish. Those that he publishes earn what they would have earned
//! anyway; that others lose theirs is no gain of his. When the network's branch is six blocks long its guarantees are settled.

use super::*;
use crate::risk::{Probability, Ratio, drawing_level, rosenfeld};

/// A block's value.
pub(super) const BLOCK: i128 = 1_000_000_000_000;
/// Blocks after which a guarantee is settled.
const SETTLED: usize = 6;
/// So many secret blocks are enough for everything.
const LONGEST: usize = 12;
/// All shares, in parts per million.
const ALL: i128 = 1_000_000;

/// How an attacker is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Replace,
    Withhold,
}

/// What an attacker does before the next block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Stop,
    Publish,
    Ask,
    Mine,
}

/// Where the game stands: secret blocks, public blocks, covered confirmations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub(super) own: usize,
    pub(super) public: usize,
    pub(super) covered: usize,
}

/// The rules of the game.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) way: Way,
    /// The attacker's share of the hash rate, parts per million.
    pub(super) share: u32,
    /// The share that the terms assume.
    pub(super) assumed: u32,
    /// Loading, parts of 10,000.
    pub(super) loading: u32,
    /// The cover for each confirmation, thousandths of a block's value.
    pub(super) limit: u32,
}

/// The game, solved: what it is worth from everywhere on, and the best move.
pub(super) struct Game {
    rules: Rules,
    values: Vec<(i128, Move)>,
}

impl Rules {
    pub(super) fn cover(&self, confirmations: usize) -> i128 {
        confirmations as i128 * i128::from(self.limit) * BLOCK / 1_000
    }

    /// What a block's value of cover costs; `None` where nothing is covered.
    fn rate(&self, z: usize, lead: Option<usize>) -> Option<i128> {
        let share = Ratio::from_ppm(self.assumed);
        let open = lead.map_or(Probability::ZERO, |lead| drawing_level(share, lead as u64));
        let risk = rosenfeld(share, z as u64).or(open);
        let rules = GuaranteeParams {
            loading_parts: self.loading,
            base_premium: U128::ZERO,
            ..GuaranteeParams::default()
        };
        premium(&rules, risk, BLOCK as u128).ok().map(|rate| rate as i128)
    }

    /// Confirmations that can be covered, and what the cover costs that is not held yet.
    pub(super) fn ask(&self, at: At) -> Option<(usize, i128)> {
        let At { own, public, covered } = at;
        let (z, lead) = match self.way {
            Way::Replace => (public, None),
            Way::Withhold if own > public => {
                (own.min(SETTLED - 1), (public > 0).then(|| own - public))
            }
            Way::Withhold => return None,
        };
        if z <= covered || z >= SETTLED {
            return None;
        }
        let more = self.cover(z) - self.cover(covered);
        self.rate(z, lead).map(|rate| (z, more * rate / BLOCK))
    }

    /// What it brings to stop.
    pub(super) fn stop(&self, at: At) -> i128 {
        let lost = at.own as i128 * BLOCK;
        match self.way {
            Way::Replace => -lost,
            Way::Withhold => self.cover(at.covered) - lost,
        }
    }

    /// What it brings to publish.
    pub(super) fn publish(&self, at: At) -> Option<i128> {
        (at.own > at.public).then(|| match self.way {
            Way::Replace if at.public < SETTLED => self.cover(at.covered),
            _ => 0,
        })
    }
}

impl Game {
    pub(super) fn solve(rules: Rules) -> Self {
        let mut game =
            Self { rules, values: vec![(0, Move::Stop); slot(LONGEST, SETTLED, SETTLED)] };
        for own in (0..=LONGEST).rev() {
            for public in (0..=SETTLED).rev() {
                for covered in (0..SETTLED).rev() {
                    let at = At { own, public, covered };
                    game.values[slot(own, public, covered)] = game.best(at);
                }
            }
        }
        game
    }

    fn best(&self, at: At) -> (i128, Move) {
        let rules = &self.rules;
        let mut best = (rules.stop(at), Move::Stop);
        let mut or = |value: i128, by: Move| {
            if value > best.0 {
                best = (value, by);
            }
        };
        if let Some(value) = rules.publish(at) {
            or(value, Move::Publish);
        }
        if at.public == SETTLED {
            return best;
        }
        if let Some((z, costs)) = rules.ask(at) {
            or(self.value(At { covered: z, ..at }) - costs, Move::Ask);
        }
        let public = self.value(At { public: at.public + 1, ..at });
        or(
            if at.own == LONGEST {
                public
            } else {
                let share = i128::from(rules.share);
                let own = self.value(At { own: at.own + 1, ..at });
                (share * own + (ALL - share) * public) / ALL
            },
            Move::Mine,
        );
        best
    }

    pub(super) fn value(&self, at: At) -> i128 {
        self.values[slot(at.own, at.public, at.covered)].0
    }

    pub(super) fn best_move(&self, at: At) -> Move {
        self.values[slot(at.own, at.public, at.covered)].1
    }

    /// What an attempt is worth from its start; never below 0, for not to attack is a way to play.
    pub(super) fn gain(&self) -> i128 {
        self.value(At { own: 0, public: 0, covered: 0 })
    }

    /// Plays an attempt; a block is the attacker's where `chance` says so.
    pub(super) fn play(&self, mut chance: impl FnMut() -> bool) -> i128 {
        let (mut at, mut costs) = (At { own: 0, public: 0, covered: 0 }, 0);
        loop {
            match self.best_move(at) {
                Move::Stop => return self.rules.stop(at) - costs,
                Move::Publish => return self.rules.publish(at).unwrap() - costs,
                Move::Ask => {
                    let (z, more) = self.rules.ask(at).unwrap();
                    costs += more;
                    at.covered = z;
                }
                Move::Mine if chance() && at.own < LONGEST => at.own += 1,
                Move::Mine => at.public += 1,
            }
        }
    }
}

const fn slot(own: usize, public: usize, covered: usize) -> usize {
    (own * (SETTLED + 1) + public) * SETTLED + covered
}

/// The most that an attempt brings, by either way.
pub(super) fn best_gain(share: u32, assumed: u32, loading: u32, limit: u32) -> i128 {
    let ways = [Way::Replace, Way::Withhold];
    let gains = ways.map(|way| Game::solve(Rules { way, share, assumed, loading, limit }).gain());
    gains[0].max(gains[1])
}

/// The greatest number from 1 to `most` for which no attempt brings a millionth of a block.
pub(super) fn greatest_safe(most: u32, gain: impl Fn(u32) -> i128) -> u32 {
    let (mut safe, mut unsafe_) = (0, most + 1);
    while unsafe_ - safe > 1 {
        let middle = safe + (unsafe_ - safe) / 2;
        if gain(middle) < BLOCK / 1_000_000 { safe = middle } else { unsafe_ = middle }
    }
    safe
}

#[test]
fn playing_the_best_moves_brings_what_the_game_is_worth() {
    let mut chance = Chance(7);
    for way in [Way::Replace, Way::Withhold] {
        let rules = Rules { way, share: 400_000, assumed: 100_000, loading: 15_000, limit: 2_000 };
        let game = Game::solve(rules);
        assert!(game.gain() > 0, "{way:?}: at twice the worth it pays");
        let attempts = 100_000;
        let sum: i128 = (0..attempts).map(|_| game.play(|| chance.hits(400_000))).sum();
        let (mean, worth) = (sum / attempts, game.gain());
        assert!((mean - worth).abs() < worth / 20 + BLOCK / 50, "{way:?}: {mean} {worth}");
    }
}

#[test]
fn more_hash_rate_and_a_higher_limit_never_bring_less() {
    let mut last = 0;
    for share in [10_000, 100_000, 200_000, 300_000, 400_000, 490_000] {
        let gain = best_gain(share, 100_000, 15_000, 2_000);
        assert!(gain >= last, "{share}");
        last = gain;
    }
    for limit in [500, 1_000, 1_500, 3_000] {
        assert!(
            best_gain(300_000, 100_000, 15_000, limit)
                >= best_gain(300_000, 100_000, 15_000, limit / 2)
        );
    }
}

/// What the limit by work is for: without it, somebody who asks only when he has won takes all.
#[test]
fn without_the_limit_by_work_nothing_stops_who_knows() {
    for share in [10_000, 100_000, 300_000] {
        assert!(best_gain(share, 100_000, 15_000, 1_000_000) > BLOCK, "{share}");
    }
}
