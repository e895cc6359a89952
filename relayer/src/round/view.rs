//! What a round starts from.

use std::collections::HashSet;

use grid_core::api::{BlockRef, ChainInfo};

use super::Tools;
use crate::{
    evidence,
    plan::{Covered, View},
    store::{Item, Stage, millis},
};

/// Whether a row is of a range that the main chain executed and does not have after all: it was set back.
pub(super) fn is_lost(tools: &Tools, row: &Item, now: u64) -> bool {
    let stale = millis(tools.submit.stale_after);
    row.stage == Stage::Included && row.updated_at.saturating_add(stale) <= now
}

/// Whether the lane has no place for another item. Those that wait for the main chain's branch take none.
pub(super) fn is_full(tools: &Tools, rows: &[Item]) -> bool {
    let open = rows.iter().filter(|row| row.stage != Stage::Included).count();
    open >= usize::try_from(tools.lane.in_flight).unwrap_or(usize::MAX)
}

/// Takes those rows out that build on what the main chain has lost, after it was set back. They would
/// keep the place of what has to be brought again.
pub(super) fn adrift(tools: &Tools, info: &ChainInfo, rows: &mut Vec<Item>, now: u64) -> Vec<Item> {
    let mut ends = HashSet::new();
    // The lowest come first.
    let holds = |row: &mut Item| {
        let holds = row.from <= info.tracked.height.saturating_add(1) || ends.contains(&row.parent);
        if holds && !is_lost(tools, row, now) {
            ends.insert(row.last.hash);
        }
        !holds && matches!(row.stage, Stage::Planned | Stage::Parked)
    };
    rows.extract_if(.., holds).collect()
}

/// Whether a parked row is of a range that starts above a gap: neither the main chain has the headers below it nor
/// does an open row bring them. After the main chain was set back such a range is not handed in any more, and what
/// stands on it would pass for a bridge from `common` to the source's tip for ever.
pub(super) fn is_stranded(
    tools: &Tools,
    rows: &[Item],
    row: &Item,
    common: BlockRef,
    now: u64,
) -> bool {
    let brings = |other: &Item| other.stage.is_open() && !is_lost(tools, other, now);
    row.stage == Stage::Parked
        && row.from > common.height.saturating_add(1)
        && !rows.iter().any(|other| other.last.hash == row.parent && brings(other))
}

/// What the planner starts from. Lost ranges do not count.
pub(super) fn view(
    tools: &Tools,
    info: &ChainInfo,
    tip: BlockRef,
    rows: &[Item],
    now: u64,
) -> View {
    let counts = |row: &&Item| row.stage.is_open() && !is_lost(tools, row, now);
    let covered = rows
        .iter()
        .filter(counts)
        .map(|row| Covered { parent: row.parent, last: row.last })
        .collect();
    // With no room for another item one header is enough to see whether the branch is still the same.
    let (batch, whole) = if is_full(tools, rows) {
        (1, 1)
    } else {
        let batch = tools.lane.batch.min(evidence::batch_limit(info.family));
        (batch, evidence::whole_limit(info.family))
    };
    View { source: tip, tracked: info.tracked, base: info.base, covered, batch, whole }
}
