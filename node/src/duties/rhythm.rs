//! When it is whose turn to show who signed, and for which blocks.
//!
//! Not every block is counted: a sample tells who is away as well. Turns are in bundles, so that an idle chain stays idle
//! most of the time (a transaction makes a block, which would want a transaction).

use std::ops::RangeInclusive;

use grid_core::staking::{RECENT, StakingParams};

/// About this many blocks of an epoch are counted, or all of a shorter one.
const SAMPLES: u64 = 256;
/// The most blocks between two turns of a chain that counts every block.
const TURN: u64 = 16;

/// The rhythm of one chain, a function of its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rhythm {
    params: StakingParams,
    /// One block of so many is counted.
    every: u64,
    /// Blocks between two turns.
    turn: u64,
}

impl Rhythm {
    pub(super) fn new(params: StakingParams) -> Self {
        let every = (params.epoch_length / SAMPLES).max(1);
        let turn = (params.epoch_length / 8).clamp(1, TURN).max(every);
        Self { params, every, turn }
    }

    /// Whose turn it is after the block at `height`, of `count` validators; `None` between turns. Turns are
    /// counted from an epoch's end, two blocks before which the last one is: what it sends is
    /// counted in this epoch or not at all.
    pub(super) fn turn(&self, height: u64, count: usize) -> Option<usize> {
        let (_, last) = self.params.heights_of(self.params.epoch_of(height));
        let left = last.checked_sub(height).filter(|left| *left > 0)?;
        if left % self.turn != 2 % self.turn {
            return None;
        }
        let number = height / self.turn;
        usize::try_from(number % u64::try_from(count).ok().filter(|count| *count > 0)?).ok()
    }

    /// The blocks that may be shown after the block at `height`, oldest first. The newest is left out: its certificate may
    /// still grow.
    pub(super) fn blocks(&self, height: u64) -> impl Iterator<Item = u64> + use<> {
        let (first, _) = self.params.heights_of(self.params.epoch_of(height));
        // What is sent now is executed one block later at the earliest, and perhaps a few more.
        let oldest = first.max(height.saturating_sub(RECENT - 2 * TURN));
        let every = self.every;
        let range: RangeInclusive<u64> = oldest..=height.saturating_sub(1);
        range.filter(move |height| (height - first) % every == 0)
    }

    /// Whether two whole turns have passed over a block: whoever is still missing looks after itself.
    pub(super) const fn is_late(&self, block: u64, height: u64) -> bool {
        height.saturating_sub(block) > 2 * self.turn
    }

    /// The epoch of a height.
    pub(super) fn epoch(&self, height: u64) -> u64 {
        self.params.epoch_of(height)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rhythm(epoch_length: u64) -> Rhythm {
        Rhythm::new(StakingParams { epoch_length, ..StakingParams::default() })
    }

    #[test]
    fn long_epochs_are_sampled_and_short_ones_counted_whole() {
        let day = rhythm(86_400);
        assert_eq!((day.every, day.turn), (337, 337));
        let short = rhythm(100);
        assert_eq!((short.every, short.turn), (1, 12));
        assert_eq!(rhythm(1).turn(1, 4), None, "an epoch of one block has no room");
        let turns = (1..=100).filter(|height| short.turn(*height, 4).is_some());
        assert_eq!(turns.collect::<Vec<_>>(), [2, 14, 26, 38, 50, 62, 74, 86, 98]);
    }

    proptest! {
        #[test]
        fn turns_go_round_and_blocks_can_be_counted(
            epoch_length in 3u64..100_000,
            height in 1u64..1_000_000,
            count in 1usize..30,
        ) {
            let rhythm = rhythm(epoch_length);
            let (first, last) = rhythm.params.heights_of(rhythm.params.epoch_of(height));
            if let Some(turn) = rhythm.turn(height, count) {
                prop_assert!(turn < count && height < last);
            }
            let blocks: Vec<_> = rhythm.blocks(height).collect();
            prop_assert!(blocks.len() <= 256 && blocks.is_sorted());
            for block in blocks {
                prop_assert!(block >= first && block < height);
                prop_assert!(block + RECENT > height + TURN, "still recent a while later");
            }
            let samples = (first..=last).filter(|h| (h - first) % rhythm.every == 0).count() as u64;
            prop_assert!(samples >= epoch_length.min(256) && samples <= 512);
        }
    }
}
