//! The planner against a small model of the main chain's client.

use alloy_primitives::{B256, keccak256};
use grid_core::ChainId;
use proptest::prelude::*;

use super::*;
use crate::store::NewItem;

const STALE: u64 = 1_000_000;

fn hash(height: u64) -> B256 {
    keccak256(height.to_be_bytes())
}

fn block(height: u64) -> BlockRef {
    BlockRef { height, hash: hash(height) }
}

/// A client that fills its gaps downwards, as `LightClients` does.
#[derive(Debug, Clone)]
struct Model {
    tracked: u64,
    pending: Option<(u64, u64)>,
    anchors: Vec<u64>,
}

impl Model {
    fn linked(&self) -> bool {
        self.pending.is_some_and(|(low, _)| low == self.tracked + 1)
    }

    fn top(&self) -> u64 {
        self.pending.map_or(self.tracked, |(_, high)| high)
    }

    fn wanted(&self) -> Vec<u64> {
        let under = self.pending.filter(|_| !self.linked()).map(|(low, _)| low - 1);
        under.into_iter().chain(self.anchors.iter().copied()).collect()
    }

    /// Takes a run; `false` where it is refused.
    fn take(&mut self, from: u64, to: u64) -> bool {
        match self.pending {
            Some((low, high)) if !self.linked() => {
                if to + 1 != low || from <= self.tracked {
                    return false;
                }
                self.pending = Some((from, high));
            }
            Some((low, high)) => {
                if from != high + 1 || !self.anchors.contains(&to) {
                    return false;
                }
                self.pending = Some((low, to));
            }
            None => {
                if from <= self.tracked || !self.anchors.contains(&to) {
                    return false;
                }
                self.pending = Some((from, to));
            }
        }
        let top = self.top();
        self.anchors.retain(|anchor| *anchor > top);
        true
    }

    fn settle(&mut self, most: u64) {
        if let Some((low, high)) = self.pending.filter(|_| self.linked()) {
            let moved = most.min(high - low + 1);
            self.tracked += moved;
            self.pending = (low + moved <= high).then_some((low + moved, high));
        }
    }

    fn status(&self) -> SyncStatus {
        SyncStatus {
            started: true,
            checkpoint: B256::ZERO,
            finalized_slot: self.anchors.last().copied().unwrap_or_else(|| self.top()),
            finalized_root: B256::ZERO,
            finalized_time: 0,
            expires_at: 0,
            period: 0,
            next_committee_known: true,
            wanted: self.wanted().into_iter().map(hash).collect(),
            pending: self.pending.map_or(0, |(low, high)| high - low + 1),
            missing_above: block(self.tracked),
            lowest_pending: self.pending.map(|(low, _)| block(low)),
            loosened: Vec::new(),
        }
    }
}

fn row(kind: Kind, stage: Stage, from: u64, last: BlockRef, now: u64) -> Item {
    let chain = ChainId::eip155(1);
    let parent = hash(from.saturating_sub(1));
    let new =
        NewItem { kind, chain: chain.clone(), from, parent, last, payload: Vec::new().into() };
    Item {
        key: new.key(),
        chain,
        kind,
        stage,
        from,
        parent,
        last,
        attempt: 0,
        next_at: 0,
        reason: None,
        tx_hash: None,
        nonce: None,
        created_at: now,
        updated_at: now,
    }
}

struct World {
    model: Model,
    rows: Vec<Item>,
    finals: Vec<u64>,
    seen: usize,
    room: usize,
    batch: u64,
    now: u64,
}

impl World {
    fn newest(&self) -> u64 {
        self.finals[..self.seen].last().copied().unwrap_or(0)
    }

    /// Plans until there is nothing to do; `cut` shortens runs as their bytes would.
    fn plan(&mut self, cut: u64) {
        for _ in 0..100 {
            let sync = self.model.status();
            let newest = self.newest();
            let known = self.model.anchors.last().copied().unwrap_or_else(|| self.model.top());
            let offer = (newest > known).then(|| hash(1_000_000 + newest));
            let target = match sync.wanted.first() {
                Some(_) => self.model.wanted().first().map(|height| block(*height)),
                None => offer.map(|_| block(newest)),
            };
            let view = FinalityView {
                sync: &sync,
                offer,
                target,
                rows: &self.rows,
                room: self.room,
                batch: self.batch,
                now: self.now,
                stale_after: STALE,
            };
            let FinalityPlan { next, done, stale } = plan(&view);
            let gone: Vec<String> = done.into_iter().chain(stale).map(Into::into).collect();
            let open = self.rows.iter().filter(|row| row.stage != Stage::Included).count();
            let (new, now) = (next, self.now);
            self.rows.retain(|row| !gone.contains(&row.key));
            let new = match new {
                Next::Nothing => return,
                Next::Data => {
                    let last = BlockRef { height: newest, hash: hash(1_000_000 + newest) };
                    row(Kind::Sync, Stage::Planned, newest, last, now)
                }
                Next::Run { floor, last, whole } => {
                    assert!(last.height > floor && floor >= self.model.tracked);
                    let size = if whole { self.batch } else { self.batch.min(cut).max(1) };
                    let from = last.height.saturating_sub(size).max(floor) + 1;
                    assert!(!whole || from == floor + 1, "a run that has to be whole is not");
                    row(Kind::Run, Stage::Planned, from, last, now)
                }
            };
            assert!(open < self.room + gone.len(), "more rows than there is room for");
            assert!(self.rows.iter().all(|row| row.key != new.key), "planned twice: {}", new.key);
            self.rows.push(new);
        }
        panic!("the planner does not come to an end");
    }

