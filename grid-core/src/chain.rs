//! Names and classes of chains.
//!
//! A chain is named by its CAIP-2 identifier, for example `eip155:1` or
//! `bip122:000000000019d6689c085ae165831e93`; on chain it is the keccak256 of that text.

use core::{fmt, str::FromStr};

use alloy_primitives::{B256, keccak256};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A CAIP-2 chain identifier: `namespace:reference`, lower-case namespace of 3 to 8 characters,
/// reference of 1 to 32 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChainId(String);

/// Why a text is not a [`ChainId`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChainIdError {
    /// No colon separates namespace and reference.
    #[error("chain id {0:?} has no ':'; expected a CAIP-2 id such as eip155:1")]
    NoSeparator(String),
    /// The namespace is not 3 to 8 characters of `[-a-z0-9]`.
    #[error("chain id {0:?}: namespace must be 3 to 8 characters of a-z, 0-9 and '-'")]
    Namespace(String),
    /// The reference is not 1 to 32 characters of `[-_a-zA-Z0-9]`.
    #[error("chain id {0:?}: reference must be 1 to 32 characters of a-z, A-Z, 0-9, '-' and '_'")]
    Reference(String),
}

impl ChainId {
    /// The id of an EVM chain (or a Grid chain, which uses Ethereum's formats).
    #[must_use]
    pub fn eip155(chain_id: u64) -> Self {
        Self(format!("eip155:{chain_id}"))
    }

    /// The id of a Bitcoin-like chain: the first 32 hex digits of its genesis hash as displayed.
    #[must_use]
    pub fn bip122(genesis_hash_internal: &B256) -> Self {
        let mut shown = *genesis_hash_internal;
        shown.0.reverse();
        let digits: String = format!("{shown:x}").chars().take(32).collect();
        Self(format!("bip122:{digits}"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the colon.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0.split_once(':').map_or("", |(namespace, _)| namespace)
    }

    /// The part after the colon.
    #[must_use]
    pub fn reference(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, reference)| reference)
    }

    /// The number of an `eip155` chain.
    #[must_use]
    pub fn eip155_number(&self) -> Option<u64> {
        (self.namespace() == "eip155").then(|| self.reference().parse().ok()).flatten()
    }

    /// The on-chain name: `keccak256(utf8(id))`.
    #[must_use]
    pub fn key(&self) -> ChainKey {
        ChainKey(keccak256(self.0.as_bytes()))
    }
}

impl FromStr for ChainId {
    type Err = ChainIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((namespace, reference)) = text.split_once(':') else {
            return Err(ChainIdError::NoSeparator(text.into()));
        };
        let namespace_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(3..=8).contains(&namespace.len()) || !namespace.chars().all(namespace_char) {
            return Err(ChainIdError::Namespace(text.into()));
        }
        let reference_char = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !(1..=32).contains(&reference.len()) || !reference.chars().all(reference_char) {
            return Err(ChainIdError::Reference(text.into()));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for ChainId {
    type Error = ChainIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ChainId> for String {
    fn from(id: ChainId) -> Self {
        id.0
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `keccak256(utf8(chain id))`: a chain's name in state, events and commitments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainKey(pub B256);

impl fmt::Display for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a chain's headers look like, and therefore what the roots of its
/// [`CompatHeader`](crate::CompatHeader) commit to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Family {
    /// 80-byte headers with proof of work; `txRoot` is the SHA-256d tree over transaction ids.
    Bitcoin,
    /// Ethereum's RLP headers; transaction, receipt and state roots are Merkle Patricia roots.
    Ethereum,
    /// A Grid chain: Ethereum's formats with a `stateRoot` of Grid's state tree and an index root.
    Grid,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bitcoin => "bitcoin",
            Self::Ethereum => "ethereum",
            Self::Grid => "grid",
        })
    }
}

/// What stands behind the statement "this header belongs to that chain". Part of every
/// [`ChainEntry`](crate::index::ChainEntry), so a proof cannot hide it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
#[non_exhaustive]
pub enum Security {
    /// Proof of work, checked by the main chain.
    ProofOfWork = 1,
    /// Signatures of Ethereum's sync committee, checked by the main chain.
    SyncCommittee = 2,
    /// A BFT commit certificate, checked by the main chain.
    BftCertificate = 3,
    /// Nothing but the signatures of m of n registered attester keys. For chains without a light
    /// client, such as a development chain.
    Attested = 4,
}

impl Security {
    /// The value in a [`ChainEntry`](crate::index::ChainEntry).
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The class with that value.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::ProofOfWork),
            2 => Some(Self::SyncCommittee),
            3 => Some(Self::BftCertificate),
            4 => Some(Self::Attested),
            _ => None,
        }
    }

    /// One phrase for people.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::ProofOfWork => "proof of work, verified by the main chain",
            Self::SyncCommittee => "sync-committee signatures, verified by the main chain",
            Self::BftCertificate => "BFT commit certificate, verified by the main chain",
            Self::Attested => "ATTESTED by registered keys only, not verified by a light client",
        }
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ProofOfWork => "proof-of-work",
            Self::SyncCommittee => "sync-committee",
            Self::BftCertificate => "bft-certificate",
            Self::Attested => "attested",
        })
    }
}

