//! What can be wrong with a configuration.

use core::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::Origin;

/// One fault, with the path of the value it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// Dotted path, for example `relayer.listen` or `chain[0].rpc`.
    pub(crate) path: String,
    /// What was expected and how to fix it.
    pub(crate) message: String,
    /// Who set the value, or the section that it is missing from.
    pub(crate) origin: Option<Origin>,
}

impl Fault {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), origin: None }
    }

    pub(super) fn at(path: &str, message: &str, origin: Origin) -> Self {
        Self { origin: Some(origin), ..Self::new(path, message) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Why a configuration cannot be used.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    Read { file: PathBuf, source: std::io::Error },
    /// Not TOML.
    Syntax { file: PathBuf, message: String },
    /// Values are missing, unknown or wrong: all of them.
    Faults { file: PathBuf, faults: Vec<Fault> },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, source } if source.kind() == std::io::ErrorKind::NotFound => write!(
                f,
                "there is no configuration at {}; create one with `grid init`, or name another with --home",
                file.display()
            ),
            Self::Read { file, source } => {
                write!(f, "cannot read the configuration {}: {source}", file.display())
            }
            Self::Syntax { file, message } => {
                write!(f, "{} is not valid TOML:\n{message}", file.display())
            }
            Self::Faults { file, faults } => {
                write!(f, "{} has {} fault(s):", file.display(), faults.len())?;
                for fault in faults {
                    write!(f, "\n  {fault}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}
