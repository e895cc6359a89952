//! Runs every file of a folder and prints what was read, passed and failed.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use super::{
    Outcome, beacon, content,
    kinds::{self, Action, KINDS, Kind},
};

/// More unknown files than this are counted but not named.
const NAMED: usize = 20;

/// What a run over a folder has shown.
#[derive(Debug, Default)]
pub struct Report {
    /// Outcome of each kind that was run, by its place in the table of kinds.
    pub outcomes: BTreeMap<usize, Outcome>,
    /// Files whose capability is not built yet, by kind.
    pub not_yet: BTreeMap<usize, u64>,
    /// Files that only accompany others, by kind.
    pub companions: BTreeMap<usize, u64>,
    /// Files of no known kind, by their path below the folder.
    pub unknown: Vec<PathBuf>,
    /// Files that are run together at the end, by kind.
    gathered: BTreeMap<&'static str, Vec<PathBuf>>,
}

/// Runs every file below `root` that is of a known kind.
///
/// # Errors
/// The reason, when the folder itself cannot be read.
pub fn run(root: &Path) -> Result<Report, String> {
    let mut report = Report::default();
    for entry in WalkDir::new(root).follow_links(true).sort_by_file_name() {
        let entry = entry.map_err(|error| format!("cannot read the folder: {error}"))?;
        if entry.file_type().is_file() {
            let relative = entry.path().strip_prefix(root).unwrap_or_else(|_| entry.path());
            report.take(entry.path(), relative);
        }
    }
    report.run_gathered(root);
    Ok(report)
}

impl Report {
    fn take(&mut self, path: &Path, relative: &Path) {
        let named: Vec<_> =
            KINDS.iter().enumerate().filter(|(_, kind)| kind.matches(relative)).collect();
        if named.iter().any(|(_, kind)| !kind.is_rest()) {
            return self.run_all(&named, path, relative);
        }
        let Some(content) = content::of(path) else {
            return self.rest(named.first().copied(), relative);
        };
        let kinds: Vec<_> =
            KINDS.iter().enumerate().filter(|(_, kind)| kind.holds(content)).collect();
        self.run_all(&kinds, path, relative);
    }

    fn run_all(&mut self, kinds: &[(usize, &Kind)], path: &Path, relative: &Path) {
        for (index, kind) in kinds {
            match kind.action {
                Action::Run(runner) => {
                    let outcome = self.outcomes.entry(*index).or_default();
                    outcome.files += 1;
                    let before = outcome.cases + outcome.not_compared;
                    let described = outcome.failures.len();
                    if let Err(reason) = runner(path, outcome) {
                        outcome.case("the file", Err(reason));
                    } else if outcome.cases + outcome.not_compared == before {
                        outcome.empty += 1;
                    }
                    for failure in outcome.failures.iter_mut().skip(described) {
                        *failure = format!("{}: {failure}", relative.display());
                    }
                }
                Action::Gather => {
                    self.gathered.entry(kind.name).or_default().push(path.to_owned());
                }
                // A kind for the rest does not take what another one runs.
                Action::NotYet(_) | Action::Companion => {}
            }
        }
    }

    /// A file that nothing runs.
    fn rest(&mut self, kind: Option<(usize, &Kind)>, relative: &Path) {
        match kind {
            Some((index, Kind { action: Action::NotYet(_), .. })) => {
                *self.not_yet.entry(index).or_default() += 1;
            }
            Some((index, _)) => *self.companions.entry(index).or_default() += 1,
            None => self.unknown.push(relative.to_owned()),
        }
    }

    /// Runs what was gathered.
    fn run_gathered(&mut self, root: &Path) {
        let index = |name| KINDS.iter().position(|kind| kind.name == name).unwrap_or_default();
        let files = |name| self.gathered.get(name).map(Vec::as_slice).unwrap_or_default();
        let (light, blocks) = (files(kinds::LIGHT_CLIENT), files(kinds::BEACON_BLOCK));
        let [data, block] = beacon::gathered(root, light, blocks);
        for (name, outcome) in [(kinds::LIGHT_CLIENT, data), (kinds::BEACON_BLOCK, block)] {
            if outcome.files > 0 {
                self.outcomes.insert(index(name), outcome);
            }
        }
    }

    /// Failed cases of all kinds.
    pub fn failed(&self) -> u64 {
        self.outcomes.values().map(|outcome| outcome.failed).sum()
    }

    /// Judged cases of all kinds.
    pub fn cases(&self) -> u64 {
        self.outcomes.values().map(|outcome| outcome.cases).sum()
    }

    /// The report as text: a line for each kind.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        line(format!(
            "{:<48} {:>6} {:>8} {:>8} {:>7} {:>13} {:>13}",
            "kind", "files", "cases", "passed", "failed", "not compared", "without cases"
        ));
        for (index, outcome) in &self.outcomes {
            let passed = outcome.cases.saturating_sub(outcome.failed);
            line(format!(
                "{:<48} {:>6} {:>8} {passed:>8} {:>7} {:>13} {:>13}",
                name(*index),
                outcome.files,
                outcome.cases,
                outcome.failed,
                outcome.not_compared,
                outcome.empty
            ));
        }
        for (index, files) in &self.not_yet {
            let why = match KINDS.get(*index).map(|kind| kind.action) {
                Some(Action::NotYet(what)) => what,
                _ => "",
            };
            line(format!("{:<48} {files:>6} not covered yet: needs {why}", name(*index)));
        }
        for (index, files) in &self.companions {
            line(format!("{:<48} {files:>6} no cases of their own", name(*index)));
        }
        let mut rest = String::new();
        for path in self.unknown.iter().take(NAMED) {
            let _ = write!(rest, "\n  {}", path.display());
        }
        line(format!("{:<48} {:>6}{rest}", "of an unknown kind", self.unknown.len()));
        for outcome in self.outcomes.values() {
            for failure in &outcome.failures {
                line(format!("FAILED {failure}"));
            }
        }
        let files: u64 = self.outcomes.values().map(|outcome| outcome.files).sum();
        line(format!(
            "vectors: {files} files, {} cases, {} passed, {} failed",
            self.cases(),
            self.cases().saturating_sub(self.failed()),
            self.failed()
        ));
        text
    }
}

fn name(index: usize) -> &'static str {
    KINDS.get(index).map_or("", |kind| kind.name)
}
