//! The rules that are stricter than the spec. Each is a setting of its own, and what an operator has
//! loosened is listed for the status.

use serde::{Deserialize, Serialize};

/// Rules on top of the spec. The default is the strictest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// Refuse to start from, or resume at, a finalized header older than this many seconds: validators
    /// that have left since could sign another history. 0 switches the rule off.
    pub max_checkpoint_age: u64,
    /// Refuse to work while the clock is before the finalized header.
    pub check_clock: bool,
    /// Refuse an update that enters a new period without the committee after it.
    pub require_next_committee: bool,
    /// Stop exporting as soon as two finalities exclude each other.
    pub freeze_on_conflict: bool,
    /// Allow [`super::SyncClient::force_update`]. What it adopts is never exported.
    pub allow_force_update: bool,
    /// Export the optimistic header, which may be reorganised.
    pub export_optimistic: bool,
}

/// Seven days: within the weak-subjectivity period of every fork, Gloas included.
const SEVEN_DAYS: u64 = 7 * 24 * 60 * 60;

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_checkpoint_age: SEVEN_DAYS,
            check_clock: true,
            require_next_committee: true,
            freeze_on_conflict: true,
            allow_force_update: false,
            export_optimistic: false,
        }
    }
}

impl Policy {
    /// The settings that are looser than the default, by name.
    #[must_use]
    pub fn loosened(&self) -> Vec<&'static str> {
        let strict = Self::default();
        let age =
            self.max_checkpoint_age == 0 || self.max_checkpoint_age > strict.max_checkpoint_age;
        [
            ("max_checkpoint_age", age),
            ("check_clock", !self.check_clock),
            ("require_next_committee", !self.require_next_committee),
            ("freeze_on_conflict", !self.freeze_on_conflict),
            ("allow_force_update", self.allow_force_update),
            ("export_optimistic", self.export_optimistic),
        ]
        .into_iter()
        .filter_map(|(name, loose)| loose.then_some(name))
        .collect()
    }
}
