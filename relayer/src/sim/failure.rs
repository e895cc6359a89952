//! The report of a failing seed.

use core::fmt;
use std::collections::BTreeMap;

use grid_core::api::BlockRef;

use super::{journal::Entry, plant::Plant};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// In words.
    pub invariant: &'static str,
    /// The chain that shows it, where one does.
    pub chain: Option<String>,
    /// What had to be.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl Broken {
    /// A broken invariant of no chain in particular.
    pub(super) fn new(
        invariant: &'static str,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        let (expected, found) = (expected.to_string(), found.to_string());
        Self { invariant, chain: None, expected, found }
    }

    /// The same of one chain.
    pub(super) fn of(self, chain: impl fmt::Display) -> Self {
        Self { chain: Some(chain.to_string()), ..self }
    }
}

/// A header in a report.
pub(super) fn header(block: BlockRef) -> String {
    format!("header {} {}", block.height, block.hash)
}

impl From<String> for Broken {
    fn from(error: String) -> Self {
        Self::new("the relayer's own parts work", "no error", error)
    }
}

/// A seed that breaks an invariant. Its text is a report: what, where, when, how to see it again, and what
/// happened before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The planted bug, if any.
    pub plant: Option<Plant>,
    /// Part of the run.
    pub phase: &'static str,
    /// What does not hold.
    pub broken: Broken,
    /// Milliseconds since the world began.
    pub at: u64,
    /// How often each kind of thing happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// The newest events that concern the chain.
    pub events: Vec<Entry>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, phase, broken, at, events, .. } = self;
        let Broken { invariant, chain, expected, found } = broken;
        writeln!(f, "seed {seed} breaks an invariant: {invariant}")?;
        if let Some(plant) = self.plant {
            writeln!(f, "  planted:  {plant:?}")?;
        }
        writeln!(f, "  where:    {}, {phase}", chain.as_deref().unwrap_or("all chains"))?;
        writeln!(f, "  when:     {}.{:03} s of virtual time", at / 1_000, at % 1_000)?;
        writeln!(f, "  expected: {expected}")?;
        writeln!(f, "  found:    {found}")?;
        let next = seed + 1;
        let plant = self.plant.map(|plant| format!("GRID_SIM_PLANT={plant:?} "));
        writeln!(
            f,
            "  again:    {}GRID_SIM_SEEDS={seed}..{next} cargo test --workspace --test sim every_seed",
            plant.unwrap_or_default()
        )?;
        let counts: Vec<String> =
            self.counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        writeln!(f, "  so far:   {}", counts.join(", "))?;
        let whose = chain.as_deref().map(|chain| format!(" of {chain} and around it"));
        writeln!(f, "  the last {} events{}:", events.len(), whose.unwrap_or_default())?;
        for event in &self.events {
            writeln!(f, "    {event}")?;
        }
        Ok(())
    }
}
