//! What to relay next: the difference between a source and the main chain.
//!
//! [`Planner`] is a pure machine: it asks for what it needs ([`Ask`]), is given the [`Answer`], and ends
//! with an [`Outcome`]. It remembers nothing between two runs; every run recomputes the difference from
//! both ends, so a missed event, a crash or a reorganisation needs no code of its own.
//!
//! Invariants, tested as properties:
//! * a range starts right above a header that the main chain has, or that an open item brings it: no
//!   header is skipped;
//! * a range lies on one branch: its first header's parent is the header it starts above;
//! * a run asks a bounded number of questions, and a range is at most one batch, a larger one where it leaves
//!   the main chain's branch;
//! * with a source that stands still, runs and submissions end with both tips equal, whatever branch the
//!   main chain was on before.

pub mod finality;
#[cfg(test)]
mod tests;

use alloy_primitives::B256;
use grid_core::api::BlockRef;

/// A range that an item already covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// Parent of the first header.
    pub parent: B256,
    /// The last header.
    pub last: BlockRef,
}

/// What a run starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The source's active tip.
    pub source: BlockRef,
    /// The main chain's best tracked header.
    pub tracked: BlockRef,
    /// The oldest header that the main chain still holds.
    pub base: BlockRef,
    /// Ranges whose items are open.
    pub covered: Vec<Covered>,
    /// Most headers in a range.
    pub batch: usize,
    /// Most headers in a range that leaves the main chain's branch: by its whole work the main chain decides
    /// whether it takes such a range.
    pub whole: usize,
}

/// A question to one of the two chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The main chain's locator.
    Locator,
    /// The source's active header at this height.
    HeaderAt(u64),
    /// The source's active headers from a height on.
    Headers {
        /// Height of the first.
        from: u64,
        /// At most so many; a source may need several calls for them.
        count: usize,
    },
}

/// A header by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Hash of the parent.
    pub parent: B256,
    /// Height and hash.
    pub block: BlockRef,
}

/// The answer to an [`Ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Ask::Locator`]: best branch, tip first.
    Locator(Vec<BlockRef>),
    /// To [`Ask::HeaderAt`]: `None` above the source's tip.
    HeaderAt(Option<B256>),
    /// To [`Ask::Headers`]: ascending and linked; may be shorter than asked.
    Headers(Vec<Link>),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Both tips are equal.
    InSync,
    /// Everything up to the source's tip is covered by open items.
    Covered,
    /// The source's tip is below or on the main chain's branch: it has nothing to offer.
    Behind,
    /// The chain moved while it was asked: run again.
    Moved,
    /// Submit the headers of the last [`Answer::Headers`], all of them.
    Relay {
        /// The header that the range starts above.
        above: BlockRef,
        /// The last header of the range.
        last: BlockRef,
    },
    /// The two chains share no header that the main chain still holds.
    NoCommonHeader,
}

/// How far a run got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Answer this.
    Ask(Ask),
    /// Finished.
    Finished(Finished),
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// What is to be done.
    pub outcome: Outcome,
    /// Highest header that is known to be on both the source's active and the main chain's best branch.
    pub common: Option<BlockRef>,
    /// Open ranges that were seen not to be on the source's active branch.
    pub stale: Vec<Covered>,
}

/// Most headers compared in the search for the common ancestor: a locator of a 2^32-header chain plus
/// the open ranges.
const MAX_PROBES: usize = 128;

