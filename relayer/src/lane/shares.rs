//! How a lane's budget is divided among its chains.
//!
//! A round of a lane may submit so many items. Chains at their tip (*live*) and chains that catch up
//! (*backfill*) each have a share of them; what one class does not ask for, the other may use in the next
//! round. Inside a class the first that asks is served first, and whoever got nothing is served before
//! others in the next round.
//!
//! Invariants, tested as properties:
//! * no round grants more than the budget;
//! * while chains of both classes ask, neither takes from the other's share;
//! * a chain that asks in every round is served after a bounded number of rounds, however many others there
//!   are and in whatever order they ask.

use grid_core::ChainId;

/// What a chain needs the budget for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It is at its tip, or a batch away from it.
    Live,
    /// It has much to catch up.
    Backfill,
}

/// One class of chains in one lane.
#[derive(Debug, Default)]
struct Queue {
    left: u32,
    /// Whether any chain of this class asked in this round.
    asked: bool,
    /// Chains that were refused, first one first, and the round in which each asked last.
    waiting: Vec<(ChainId, u64)>,
}

impl Queue {
    fn begin(&mut self, round: u64, size: u32) {
        self.left = size;
        self.asked = false;
        // Whoever did not ask in the last round needs nothing any more.
        self.waiting.retain(|(_, asked)| asked.saturating_add(1) >= round);
    }

    /// What a chain may have: one item is spared for every other chain that waits, and one goes to who waits
    /// where those before it leave one.
    fn free(&self, chain: &ChainId) -> u32 {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let free = match self.waiting.iter().position(|(waiting, _)| waiting == chain) {
            None => left.saturating_sub(self.waiting.len()),
            Some(before) => {
                let own = usize::from(left > before);
                (left + 1).saturating_sub(self.waiting.len()).max(own)
            }
        };
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    fn refused(&mut self, chain: &ChainId, round: u64) {
        match self.waiting.iter_mut().find(|(waiting, _)| waiting == chain) {
            Some((_, asked)) => *asked = round,
            None => self.waiting.push((chain.clone(), round)),
        }
    }
}

/// The budget of one lane.
#[derive(Debug)]
pub struct Shares {
    budget: u32,
    /// Part of the budget for live chains while others catch up, percent.
    live_share: u8,
    round: u64,
    left: u32,
    live: Queue,
    backfill: Queue,
}

impl Shares {
    /// A budget of this many items a round, of which `live_share` percent, but at least one item of a budget
    /// above one, are for chains at their tip.
    #[must_use]
    pub fn new(budget: u32, live_share: u8) -> Self {
        let mut shares = Self {
            budget,
            live_share: live_share.min(100),
            round: 0,
            left: 0,
            live: Queue::default(),
            backfill: Queue::default(),
        };
        shares.begin();
        shares
    }

    /// Items a round that backfill leaves to live chains. Neither share is empty unless the budget is one.
    fn reserved(&self) -> u32 {
        let share = u64::from(self.budget).saturating_mul(u64::from(self.live_share)) / 100;
        let most = self.budget.saturating_sub(1);
        u32::try_from(share).unwrap_or(u32::MAX).clamp(most.min(1), most)
    }

    /// Begins a round: what is left of the last one lapses.
    pub fn begin(&mut self) {
        self.round = self.round.saturating_add(1);
        self.left = self.budget;
        let reserved = self.reserved();
        let live = if self.backfill.asked { reserved.max(1) } else { self.budget };
        // Without live chains one item is kept for the first that appears.
        let spared = if self.live.asked { reserved } else { reserved.min(1) };
        self.live.begin(self.round, live);
        self.backfill.begin(self.round, self.budget.saturating_sub(spared));
    }

    /// Takes up to `want` items for a chain; returns how many it may submit.
    pub fn take(&mut self, chain: &ChainId, class: Class, want: u32) -> u32 {
        if want == 0 {
            return 0;
        }
        let (round, left) = (self.round, self.left);
        let queue = self.queue(class);
        queue.asked = true;
        let granted = want.min(queue.free(chain)).min(left);
        if granted == 0 {
            queue.refused(chain, round);
        } else {
            queue.waiting.retain(|(waiting, _)| waiting != chain);
            queue.left = queue.left.saturating_sub(granted);
            self.left = left.saturating_sub(granted);
        }
        granted
    }

