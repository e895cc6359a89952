//! Fuzz targets: one function for each parser of bytes from outside.
//!
//! A target takes any bytes and must come back; what it asserts on the way must hold for all of them.
//! `tests/tests/fuzz.rs` runs each target briefly over real data and mutations of it; the programs
//! in `fuzz/` run them under libFuzzer.

mod headers;
mod mutate;
mod seeds;
mod spv;

use std::path::Path;

pub use headers::headers;
pub use mutate::mutate;
pub use spv::{merkle_block, transaction};

/// A parser under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, also of its program in `fuzz/`.
    pub name: &'static str,
    /// Tries it on some bytes; panics where something does not hold.
    pub run: fn(&[u8]),
    /// Real inputs, from a folder of test data.
    pub seeds: fn(&Path) -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "headers", run: headers, seeds: seeds::headers },
    Target { name: "merkle_block", run: merkle_block, seeds: seeds::merkle_blocks },
    Target { name: "transaction", run: transaction, seeds: seeds::transactions },
];
