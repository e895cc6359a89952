//! The relayer's seeded simulation, over many seeds: hangs, failures, reorganisations and kills in
//! virtual time, and the invariants that must hold afterwards.
//!
//! `GRID_SIM_SEEDS=42..43` reproduces a seed; `0..5000` runs more than an ordinary run does.

use std::{
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use grid_relayer::sim;

/// Seeds of an ordinary run: a minute or two on two cores.
const SEEDS: Range<u64> = 0..60;

fn seeds() -> Option<Range<u64>> {
    let Ok(text) = std::env::var("GRID_SIM_SEEDS") else { return Some(SEEDS) };
    let (from, to) = text.split_once("..")?;
    Some(from.parse().ok()?..to.parse().ok()?)
}

#[test]
fn every_seed_converges_with_nothing_lost_and_nothing_done_twice() {
    let seeds = seeds().expect("GRID_SIM_SEEDS is two numbers, from..to");
    let (started, count) = (Instant::now(), seeds.end - seeds.start);
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(Vec::new());
    // Each seed is a world of its own: threads share nothing but the list of seeds.
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    if let Err(error) = sim::run(seed) {
                        let reproduce = format!("GRID_SIM_SEEDS={seed}..{}", seed + 1);
                        let mut failures = failures.lock().expect("no thread has panicked");
                        failures.push(format!("{reproduce}: {error}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no thread has panicked");
    println!("simulation: {count} seeds, {} failed, {:.1?}", failures.len(), started.elapsed());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
