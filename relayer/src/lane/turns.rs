//! Whose turn it is where several relayers with stores of their own serve one main chain.
//!
//! They share nothing but what the main chain says: who submitted headers of a chain lately. A stretch of
//! heights belongs to one of them, by a hash that all compute alike; the others are ranked by the same hash
//! and step in, one after the other, where the main chain does not move. A relayer that takes its turns and
//! never delivers costs the others this delay. One that is new waits for all of them, and submits
//! now and then although it is not its turn, so that it gets its part without anybody's permission.
//!
//! The hash is over the height at which a submission begins, not over what the main chain has: two
//! relayers that see it a block apart agree all the same.

use core::time::Duration;

use alloy_primitives::{Address, B256, keccak256};
use grid_core::Level;

use crate::store::millis;

/// A submission of so many headers is a part of catching up.
const BULK: u64 = 128;

/// Heights of one turn while catching up: eight of Bitcoin's batches. A turn changes hands only when the
/// main chain has everything of the last one, so that short turns would halve the speed.
const BULK_STRETCH: u64 = 16 * 1024;

/// How many others are waited for at most, whatever the main chain says.
pub const MAX_RANK: u32 = 7;

/// A relayer that is not on the list takes one submission in so many, although somebody else does too: at first, and
/// after many attempts that came to nothing.
const JOINS: u64 = 4;
const JOINS_AT_LAST: u64 = 64;

/// Relayers that are not on the list step in at so many different times.
const SPREAD: u64 = 4;

/// The stretch of heights that a submission of `headers` headers from `from` on belongs to. Its length is some minutes
/// of a fast chain: changing hands costs a block of the main chain.
#[must_use]
pub const fn place(level: Level, from: u64, headers: u64) -> u64 {
    let length = match level {
        _ if headers >= BULK => BULK_STRETCH,
        Level::L0 => 256,
        Level::L1 => 32,
        Level::L2 => 4,
        Level::L3 => 1,
    };
    from - from % length
}

/// How many relayers go before the owner of the keys `own`, who may have several: the processes that share a
/// store. `active` are the accounts that the main chain names; without any nobody is waited for.
#[must_use]
pub fn rank(chain: B256, place: u64, own: &[Address], active: &[Address]) -> u32 {
    let score = |address: &Address| score(chain, place, address);
    let best = own.iter().filter(|own| active.contains(own)).map(score).min();
    let before = match (best, own.iter().map(score).min()) {
        (Some(best), _) => {
            active.iter().filter(|other| !own.contains(other) && score(other) < best).count()
        }
        (None, Some(new)) if !active.is_empty() => {
            let later = usize::try_from(number(new) % SPREAD).unwrap_or(0);
            active.len().saturating_add(later)
        }
        _ => 0,
    };
    u32::try_from(before).unwrap_or(MAX_RANK).min(MAX_RANK)
}

fn score(chain: B256, place: u64, address: &Address) -> B256 {
    keccak256([chain.as_slice(), &place.to_be_bytes(), address.as_slice()].concat())
}

/// Some digits of a score, those that decide no order.
fn number(score: B256) -> u64 {
    u64::from_be_bytes(score.0[24..].try_into().unwrap_or_default())
}

/// What one look at a chain's next submission says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Stretch of the submission, by [`place`].
    pub place: u64,
    /// How many go first, by [`rank`].
    pub rank: u32,
    /// Where the main chain stands with the chain: changes whenever somebody delivered.
    pub progress: (u64, u64),
    /// Whether the last who delivered was one of us.
    pub ours: bool,
    /// Time now, milliseconds since 1970.
    pub now: u64,
    /// Height of the main chain.
    pub block: u64,
}

/// Waiting for one's turn. Forgetting it costs no more than the wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    place: u64,
    progress: (u64, u64),
    /// Since when, and since which block of the main chain, nobody delivered.
    since: Option<(u64, u64)>,
    /// Nobody else delivered in this stretch; it is ours until somebody does.
    taken: bool,
    /// Attempts to get on the list.
    attempts: u32,
}

