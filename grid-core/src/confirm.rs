//! Confirmation rules: when a tracked header counts as confirmed.
//!
//! Pure functions of the header tree, the Grid block time and the rule's own parameters, used alike by the main
//! chain and by whoever follows a source. What was confirmed is taken back by a reorganisation only: where a rule
//! confirms less than before, because time passed or a competing branch appeared, what it confirmed earlier stands.

mod risk;
#[cfg(test)]
mod tests;
mod work;

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Family, Security,
    header_tree::HeaderTree,
    risk::{Exposure, MAX_DEPTH, Ratio},
};

/// How deep rules may nest; they come from configuration and from transactions.
pub const MAX_NESTING: usize = 4;

/// The most rules in one list.
pub const MAX_RULES: usize = 8;

/// When the headers of a chain's best branch are confirmed. A confirmed header confirms all its
/// ancestors.
///
/// In JSON: `"instant"`, `{"depth":{"blocks":6}}`, `{"age":{"secs":60}}`, `{"work":{"blocks":6}}`,
/// `{"risk":{"value":100000000,"maxLoss":1000,"attackerShare":100000}}`, `{"allOf":[…]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum ConfirmationRule {
    /// At once.
    Instant,
    /// When the chain's own finality was proven. A sync-committee client tracks nothing else, so this
    /// confirms every header of its tree. Chains with such a client only.
    Final,
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
    /// When the work of the header and of those on top of it reaches that many times the work of one block.
    /// Chains with proof of work only.
    ///
    /// One block's work is the greatest of the blocks counted, and at least what the difficulty at the tip
    /// asks for where no exception for slow blocks applies. So this is [`Self::Depth`] between two retargets, and
    /// never fewer blocks; next to a retarget the easier blocks count for less than one, and a test
    /// network's blocks of minimum difficulty for nearly nothing.
    Work {
        /// Blocks; 0 is as 1.
        blocks: u64,
    },
    /// When a double spend against it is not worth trying: with enough work on top that the expected loss is
    /// accepted. Chains with proof of work only; how much is enough says `docs/protocol.md`, section 8.
    Risk {
        /// What a double spend could take, satoshi.
        value: u64,
        /// The expected loss that is accepted, satoshi.
        max_loss: u64,
        /// The attacker's share of the hash rate, parts per million.
        attacker_share: u32,
        /// Seconds between two blocks, as the network aims at; 600 where absent.
        #[serde(default = "ten_minutes", skip_serializing_if = "is_ten_minutes")]
        spacing: u32,
    },
    /// When all rules are met. An empty list is refused by [`ConfirmationRule::validate`].
    AllOf(Vec<Self>),
    /// When one rule is met.
    AnyOf(Vec<Self>),
}

const fn ten_minutes() -> u32 {
    600
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_ten_minutes(secs: &u32) -> bool {
    *secs == ten_minutes()
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
    /// Work is counted on a chain that has none.
    #[error(
        "work and risk rules count proof of work, which chains of the family {0} do not have: use depth or age"
    )]
    NoWork(Family),
    /// Finality is asked of a chain whose client cannot see it.
    #[error(
        "the rule final needs a client that proves finality, this chain has {0}: use instant, depth or age"
    )]
    NoFinality(Security),
    /// No number of confirmations helps against such a share, or there is no attacker.
    #[error(
        "attackerShare is {0} parts per million, must be 1 to 499999: from a half on an attacker always wins"
    )]
    Share(u32),
    /// A parameter that may not be zero.
    #[error("{0} of a risk rule must be above 0")]
    Zero(&'static str),
    /// The rule would never confirm anything.
    #[error(
        "{MAX_DEPTH} confirmations are too few to lose at most {max_loss} of {value} sat to {share} ppm of the hash rate: \
         raise maxLoss, or lower value or attackerShare"
    )]
    TooRisky {
        /// Satoshi at stake.
        value: u64,
        /// Satoshi that may be lost.
        max_loss: u64,
        /// Parts per million.
        share: u32,
    },
}

impl ConfirmationRule {
    /// The default for Bitcoin: six confirmations and one minute.
    #[must_use]
    pub fn bitcoin() -> Self {
        Self::AllOf(vec![Self::Depth { blocks: 6 }, Self::Age { secs: 60 }])
    }

