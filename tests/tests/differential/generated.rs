//! Generated headers on networks with tiny difficulty, against Bitcoin Core's code with the same
//! parameters.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use grid_core::bitcoin::NetworkParams;
use grid_tests::differential::{Coverage, Oracle, Ours, compare, compare_with, generate, shrink};

/// Cases of an ordinary run: half a minute on two cores.
const CASES: u64 = 2_000;

/// What an ordinary run must have met, so that agreement means something.
const VERDICTS: [&str; 8] = [
    "accepted",
    "high-hash",
    "prev-blk-not-found",
    "bad-diffbits",
    "time-too-old",
    "time-timewarp-attack",
    "time-too-new",
    "bad-version",
];

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Runs the cases of all seeds on every processor; ends at the first difference.
fn run(seeds: std::ops::Range<u64>) -> (Coverage, Option<String>) {
    let next = AtomicU64::new(seeds.start);
    let outcome = Mutex::new((Coverage::default(), None));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut oracle = Oracle::start().expect("scripts/setup-nodes --with-oracle");
                let mut coverage = Coverage::default();
                let mut difference = None;
                while difference.is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    difference = differs(seed, &mut oracle, &mut coverage);
                }
                let mut outcome = outcome.lock().expect("no thread has panicked");
                outcome.0.add(&coverage);
                if difference.is_some() {
                    next.store(seeds.end, Ordering::Relaxed);
                    outcome.1 = difference;
                }
            });
        }
    });
    outcome.into_inner().expect("no thread has panicked")
}

/// The smallest reproduction of a difference that a seed's case shows.
fn differs(seed: u64, oracle: &mut Oracle, coverage: &mut Coverage) -> Option<String> {
    let case = generate(seed);
    compare(&case, oracle, coverage).expect("the oracle answers")?;
    let case = shrink(case, oracle).expect("the oracle answers");
    let found = compare(&case, oracle, coverage).expect("the oracle answers");
    Some(format!("GRID_DIFFERENTIAL_SEED={seed}\n{case}{found:#?}"))
}

#[test]
fn bitcoin_core_and_grid_judge_generated_headers_alike() {
    let first = number("GRID_DIFFERENTIAL_SEED", 0);
    let (cases, started) = (number("GRID_DIFFERENTIAL_CASES", CASES), Instant::now());
    let (coverage, difference) = run(first..first + cases);
    println!("differential from seed {first}, {:.1?}\n{coverage}", started.elapsed());
    assert!(difference.is_none(), "{}", difference.unwrap_or_default());
    if cases >= CASES {
        for verdict in VERDICTS {
            assert!(coverage.verdicts.contains_key(verdict), "{verdict} was never the verdict");
        }
        assert!(coverage.shorter > 0, "no branch replaced one that was as long");
    }
}

/// A rule's name, and a change of it.
type Change = (&'static str, fn(&mut NetworkParams));

/// Each of these changes one rule of ours.
const CHANGES: [Change; 8] = [
    ("BIP94", |params| params.bip94 ^= true),
    ("minimum difficulty", |params| params.allow_min_difficulty ^= true),
    ("retargeting", |params| params.no_retargeting = true),
    ("interval", |params| params.timespan -= params.spacing),
    ("least difficulty", |params| params.pow_limit -= params.pow_limit >> 4),
    ("BIP34", |params| params.bip34_height += 1),
    ("BIP66", |params| params.bip66_height += 1),
    ("BIP65", |params| params.bip65_height += 1),
];

#[test]
fn a_rule_that_is_changed_on_our_side_is_noticed() {
    let mut oracle = Oracle::start().expect("scripts/setup-nodes --with-oracle");
    for (rule, change) in CHANGES {
        let noticed = (0..CASES).any(|seed| {
            let case = generate(seed);
            let mut params = case.params.clone();
            change(&mut params);
            // Not every change leaves parameters that can be used.
            Ours::network(&params).is_ok_and(|ours| {
                let mut ignored = Coverage::default();
                let outcome = compare_with(ours, &case, &mut oracle, &mut ignored);
                outcome.expect("the oracle answers").is_some()
            })
        });
        assert!(noticed, "a change of {rule} made no difference in {CASES} cases");
    }
}
