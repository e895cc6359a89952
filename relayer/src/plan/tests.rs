//! The planner against a model of two chains.

use std::collections::HashMap;

use alloy_primitives::{B256, keccak256};
use proptest::prelude::*;

use super::*;

/// A branch: header `n` has height `n`; headers differ by their branch's salt.
#[derive(Debug, Clone)]
struct Branch(Vec<BlockRef>);

impl Branch {
    fn new(length: u64, salt: u8) -> Self {
        Self((0..=length).map(|height| block(height, salt)).collect())
    }

    /// Shares heights up to `fork`, then goes its own way up to `length`.
    fn fork(&self, fork: u64, length: u64, salt: u8) -> Self {
        let fork = fork.min(self.tip().height);
        let shared = self.0.iter().copied().take_while(|block| block.height <= fork);
        Self(
            shared.chain((fork + 1..=length.max(fork)).map(|height| block(height, salt))).collect(),
        )
    }

    fn tip(&self) -> BlockRef {
        *self.0.last().unwrap()
    }

    fn at(&self, height: u64) -> Option<BlockRef> {
        self.0.get(usize::try_from(height).unwrap()).copied()
    }
}

fn block(height: u64, salt: u8) -> BlockRef {
    BlockRef { height, hash: keccak256([&height.to_be_bytes()[..], &[salt]].concat()) }
}

/// The main chain's light client: every header it has, longest branch wins, first seen keeps.
#[derive(Debug, Clone)]
struct Client {
    base: BlockRef,
    tip: BlockRef,
    parents: HashMap<B256, (BlockRef, B256)>,
}

impl Client {
    fn new(branch: &Branch, base: u64) -> Self {
        let base = branch.at(base).unwrap();
        let parents = HashMap::from([(base.hash, (base, B256::ZERO))]);
        let mut client = Self { base, tip: base, parents };
        client.take(branch, base.height + 1, branch.tip().height);
        client
    }

    fn take(&mut self, branch: &Branch, from: u64, to: u64) {
        for height in from..=to {
            let (block, parent) = (branch.at(height).unwrap(), branch.at(height - 1).unwrap());
            assert!(self.parents.contains_key(&parent.hash), "header {height} has no parent");
            self.parents.insert(block.hash, (block, parent.hash));
            if block.height > self.tip.height {
                self.tip = block;
            }
        }
    }

    /// Tip first, then steps that double.
    fn locator(&self) -> Vec<BlockRef> {
        let mut branch = vec![self.tip];
        while let Some((_, parent)) = self.parents.get(&branch.last().unwrap().hash) {
            let Some((block, _)) = self.parents.get(parent) else { break };
            branch.push(*block);
        }
        let (mut picked, mut at, mut step) = (Vec::new(), 0, 1);
        while at < branch.len() {
            picked.push(branch[at]);
            if picked.len() > 10 {
                step *= 2;
            }
            at += step;
        }
        picked
    }
}

/// Runs the planner against a source and the client. Counts the questions to the source.
fn run(source: &Branch, client: &Client, covered: &[Covered], batch: usize) -> (Finished, usize) {
    let (mut planner, mut step) = Planner::start(View {
        source: source.tip(),
        tracked: client.tip,
        base: client.base,
        covered: covered.to_vec(),
        batch,
        whole: 2 * batch,
    });
    let mut questions = 0;
    loop {
        let answer = match step {
            Step::Finished(finished) => return (finished, questions),
            Step::Ask(Ask::Locator) => Answer::Locator(client.locator()),
            Step::Ask(Ask::HeaderAt(height)) => {
                Answer::HeaderAt(source.at(height).map(|block| block.hash))
            }
            Step::Ask(Ask::Headers { from, count }) => {
                assert!(count <= 2 * batch && count > 0);
                Answer::Headers(links(source, from, count))
            }
        };
        questions += usize::from(!matches!(answer, Answer::Locator(_)));
        assert!(questions < 200, "no end");
        (planner, step) = planner.answer(answer);
    }
}