    /// Checks lengths, nesting and parameters, and that chains of that family have what is counted.
    ///
    /// # Errors
    /// A [`RuleError`] naming the fault.
    pub fn validate(&self, family: Family) -> Result<(), RuleError> {
        self.validate_within(family, MAX_NESTING)
    }

    fn validate_within(&self, family: Family, levels: usize) -> Result<(), RuleError> {
        match self {
            Self::Instant | Self::Final | Self::Depth { .. } | Self::Age { .. } => Ok(()),
            Self::Work { .. } | Self::Risk { .. } if family != Family::Bitcoin => {
                Err(RuleError::NoWork(family))
            }
            Self::Work { .. } => Ok(()),
            &Self::Risk { value, max_loss, attacker_share: share, spacing } => {
                if !(1..500_000).contains(&share) {
                    return Err(RuleError::Share(share));
                }
                let positive =
                    [("value", value), ("maxLoss", max_loss), ("spacing", spacing.into())];
                if let Some((name, _)) = positive.iter().find(|(_, number)| *number == 0) {
                    return Err(RuleError::Zero(name));
                }
                let exposure = Exposure { value, max_loss, share: Ratio::from_ppm(share) };
                let enough = exposure.confirmations();
                enough.map(drop).ok_or(RuleError::TooRisky { value, max_loss, share })
            }
            Self::AllOf(rules) | Self::AnyOf(rules) => {
                let levels = levels.checked_sub(1).ok_or(RuleError::Nesting)?;
                if rules.is_empty() || rules.len() > MAX_RULES {
                    return Err(RuleError::Length(rules.len()));
                }
                rules.iter().try_for_each(|rule| rule.validate_within(family, levels))
            }
        }
    }

    /// Whether finality is asked for anywhere in the rule.
    #[must_use]
    pub fn asks_finality(&self) -> bool {
        match self {
            Self::Final => true,
            Self::AllOf(rules) | Self::AnyOf(rules) => rules.iter().any(Self::asks_finality),
            _ => false,
        }
    }

    /// The greatest height of the best branch that is confirmed at `now_ms`, milliseconds since
    /// 1970. `None` while not even the base is.
    #[must_use]
    pub fn confirmed_height(&self, tree: &HeaderTree, now_ms: u64) -> Option<u64> {
        let tip = tree.tip().height();
        match self {
            Self::Instant | Self::Final => Some(tip),
            Self::Depth { blocks } => {
                let height = tip.checked_sub(blocks.saturating_sub(1))?;
                (height >= tree.base().height()).then_some(height)
            }
            Self::Age { secs } => {
                let ripe = |time: u64| ripe_at(time, *secs) <= now_ms;
                last_where(tree, ripe)
            }
            Self::Work { blocks } => work::reach(tree, *blocks).map(|reach| reach.height),
            &Self::Risk { value, max_loss, attacker_share, spacing } => {
                let share = Ratio::from_ppm(attacker_share);
                let exposure = Exposure { value, max_loss, share };
                risk::confirmed_height(tree, now_ms / 1_000, &exposure, spacing)
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
            // Time alone only makes an attack likelier.
            Self::Instant
            | Self::Final
            | Self::Depth { .. }
            | Self::Work { .. }
            | Self::Risk { .. } => None,
            Self::Age { secs } => {
                let next = match self.confirmed_height(tree, now_ms) {
                    Some(height) => height.checked_add(1)?,
                    None => tree.base().height(),
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
    let mut low = tree.base().height();
    if !holds(low) {
        return None;
    }
    let mut high = tree.tip().height();
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
            Self::Final => return f.write_str("final"),
            Self::Depth { blocks } => return write!(f, "{blocks} blocks deep"),
            Self::Age { secs } => return write!(f, "{secs} s old"),
            Self::Work { blocks } => return write!(f, "{blocks} blocks of work deep"),
            Self::Risk { value, max_loss, attacker_share, .. } => {
                let percent = Ratio::from_ppm(attacker_share.saturating_mul(100));
                return write!(
                    f,
                    "at most {max_loss} of {value} sat at risk from {percent}% of the hash rate"
                );
            }
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