impl Turn {
    /// Whether to submit now. A main chain that stands still shows nobody's failure, so the wait includes a
    /// block.
    pub fn come(&mut self, look: &Look, delay: Duration) -> bool {
        let (since, block) = self.since.unwrap_or((look.now, look.block));
        let moved = self.progress != look.progress;
        // A clock or a main chain that was set back begins anew.
        let back = look.now < since || look.block < block;
        if self.since.is_none() || self.place != look.place || moved || back {
            let taken = self.taken && self.place == look.place && (!moved || look.ours);
            *self = Self {
                place: look.place,
                progress: look.progress,
                since: Some((look.now, look.block)),
                taken,
                attempts: self.attempts,
            };
        }
        let (since, block) = self.since.unwrap_or((look.now, look.block));
        let wait = millis(delay).saturating_mul(u64::from(look.rank));
        let waited = look.now.saturating_sub(since) >= wait && look.block > block;
        self.taken |= waited && look.rank > 0;
        look.rank == 0 || self.taken
    }

    /// Whether a relayer that is not on the list submits what begins at the height `from` although somebody else does
    /// too. It wins about every other time, and is on the list then.
    #[must_use]
    pub fn joins(&self, chain: B256, from: u64, own: &[Address]) -> bool {
        let often = JOINS.checked_shl(self.attempts / 2).unwrap_or(JOINS_AT_LAST);
        let best = own.iter().map(|own| score(chain, from, own)).min();
        best.is_some_and(|best| number(best).is_multiple_of(often.min(JOINS_AT_LAST)))
    }

