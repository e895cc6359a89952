//! What the doctor found, and how it is told.

use std::process::ExitCode;

use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// As it should be.
    Good,
    /// The daemon works, and something needs a look.
    Warning,
    /// Something that the daemon needs does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// What was looked at: `endpoint`, `clock`, …
    pub(super) check: &'static str,
    /// The setting that it is about.
    pub(super) path: String,
    /// What it should be; nothing where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expected: Option<String>,
    /// What it is.
    pub(super) found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl Finding {
    /// As it should be.
    pub(super) fn good(
        check: &'static str,
        path: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        let (path, found) = (path.into(), found.into());
        Self { severity: Severity::Good, check, path, expected: None, found, fix: None }
    }

    /// Not as it should be.
    pub(super) fn problem(
        check: &'static str,
        path: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Problem,
            expected: Some(expected.into()),
            fix: Some(fix.into()),
            ..Self::good(check, path, found)
        }
    }

    /// The same as something that only needs a look.
    pub(super) fn only_a_warning(self) -> Self {
        Self { severity: self.severity.min(Severity::Warning), ..self }
    }
}

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) problems: usize,
    pub(super) warnings: usize,
    /// The worst last: it is what stays on the screen.
    pub(super) findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(mut findings: Vec<Finding>) -> Self {
        findings
            .sort_by(|a, b| (a.severity, &a.path, a.check).cmp(&(b.severity, &b.path, b.check)));
        let count = |severity| findings.iter().filter(|one| one.severity == severity).count();
        Self { problems: count(Severity::Problem), warnings: count(Severity::Warning), findings }
    }

    /// 0 where all is well, 1 with warnings, 2 with problems.
    pub(super) fn exit_code(&self) -> ExitCode {
        match (self.problems, self.warnings) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(1),
            _ => ExitCode::from(2),
        }
    }

    /// The report as text.
    pub(super) fn people(&self) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let Finding { severity, check, path, expected, found, fix } = finding;
            let mark = match severity {
                Severity::Good => "ok     ",
                Severity::Warning => "WARNING",
                Severity::Problem => "PROBLEM",
            };
            match expected {
                None => text.push_str(&format!("{mark}  {path}  {check}: {found}\n")),
                Some(expected) => text.push_str(&format!(
                    "{mark}  {path}  {check}\n         expected  {expected}\n         found     {found}\n"
                )),
            }
            if let Some(fix) = fix {
                text.push_str(&format!("         fix       {fix}\n"));
            }
        }
        let good = self.findings.len() - self.problems - self.warnings;
        text.push_str(&format!(
            "\n{} problem(s), {} warning(s), {good} as they should be",
            self.problems, self.warnings
        ));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_last_and_decides_the_exit_code() {
        let problem = || Finding::problem("clock", "a", "now", "then", "set it");
        let good = || Finding::good("disk", "b", "plenty");
        let code = |findings| format!("{:?}", Report::new(findings).exit_code());
        assert_eq!(code(vec![good()]), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(
            code(vec![problem().only_a_warning(), good()]),
            format!("{:?}", ExitCode::from(1))
        );
        assert_eq!(code(vec![problem(), good()]), format!("{:?}", ExitCode::from(2)));
        let report = Report::new(vec![problem(), good(), problem().only_a_warning()]);
        let order: Vec<Severity> = report.findings.iter().map(|one| one.severity).collect();
        assert_eq!(order, [Severity::Good, Severity::Warning, Severity::Problem]);
        assert_eq!(good().only_a_warning().severity, Severity::Good);
        let text = report.people();
        assert!(text.contains("ok       b  disk: plenty\n"), "{text}");
        assert!(text.contains("expected  now\n         found     then\n         fix       set it"));
        assert!(text.ends_with("1 problem(s), 1 warning(s), 1 as they should be"), "{text}");
    }
}