#[derive(Debug, Clone)]
enum State {
    /// Asked for headers above the cursor.
    Fetching { cursor: BlockRef, searched: bool },
    /// Asked for the locator.
    Locating,
    /// Comparing candidates, highest first.
    Probing { candidates: Vec<Candidate>, at: usize, cursor: Option<BlockRef> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    block: BlockRef,
    /// Not on the main chain yet, brought by this open item.
    item: Option<Covered>,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Planner {
    view: View,
    state: State,
    common: Option<BlockRef>,
    stale: Vec<Covered>,
}

impl Planner {
    /// Begins a run.
    #[must_use]
    pub fn start(view: View) -> (Self, Step) {
        let tracked = view.tracked;
        let mut planner = Self { view, state: State::Locating, common: None, stale: Vec::new() };
        let path = planner.path_from(tracked);
        let source = planner.view.source;
        if source == tracked {
            planner.common = Some(tracked);
            return planner.finish(Outcome::InSync);
        }
        if path.contains(&source) {
            planner.common = Some(tracked);
            return planner.finish(Outcome::Covered);
        }
        let cursor = path.last().copied().unwrap_or(tracked);
        if source.height > cursor.height {
            let step = planner.fetch(cursor, false);
            return (planner, step);
        }
        (planner, Step::Ask(Ask::Locator))
    }

    /// Continues with an answer. An answer to another question than the last ends the run with
    /// [`Outcome::Moved`].
    #[must_use]
    pub fn answer(self, answer: Answer) -> (Self, Step) {
        match (self.state.clone(), answer) {
            (State::Fetching { cursor, searched }, Answer::Headers(links)) => {
                self.fetched(cursor, searched, &links)
            }
            (State::Locating, Answer::Locator(best)) => {
                let mut candidates = self.candidates(&best);
                candidates.truncate(MAX_PROBES);
                self.probe(candidates, 0, None)
            }
            (State::Probing { candidates, at, cursor }, Answer::HeaderAt(found)) => {
                self.probed(candidates, at, cursor, found)
            }
            _ => self.finish(Outcome::Moved),
        }
    }

    /// Headers from `start` up along open ranges, `start` included.
    fn path_from(&self, start: BlockRef) -> Vec<BlockRef> {
        let mut path = vec![start];
        let mut cursor = start;
        // Every step goes up, so there are at most as many as ranges.
        while let Some(next) = self
            .view
            .covered
            .iter()
            .filter(|range| range.parent == cursor.hash && range.last.height > cursor.height)
            .max_by_key(|range| range.last.height)
        {
            cursor = next.last;
            path.push(cursor);
        }
        path
    }

    fn fetch(&mut self, cursor: BlockRef, searched: bool) -> Step {
        self.state = State::Fetching { cursor, searched };
        let missing = self.view.source.height.saturating_sub(cursor.height);
        let most = if searched { self.view.whole } else { self.view.batch };
        let count = usize::try_from(missing).unwrap_or(usize::MAX).min(most.max(1));
        let from = cursor.height.saturating_add(1);
        #[cfg(any(test, feature = "sim"))]
        let from = from + u64::from(crate::sim::planted(crate::sim::Plant::SkippedHeader));
        Step::Ask(Ask::Headers { from, count })
    }

    fn fetched(mut self, cursor: BlockRef, searched: bool, links: &[Link]) -> (Self, Step) {
        let Some(first) = links.first() else { return self.finish(Outcome::Moved) };
        let linked = first.parent == cursor.hash;
        #[cfg(any(test, feature = "sim"))]
        let linked = linked || crate::sim::planted(crate::sim::Plant::IgnoredReorganisation);
        if linked {
            if !searched {
                // The source builds on the open ranges, and they on the tracked tip.
                self.common = Some(self.view.tracked);
            }
            let last = links.last().map_or(first.block, |link| link.block);
            return self.finish(Outcome::Relay { above: cursor, last });
        }
        if searched {
            // The source changed its branch after the search.
            return self.finish(Outcome::Moved);
        }
        self.state = State::Locating;
        (self, Step::Ask(Ask::Locator))
    }

    /// Every header that may be the last shared one, highest first; open ranges before headers of the
    /// main chain at the same height.
    fn candidates(&self, best: &[BlockRef]) -> Vec<Candidate> {
        let items = self
            .view
            .covered
            .iter()
            .map(|range| Candidate { block: range.last, item: Some(*range) });
        let main = best
            .iter()
            .chain([&self.view.base])
            .map(|block| Candidate { block: *block, item: None });
        let mut candidates: Vec<Candidate> = items.chain(main).collect();
        candidates.sort_by(|a, b| {
            b.block.height.cmp(&a.block.height).then(b.item.is_some().cmp(&a.item.is_some()))
        });
        candidates.dedup();
        candidates
    }

    /// Looks for the next candidate that is worth a question.
    fn probe(
        mut self,
        candidates: Vec<Candidate>,
        mut at: usize,
        cursor: Option<BlockRef>,
    ) -> (Self, Step) {
        while let Some(candidate) = candidates.get(at) {
            let tip = self.view.source;
            // The tip's own hash is known, and nothing is above it.
            if candidate.block.height >= tip.height {
                if candidate.block == tip {
                    return self.matched(candidates, at, cursor);
                }
                self.stale.extend(candidate.item);
                at += 1;
                continue;
            }
            // Below a known cursor only the best header of the main chain is still of interest.
            if cursor.is_some() && candidate.item.is_some() {
                at += 1;
                continue;
            }
            let height = candidate.block.height;
            self.state = State::Probing { candidates, at, cursor };
            return (self, Step::Ask(Ask::HeaderAt(height)));
        }
        self.searched(cursor)
    }

    fn probed(
        mut self,
        candidates: Vec<Candidate>,
        at: usize,
        cursor: Option<BlockRef>,
        found: Option<B256>,
    ) -> (Self, Step) {
        let Some(candidate) = candidates.get(at).copied() else {
            return self.finish(Outcome::Moved);
        };
        if found == Some(candidate.block.hash) {
            return self.matched(candidates, at, cursor);
        }
        self.stale.extend(candidate.item);
        self.probe(candidates, at + 1, cursor)
    }

    fn matched(
        mut self,
        candidates: Vec<Candidate>,
        at: usize,
        cursor: Option<BlockRef>,
    ) -> (Self, Step) {
        let Some(candidate) = candidates.get(at).copied() else {
            return self.finish(Outcome::Moved);
        };
        let cursor = cursor.unwrap_or(candidate.block);
        if candidate.item.is_none() {
            self.common = Some(candidate.block);
            return self.searched(Some(cursor));
        }
        self.probe(candidates, at + 1, Some(cursor))
    }

    fn searched(mut self, cursor: Option<BlockRef>) -> (Self, Step) {
        let tip = self.view.source;
        let Some(cursor) = cursor.filter(|_| self.common.is_some()) else {
            // A source that has not reached the base yet is still downloading its chain.
            let below = tip.height < self.view.base.height;
            return self.finish(if below { Outcome::Behind } else { Outcome::NoCommonHeader });
        };
        if cursor == tip {
            let behind = self.common == Some(tip);
            return self.finish(if behind { Outcome::Behind } else { Outcome::Covered });
        }
        let step = self.fetch(cursor, true);
        (self, step)
    }

    fn finish(self, outcome: Outcome) -> (Self, Step) {
        let finished = Finished { outcome, common: self.common, stale: self.stale.clone() };
        (self, Step::Finished(finished))
    }
}
