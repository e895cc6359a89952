//! The relayer's seeded simulation, over many seeds: hangs, lies, reorganisations, kills and clocks that jump, in
//! virtual time, and the invariants that must hold afterwards.
//!
//! `GRID_SIM_SEEDS=42..43` reproduces a seed; `0..20000` runs more than an ordinary run does. `GRID_SIM_PLANT=SkippedHeader`
//! switches on a bug, to see what the report of a failing seed says.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use grid_relayer::sim::{self, Plant, Trouble};

/// Seeds of an ordinary run.
const SEEDS: Range<u64> = 0..100;

/// Seeds in which a planted bug must show.
const PLANTED: Range<u64> = 0..24;

/// What must happen in an ordinary run, or the simulation is not worth its name.
const EXPECTED: [&str; 19] = [
    "call lost",
    "answer lost",
    "call hangs",
    "call fails",
    "stale answer",
    "short answer",
    "reordered answer",
    "doubled answer",
    "lie",
    "reorganised",
    "another level",
    "mempool lost",
    "halts",
    "set back",
    "nonce used by a stranger",
    "set",
    "killed",
    "executed",
    "reverted",
];

fn seeds() -> Option<Range<u64>> {
    let Ok(text) = std::env::var("GRID_SIM_SEEDS") else { return Some(SEEDS) };
    let (from, to) = text.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}

/// The bug to run the seeds with, where one is named.
fn plant() -> Option<Plant> {
    let name = std::env::var("GRID_SIM_PLANT").ok()?;
    let named = Plant::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
    Some(named.unwrap_or_else(|| panic!("GRID_SIM_PLANT is one of {:?}", Plant::ALL)))
}

/// Runs `one` for every seed, on all processors. Each seed is a world of its own.
fn each(seeds: &Range<u64>, one: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(seeds.start);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    one(seed);
                }
            });
        }
    });
}

#[test]
fn every_seed_converges_with_nothing_lost_and_nothing_done_twice() {
    let seeds = seeds().expect("GRID_SIM_SEEDS is two numbers, from..to");
    let (plant, started) = (plant(), Instant::now());
    let (failures, counts) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    each(&seeds, |seed| match sim::run_with(seed, plant) {
        Ok(summary) => {
            let mut counts = counts.lock().expect("no thread has panicked");
            for (kind, count) in summary.counts {
                *counts.entry(kind).or_insert(0) += count;
            }
        }
        Err(failure) => failures.lock().expect("no thread has panicked").push(failure),
    });
    let failures = failures.into_inner().expect("no thread has panicked");
    let counts: BTreeMap<&str, u64> = counts.into_inner().expect("no thread has panicked");
    let count = seeds.end - seeds.start;
    println!("simulation: {count} seeds, {} failed, {:.1?}", failures.len(), started.elapsed());
    println!("simulation: {counts:?}");
    // The first in full; of the others how to see them again.
    let others: Vec<String> = failures
        .iter()
        .skip(1)
        .map(|failure| format!("seed {}: {}", failure.seed, failure.broken.invariant))
        .collect();
    if let Some(first) = failures.first() {
        panic!("{} seeds fail.\n{first}{}", failures.len(), others.join("\n"));
    }
    if count >= 100 {
        let missing: Vec<_> = EXPECTED.iter().filter(|kind| !counts.contains_key(**kind)).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

#[test]
fn planted_bugs_are_found() {
    for bug in Plant::ALL {
        let found = Mutex::new(Vec::new());
        each(&PLANTED, |seed| {
            if found.lock().expect("no thread has panicked").is_empty()
                && let Err(failure) = sim::run_with(seed, Some(bug))
            {
                found.lock().expect("no thread has panicked").push(failure);
            }
        });
        let found = found.into_inner().expect("no thread has panicked");
        let first = found.first().unwrap_or_else(|| panic!("{bug:?} is found by no seed"));
        println!("simulation: {bug:?} breaks an invariant: {}", first.broken.invariant);
    }
}

#[test]
fn five_relayers_with_stores_of_their_own_waste_less_than_two_percent() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let turns =
        runtime.block_on(sim::take_turns(5, 1_500)).unwrap_or_else(|broken| panic!("{broken:?}"));
    let (wasted, all) = turns.wasted();
    println!("simulation: {wasted} of {all} transactions wasted, {turns:?}");
    assert!(all > 400, "too few to show anything: {all}");
    assert!(wasted * 50 < all, "{wasted} of {all}");
    // The four that live share the work. Each stretch of the fifth costs a wait; at a block every few seconds, on lanes
    // for chains whose blocks are minutes apart, several such stretches follow each other now and then.
    assert!(turns.each.iter().skip(1).all(|nonce| *nonce * 20 > all), "{turns:?}");
    assert!(turns.longest < 60_000, "{turns:?}");
}

/// What white paper 3.7 promises: a slow chain that stalls, reorganises or floods is no matter of a fast one.
#[test]
fn a_chain_in_trouble_does_not_move_the_latency_of_another_level() {
    // The slow chain is asked through a pool, and alone.
    each(&(1..3), |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run = |trouble| runtime.block_on(sim::beside(seed, trouble)).unwrap();
        let (quiet, before) = run(Trouble::Nothing);
        assert_eq!(quiet.len(), 10, "seed {seed}: {quiet:?}");
        for trouble in Trouble::ALL {
            let (waits, slow) = run(trouble);
            let longest = [&quiet, &waits].map(|waits| waits.iter().max().copied());
            println!(
                "simulation: seed {seed}, {trouble:?}: longest waits {longest:?} ms, slow chain at {slow}"
            );
            assert_eq!(waits, quiet, "seed {seed}, {trouble:?}");
            assert_eq!(slow > before, trouble != Trouble::Stalls, "seed {seed}, {trouble:?}");
        }
    });
}
