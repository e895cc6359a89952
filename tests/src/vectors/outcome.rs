//! What running files of one kind has shown.

use std::fmt::Display;

/// More failures of a kind than this are counted but not described.
const DESCRIBED: usize = 20;

/// Counts of cases, and what went wrong.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Files read.
    pub files: u64,
    /// Files that hold no case, such as a recorded call that was answered with an error.
    pub empty: u64,
    /// Cases judged.
    pub cases: u64,
    /// Cases that were not as the vector says.
    pub failed: u64,
    /// Cases in the files that nothing here can be compared with.
    pub not_compared: u64,
    /// The first failures, described.
    pub failures: Vec<String>,
}

impl Outcome {
    /// Counts one case.
    pub fn case(&mut self, label: impl Display, result: Result<(), String>) {
        self.cases += 1;
        if let Err(reason) = result {
            self.failed += 1;
            if self.failures.len() < DESCRIBED {
                self.failures.push(format!("{label}: {reason}"));
            }
        }
    }

    /// Counts one case that passes if both sides are equal.
    pub fn equal<T: PartialEq + std::fmt::Debug>(
        &mut self,
        label: impl Display,
        found: &T,
        expected: &T,
    ) {
        let result = if found == expected {
            Ok(())
        } else {
            Err(format!("found {found:?}, expected {expected:?}"))
        };
        self.case(label, result);
    }

    /// Counts `cases` cases that passed together, such as the headers of one accepted run.
    pub fn passed(&mut self, cases: u64) {
        self.cases += cases;
    }

    /// Counts cases that cannot be judged with what the folder holds.
    pub fn not_compared(&mut self, cases: u64) {
        self.not_compared += cases;
    }
}