    /// Executes the oldest row that waits; everything that was planned is taken in this order.
    fn execute(&mut self) {
        let waits = |row: &&mut Item| matches!(row.stage, Stage::Planned | Stage::Sent);
        let Some(row) = self.rows.iter_mut().find(waits) else { return };
        row.stage = Stage::Included;
        row.updated_at = self.now;
        match row.kind {
            Kind::Sync => self.model.anchors.push(row.last.height),
            _ => assert!(
                self.model.take(row.from, row.last.height),
                "refused: {row:?} {:?}",
                self.model
            ),
        }
    }

    /// Somebody else brings what is missing first; own rows that were sent are refused then.
    fn overtake(&mut self, batch: u64) {
        let newest = self.newest();
        let known = self.model.anchors.last().copied().unwrap_or_else(|| self.model.top());
        if newest > known {
            self.model.anchors.push(newest);
        } else if let Some(to) = self.model.wanted().first().copied() {
            let low =
                to.saturating_sub(batch).max(self.model.tracked.max(if self.model.linked() {
                    self.model.top()
                } else {
                    0
                }));
            self.model.take(low + 1, to);
        }
        self.rows.retain(|row| row.stage != Stage::Sent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_gap_is_filled_in_order_and_nothing_is_planned_twice(
        gaps in proptest::collection::vec(1_u64..120, 1..6),
        batch in 1_u64..40,
        room in 1_usize..6,
        cut in 1_u64..40,
        steps in proptest::collection::vec(0_u8..9, 0..120),
    ) {
        let mut height = 0;
        let finals: Vec<u64> = gaps.iter().map(|gap| { height += gap; height }).collect();
        let model = Model { tracked: 0, pending: None, anchors: Vec::new() };
        let mut world =
            World { model, rows: Vec::new(), finals, seen: 0, room, batch, now: 1 };
        for step in steps {
            world.now += 1;
            match step {
                0 => world.seen = (world.seen + 1).min(world.finals.len()),
                1..=3 => world.execute(),
                4 => world.model.settle(7),
                5 => {
                    // Sent, and so out of the relayer's hands.
                    let planned = |row: &&mut Item| row.stage == Stage::Planned;
                    if let Some(row) = world.rows.iter_mut().find(planned) {
                        row.stage = Stage::Sent;
                    }
                }
                6 if world.rows.iter().all(|row| row.stage != Stage::Planned) => world.overtake(cut),
                _ => world.plan(cut),
            }
        }
        world.seen = world.finals.len();
        for _ in 0..2_000 {
            if world.model.tracked == height && world.rows.is_empty() {
                break;
            }
            world.plan(cut);
            world.execute();
            world.model.settle(50);
        }
        world.plan(cut);
        prop_assert_eq!(world.model.tracked, height, "{:?}", world.model);
        prop_assert!(world.rows.is_empty(), "left over: {:?}", world.rows);
    }
}

#[test]
fn a_parked_run_holds_those_below_it_and_stays_for_its_operator() {
    let model = Model { tracked: 0, pending: None, anchors: vec![30] };
    let sync = model.status();
    let parked = row(Kind::Run, Stage::Parked, 21, block(30), 1);
    let off = row(Kind::Run, Stage::Parked, 5, BlockRef { height: 9, hash: hash(77) }, 1);
    let rows = [parked, off.clone()];
    let view = FinalityView {
        sync: &sync,
        offer: None,
        target: Some(block(30)),
        rows: &rows,
        room: 4,
        batch: 10,
        now: 2,
        stale_after: STALE,
    };
    let plan = plan(&view);
    assert_eq!((plan.next, plan.done, plan.stale), (Next::Nothing, Vec::new(), vec![&*off.key]));
}

#[test]
fn an_included_run_that_never_shows_is_planned_again() {
    let sync = Model { tracked: 0, pending: None, anchors: vec![30] }.status();
    let rows = [row(Kind::Run, Stage::Included, 21, block(30), 1)];
    let view = |now| FinalityView {
        sync: &sync,
        offer: None,
        target: Some(block(30)),
        rows: &rows,
        room: 4,
        batch: 10,
        now,
        stale_after: 100,
    };
    let below = Next::Run { floor: 0, last: block(20), whole: false };
    assert_eq!(plan(&view(50)).next, below);
    let again = Next::Run { floor: 0, last: block(30), whole: false };
    assert_eq!(plan(&view(102)).next, again);
}
