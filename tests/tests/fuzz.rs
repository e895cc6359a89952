//! Every fuzz target, briefly: over real inputs and seeded mutations of them.
//!
//! `GRID_FUZZ_ROUNDS=1000000` tries more mutations of each target than an ordinary run does, and
//! `GRID_FUZZ_CORPUS=fuzz/corpus` writes the real inputs there, where cargo-fuzz looks for them.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use grid_tests::{
    data,
    fuzz::{TARGETS, Target, mutate},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

/// Mutations of each target in an ordinary run: some seconds.
const ROUNDS: u32 = 4_000;

fn run(target: &Target, rounds: u32) {
    let mut seeds = match data::folder() {
        Some(folder) => (target.seeds)(&folder),
        None => Vec::new(),
    };
    let (count, start) = (seeds.len(), Instant::now());
    if let Some(corpus) = std::env::var_os("GRID_FUZZ_CORPUS") {
        write(&PathBuf::from(corpus).join(target.name), &seeds);
    }
    seeds.push(Vec::new());
    seeds.iter().for_each(|seed| (target.run)(seed));
    let mut rng = StdRng::seed_from_u64(0);
    for _ in 0..rounds {
        let (Some(input), Some(other)) = (seeds.choose(&mut rng), seeds.choose(&mut rng)) else {
            return;
        };
        let bytes = if rng.gen_ratio(1, 50) {
            (0..rng.gen_range(0..200)).map(|_| rng.r#gen()).collect()
        } else {
            mutate(input, other, &mut rng)
        };
        if std::panic::catch_unwind(|| (target.run)(&bytes)).is_err() {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            panic!("{} fails on {hex}", target.name);
        }
    }
    println!("{}: {count} seeds, {rounds} mutations, {:?}", target.name, start.elapsed());
}

fn write(folder: &Path, seeds: &[Vec<u8>]) {
    std::fs::create_dir_all(folder).expect("the corpus folder can be made");
    for (index, seed) in seeds.iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{index}")), seed).expect("a seed can be written");
    }
}

#[test]
fn every_target_holds_on_real_inputs_and_mutations() {
    let rounds = std::env::var("GRID_FUZZ_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |text| text.parse().expect("a number"));
    TARGETS.iter().for_each(|target| run(target, rounds));
}
