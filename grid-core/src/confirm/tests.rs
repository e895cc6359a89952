use alloy_primitives::{B256, U256};
use proptest::prelude::*;

use super::*;
use crate::{
    CompatHeader,
    bitcoin::{
        Header, NetworkParams,
        rules::{BranchContext, PeriodStart},
        target,
    },
    hash,
    header_tree::{RawHeader, TrackedHeader},
};

fn header(height: u64, time: u64) -> TrackedHeader {
    let name = |height: u64| hash::leaf(&height.to_be_bytes());
    let header = CompatHeader {
        chain: B256::ZERO,
        height,
        blockHash: name(height),
        parentHash: name(height.wrapping_sub(1)),
        time,
        txRoot: B256::ZERO,
        receiptsRoot: B256::ZERO,
        stateRoot: B256::ZERO,
        indexRoot: B256::ZERO,
    };
    TrackedHeader { header, weight: U256::from(height), seen: 0, raw: RawHeader::Ethereum }
}

/// A tree of one branch from height 10 with these header times, seconds.
fn tree(times: &[u64]) -> HeaderTree {
    let mut headers = times.iter().zip(10..).map(|(time, height)| header(height, *time));
    let mut tree = HeaderTree::new(headers.next().expect("a base"));
    for header in headers {
        tree.insert(header).expect("linked");
    }
    tree
}

fn depth(blocks: u64) -> ConfirmationRule {
    ConfirmationRule::Depth { blocks }
}

fn age(secs: u64) -> ConfirmationRule {
    ConfirmationRule::Age { secs }
}

#[test]
fn depth_counts_as_bitcoin_does() {
    let tree = tree(&[100, 110, 120, 130]);
    let cases = [(0, Some(13)), (1, Some(13)), (2, Some(12)), (4, Some(10)), (5, None)];
    for (blocks, expected) in cases {
        assert_eq!(depth(blocks).confirmed_height(&tree, 0), expected, "{blocks}");
    }
    assert_eq!(depth(u64::MAX).confirmed_height(&tree, 0), None);
    assert_eq!(ConfirmationRule::Instant.confirmed_height(&tree, 0), Some(13));
}

#[test]
fn age_waits_for_the_header_and_all_before_it() {
    // Height 12 is older than height 11, but stands on it.
    let tree = tree(&[100, 150, 120, 160]);
    let rule = age(60);
    let cases = [
        (159_999, None, Some(160_000)),
        (160_000, Some(10), Some(210_000)),
        (190_000, Some(10), Some(210_000)),
        (209_999, Some(10), Some(210_000)),
        (210_000, Some(12), Some(220_000)),
        (220_000, Some(13), None),
    ];
    for (now, height, next) in cases {
        assert_eq!(rule.confirmed_height(&tree, now), height, "at {now}");
        assert_eq!(rule.next_change_ms(&tree, now), next, "at {now}");
    }
    assert_eq!(age(u64::MAX).confirmed_height(&tree, u64::MAX - 1), None);
}

#[test]
fn lists_take_the_strictest_or_the_laxest() {
    let tree = tree(&[100, 110, 120, 130]);
    let all = ConfirmationRule::AllOf(vec![depth(2), age(60)]);
    let any = ConfirmationRule::AnyOf(vec![depth(3), age(60)]);
    let cases = [(0, None, Some(11)), (170_000, Some(11), Some(11)), (190_000, Some(12), Some(13))];
    for (now, strict, lax) in cases {
        assert_eq!(all.confirmed_height(&tree, now), strict, "all at {now}");
        assert_eq!(any.confirmed_height(&tree, now), lax, "any at {now}");
    }
    assert_eq!(all.next_change_ms(&tree, 170_000), Some(180_000));
    assert_eq!(depth(2).next_change_ms(&tree, 170_000), None);
    let nothing = ConfirmationRule::AllOf(vec![]);
    assert_eq!(nothing.confirmed_height(&tree, u64::MAX), None);
    assert_eq!(ConfirmationRule::bitcoin().to_string(), "(6 blocks deep and 60 s old)");
}

