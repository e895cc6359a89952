//! Which block of an Ethereum node counts as its head.

use core::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The newest block that a source vouches for. Text form: `latest`, `latest-12`, `safe`, `finalized`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum FollowHead {
    /// The newest block.
    Latest,
    /// So many blocks below the newest.
    LatestMinus(u64),
    /// What the node calls safe.
    Safe,
    /// What the node calls finalized.
    #[default]
    Finalized,
}

/// A text that is no [`FollowHead`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "cannot follow {0:?}; expected latest, latest-<blocks> (such as latest-12), safe or finalized"
)]
pub struct FollowHeadError(String);

impl FollowHead {
    /// The block tag to ask for; [`LatestMinus`](Self::LatestMinus) starts from `latest`.
    #[must_use]
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::Latest | Self::LatestMinus(_) => "latest",
            Self::Safe => "safe",
            Self::Finalized => "finalized",
        }
    }

    /// How many blocks below the tagged one.
    #[must_use]
    pub const fn distance(&self) -> u64 {
        match self {
            Self::LatestMinus(blocks) => *blocks,
            _ => 0,
        }
    }
}

impl fmt::Display for FollowHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LatestMinus(blocks) => write!(f, "latest-{blocks}"),
            other => f.write_str(other.tag()),
        }
    }
}

impl FromStr for FollowHead {
    type Err = FollowHeadError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "latest" => Ok(Self::Latest),
            "safe" => Ok(Self::Safe),
            "finalized" => Ok(Self::Finalized),
            _ => text
                .strip_prefix("latest-")
                .filter(|blocks| blocks.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|blocks| blocks.parse().ok())
                .map(Self::LatestMinus)
                .ok_or_else(|| FollowHeadError(text.into())),
        }
    }
}

impl TryFrom<String> for FollowHead {
    type Error = FollowHeadError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<FollowHead> for String {
    fn from(head: FollowHead) -> Self {
        head.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_round_trip_and_others_are_refused() {
        for text in ["latest", "latest-12", "safe", "finalized"] {
            assert_eq!(text.parse::<FollowHead>().unwrap().to_string(), text);
        }
        for bad in
            ["", "Latest", "latest-", "latest-+1", "latest--1", "latest-99999999999999999999"]
        {
            assert!(bad.parse::<FollowHead>().is_err(), "{bad:?}");
        }
    }
}