/// Speed class of a chain by its median block interval. Each level has its own relayer lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Level {
    /// At most 5 s between blocks.
    L0 = 0,
    /// At most 60 s.
    L1 = 1,
    /// At most 5 min.
    L2 = 2,
    /// Slower.
    L3 = 3,
}

impl Level {
    /// All levels, fastest first.
    pub const ALL: [Self; 4] = [Self::L0, Self::L1, Self::L2, Self::L3];

    /// The value in a [`ChainEntry`](crate::index::ChainEntry).
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The level with that value.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::L0),
            1 => Some(Self::L1),
            2 => Some(Self::L2),
            3 => Some(Self::L3),
            _ => None,
        }
    }

    /// The level of a median block interval, in seconds.
    #[must_use]
    pub fn of_interval(seconds: u64) -> Self {
        let holds = |level: &Self| level.longest().is_some_and(|longest| seconds <= longest);
        Self::ALL.into_iter().find(holds).unwrap_or(Self::L3)
    }

    /// The longest median block interval of the level, in seconds; `None` for the slowest.
    #[must_use]
    pub const fn longest(self) -> Option<u64> {
        match self {
            Self::L0 => Some(5),
            Self::L1 => Some(60),
            Self::L2 => Some(300),
            Self::L3 => None,
        }
    }

    /// The next faster level.
    #[must_use]
    pub const fn faster(self) -> Option<Self> {
        match self {
            Self::L0 => None,
            Self::L1 => Some(Self::L0),
            Self::L2 => Some(Self::L1),
            Self::L3 => Some(Self::L2),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "L{}", self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caip2_rules_are_enforced_with_the_reason() {
        let good = ["eip155:1", "bip122:000000000019d6689c085ae165831e93", "cosmos:Hub-3_x"];
        for text in good {
            assert_eq!(text.parse::<ChainId>().unwrap().as_str(), text);
        }
        let long = format!("eip155:{}", "1".repeat(33));
        let bad = ["", "eip155", ":1", "eip155:", "ei:1", "EIP155:1", "eip155:1:2", &long];
        for text in bad {
            assert!(text.parse::<ChainId>().is_err(), "{text:?} must be refused");
        }
        assert!(serde_json::from_str::<ChainId>("\"nonsense\"").is_err());
    }

    #[test]
    fn bip122_reference_is_the_displayed_genesis_hash() {
        let mut genesis: B256 =
            "0x000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f".parse().unwrap();
        genesis.0.reverse();
        assert_eq!(ChainId::bip122(&genesis).as_str(), "bip122:000000000019d6689c085ae165831e93");
    }

    #[test]
    fn codes_round_trip() {
        for code in 0..=u8::MAX {
            assert!(Level::from_code(code).is_none_or(|level| level.code() == code));
            assert!(Security::from_code(code).is_none_or(|class| class.code() == code));
        }
    }
}
