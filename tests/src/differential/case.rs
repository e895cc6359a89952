//! A network and what is submitted to it.

use std::fmt;

use alloy_primitives::hex;
use grid_core::bitcoin::NetworkParams;

/// Headers that are submitted in one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// What the clock shows, seconds since 1970. Never 0, by which Core means its real clock.
    pub clock: u32,
    /// The headers, each naming the one before as its parent.
    pub headers: Vec<[u8; 80]>,
}

/// A network and what is submitted to it, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The rules.
    pub params: NetworkParams,
    /// The submissions.
    pub submissions: Vec<Submission>,
}

impl Case {
    /// How many headers are submitted.
    #[must_use]
    pub fn headers(&self) -> usize {
        self.submissions.iter().map(|submission| submission.headers.len()).sum()
    }
}

/// Everything that is needed to try the case by hand.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params = serde_json::to_string(&self.params).map_err(|_| fmt::Error)?;
        writeln!(f, "params {params}")?;
        for Submission { clock, headers } in &self.submissions {
            writeln!(f, "submit at {clock}")?;
            for header in headers {
                writeln!(f, "  {}", hex::encode(header))?;
            }
        }
        Ok(())
    }
}