#[test]
fn rules_have_a_plain_json_form_and_bounds() {
    let text = r#"{"allOf":[{"depth":{"blocks":6}},{"age":{"secs":60}}]}"#;
    let rule: ConfirmationRule = serde_json::from_str(text).expect("a rule");
    assert_eq!(rule, ConfirmationRule::bitcoin());
    assert_eq!(serde_json::to_string(&rule).expect("serialises"), text);
    let instant = serde_json::from_str::<ConfirmationRule>("\"instant\"").expect("a rule");
    assert_eq!(instant, ConfirmationRule::Instant);
    assert!(serde_json::from_str::<ConfirmationRule>(r#"{"depth":{"block":6}}"#).is_err());

    assert_eq!(rule.validate(Family::Bitcoin), Ok(()));
    assert_eq!(
        ConfirmationRule::AnyOf(vec![]).validate(Family::Bitcoin),
        Err(RuleError::Length(0))
    );
    let long = ConfirmationRule::AnyOf(vec![depth(1); 9]);
    assert_eq!(long.validate(Family::Bitcoin), Err(RuleError::Length(9)));
    let nest =
        |levels: usize| (0..levels).fold(depth(1), |rule, _| ConfirmationRule::AllOf(vec![rule]));
    assert_eq!(nest(MAX_NESTING).validate(Family::Bitcoin), Ok(()));
    assert_eq!(nest(MAX_NESTING + 1).validate(Family::Bitcoin), Err(RuleError::Nesting));
}

proptest! {
    #[test]
    fn age_equals_a_plain_scan(
        times in proptest::collection::vec(0..200u64, 1..60),
        secs in 0..100u64,
        now in 0..300u64,
    ) {
        let tree = tree(&times);
        let ripe = times.iter().take_while(|time| **time + secs <= now).count() as u64;
        let expected = ripe.checked_sub(1).map(|above| 10 + above);
        prop_assert_eq!(age(secs).confirmed_height(&tree, now * 1000), expected);
        if let Some(next) = age(secs).next_change_ms(&tree, now * 1000) {
            prop_assert!(next > now * 1000);
            prop_assert!(age(secs).confirmed_height(&tree, next) > expected);
            prop_assert_eq!(age(secs).confirmed_height(&tree, next - 1), expected);
        }
    }
}

/// A tree that grows header by header, with hashes by number.
struct Grown {
    tree: HeaderTree,
    count: u64,
}

impl Grown {
    /// The base has height 10, time 0 and weight 1,000,000.
    fn new() -> Self {
        let base = header(10, 0);
        let tree = HeaderTree::new(TrackedHeader { weight: U256::from(1_000_000), ..base });
        Self { tree, count: 1_000 }
    }

    /// Adds headers, each of that work and 600 s after the one before, and returns the last one's hash.
    fn grow(&mut self, on: B256, count: u64, work: u64) -> B256 {
        (0..count).fold(on, |parent, _| {
            let below = self.tree.get(&parent).expect("known");
            let (height, time) = (below.height() + 1, below.time() + 600);
            let weight = below.weight() + U256::from(work);
            self.count += 1;
            let mut next = header(height, time);
            next.header.blockHash = hash::leaf(&self.count.to_be_bytes());
            next.header.parentHash = parent;
            let hash = next.header.blockHash;
            self.tree.insert(TrackedHeader { weight, ..next }).expect("linked");
            hash
        })
    }

    fn tip(&self) -> B256 {
        self.tree.tip().hash()
    }

    /// Adds to the best branch.
    fn extend(&mut self, count: u64, work: u64) {
        self.grow(self.tip(), count, work);
    }

    /// Adds a branch from a height of the best one.
    fn branch(&mut self, height: u64, count: u64, work: u64) -> B256 {
        let fork = self.tree.best_at(height).expect("on the best branch").hash();
        self.grow(fork, count, work)
    }

    /// Confirmations that the rule asks for, when the tip's time has just come.
    fn asked(&self, rule: &ConfirmationRule) -> Option<u64> {
        self.asked_at(rule, self.tree.tip().time())
    }

    fn asked_at(&self, rule: &ConfirmationRule, now: u64) -> Option<u64> {
        let confirmed = rule.confirmed_height(&self.tree, now * 1_000)?;
        Some(self.tree.tip().height() - confirmed + 1)
    }
}

fn work(blocks: u64) -> ConfirmationRule {
    ConfirmationRule::Work { blocks }
}

/// Six confirmations between retargets: one bitcoin, a thousandth of it, against a tenth of the hash rate.
fn risk() -> ConfirmationRule {
    ConfirmationRule::Risk {
        value: 100_000_000,
        max_loss: 100_000,
        attacker_share: 100_000,
        spacing: 600,
    }
}

#[test]
fn work_between_retargets_is_depth() {
    let mut grown = Grown::new();
    grown.extend(20, 50);
    for blocks in [0, 1, 2, 6, 20] {
        assert_eq!(grown.asked(&work(blocks)), Some(blocks.max(1)), "{blocks}");
    }
    // The base's own work is not known on this family: it counts for 1.
    assert_eq!(grown.asked(&work(21)), None);
    assert_eq!(grown.asked(&work(u64::MAX)), None);
}

#[test]
fn a_retarget_inside_the_window_is_weighed() {
    // (work before, blocks after the retarget, work after, blocks asked, confirmations given)
    let cases = [
        // Harder: three new ones and four of a quarter less.
        (75, 3, 100, 6, 7),
        // Easier: nothing counts for more than one.
        (100, 3, 75, 6, 7),
        (100, 3, 25, 6, 9),
        (25, 3, 100, 6, 15),
        // Out of the window again.
        (25, 6, 100, 6, 6),
        (100, 6, 25, 6, 6),
    ];
    for (before, count, after, blocks, expected) in cases {
        let mut grown = Grown::new();
        grown.extend(30, before);
        grown.extend(count, after);
        assert_eq!(grown.asked(&work(blocks)), Some(expected), "{before} {count} {after}");
    }
}

#[test]
fn blocks_of_minimum_difficulty_hardly_count() {
    let params = NetworkParams::testnet3();
    let real = 0x1c00_ffffu32;
    let easy = target::encode(&params.pow_limit);
    let start = PeriodStart { time: 0, bits: real };
    let mut context = BranchContext::start(&[], 0, real, start);
    let tracked = |height: u64, bits: u32, weight: U256, context: BranchContext| {
        let raw = Header {
            version: 4,
            prev: hash::leaf(&(height - 1).to_be_bytes()),
            merkle_root: B256::ZERO,
            time: context.time(),
            bits,
            nonce: 0,
        };
        let raw = RawHeader::Bitcoin { bytes: raw.to_bytes(), context };
        TrackedHeader { weight, raw, ..header(height, context.time().into()) }
    };
    let mut weight = U256::from(1) << 80;
    let mut tree = HeaderTree::new(tracked(2_020, real, weight, context));
    let mut time = 0;
    for (height, bits) in (2_021..).zip([[real; 8], [easy; 8]].concat()) {
        time += 1_201;
        context = context.extend(&params, height, time, bits);
        weight += target::work(&target::decode(bits).target);
        tree.insert(tracked(height, bits, weight, context)).expect("linked");
    }
    let found = |blocks| work(blocks).confirmed_height(&tree, 0);
    assert_eq!(depth(6).confirmed_height(&tree, 0), Some(2_031));
    assert_eq!(found(6), Some(2_023));
    // The base counts with its own work.
    assert_eq!(found(9), Some(2_020));
    assert_eq!(found(10), None);
}

#[test]
fn risk_asks_for_what_the_mathematics_say() {
    let mut grown = Grown::new();
    grown.extend(200, 50);
    assert_eq!(grown.asked(&risk()), Some(6));
    let with = |value, max_loss, attacker_share| ConfirmationRule::Risk {
        value,
        max_loss,
        attacker_share,
        spacing: 600,
    };
    // One block is always asked for.
    assert_eq!(grown.asked(&with(1, 1, 100_000)), Some(1));
    assert_eq!(grown.asked(&with(1_000, 1, 300_000)), Some(32));
    assert_eq!(grown.asked(&with(u64::MAX, 1, 400_000)), None);
    assert_eq!(risk().next_change_ms(&grown.tree, 0), None);
}

#[test]
fn slow_blocks_raise_what_is_asked() {
    let mut grown = Grown::new();
    grown.extend(100, 50);
    let tip = grown.tree.tip().time();
    // Half an hour late, an hour, …; in the end no number of blocks is enough.
    let cases = [(0, 6), (1_800, 7), (3_600, 8), (10_800, 11), (36_000, 21)];
    for (late, expected) in cases {
        assert_eq!(grown.asked_at(&risk(), tip + late), Some(expected), "{late} s");
    }
    assert_eq!(grown.asked_at(&risk(), tip + 10_000_000), None);
    // A clock behind the tip's time is no hurry.
    assert_eq!(grown.asked_at(&risk(), 0), Some(6));
}

#[test]
fn a_header_that_pretends_to_be_late_hides_no_slowness() {
    let times = [0, 600, 1_200, 9_000, 2_400, 3_000];
    let tree = tree(&times);
    // Below the two last ones lies the one that pretends.
    assert_eq!(work::reach(&tree, 2).map(|reach| (reach.height, reach.begun)), Some((14, 2_400)));
    assert_eq!(work::reach(&tree, 3).map(|reach| (reach.height, reach.begun)), Some((13, 1_200)));
}

#[test]
fn a_deep_stale_branch_sets_the_floor() {
    let mut grown = Grown::new();
    grown.extend(30, 50);
    grown.branch(30, 8, 50);
    grown.extend(2_000, 50);
    // One more than the eight blocks that were lost once.
    assert_eq!(grown.asked(&risk()), Some(9));
    // Its last header is at height 38; the tip is at 2,040.
    grown.extend(13, 50);
    assert_eq!(grown.asked(&risk()), Some(9));
    grown.extend(1, 50);
    assert_eq!(grown.asked(&risk()), Some(6));
    // By work: ten headers of a fifth of a block's work are two blocks.
    grown.branch(2_000, 10, 10);
    assert_eq!(grown.asked(&risk()), Some(6));
    grown.branch(2_000, 33, 10);
    assert_eq!(grown.asked(&risk()), Some(8));
}

#[test]
fn a_competing_branch_holds_confirmation_at_the_fork() {
    let mut grown = Grown::new();
    grown.extend(40, 50);
    // One stale header is daily life.
    let other = grown.branch(49, 1, 50);
    grown.extend(4, 50);
    assert_eq!(risk().confirmed_height(&grown.tree, 0), Some(49));
    grown.extend(1, 50);
    assert_eq!(risk().confirmed_height(&grown.tree, 0), Some(50));
    // Two compete: 50 and 51 against 50 to 55, a lead of four where six are asked for.
    let other = grown.grow(other, 1, 50);
    assert_eq!(risk().confirmed_height(&grown.tree, 0), Some(49));
    grown.extend(1, 50);
    assert_eq!(risk().confirmed_height(&grown.tree, 0), Some(49));
    grown.extend(1, 50);
    assert_eq!(risk().confirmed_height(&grown.tree, 0), Some(52));
    // While both grow alike nothing above the fork is confirmed, however deep.
    let mut other = grown.grow(other, 4, 50);
    for _ in 0..10 {
        other = grown.grow(other, 1, 50);
        grown.extend(1, 50);
        assert_eq!(risk().confirmed_height(&grown.tree, 0), Some(49));
    }
    // It ends with sixteen headers: seventeen more are asked for.
    grown.extend(14, 50);
    assert_eq!(depth(6).confirmed_height(&grown.tree, 0), Some(76));
    assert_eq!(risk().confirmed_height(&grown.tree, 0), Some(49));
    grown.extend(1, 50);
    assert_eq!(risk().confirmed_height(&grown.tree, 0), Some(66));
}

#[test]
fn the_branch_that_was_best_competes_after_a_reorganisation() {
    let mut grown = Grown::new();
    grown.extend(40, 50);
    assert_eq!(risk().confirmed_height(&grown.tree, 0), Some(45));
    grown.branch(45, 6, 50);
    assert_eq!(grown.tree.tip().height(), 51);
    assert_eq!(risk().confirmed_height(&grown.tree, 0), Some(45));
    grown.extend(4, 50);
    assert_eq!(risk().confirmed_height(&grown.tree, 0), Some(45));
    grown.extend(1, 50);
    assert_eq!(risk().confirmed_height(&grown.tree, 0), Some(51));
}

#[test]
fn rules_of_work_have_a_plain_json_form_and_bounds() {
    let text = r#"{"risk":{"value":100000000,"maxLoss":100000,"attackerShare":100000}}"#;
    let rule: ConfirmationRule = serde_json::from_str(text).expect("a rule");
    assert_eq!(rule, risk());
    assert_eq!(serde_json::to_string(&rule).expect("serialises"), text);
    let quick = text.replace("100000}}", "100000,\"spacing\":150}}");
    let rule: ConfirmationRule = serde_json::from_str(&quick).expect("a rule");
    assert_eq!(serde_json::to_string(&rule).expect("serialises"), quick);
    let text = r#"{"work":{"blocks":6}}"#;
    assert_eq!(serde_json::from_str::<ConfirmationRule>(text).expect("a rule"), work(6));

    let rule = |value, max_loss, attacker_share, spacing| ConfirmationRule::Risk {
        value,
        max_loss,
        attacker_share,
        spacing,
    };
    let cases = [
        (rule(100, 1, 100_000, 600), Ok(())),
        (rule(100, 1, 0, 600), Err(RuleError::Share(0))),
        (rule(100, 1, 500_000, 600), Err(RuleError::Share(500_000))),
        (rule(0, 1, 1, 600), Err(RuleError::Zero("value"))),
        (rule(100, 0, 1, 600), Err(RuleError::Zero("maxLoss"))),
        (rule(100, 1, 1, 0), Err(RuleError::Zero("spacing"))),
        (
            rule(u64::MAX, 1, 499_999, 600),
            Err(RuleError::TooRisky { value: u64::MAX, max_loss: 1, share: 499_999 }),
        ),
    ];
    for (rule, expected) in cases {
        assert_eq!(rule.validate(Family::Bitcoin), expected, "{rule}");
    }
    let shown = "at most 100000 of 100000000 sat at risk from 10% of the hash rate";
    assert_eq!(risk().to_string(), shown);
    for rule in [work(6), risk(), ConfirmationRule::AnyOf(vec![depth(1), work(6)])] {
        assert_eq!(rule.validate(Family::Bitcoin), Ok(()));
        assert_eq!(rule.validate(Family::Ethereum), Err(RuleError::NoWork(Family::Ethereum)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn work_is_found_where_a_plain_scan_finds_it_and_time_alone_confirms_nothing(
        works in proptest::collection::vec(1..100u64, 1..60),
        blocks in 0..20u64,
        late in 0..50_000u64,
    ) {
        let mut grown = Grown::new();
        for work in &works {
            grown.extend(1, *work);
        }
        // Work: found where a plain look at every height finds it.
        let enough = |given: usize| {
            let counted = works.iter().rev().take(given);
            let most = counted.clone().max().copied().unwrap_or_default();
            counted.sum::<u64>() >= blocks.max(1) * most
        };
        let expected = (1..=works.len()).find(|given| enough(*given)).map(|given| given as u64);
        let asked = grown.asked(&work(blocks)).filter(|asked| *asked <= works.len() as u64);
        prop_assert_eq!(asked, expected);
        // Risk: time alone never confirms more.
        let now = grown.tree.tip().time() * 1_000;
        let (early, later) = (
            risk().confirmed_height(&grown.tree, now),
            risk().confirmed_height(&grown.tree, now + late * 1_000),
        );
        prop_assert!(later <= early);
    }
}