    /// An attempt to get on the list was made, or none is needed any more.
    pub const fn attempted(&mut self, listed: bool) {
        self.attempts = if listed { 0 } else { self.attempts.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DELAY: Duration = Duration::from_secs(3);

    fn address(number: u8) -> Address {
        Address::repeat_byte(number)
    }

    fn look(rank: u32, progress: u64, now: u64, block: u64) -> Look {
        Look { place: 0, rank, progress: (progress, 0), ours: false, now, block }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Everybody on the list computes the same order, and exactly one is first.
        #[test]
        fn relayers_agree_on_the_order(count in 1..=8_u8, place in any::<u64>(), chain in any::<[u8; 32]>()) {
            let active: Vec<Address> = (1..=count).map(address).collect();
            let rank_of = |own| rank(B256::from(chain), place, &[address(own)], &active);
            let mut ranks: Vec<u32> = (1..=count).map(rank_of).collect();
            ranks.sort_unstable();
            prop_assert_eq!(ranks, (0..u32::from(count)).collect::<Vec<_>>());
        }

        /// Who has two keys on the list is as early as the earlier of them, and never waits for itself.
        #[test]
        fn several_keys_are_one_relayer(place in any::<u64>(), count in 2..=8_u8) {
            let active: Vec<Address> = (1..=count).map(address).collect();
            let one = |own: &[Address]| rank(B256::ZERO, place, own, &active);
            let both = one(&[address(1), address(2)]);
            prop_assert!(both <= one(&[address(1)]).min(one(&[address(2)])));
            prop_assert_eq!(one(&active), 0);
        }

        /// Whatever the others do, a submission is made after rank times the delay and a block at most, counted from the last time that the main chain moved.
        #[test]
        fn nobody_waits_longer_than_the_rank_says(
            rank in 0..=MAX_RANK, steps in proptest::collection::vec((0..4_000_u64, 0..3_u64, 0..9_u8), 1..80),
        ) {
            let (mut turn, mut now, mut block, mut progress) = (Turn::default(), 0, 0, 0);
            let mut since = None;
            for (time, blocks, event) in steps {
                now += time;
                block += blocks;
                if event == 0 {
                    progress += 1;
                    since = None;
                }
                let come = turn.come(&look(rank, progress, now, block), DELAY);
                let (from, first) = *since.get_or_insert((now, block));
                let over = now - from >= 3_000 * u64::from(rank) && block > first;
                prop_assert!(come || !over);
                // Never early, unless the stretch was taken over before.
                prop_assert!(!come || over || turn.taken || rank == 0);
            }
        }
    }

    #[test]
    fn every_stretch_has_one_owner_and_stretches_are_spread() {
        let active: Vec<Address> = (1..=5).map(address).collect();
        let mut turns = [0; 5];
        for height in 0..5_000 {
            for (own, turns) in active.iter().zip(&mut turns) {
                let place = place(Level::L3, height, 1);
                *turns += u32::from(rank(B256::ZERO, place, &[*own], &active) == 0);
            }
        }
        assert_eq!(turns.iter().sum::<u32>(), 5_000);
        assert!(turns.iter().all(|turns| (800..1_200).contains(turns)), "{turns:?}");
    }

    #[test]
    fn a_stretch_is_longer_on_fast_chains_and_while_catching_up() {
        assert_eq!(place(Level::L3, 901, 1), 901);
        assert_eq!(place(Level::L1, 100, 3), 96);
        assert_eq!(place(Level::L0, 511, 1), 256);
        assert_eq!(place(Level::L3, 20_000, 2_000), 16_384);
    }

    #[test]
    fn who_is_new_waits_for_all_and_who_is_alone_never_waits() {
        let active = [address(1), address(2)];
        let rank_of = |place, own| rank(B256::ZERO, place, &[address(own)], &active);
        assert!((0..6_400).all(|place| (2..=5).contains(&rank_of(place, 9))));
        let same = (0..6_400).filter(|place| rank_of(*place, 9) == rank_of(*place, 8)).count();
        assert!(same < 2_200, "two that are new step in together {same} times");
        assert_eq!(rank(B256::ZERO, 5, &[address(9)], &[]), 0);
    }

    #[test]
    fn who_is_new_joins_soon_and_seldom_after_attempts_that_came_to_nothing() {
        let mut turn = Turn::default();
        let joins = |turn: &Turn| {
            (0..6_400).filter(|from| turn.joins(B256::ZERO, *from, &[address(9)])).count()
        };
        assert!((1_400..1_800).contains(&joins(&turn)), "{}", joins(&turn));
        for _ in 0..100 {
            turn.attempted(false);
        }
        assert!((60..150).contains(&joins(&turn)), "{}", joins(&turn));
        // A new stretch forgets nothing of it.
        turn.come(&Look { place: 7, ..look(3, 1, 5, 5) }, DELAY);
        assert!((60..150).contains(&joins(&turn)), "{}", joins(&turn));
        turn.attempted(true);
        assert!(joins(&turn) > 1_000);
        assert!(!turn.joins(B256::ZERO, 0, &[]), "nobody");
    }

    #[test]
    fn a_stretch_that_was_taken_over_is_kept_until_somebody_else_delivers() {
        let mut turn = Turn::default();
        assert!(!turn.come(&look(1, 0, 0, 0), DELAY));
        assert!(!turn.come(&look(1, 0, 2_999, 9), DELAY), "too early");
        assert!(!Turn::default().come(&look(1, 0, 9_000, 0), DELAY));
        assert!(turn.come(&look(1, 0, 3_000, 9), DELAY));
        assert!(turn.come(&Look { ours: true, ..look(1, 1, 3_100, 10) }, DELAY), "we delivered");
        assert!(!turn.come(&look(1, 2, 3_200, 11), DELAY), "the owner is back");
        // The next stretch begins with its owner.
        assert!(turn.come(&look(1, 2, 6_200, 12), DELAY));
        assert!(!turn.come(&Look { place: 1, ..look(1, 2, 6_300, 12) }, DELAY));
    }

    #[test]
    fn a_main_chain_that_stands_still_is_nobodys_failure() {
        let mut turn = Turn::default();
        assert!(!turn.come(&look(2, 0, 0, 5), DELAY));
        assert!(!turn.come(&look(2, 0, 600_000, 5), DELAY));
        assert!(turn.come(&look(2, 0, 600_001, 6), DELAY));
    }
}
