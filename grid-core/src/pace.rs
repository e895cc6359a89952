//! A chain's speed level by its headers' times (white paper 3.7).
//!
//! At every height that is a multiple of [`MEASURE`] the median interval of the last [`MEASURE`] confirmed headers is taken.
//! A chain leaves its level when two such medians in a row lie beyond the level's border by more than a quarter, and goes to the
//! nearest level that both of them mean ([`next_level`]). So a level says something of the last 200 headers, and changes at most
//! once in a hundred.
//!
//! The heights are fixed, and nothing but confirmed headers and the level at registration counts: it does not matter in which
//! portions, when, or by whom headers were brought, nor that they were old by then. A header that is older than its parent, as
//! Bitcoin allows, has an interval of zero. A chain that stands still keeps its level.
//!
//! A level is about a relayer's patience, never about security: whoever mines can bend times, and with most of the blocks also
//! the median. `docs/adr/0016-levels.md` has the reasons.

#[cfg(test)]
mod tests;

use crate::{
    Level,
    header_tree::HeaderTree,
    state::{Fields, StorageError},
};

/// Headers of one measurement, and how many lie between two.
pub const MEASURE: u64 = 100;

/// One measurement and what followed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Height of the last measured header.
    pub height: u64,
    /// Median interval, seconds: at least half of the intervals are not longer.
    pub median: u64,
    /// The level from here on.
    pub level: Level,
}

/// A chain's measurements that a reorganisation may still undo, and one before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// The level before the first of the list.
    start: Level,
    /// By height.
    list: Vec<Measured>,
}

impl Pace {
    /// Nothing measured yet.
    #[must_use]
    pub const fn new(start: Level) -> Self {
        Self { start, list: Vec::new() }
    }

    /// The level now.
    #[must_use]
    pub fn level(&self) -> Level {
        self.list.last().map_or(self.start, |last| last.level)
    }

    /// The newest measurement.
    #[must_use]
    pub fn last(&self) -> Option<&Measured> {
        self.list.last()
    }

    /// Takes the median of the headers up to a height. Heights increase.
    pub fn measured(&mut self, height: u64, median: u64) {
        let before = self.list.last().map(|last| last.median);
        let level = next_level(self.level(), before, median);
        self.list.push(Measured { height, median, level });
    }

    /// Forgets what was measured above a height. `true` where that changed anything.
    pub fn cut_back(&mut self, height: u64) -> bool {
        let count = self.list.len();
        self.list.retain(|measured| measured.height <= height);
        self.list.len() < count
    }

    /// Forgets what no cut at or above a height can need: all measurements up to it but the last.
    pub fn forget_below(&mut self, height: u64) {
        let up_to = self.list.partition_point(|measured| measured.height <= height);
        for measured in self.list.drain(..up_to.saturating_sub(1)) {
            self.start = measured.level;
        }
    }

    /// The stored form: the first level, then height, median and level of each measurement.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut value = vec![self.start.code()];
        for Measured { height, median, level } in &self.list {
            value.extend(height.to_be_bytes());
            value.extend(median.to_be_bytes());
            value.push(level.code());
        }
        value
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StorageError> {
        let mut fields = Fields::new(bytes, "measured levels");
        let mut pace = Self::new(level(&mut fields)?);
        while !fields.is_empty() {
            let (height, median) = (fields.u64()?, fields.u64()?);
            pace.list.push(Measured { height, median, level: level(&mut fields)? });
        }
        Ok(pace)
    }
}

fn level(fields: &mut Fields<'_>) -> Result<Level, StorageError> {
    let code = fields.take(1)?.first().copied();
    code.and_then(Level::from_code).ok_or_else(|| StorageError::corrupt("measured levels"))
}

/// The median interval of the [`MEASURE`] headers of the best branch up to a height, in seconds; `None` where the tree does not
/// hold all of them and the parent of the first.
#[must_use]
pub fn median_interval(tree: &HeaderTree, height: u64) -> Option<u64> {
    let parent = height.checked_sub(MEASURE)?;
    let mut before = tree.best_at(parent)?.time();
    let mut intervals = Vec::new();
    for at in parent.saturating_add(1)..=height {
        let time = tree.best_at(at)?.time();
        intervals.push(time.saturating_sub(before));
        before = time;
    }
    intervals.sort_unstable();
    intervals.get(intervals.len().checked_sub(1)? / 2).copied()
}

/// The level after a measurement, from the level before it, the median before it and its own.
#[must_use]
pub fn next_level(level: Level, before: Option<u64>, median: u64) -> Level {
    let Some(before) = before else { return level };
    let (one, other) = (meant(level, before), meant(level, median));
    if one > level && other > level {
        one.min(other)
    } else if one < level && other < level {
        one.max(other)
    } else {
        level
    }
}

/// The level that a median means for a chain: its own, unless the median is a quarter beyond a border of it.
fn meant(level: Level, median: u64) -> Level {
    let four = median.saturating_mul(4);
    let slower = level.longest().is_some_and(|longest| four > longest.saturating_mul(5));
    let faster = level.faster().and_then(Level::longest);
    if slower || faster.is_some_and(|longest| four <= longest.saturating_mul(3)) {
        return Level::of_interval(median);
    }
    level
}
