//! Confirmation rules: when a tracked header counts as confirmed.
//!
//! Pure functions of the header tree and the Grid block time, used alike by the main chain and by
//! whoever follows a source.

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::header_tree::HeaderTree;

/// How deep rules may nest; they come from configuration and from transactions.
pub const MAX_NESTING: usize = 4;

/// The most rules in one list.
pub const MAX_RULES: usize = 8;

/// When the headers of a chain's best branch are confirmed. A confirmed header confirms all its
/// ancestors.
///
/// In JSON: `"instant"`, `{"depth":{"blocks":6}}`, `{"age":{"secs":60}}`, `{"allOf":[…]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ConfirmationRule {
    /// At once.
    Instant,
    /// With that many confirmations as Bitcoin counts them: the tip has one.
    Depth {
        /// Confirmations; 0 is as 1.
        blocks: u64,
    },
    /// When the header and all its tracked ancestors are that old by their own times.
    Age {
        /// Seconds.
        secs: u64,
    },
    /// When all rules are met. An empty list is refused by [`ConfirmationRule::validate`].
    AllOf(Vec<Self>),
    /// When one rule is met.
    AnyOf(Vec<Self>),
}

/// Why a rule cannot be registered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RuleError {
    /// A list without rules, or with too many.
    #[error("a list of confirmation rules has 1 to {MAX_RULES} rules, found {0}")]
    Length(usize),
    /// Lists in lists in lists.
    #[error("confirmation rules nest at most {MAX_NESTING} deep")]
    Nesting,
}

impl ConfirmationRule {
    /// The default for Bitcoin: six confirmations and one minute.
    #[must_use]
    pub fn bitcoin() -> Self {
        Self::AllOf(vec![Self::Depth { blocks: 6 }, Self::Age { secs: 60 }])
    }

    /// Checks lengths and nesting.
    ///
    /// # Errors
    /// A [`RuleError`] naming the fault.
    pub fn validate(&self) -> Result<(), RuleError> {
        self.validate_within(MAX_NESTING)
    }

    fn validate_within(&self, levels: usize) -> Result<(), RuleError> {
        let (Self::AllOf(rules) | Self::AnyOf(rules)) = self else { return Ok(()) };
        let levels = levels.checked_sub(1).ok_or(RuleError::Nesting)?;
        if rules.is_empty() || rules.len() > MAX_RULES {
            return Err(RuleError::Length(rules.len()));
        }
        rules.iter().try_for_each(|rule| rule.validate_within(levels))
    }

    /// The greatest height of the best branch that is confirmed at `now_ms`, milliseconds since
    /// 1970. `None` while not even the base is.
    #[must_use]
    pub fn confirmed_height(&self, tree: &HeaderTree, now_ms: u64) -> Option<u64> {
        let tip = tree.tip().header.height;
        match self {
            Self::Instant => Some(tip),
            Self::Depth { blocks } => {
                let height = tip.checked_sub(blocks.saturating_sub(1))?;
                (height >= tree.base().header.height).then_some(height)
            }
            Self::Age { secs } => {
                let ripe = |time: u64| ripe_at(time, *secs) <= now_ms;
                last_where(tree, ripe)
            }
            Self::AllOf(rules) => {
                // None is the least of Option's order: one unmet rule leaves nothing confirmed.
                rules.iter().map(|rule| rule.confirmed_height(tree, now_ms)).min().flatten()
            }
            Self::AnyOf(rules) => {
                rules.iter().filter_map(|rule| rule.confirmed_height(tree, now_ms)).max()
            }
        }
    }

    /// The next time after `now_ms` at which the passing of time alone may confirm more, or `None`
    /// if only new headers can. It may be early for combined rules, never late.
    #[must_use]
    pub fn next_change_ms(&self, tree: &HeaderTree, now_ms: u64) -> Option<u64> {
        match self {
            Self::Instant | Self::Depth { .. } => None,
            Self::Age { secs } => {
                let next = match self.confirmed_height(tree, now_ms) {
                    Some(height) => height.checked_add(1)?,
                    None => tree.base().header.height,
                };
                tree.max_time_at(next).map(|time| ripe_at(time, *secs))
            }
            Self::AllOf(rules) | Self::AnyOf(rules) => {
                rules.iter().filter_map(|rule| rule.next_change_ms(tree, now_ms)).min()
            }
        }
    }
}

/// When a header of that time is `secs` old, milliseconds.
const fn ripe_at(time: u64, secs: u64) -> u64 {
    time.saturating_add(secs).saturating_mul(1000)
}

/// The last height of the best branch whose latest time so far meets a condition that earlier times
/// meet if later ones do. Times of single headers run backwards, the latest so far does not.
fn last_where(tree: &HeaderTree, holds: impl Fn(u64) -> bool) -> Option<u64> {
    let holds = |height: u64| tree.max_time_at(height).is_some_and(&holds);
    let mut low = tree.base().header.height;
    if !holds(low) {
        return None;
    }
    let mut high = tree.tip().header.height;
    while low < high {
        let middle = high.saturating_sub(high.saturating_sub(low) / 2);
        if holds(middle) {
            low = middle;
        } else {
            high = middle.saturating_sub(1);
        }
    }
    Some(low)
}

impl fmt::Display for ConfirmationRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, rules) = match self {
            Self::Instant => return f.write_str("instant"),
            Self::Depth { blocks } => return write!(f, "{blocks} blocks deep"),
            Self::Age { secs } => return write!(f, "{secs} s old"),
            Self::AllOf(rules) => (" and ", rules),
            Self::AnyOf(rules) => (" or ", rules),
        };
        f.write_str("(")?;
        for (index, rule) in rules.iter().enumerate() {
            if index > 0 {
                f.write_str(name)?;
            }
            rule.fmt(f)?;
        }
        f.write_str(")")
    }
}
