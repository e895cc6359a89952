//! What happened in a world: the end of it is the report of a failing seed.

use core::fmt;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// Most entries that are kept.
const KEPT: usize = 48;

/// The newest events, and how often each kind of thing happened.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    entries: VecDeque<Entry>,
    counts: BTreeMap<&'static str, u64>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Milliseconds since the world began.
    pub at: u64,
    /// A chain's id, `main chain`, `relayer`, `clock`.
    pub who: String,
    /// One word.
    pub kind: &'static str,
    /// Details.
    pub what: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, who, kind, what } = self;
        let (seconds, millis) = (at / 1_000, at % 1_000);
        write!(f, "{seconds:>6}.{millis:03} s  {who:<14} {kind}")?;
        if what.is_empty() { Ok(()) } else { write!(f, ": {what}") }
    }
}

impl Journal {
    fn with<R>(&self, change: impl FnOnce(&mut Pages) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes an event down.
    pub fn note(
        &self,
        at: u64,
        who: impl fmt::Display,
        kind: &'static str,
        what: impl fmt::Display,
    ) {
        self.with(|pages| {
            *pages.counts.entry(kind).or_default() += 1;
            if pages.entries.len() == KEPT {
                pages.entries.pop_front();
            }
            let entry = Entry { at, who: who.to_string(), kind, what: what.to_string() };
            pages.entries.push_back(entry);
        });
    }

    /// How often a kind of thing happened.
    #[must_use]
    pub fn count(&self, kind: &str) -> u64 {
        self.with(|pages| pages.counts.get(kind).copied().unwrap_or(0))
    }

    /// All counts.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.with(|pages| pages.counts.clone())
    }

    /// The newest events, oldest first.
    #[must_use]
    pub fn newest(&self) -> Vec<Entry> {
        self.with(|pages| pages.entries.iter().cloned().collect())
    }
}
