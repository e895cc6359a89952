//! What happened in a world: the end of it is the report of a failing seed.

use core::fmt;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

/// Most entries that are kept, of all chains together.
const KEPT: usize = 512;

/// Most entries of a report.
const TOLD: usize = 48;

/// An event that is among the newest so many already is counted there: what goes on and on must not hide what it
/// began with.
const NEAR: usize = 32;

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
    /// The same for the last time that it happened.
    pub until: u64,
    /// How often it happened.
    pub times: u64,
    /// A chain's id, `main chain`, `relayer`, `clock`.
    pub who: String,
    /// One word.
    pub kind: &'static str,
    /// Details.
    pub what: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, until, times, who, kind, what } = self;
        write!(f, "{:>6}.{:03} s  {who:<14} {kind}", at / 1_000, at % 1_000)?;
        if !what.is_empty() {
            write!(f, ": {what}")?;
        }
        if *times > 1 {
            write!(f, " ({times} times, until {}.{:03} s)", until / 1_000, until % 1_000)?;
        }
        Ok(())
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
        let (who, what) = (who.to_string(), what.to_string());
        self.with(|Pages { entries, counts }| {
            *counts.entry(kind).or_default() += 1;
            let same = |one: &&mut Entry| one.kind == kind && one.who == who && one.what == what;
            if let Some(again) = entries.iter_mut().rev().take(NEAR).find(same) {
                (again.until, again.times) = (at, again.times + 1);
                return;
            }
            if entries.len() == KEPT {
                entries.pop_front();
            }
            entries.push_back(Entry { at, until: at, times: 1, who, kind, what });
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

    /// The newest events, oldest first: of one chain and of everything that is no chain, or all.
    #[must_use]
    pub fn newest(&self, chain: Option<&str>) -> Vec<Entry> {
        // Of all names only those of chains have a colon.
        let concerns =
            |one: &&Entry| chain.is_none_or(|chain| one.who == chain || !one.who.contains(':'));
        let mut newest: Vec<Entry> = self.with(|pages| {
            pages.entries.iter().rev().filter(concerns).take(TOLD).cloned().collect()
        });
        newest.reverse();
        newest
    }
}
