//! Levels that follow the headers: [`Pace`] in the state.
//!
//! Nothing is stored for a chain whose level is fixed. The work is a hundred looks at headers in memory for each hundred that
//! are confirmed, so the block's limit for confirming bounds it too.

use core::ops::Range;

use super::{
    ChainRecord, Env,
    abi::{REGISTRY, Registry},
    registry::store_record,
};
use crate::{
    ChainKey,
    header_tree::HeaderTree,
    pace::{MEASURE, Pace, median_interval},
    state::{StateRead, StorageError, keys},
    transition::IndexEvent,
};

/// What a block did to a chain's accumulator.
pub(super) struct Confirmed {
    /// Whether it was cut back first.
    pub(super) cut: bool,
    /// The heights that it appended.
    pub(super) heights: Range<u64>,
}

/// Measures what was confirmed. The record with another level, where it changed.
pub(super) fn follow(
    env: &mut Env<'_, '_>,
    record: &ChainRecord,
    tree: &HeaderTree,
    confirmed: &Confirmed,
) -> Result<Option<ChainRecord>, StorageError> {
    let Range { start, end } = confirmed.heights;
    let first = start.checked_next_multiple_of(MEASURE).filter(|first| *first < end);
    if !record.measured || (first.is_none() && !confirmed.cut) {
        return Ok(None);
    }
    let chain = record.key();
    let mut pace = read(env.overlay, chain)?.unwrap_or_else(|| Pace::new(record.level));
    let mut changed = confirmed.cut && pace.cut_back(start.saturating_sub(1));
    let mut next = first;
    while let Some(height) = next.filter(|height| *height < end) {
        if let Some(median) = median_interval(tree, height) {
            pace.measured(height, median);
            changed = true;
        }
        next = height.checked_add(MEASURE);
    }
    if changed {
        pace.forget_below(tree.base().height());
        env.overlay.set(keys::chain_pace(chain), pace.encode());
    }
    Ok((pace.level() != record.level).then(|| change(env, record, &pace)))
}

/// Writes and tells a new level.
fn change(env: &mut Env<'_, '_>, record: &ChainRecord, pace: &Pace) -> ChainRecord {
    let (chain, level) = (record.key(), pace.level());
    let record = ChainRecord { level, ..record.clone() };
    store_record(env.overlay, &record);
    let (height, median) = pace.last().map_or((0, 0), |last| (last.height, last.median));
    let event = Registry::LevelChanged {
        chain: chain.0,
        level: level.code(),
        height,
        medianInterval: median,
    };
    env.log(REGISTRY, &event);
    env.events.push(IndexEvent::LevelChanged { chain, level, height, median });
    record
}

/// A chain's measurements; `None` before the first, and where its level is fixed.
pub(crate) fn read(state: &dyn StateRead, chain: ChainKey) -> Result<Option<Pace>, StorageError> {
    state.read(&keys::chain_pace(chain))?.map(|bytes| Pace::decode(&bytes)).transpose()
}