fn links(source: &Branch, from: u64, count: usize) -> Vec<Link> {
    (from..)
        .map_while(|height| source.at(height))
        .take(count)
        .map(|block| Link { parent: source.at(block.height - 1).unwrap().hash, block })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever branch the main chain was on, it ends with the source's headers, in steps that each
    /// start above a header it has; open items that are not executed yet are never planned again.
    #[test]
    fn runs_converge_and_never_skip(
        shared in 1..60_u64, fork in 0..60_u64, mine in 0..60_u64, theirs in 0..60_u64,
        base in 0..20_u64, batch in 1..9_usize, delay in 1..5_usize,
    ) {
        let base = base.min(shared);
        let trunk = Branch::new(shared, 0);
        let main = trunk.fork(fork.max(base), theirs.max(shared), 1);
        let source = trunk.fork(fork.max(base), mine, 2);
        let mut client = Client::new(&main, base);
        let mut open: Vec<Covered> = Vec::new();
        let mut rounds = 0;
        loop {
            rounds += 1;
            prop_assert!(rounds < 400, "no convergence");
            let (finished, _) = run(&source, &client, &open, batch);
            match finished.outcome {
                Outcome::Relay { above, last } => {
                    prop_assert!(last.height > above.height);
                    let length = usize::try_from(last.height - above.height).unwrap();
                    prop_assert!(length <= 2 * batch);
                    let known = client.parents.contains_key(&above.hash);
                    prop_assert!(known || open.iter().any(|item| item.last == above));
                    let range = Covered { parent: above.hash, last };
                    prop_assert!(!open.contains(&range), "planned twice");
                    open.push(range);
                }
                Outcome::InSync | Outcome::Behind => break,
                Outcome::Covered => {
                    // A side branch at most as long as the main chain's best is all that can be done.
                    if open.iter().all(|item| client.parents.contains_key(&item.last.hash)) {
                        prop_assert!(source.tip().height <= client.tip.height);
                        break;
                    }
                }
                Outcome::Moved | Outcome::NoCommonHeader => prop_assert!(false, "{finished:?}"),
            }
            // Execution comes later and in order.
            if rounds % delay == 0 {
                let todo = open.iter().find(|item| !client.parents.contains_key(&item.last.hash));
                if let Some(item) = todo.copied() {
                    let from = source.0.iter().find(|block| block.hash == item.parent).unwrap();
                    client.take(&source, from.height + 1, item.last.height);
                }
            }
        }
        for height in client.base.height..=source.tip().height {
            prop_assert!(client.parents.contains_key(&source.at(height).unwrap().hash));
        }
    }

    /// What is reported as common is on both branches, and stale items are on neither end's way.
    #[test]
    fn common_and_stale_are_true(
        shared in 1..40_u64, fork in 0..40_u64, mine in 0..40_u64, theirs in 0..40_u64,
        old in 1..10_u64, batch in 1..9_usize,
    ) {
        let trunk = Branch::new(shared, 0);
        let main = trunk.fork(fork, theirs.max(shared), 1);
        let source = trunk.fork(fork, mine, 2);
        let client = Client::new(&main, 0);
        // An item of a third branch, planned before the source left it.
        let third = main.fork(main.tip().height, main.tip().height + old, 3);
        let item = Covered { parent: main.tip().hash, last: third.tip() };
        let (finished, _) = run(&source, &client, &[item], batch);
        if let Some(common) = finished.common {
            prop_assert_eq!(source.at(common.height), Some(common));
            prop_assert_eq!(main.at(common.height), Some(common));
        }
        for stale in &finished.stale {
            prop_assert!(source.at(stale.last.height) != Some(stale.last));
        }
        if source.tip() != main.tip() {
            prop_assert!(finished.stale.contains(&item) || finished.outcome == Outcome::InSync);
        }
    }

    /// Arbitrary nonsense as answers ends a run; nothing panics.
    #[test]
    fn nonsense_ends_a_run(answers in proptest::collection::vec(0..4_u8, 0..300), tip in 0..9_u64) {
        let view = View {
            source: block(tip, 2), tracked: block(5, 1), base: block(1, 1),
            covered: vec![Covered { parent: block(5, 1).hash, last: block(7, 1) }], batch: 3, whole: 3,
        };
        let (mut planner, mut step) = Planner::start(view);
        for answer in answers {
            if matches!(step, Step::Finished(_)) { break; }
            let answer = match answer {
                0 => Answer::Locator(vec![]),
                1 => Answer::Locator((0..200).rev().map(|height| block(height, 1)).collect()),
                2 => Answer::HeaderAt(Some(block(3, 1).hash)),
                _ => Answer::Headers(vec![]),
            };
            (planner, step) = planner.answer(answer);
        }
    }
}

#[test]
fn at_the_tip_one_question_finds_the_new_header() {
    let source = Branch::new(101, 0);
    let client = Client::new(&Branch::new(100, 0), 0);
    let (finished, questions) = run(&source, &client, &[], 2_000);
    assert_eq!(questions, 1);
    assert_eq!(finished.common, Some(client.tip));
    assert_eq!(finished.outcome, Outcome::Relay { above: client.tip, last: source.tip() });
    let covered = [Covered { parent: client.tip.hash, last: source.tip() }];
    let (finished, questions) = run(&source, &client, &covered, 2_000);
    assert_eq!((finished.outcome, questions), (Outcome::Covered, 0));
}

#[test]
fn a_reorganisation_five_deep_starts_above_the_common_ancestor() {
    let trunk = Branch::new(100, 0);
    let client = Client::new(&trunk, 0);
    let source = trunk.fork(95, 103, 1);
    let (finished, _) = run(&source, &client, &[], 2_000);
    let common = trunk.at(95).unwrap();
    assert_eq!(finished.common, Some(common));
    assert_eq!(finished.outcome, Outcome::Relay { above: common, last: source.tip() });
}

#[test]
fn a_branch_below_the_base_has_no_common_header_and_a_short_source_waits() {
    let trunk = Branch::new(100, 0);
    let mut client = Client::new(&trunk, 50);
    let source = trunk.fork(40, 120, 1);
    assert_eq!(run(&source, &client, &[], 10).0.outcome, Outcome::NoCommonHeader);
    let young = Branch::new(30, 0);
    assert_eq!(run(&young, &client, &[], 10).0.outcome, Outcome::Behind);
    client.tip = client.base;
    let ahead = Branch::new(60, 0);
    let (finished, _) = run(&ahead, &client, &[], 10);
    assert_eq!(finished.outcome, Outcome::Relay { above: client.base, last: ahead.tip() });
}
