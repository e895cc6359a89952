//! Deterministic simulation of the relayer: in-memory chains with faults, virtual time, kills.
//!
//! A failing seed is its own reproduction: `run(seed)` again.

pub use grid_relayer::sim::run;