    /// Gives back what was taken and not submitted.
    pub fn give_back(&mut self, class: Class, items: u32) {
        self.left = self.left.saturating_add(items).min(self.budget);
        let queue = self.queue(class);
        queue.left = queue.left.saturating_add(items);
    }

    const fn queue(&mut self, class: Class) -> &mut Queue {
        match class {
            Class::Live => &mut self.live,
            Class::Backfill => &mut self.backfill,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn chain(number: u64) -> ChainId {
        ChainId::eip155(number)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Whoever asks, in whatever order and for however much.
        #[test]
        fn no_round_grants_more_than_the_budget(
            budget in 0..20_u32, share in 0..=100_u8,
            rounds in proptest::collection::vec(
                proptest::collection::vec((0..9_u64, any::<bool>(), 0..9_u32, 0..3_u32), 0..30), 1..12),
        ) {
            let mut shares = Shares::new(budget, share);
            let mut both_before = false;
            for asks in rounds {
                shares.begin();
                let mut granted = [0_u32; 2];
                let mut asked = [false; 2];
                for (number, live, want, back) in asks {
                    let class = if live { Class::Live } else { Class::Backfill };
                    // Classes do not share chains, as in a lane.
                    let id = chain(number * 2 + u64::from(live));
                    let given = shares.take(&id, class, want);
                    prop_assert!(given <= want);
                    let back = back.min(given);
                    shares.give_back(class, back);
                    granted[usize::from(live)] += given - back;
                    asked[usize::from(live)] |= want > 0;
                }
                prop_assert!(granted[0] + granted[1] <= budget);
                if both_before && budget > 1 {
                    let reserved = shares.reserved();
                    prop_assert!(granted[0] <= budget - reserved, "backfill took {granted:?}");
                    prop_assert!(granted[1] <= reserved, "live took {granted:?}");
                }
                both_before = asked == [true, true];
            }
        }

        /// Every chain always wants more than there is, and the order of asking is the worst for one of them.
        #[test]
        fn nobody_who_keeps_asking_is_starved(
            budget in 2..9_u32, share in 0..=100_u8, live in 1..30_u64, backfill in 1..30_u64,
            want in 1..9_u32,
        ) {
            let mut shares = Shares::new(budget, share);
            let mut last: BTreeMap<u64, u64> = BTreeMap::new();
            for round in 0..200_u64 {
                shares.begin();
                for number in 0..live + backfill {
                    let class = if number < live { Class::Live } else { Class::Backfill };
                    if shares.take(&chain(number), class, want) > 0 {
                        last.insert(number, round);
                    }
                }
                for number in 0..live + backfill {
                    // One item a round and class serves everybody once in so many rounds.
                    let waited = round - last.get(&number).copied().unwrap_or(0);
                    prop_assert!(waited <= live.max(backfill) + 2, "{number} waits for {waited} rounds");
                }
            }
        }
    }

    #[test]
    fn a_chain_that_catches_up_leaves_the_live_share_alone() {
        let mut shares = Shares::new(16, 50);
        assert_eq!(shares.take(&chain(1), Class::Backfill, 100), 15, "nobody else asks");
        assert_eq!(shares.take(&chain(2), Class::Live, 3), 1, "one was spared");
        shares.begin();
        assert_eq!(shares.take(&chain(1), Class::Backfill, 100), 8);
        assert_eq!(shares.take(&chain(2), Class::Live, 3), 3);
        assert_eq!(shares.take(&chain(3), Class::Live, 9), 5);
        shares.begin();
        shares.begin();
        assert_eq!(shares.take(&chain(3), Class::Live, 20), 16, "nobody catches up any more");
    }

    #[test]
    fn who_got_nothing_goes_first_and_who_stops_asking_holds_nothing() {
        let mut shares = Shares::new(4, 50);
        assert_eq!(shares.take(&chain(1), Class::Live, 4), 4);
        assert_eq!(shares.take(&chain(2), Class::Live, 4), 0);
        assert_eq!(shares.take(&chain(3), Class::Live, 4), 0);
        shares.begin();
        assert_eq!(shares.take(&chain(1), Class::Live, 4), 2, "two wait");
        assert_eq!(shares.take(&chain(2), Class::Live, 4), 1, "and leaves one");
        shares.begin();
        shares.begin();
        assert_eq!(shares.take(&chain(1), Class::Live, 4), 4, "nobody waits any more");
    }
}
