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
        let tip = tree.tip().height();
        match self {
            Self::Instant => Some(tip),
            Self::Depth { blocks } => {
                let height = tip.checked_sub(blocks.saturating_sub(1))?;
                (height >= tree.base().height()).then_some(height)
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

#[cfg(test)]
mod tests {
    use alloy_primitives::{B256, U256};
    use proptest::prelude::*;

    use super::*;
    use crate::{
        CompatHeader, hash,
        header_tree::{RawHeader, TrackedHeader},
    };

    fn header(height: u64, time: u64) -> TrackedHeader {
        let name = |height: u64| hash::leaf(&height.to_be_bytes());
        let header = CompatHeader {
            chain: B256::ZERO,
            height,
            blockHash: name(height),
            parentHash: name(height.wrapping_sub(1)),
            time,
            txRoot: B256::ZERO,
            receiptsRoot: B256::ZERO,
            stateRoot: B256::ZERO,
            indexRoot: B256::ZERO,
        };
        TrackedHeader { header, weight: U256::from(height), seen: 0, raw: RawHeader::Ethereum }
    }

    /// A tree of one branch from height 10 with these header times, seconds.
    fn tree(times: &[u64]) -> HeaderTree {
        let mut headers = times.iter().zip(10..).map(|(time, height)| header(height, *time));
        let mut tree = HeaderTree::new(headers.next().expect("a base"));
        for header in headers {
            tree.insert(header).expect("linked");
        }
        tree
    }

    fn depth(blocks: u64) -> ConfirmationRule {
        ConfirmationRule::Depth { blocks }
    }

    fn age(secs: u64) -> ConfirmationRule {
        ConfirmationRule::Age { secs }
    }

    #[test]
    fn depth_counts_as_bitcoin_does() {
        let tree = tree(&[100, 110, 120, 130]);
        let cases = [(0, Some(13)), (1, Some(13)), (2, Some(12)), (4, Some(10)), (5, None)];
        for (blocks, expected) in cases {
            assert_eq!(depth(blocks).confirmed_height(&tree, 0), expected, "{blocks}");
        }
        assert_eq!(depth(u64::MAX).confirmed_height(&tree, 0), None);
        assert_eq!(ConfirmationRule::Instant.confirmed_height(&tree, 0), Some(13));
    }

    #[test]
    fn age_waits_for_the_header_and_all_before_it() {
        // Height 12 is older than height 11, but stands on it.
        let tree = tree(&[100, 150, 120, 160]);
        let rule = age(60);
        let cases = [
            (159_999, None, Some(160_000)),
            (160_000, Some(10), Some(210_000)),
            (190_000, Some(10), Some(210_000)),
            (209_999, Some(10), Some(210_000)),
            (210_000, Some(12), Some(220_000)),
            (220_000, Some(13), None),
        ];
        for (now, height, next) in cases {
            assert_eq!(rule.confirmed_height(&tree, now), height, "at {now}");
            assert_eq!(rule.next_change_ms(&tree, now), next, "at {now}");
        }
        assert_eq!(age(u64::MAX).confirmed_height(&tree, u64::MAX - 1), None);
    }

    #[test]
    fn lists_take_the_strictest_or_the_laxest() {
        let tree = tree(&[100, 110, 120, 130]);
        let all = ConfirmationRule::AllOf(vec![depth(2), age(60)]);
        let any = ConfirmationRule::AnyOf(vec![depth(3), age(60)]);
        let cases =
            [(0, None, Some(11)), (170_000, Some(11), Some(11)), (190_000, Some(12), Some(13))];
        for (now, strict, lax) in cases {
            assert_eq!(all.confirmed_height(&tree, now), strict, "all at {now}");
            assert_eq!(any.confirmed_height(&tree, now), lax, "any at {now}");
        }
        assert_eq!(all.next_change_ms(&tree, 170_000), Some(180_000));
        assert_eq!(depth(2).next_change_ms(&tree, 170_000), None);
        let nothing = ConfirmationRule::AllOf(vec![]);
        assert_eq!(nothing.confirmed_height(&tree, u64::MAX), None);
        assert_eq!(ConfirmationRule::bitcoin().to_string(), "(6 blocks deep and 60 s old)");
    }

    #[test]
    fn rules_have_a_plain_json_form_and_bounds() {
        let text = r#"{"allOf":[{"depth":{"blocks":6}},{"age":{"secs":60}}]}"#;
        let rule: ConfirmationRule = serde_json::from_str(text).expect("a rule");
        assert_eq!(rule, ConfirmationRule::bitcoin());
        assert_eq!(serde_json::to_string(&rule).expect("serialises"), text);
        let instant = serde_json::from_str::<ConfirmationRule>("\"instant\"").expect("a rule");
        assert_eq!(instant, ConfirmationRule::Instant);
        assert!(serde_json::from_str::<ConfirmationRule>(r#"{"depth":{"block":6}}"#).is_err());

        assert_eq!(rule.validate(), Ok(()));
        assert_eq!(ConfirmationRule::AnyOf(vec![]).validate(), Err(RuleError::Length(0)));
        let long = ConfirmationRule::AnyOf(vec![depth(1); 9]);
        assert_eq!(long.validate(), Err(RuleError::Length(9)));
        let nest = |levels: usize| {
            (0..levels).fold(depth(1), |rule, _| ConfirmationRule::AllOf(vec![rule]))
        };
        assert_eq!(nest(MAX_NESTING).validate(), Ok(()));
        assert_eq!(nest(MAX_NESTING + 1).validate(), Err(RuleError::Nesting));
    }

    proptest! {
        #[test]
        fn age_equals_a_plain_scan(
            times in proptest::collection::vec(0..200u64, 1..60),
            secs in 0..100u64,
            now in 0..300u64,
        ) {
            let tree = tree(&times);
            let ripe = times.iter().take_while(|time| **time + secs <= now).count() as u64;
            let expected = ripe.checked_sub(1).map(|above| 10 + above);
            prop_assert_eq!(age(secs).confirmed_height(&tree, now * 1000), expected);
            if let Some(next) = age(secs).next_change_ms(&tree, now * 1000) {
                prop_assert!(next > now * 1000);
                prop_assert!(age(secs).confirmed_height(&tree, next) > expected);
                prop_assert_eq!(age(secs).confirmed_height(&tree, next - 1), expected);
            }
        }
    }
}
