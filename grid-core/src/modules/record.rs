//! The record of a registered chain.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    ChainId, ChainKey, Family, Level, Security,
    bitcoin::{Checkpoint, NetworkSpec},
    confirm::{ConfirmationRule, RuleError},
    ethereum::sync,
    grid::{ValidatorSet, light::LightPolicy},
    pace::MEASURE,
};

/// Headers kept below the confirmed tip where a record does not say otherwise: two difficulty periods of
/// Bitcoin, four weeks.
pub const DEFAULT_WINDOW: u64 = 4_032;
/// The smallest window of a Bitcoin network whose difficulty changes: a reorganisation over two
/// periods can always be followed.
pub const MIN_BITCOIN_WINDOW: u64 = 4_032;
/// The largest window. A block that carries evidence loads the whole window.
pub const MAX_WINDOW: u64 = 16_384;
/// The most bytes of a record in JSON.
pub const MAX_RECORD_BYTES: usize = 16_384;

/// What the registry knows about a chain. In state and in `register` calls it is compact JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChainRecord {
    /// CAIP-2 id.
    pub id: ChainId,
    /// Shape of its headers.
    pub family: Family,
    /// What stands behind its headers. Must be what `client` delivers.
    pub security: Security,
    /// Speed level: at registration, and later where it is [`measured`](Self::measured).
    pub level: Level,
    /// Whether the level follows the headers ([`pace`](crate::pace)); otherwise it is fixed.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub measured: bool,
    /// When a tracked header counts as confirmed.
    pub rule: ConfirmationRule,
    /// Whether it takes part.
    #[serde(default)]
    pub status: ChainStatus,
    /// How its headers are checked.
    pub client: ClientParams,
    /// Headers kept below the confirmed tip. A reorganisation deeper than this freezes the chain.
    #[serde(default = "default_window")]
    pub window: u64,
}

const fn default_window() -> u64 {
    DEFAULT_WINDOW
}

/// Whether a chain takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum ChainStatus {
    /// Evidence is accepted, headers are confirmed, the index shows the chain.
    #[default]
    Active = 0,
    /// Paused by the governor: no evidence, not in the index.
    Suspended = 1,
    /// Stopped by the protocol: the chain contradicted itself deeper than its window. As
    /// `Suspended`, until the governor looked at it.
    Frozen = 2,
    /// Gone for good.
    Terminated = 3,
}

impl ChainStatus {
    /// The value in calls and events.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The status with that value.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Active),
            1 => Some(Self::Suspended),
            2 => Some(Self::Frozen),
            3 => Some(Self::Terminated),
            _ => None,
        }
    }

    /// As in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Frozen => "frozen",
            Self::Terminated => "terminated",
        }
    }
}

impl core::fmt::Display for ChainStatus {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a chain's headers are checked, with the trusted start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum ClientParams {
    /// Proof of work by Bitcoin's rules.
    Bitcoin {
        /// The rules: a name, for example `regtest`, or the parameters of another network.
        network: NetworkSpec,
        /// Trusted start; the network's genesis block where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checkpoint: Option<Checkpoint>,
    },
    /// Signatures of registered keys over an Ethereum chain's headers.
    Attested {
        /// How many attesters must sign.
        threshold: u32,
        /// Their addresses, strictly increasing.
        attesters: Vec<Address>,
        /// Trusted start: a header in RLP.
        start: Bytes,
    },
    /// Signatures of Ethereum's sync committees over beacon blocks, and the execution headers that hash-link
    /// to what these blocks call finalized.
    SyncCommittee {
        /// The beacon chain: a name, for example `mainnet`, or the numbers of another network.
        network: sync::NetworkSpec,
        /// Root of the trusted beacon block. Anybody may bring its bootstrap.
        checkpoint: B256,
        /// The header of that block's execution block in RLP: the lowest header of the tree.
        start: Bytes,
        /// Rules on top of the consensus spec; the strictest where absent.
        #[serde(default)]
        policy: sync::Policy,
    },
    /// Certificates of the validators of another Grid chain, and the headers that hash-link to certified ones. The
    /// chain's id is `eip155:<number>`.
    Grid {
        /// Trusted start: a header in RLP, the lowest of the tree.
        start: Bytes,
        /// Who decides the block above it.
        validators: ValidatorSet,
        /// How long and how far is trusted. The trusting period must be shorter than that chain's unbonding period.
        #[serde(default)]
        policy: LightPolicy,
    },
}

