//! What a chain whose finality proves itself needs next, computed from both ends.
//!
//! Two things move the main chain's light client: light-client objects, which name final execution
//! blocks, and runs of headers, each of which must end with a hash that the client wants. A gap that one
//! run does not fill is filled from its upper end downwards: the parent of the lowest header that
//! arrived is wanted next. The runs of one gap therefore depend on each other in that order, and
//! may be under way at the same time.
//!
//! The planner asks nothing and keeps nothing: what is under way is what the rows say, so it plans
//! nothing twice and goes on after a crash as if nothing had happened.

use alloy_primitives::B256;
use grid_core::api::{BlockRef, SyncStatus};

use crate::store::{Item, Kind, Stage};

/// Both ends, as far as they matter.
#[derive(Debug, Clone)]
pub struct FinalityView<'a> {
    /// Where the main chain's client stands.
    pub sync: &'a SyncStatus,
    /// Name of the light-client objects that the source offers and the client does not have.
    pub offer: Option<B256>,
    /// The header with which the next run of the lowest gap ends; `None` where no gap is known.
    pub target: Option<BlockRef>,
    /// Unfinished rows.
    pub rows: &'a [Item],
    /// Most rows that may wait for the main chain.
    pub room: usize,
    /// Most headers of one run.
    pub batch: u64,
    /// Time now and how long an included row counts without showing, milliseconds.
    pub now: u64,
    /// See [`Self::now`].
    pub stale_after: u64,
}

/// What to make a row for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing is missing, or everything that is missing is under way or has to wait.
    Nothing,
    /// The offered objects.
    Data,
    /// Headers that end with `last`: at most `batch` of them, none at or below `floor`.
    Run {
        /// The header that the gap starts above.
        floor: u64,
        /// The last header of the run.
        last: BlockRef,
        /// Whether the run is of use only when it starts right above the floor.
        whole: bool,
    },
}

/// The outcome of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalityPlan<'a> {
    /// What to do next; ask again after it is done.
    pub next: Next,
    /// Rows whose content the main chain has.
    pub done: Vec<&'a str>,
    /// Rows that nobody waits for any more and that were not sent.
    pub stale: Vec<&'a str>,
}

/// The height above which headers are missing, and whether what waits on the main chain stands on the
/// tracked tip already: then it is on its way into the tree, and a run is taken only right above it.
#[must_use]
pub fn floor(sync: &SyncStatus) -> (u64, bool) {
    let tracked = sync.missing_above.height;
    match sync.lowest_pending {
        Some(lowest) if lowest.height == tracked.saturating_add(1) => {
            (lowest.height.saturating_add(sync.pending).saturating_sub(1), true)
        }
        _ => (tracked, false),
    }
}

/// Looks at both ends.
#[must_use]
pub fn plan<'a>(view: &FinalityView<'a>) -> FinalityPlan<'a> {
    let (floor, linked) = floor(view.sync);
    let done: Vec<&Item> = view.rows.iter().filter(|row| is_done(row, view.sync)).collect();
    let is_done = |row: &Item| done.iter().any(|done| done.key == row.key);
    let (path, cursor) = path(view, floor);
    // A hash that is not wanted yet will be by the objects on offer, once they are under way.
    let offered = |row: &Item| row.kind == Kind::Sync && view.offer == Some(row.last.hash);
    let early = view.sync.wanted.is_empty()
        && !view
            .rows
            .iter()
            .any(|row| offered(row) && matches!(row.stage, Stage::Planned | Stage::Sent));
    let unsent = |row: &Item| matches!(row.stage, Stage::Planned | Stage::Parked);
    let of_use = |row: &Item| match row.kind {
        Kind::Sync => offered(row),
        _ if early && view.target.is_some() => true,
        _ => path.iter().any(|step| step.key == row.key),
    };
    let stale = view.rows.iter().filter(|row| unsent(row) && !is_done(row) && !of_use(row));
    let stale: Vec<&Item> = stale.collect();
    let left = |row: &&Item| !is_done(row) && stale.iter().all(|stale| stale.key != row.key);
    let open = view.rows.iter().filter(left).filter(|row| row.stage != Stage::Included).count();
    let data_open = view.rows.iter().filter(left).any(|row| row.kind == Kind::Sync);
    let parked = path.iter().any(|row| row.stage == Stage::Parked);
    // A long gap does not keep newer finality waiting: its runs leave one place.
    let room = open < view.room.saturating_sub(1).max(1);
    let next = if open >= view.room {
        Next::Nothing
    } else if view.offer.is_some() && !data_open {
        Next::Data
    } else {
        match cursor.filter(|cursor| room && !parked && !early && cursor.height > floor) {
            Some(last) if linked && last.height.saturating_sub(floor) > view.batch => Next::Nothing,
            Some(last) => Next::Run { floor, last, whole: linked },
            None => Next::Nothing,
        }
    };
    let keys = |rows: Vec<&'a Item>| rows.into_iter().map(|row| &*row.key).collect();
    FinalityPlan { next, done: keys(done), stale: keys(stale) }
}

/// Whether the main chain has a row's content: it executed the objects, or it holds the headers.
fn is_done(row: &Item, sync: &SyncStatus) -> bool {
    let held = || {
        let waits = |lowest: BlockRef| row.stage == Stage::Included && lowest.height <= row.from;
        row.last.height <= sync.missing_above.height || sync.lowest_pending.is_some_and(waits)
    };
    match (row.kind, row.stage) {
        (_, Stage::Sent | Stage::Done | Stage::Dropped) => false,
        (Kind::Sync, stage) => stage == Stage::Included,
        (_, _) => held(),
    }
}

/// The rows under way from the target downwards, each the continuation of the one above, and the header
/// with which the next one ends.
fn path<'a>(view: &FinalityView<'a>, floor: u64) -> (Vec<&'a Item>, Option<BlockRef>) {
    let mut path: Vec<&'a Item> = Vec::new();
    let Some(mut cursor) = view.target else { return (path, None) };
    let counts = |row: &Item| match row.stage {
        Stage::Included => row.updated_at.saturating_add(view.stale_after) > view.now,
        Stage::Planned | Stage::Sent | Stage::Parked => true,
        Stage::Done | Stage::Dropped => false,
    };
    while cursor.height > floor {
        // Every step goes down, whatever the rows say.
        let continues = |row: &&'a Item| {
            let below = row.from <= cursor.height && row.from > 0;
            row.kind != Kind::Sync && row.last == cursor && below && counts(row)
        };
        let Some(row) = view.rows.iter().find(continues) else { break };
        path.push(row);
        cursor = BlockRef { height: row.from.saturating_sub(1), hash: row.parent };
    }
    (path, Some(cursor))
}

#[cfg(test)]
mod tests;
