//! Real headers and their mutations, against Bitcoin Core's code with the network's parameters.

use std::path::{Path, PathBuf};

use grid_core::bitcoin::{Header, NetworkParams, header};
use grid_tests::{
    data,
    differential::{Case, Coverage, Oracle, Submission, compare},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// Mutated headers after each piece of a file.
const MUTATIONS: usize = 50;

/// The files with headers from genesis on, each with its network.
fn files(data: &Path) -> Vec<(PathBuf, NetworkParams)> {
    let list = |folder: &str| {
        let entries = std::fs::read_dir(data.join("bitcoin").join(folder)).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "bin"));
        paths.sort();
        paths
    };
    let named = list("headers").into_iter().filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let network = name.split_once("_0000000_")?.0;
        Some((path, NetworkParams::by_name(network).ok()?))
    });
    let bip54 = list("vectors/bip54").into_iter().map(|path| (path, NetworkParams::mainnet()));
    named.chain(bip54).collect()
}

/// The headers in pieces of any length; after each piece come single headers with one bit flipped,
/// known ones and ones whose turn has not come.
fn case(params: NetworkParams, headers: &[[u8; 80]], rng: &mut StdRng) -> Case {
    let mut submissions = Vec::new();
    let mut rest = headers;
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(rng.gen_range(1..=rest.len().min(2_000)));
        rest = later;
        let newest = piece.iter().map(|raw| Header::parse(raw).time).max().unwrap_or(1);
        // Up to two hours early, so that some of them come from the future at first.
        for clock in [newest - rng.gen_range(7_100..7_300), newest] {
            submissions.push(Submission { clock, headers: piece.to_vec() });
        }
        for _ in 0..MUTATIONS {
            let mut raw = headers[rng.gen_range(0..headers.len())];
            if rng.r#gen() {
                raw[rng.gen_range(0..80)] ^= 1 << rng.gen_range(0..8);
            }
            submissions.push(Submission { clock: newest, headers: vec![raw] });
        }
    }
    Case { params, submissions }
}

#[test]
fn bitcoin_core_and_grid_judge_real_headers_alike() {
    let Some(data) = data::folder() else { return };
    let files = files(&data);
    if files.is_empty() {
        println!("SKIPPED: no file with headers from genesis below {}", data.display());
        return;
    }
    let mut oracle = Oracle::start().expect("scripts/setup-nodes --with-oracle");
    let (mut coverage, mut rng) = (Coverage::default(), StdRng::seed_from_u64(0));
    for (path, params) in files {
        let bytes = std::fs::read(&path).expect("the file is readable");
        let headers = header::split(&bytes).expect("whole headers");
        let case = case(params, &headers, &mut rng);
        let found = compare(&case, &mut oracle, &mut coverage).expect("the oracle answers");
        assert!(found.is_none(), "{}: {found:#?}", path.display());
    }
    println!("differential over real headers\n{coverage}");
}
