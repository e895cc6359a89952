//! How much work fits into a block that is built here.
//!
//! The gas limit of the chain says what a block may hold at most. What the machines get through before
//! everybody's timeouts is another matter: blocks that nobody executes in time are never decided, however
//! often they are proposed. So a proposer measures what gas costs on its own machine, and fills no more of a
//! block than it executes within [`BUDGET`]. That others are slower shows in rounds that fail; each one
//! halves the block. Validity does not depend on any of this: every block within the gas limit is valid.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use grid_core::transition::MAX_BLOCK_BYTES;

use crate::mempool::Room;

/// How long the execution of a block that is built here may take. Well below the shortest timeout for a
/// proposal, because the others execute it too, after it has travelled.
const BUDGET: Duration = Duration::from_millis(400);
/// Blocks of less gas say nothing about its price: what every block costs outweighs it.
const TELLING_GAS: u64 = 500_000;
/// Where the budget stops to shrink a block: this part of the gas limit is filled however dear gas seems.
/// One stall of the machine must not bring the chain to a crawl.
const LEAST_PART: u64 = 8;
/// How many rounds halve a block at the most.
const MAX_HALVINGS: u32 = 6;
/// The gas of one plain transfer, without which a block can hold nothing.
const LEAST_GAS: u64 = 21_000;

/// The price of gas on this machine, as last seen.
#[derive(Debug, Default)]
pub(super) struct Effort {
    /// Picoseconds for one gas, a moving average; 0 while nothing was seen.
    ps_per_gas: AtomicU64,
}

impl Effort {
    /// Takes into account that a block with `gas_used` was executed in `elapsed`.
    pub(super) fn observe(&self, gas_used: u64, elapsed: Duration) {
        if gas_used < TELLING_GAS {
            return;
        }
        let seen = elapsed.as_nanos().saturating_mul(1_000) / u128::from(gas_used);
        let seen = u64::try_from(seen).unwrap_or(u64::MAX).max(1);
        // Two threads at once lose one of two observations, which is no harm.
        let old = self.ps_per_gas.load(Ordering::Relaxed);
        let new = if old == 0 { seen } else { old - old / 4 + seen / 4 };
        self.ps_per_gas.store(new.max(1), Ordering::Relaxed);
    }

    /// What a block of `round` is filled with. Its first transaction may be dearer than all the rest in
    /// round 0, or one that asks for more gas than a slow machine affords would wait for ever.
    pub(super) fn room(&self, gas_limit: u64, round: u32) -> Room {
        let gas = self.affordable(gas_limit, round);
        let room = Room::new(gas, MAX_BLOCK_BYTES);
        if round == 0 { Room { first: gas_limit, ..room } } else { room }
    }

    fn affordable(&self, gas_limit: u64, round: u32) -> u64 {
        let in_time = match self.ps_per_gas.load(Ordering::Relaxed) {
            0 => gas_limit,
            price => {
                let gas = BUDGET.as_nanos().saturating_mul(1_000) / u128::from(price);
                u64::try_from(gas).unwrap_or(u64::MAX)
            }
        };
        let filled = in_time.max(gas_limit / LEAST_PART).min(gas_limit);
        (filled >> round.min(MAX_HALVINGS)).max(LEAST_GAS).min(gas_limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 60_000_000;

    #[test]
    fn a_machine_that_was_never_seen_at_work_fills_its_blocks() {
        let effort = Effort::default();
        assert_eq!(effort.affordable(LIMIT, 0), LIMIT);
        effort.observe(TELLING_GAS - 1, Duration::from_secs(9));
        assert_eq!(effort.affordable(LIMIT, 0), LIMIT);
    }

    #[test]
    fn a_block_holds_what_the_machine_executes_within_the_budget() {
        let effort = Effort::default();
        effort.observe(5_000_000, BUDGET);
        assert_eq!(effort.affordable(LIMIT, 0), LIMIT / 8);
        let middling = Effort::default();
        middling.observe(20_000_000, BUDGET);
        assert_eq!(middling.affordable(LIMIT, 0), 20_000_000);
        let fast = Effort::default();
        fast.observe(LIMIT, BUDGET / 2);
        assert_eq!(fast.affordable(LIMIT, 0), LIMIT);
    }

    #[test]
    fn one_stall_leaves_an_eighth_and_is_forgotten() {
        let effort = Effort::default();
        effort.observe(LIMIT, Duration::from_secs(600));
        assert_eq!(effort.affordable(LIMIT, 0), LIMIT / 8);
        for _ in 0..40 {
            effort.observe(LIMIT / 8, Duration::from_millis(20));
        }
        assert_eq!(effort.affordable(LIMIT, 0), LIMIT);
    }

    #[test]
    fn every_failed_round_halves_the_block_but_one_transfer_always_fits() {
        let effort = Effort::default();
        assert_eq!(effort.affordable(LIMIT, 1), LIMIT / 2);
        assert_eq!(effort.affordable(LIMIT, 3), LIMIT / 8);
        assert_eq!(effort.affordable(LIMIT, u32::MAX), LIMIT >> MAX_HALVINGS);
        assert_eq!(effort.affordable(100_000, 9), LEAST_GAS);
        assert_eq!(effort.affordable(5_000, 0), 5_000);
    }

    #[test]
    fn a_dear_transaction_gets_its_chance_in_the_first_round_only() {
        let effort = Effort::default();
        effort.observe(LIMIT, Duration::from_secs(600));
        let (first, second) = (effort.room(LIMIT, 0), effort.room(LIMIT, 1));
        assert_eq!((first.gas, first.first), (LIMIT / 8, LIMIT));
        assert_eq!((second.gas, second.first), (LIMIT / 16, LIMIT / 16));
    }

    #[test]
    fn no_measurement_however_odd_breaks_it() {
        let effort = Effort::default();
        effort.observe(u64::MAX, Duration::ZERO);
        effort.observe(TELLING_GAS, Duration::MAX);
        effort.observe(TELLING_GAS, Duration::MAX);
        assert_eq!(effort.affordable(u64::MAX, 0), u64::MAX / LEAST_PART);
    }
}
