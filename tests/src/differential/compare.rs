//! Compares the two sides, and makes what tells them apart small.

use std::{collections::BTreeMap, fmt};

use super::{Answer, Case, Oracle, OracleError, Ours, Submission};

/// What was compared: without it, agreement could mean that nothing happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Cases.
    pub cases: u64,
    /// Submissions, each with one comparison.
    pub submissions: u64,
    /// Headers in them.
    pub headers: u64,
    /// Headers stored.
    pub stored: u64,
    /// Submissions after which the best branch was not above its height of before.
    pub shorter: u64,
    /// Submissions by their verdict.
    pub verdicts: BTreeMap<String, u64>,
}

impl Coverage {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.submissions += other.submissions;
        self.headers += other.headers;
        self.stored += other.stored;
        self.shorter += other.shorter;
        for (verdict, count) in &other.verdicts {
            *self.verdicts.entry(verdict.clone()).or_default() += count;
        }
    }

    fn count(&mut self, submission: &Submission, before: &Answer, after: &Answer) {
        self.submissions += 1;
        self.headers += submission.headers.len() as u64;
        self.stored += after.stored - before.stored;
        self.shorter += u64::from(after.tip != before.tip && after.height <= before.height);
        let name = after.reject.split('(').next().unwrap_or_default();
        let verdict = if name.is_empty() { "accepted" } else { name };
        *self.verdicts.entry(verdict.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, submissions, headers, stored, shorter, verdicts } = self;
        writeln!(
            f,
            "{cases} cases, {submissions} submissions, {headers} headers, {stored} stored"
        )?;
        writeln!(f, "{shorter} times the best branch became another that is not longer")?;
        verdicts.iter().try_for_each(|(verdict, count)| writeln!(f, "{count:>9} {verdict}"))
    }
}

/// A submission that the two sides judge differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Which submission of the case.
    pub submission: usize,
    /// Bitcoin Core's answer.
    pub core: Answer,
    /// Ours.
    pub ours: Answer,
}

/// Feeds a case to both sides up to the first difference.
///
/// # Errors
/// [`OracleError`] where there is no answer.
///
/// # Panics
/// If grid-core refuses the case's parameters.
pub fn compare(
    case: &Case,
    oracle: &mut Oracle,
    coverage: &mut Coverage,
) -> Result<Option<Divergence>, OracleError> {
    let ours = Ours::network(&case.params).expect("the parameters are usable");
    compare_with(ours, case, oracle, coverage)
}

/// As [`compare`], with a client at its genesis that may follow other rules than the case says.
///
/// # Errors
/// [`OracleError`] where there is no answer.
pub fn compare_with(
    mut ours: Ours,
    case: &Case,
    oracle: &mut Oracle,
    coverage: &mut Coverage,
) -> Result<Option<Divergence>, OracleError> {
    let (mut before, answers) = oracle.judge(case)?;
    coverage.cases += 1;
    for (index, (submission, core)) in case.submissions.iter().zip(answers).enumerate() {
        let ours = ours.submit(submission);
        if core != ours {
            return Ok(Some(Divergence { submission: index, core, ours }));
        }
        coverage.count(submission, &before, &core);
        before = core;
    }
    Ok(None)
}

/// The least case found that still shows a difference: leaves out submissions, then headers at the
/// end of submissions, as long as that works. Call it with a case that shows one.
///
/// # Errors
/// [`OracleError`] where there is no answer.
pub fn shrink(mut case: Case, oracle: &mut Oracle) -> Result<Case, OracleError> {
    let mut ignored = Coverage::default();
    loop {
        if let Some(found) = compare(&case, oracle, &mut ignored)? {
            case.submissions.truncate(found.submission + 1);
        }
        let mut smaller = None;
        for candidate in candidates(&case) {
            if compare(&candidate, oracle, &mut ignored)?.is_some() {
                smaller = Some(candidate);
                break;
            }
        }
        match smaller {
            Some(candidate) => case = candidate,
            None => return Ok(case),
        }
    }
}

/// The cases with one submission less, and those with one submission shorter by a header.
fn candidates(case: &Case) -> impl Iterator<Item = Case> + '_ {
    let fewer = (0..case.submissions.len()).map(|index| {
        let mut fewer = case.clone();
        drop(fewer.submissions.remove(index));
        fewer
    });
    let long = case.submissions.iter().enumerate().filter(|(_, s)| s.headers.len() > 1);
    let shorter = long.map(|(index, _)| {
        let mut shorter = case.clone();
        let _last = shorter.submissions[index].headers.pop();
        shorter
    });
    fewer.chain(shorter)
}
