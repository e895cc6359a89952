//! The differential against Bitcoin Core; see docs/differential.md.
//!
//! `GRID_DIFFERENTIAL_CASES=1000000` compares more generated cases than an ordinary run does, and
//! `GRID_DIFFERENTIAL_SEED=42` begins with that seed: what a failure prints reproduces it.

mod generated;
mod node;
mod recorded;
mod verifier;