/// Why a record is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Not the JSON of a record.
    #[error("chain record is not valid JSON of a record: {0}")]
    Json(String),
    /// Too large.
    #[error("chain record has {0} bytes, at most {MAX_RECORD_BYTES} are allowed")]
    TooLarge(usize),
    /// The security class is not what the client delivers.
    #[error("chain {id}: security {claimed} does not fit its client, which gives {actual}")]
    Security {
        /// The chain.
        id: ChainId,
        /// What the record says.
        claimed: Security,
        /// What it would be.
        actual: Security,
    },
    /// The family is not that of the client.
    #[error("chain {id}: family {family} does not fit its client")]
    Family {
        /// The chain.
        id: ChainId,
        /// What the record says.
        family: Family,
    },
    /// A window below the least or above the limit.
    #[error("chain {id}: window {window} must be {least} to {MAX_WINDOW} headers")]
    Window {
        /// The chain.
        id: ChainId,
        /// What the record says.
        window: u64,
        /// The least that this chain may have.
        least: u64,
    },
    /// The confirmation rule is bad, or not for chains of that family.
    #[error("chain {id}: {error}")]
    Rule {
        /// The chain.
        id: ChainId,
        /// Why.
        error: RuleError,
    },
    /// The light client's parameters or trusted start are bad.
    #[error("chain {id}: {reason}")]
    Client {
        /// The chain.
        id: ChainId,
        /// Why.
        reason: String,
    },
}

impl ChainRecord {
    /// `keccak256(id)`.
    #[must_use]
    pub fn key(&self) -> ChainKey {
        self.id.key()
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // Serialising plain data to a vector cannot fail; an empty value would be refused on reading.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads and checks a record from JSON.
    ///
    /// # Errors
    /// A [`RecordError`] saying what is wrong.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLarge(bytes.len()));
        }
        let record: Self =
            serde_json::from_slice(bytes).map_err(|error| RecordError::Json(error.to_string()))?;
        record.validate()?;
        Ok(record)
    }

    /// Checks that the parts fit together and that the light client can be started.
    ///
    /// # Errors
    /// A [`RecordError`] saying what is wrong.
    pub fn validate(&self) -> Result<(), RecordError> {
        let (family, security) = match &self.client {
            ClientParams::Bitcoin { .. } => (Family::Bitcoin, Security::ProofOfWork),
            ClientParams::Attested { .. } => (Family::Ethereum, Security::Attested),
            ClientParams::SyncCommittee { .. } => (Family::Ethereum, Security::SyncCommittee),
            ClientParams::Grid { .. } => (Family::Grid, Security::BftCertificate),
        };
        let id = self.id.clone();
        if self.family != family {
            return Err(RecordError::Family { id, family: self.family });
        }
        if self.security != security {
            return Err(RecordError::Security { id, claimed: self.security, actual: security });
        }
        let least = self.least_window();
        if self.window < least || self.window > MAX_WINDOW {
            return Err(RecordError::Window { id, window: self.window, least });
        }
        if let Err(error) = self.rule.validate(family) {
            return Err(RecordError::Rule { id, error });
        }
        let finality = [Security::SyncCommittee, Security::BftCertificate];
        if self.rule.asks_finality() && !finality.contains(&security) {
            return Err(RecordError::Rule { id, error: RuleError::NoFinality(security) });
        }
        let size = self.encode().len();
        if size > MAX_RECORD_BYTES {
            return Err(RecordError::TooLarge(size));
        }
        super::light_client::start(self)
            .map(drop)
            .map_err(|reason| RecordError::Client { id, reason })
    }

    fn least_window(&self) -> u64 {
        match &self.client {
            ClientParams::Bitcoin { network, .. }
                if network.params().is_ok_and(|params| !params.no_retargeting) =>
            {
                MIN_BITCOIN_WINDOW
            }
            _ if self.measured => MEASURE,
            _ => 1,
        }
    }

    /// The hash of the record's stored form, for events.
    #[must_use]
    pub fn digest(&self) -> B256 {
        alloy_primitives::keccak256(self.encode())
    }
}
