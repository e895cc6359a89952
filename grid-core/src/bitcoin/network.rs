//! The parameters of Bitcoin's networks: everything in which their header rules differ, as data.
//!
//! Source: Bitcoin Core `kernel/chainparams.cpp`, versions 28 to 31.

use alloy_primitives::{B256, FixedBytes, U256, hex};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{header::sha256d, target};
use crate::{
    ChainId,
    named::{Named, Parameters},
};

/// The rules of one network. A network that differs only in these numbers needs no code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkParams {
    /// Name in configuration: `mainnet`, `testnet3`, `testnet4`, `signet`, `regtest`, or another.
    pub name: String,
    /// The genesis header.
    pub genesis: FixedBytes<80>,
    /// The greatest target, that is the least difficulty.
    pub pow_limit: U256,
    /// Wanted seconds of one retargeting period.
    pub timespan: u32,
    /// Wanted seconds between two blocks.
    pub spacing: u32,
    /// A block more than two spacings after its parent may have the least difficulty.
    pub allow_min_difficulty: bool,
    /// Difficulty never changes at period ends.
    pub no_retargeting: bool,
    /// BIP94: retargeting starts from the period's first block, whose time is bounded below.
    pub bip94: bool,
    /// From this height a version below 2 is refused.
    pub bip34_height: u64,
    /// From this height a version below 3 is refused.
    pub bip66_height: u64,
    /// From this height a version below 4 is refused.
    pub bip65_height: u64,
    /// Chain work that an honest chain is known to have; a source with less is not in sync.
    pub minimum_chain_work: U256,
    /// Default TCP port of the peer-to-peer protocol.
    pub p2p_port: u16,
    /// First four bytes of each peer-to-peer message.
    pub p2p_magic: FixedBytes<4>,
}

/// Why parameters cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// No network of that name.
    #[error(
        "unknown bitcoin network {0:?}; known are mainnet, testnet3, testnet4, signet, regtest"
    )]
    Unknown(String),
    /// `timespan` is not a positive multiple of `spacing`.
    #[error(
        "timespan {timespan} s must be a positive multiple of spacing {spacing} s, by at least 2"
    )]
    Interval {
        /// The timespan.
        timespan: u32,
        /// The spacing.
        spacing: u32,
    },
    /// The limit is zero, or so large that retargeting would cut off the product with the longest
    /// period.
    #[error(
        "powLimit must not be zero, and powLimit times four timespans must stay below 2^256 unless noRetargeting is set"
    )]
    PowLimit,
}

const fn low_bits(count: u32) -> U256 {
    U256::MAX.wrapping_shr(256usize.saturating_sub(count as usize))
}

impl NetworkParams {
    /// Bitcoin.
    #[must_use]
    pub fn mainnet() -> Self {
        Self {
            name: "mainnet".into(),
            genesis: FixedBytes(hex!(
                "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c"
            )),
            pow_limit: low_bits(224),
            timespan: 1_209_600,
            spacing: 600,
            allow_min_difficulty: false,
            no_retargeting: false,
            bip94: false,
            bip34_height: 227_931,
            bip66_height: 363_725,
            bip65_height: 388_381,
            minimum_chain_work: work_of(&hex!("01128750f82f4c366153a3a030")),
            p2p_port: 8333,
            p2p_magic: FixedBytes(hex!("f9beb4d9")),
        }
    }

    /// The third test network, with minimum-difficulty blocks.
    #[must_use]
    pub fn testnet3() -> Self {
        Self {
            name: "testnet3".into(),
            genesis: FixedBytes(hex!(
                "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4adae5494dffff001d1aa4ae18"
            )),
            allow_min_difficulty: true,
            bip34_height: 21_111,
            bip66_height: 330_776,
            bip65_height: 581_885,
            minimum_chain_work: work_of(&hex!("17dde1c649f3708d14b6")),
            p2p_port: 18333,
            p2p_magic: FixedBytes(hex!("0b110907")),
            ..Self::mainnet()
        }
    }

    /// The fourth test network: BIP94.
    #[must_use]
    pub fn testnet4() -> Self {
        Self {
            name: "testnet4".into(),
            genesis: FixedBytes(hex!(
                "0100000000000000000000000000000000000000000000000000000000000000000000004e7b2b9128fe0291db0693af2ae418b767e657cd407e80cb1434221eaea7a07a046f3566ffff001dbb0c7817"
            )),
            bip94: true,
            bip34_height: 1,
            bip66_height: 1,
            bip65_height: 1,
            minimum_chain_work: work_of(&hex!("09a0fe15d0177d086304")),
            p2p_port: 48333,
            p2p_magic: FixedBytes(hex!("1c163f28")),
            ..Self::testnet3()
        }
    }

    /// The default signet. Its blocks are signed (BIP325), but the signature is not in the header:
    /// following signet by headers alone rests on its small proof of work, and is for tests.
    #[must_use]
    pub fn signet() -> Self {
        Self {
            name: "signet".into(),
            genesis: FixedBytes(hex!(
                "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a008f4d5fae77031e8ad22203"
            )),
            pow_limit: U256::from_limbs([0, 0, 0, 0x0000_0377_ae00_0000]),
            bip34_height: 1,
            bip66_height: 1,
            bip65_height: 1,
            minimum_chain_work: work_of(&hex!("0b463ea0a4b8")),
            p2p_port: 38333,
            // The first four bytes of SHA-256d over the default challenge.
            p2p_magic: FixedBytes(hex!("0a03cf40")),
            ..Self::mainnet()
        }
    }

    /// A signet of its own, as Bitcoin Core's `-signetchallenge` makes one from a script. It has the
    /// default signet's genesis block, and so its chain id: one main chain can follow only one
    /// signet. What is said at [`Self::signet`] about signatures holds here as well.
    #[must_use]
    pub fn signet_of(challenge: &[u8]) -> Self {
        // A list of bytes is written with its length in front, as Core does before it hashes.
        let hash = sha256d(&bitcoin::consensus::serialize(&challenge.to_vec()));
        let magic = hash.0.first_chunk().copied().unwrap_or_default();
        Self { minimum_chain_work: U256::ZERO, p2p_magic: FixedBytes(magic), ..Self::signet() }
    }

    /// The regression-test network: one or two hashes a block, for development.
    #[must_use]
    pub fn regtest() -> Self {
        Self {
            name: "regtest".into(),
            genesis: FixedBytes(hex!(
                "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4adae5494dffff7f2002000000"
            )),
            pow_limit: low_bits(255),
            timespan: 86_400,
            allow_min_difficulty: true,
            no_retargeting: true,
            bip34_height: 1,
            bip66_height: 1,
            bip65_height: 1,
            minimum_chain_work: U256::ZERO,
            p2p_port: 18444,
            p2p_magic: FixedBytes(hex!("fabfb5da")),
            ..Self::mainnet()
        }
    }

    /// The built-in network of that name.
    ///
    /// # Errors
    /// [`NetworkError::Unknown`] listing the known names.
    pub fn by_name(name: &str) -> Result<Self, NetworkError> {
        match name {
            "mainnet" => Ok(Self::mainnet()),
            "testnet3" => Ok(Self::testnet3()),
            "testnet4" => Ok(Self::testnet4()),
            "signet" => Ok(Self::signet()),
            "regtest" => Ok(Self::regtest()),
            _ => Err(NetworkError::Unknown(name.into())),
        }
    }

    /// The built-in network of that CAIP-2 id.
    #[must_use]
    pub fn by_chain(chain: &ChainId) -> Option<Self> {
        Self::all().into_iter().find(|params| params.chain_id() == *chain)
    }

    /// All built-in networks.
    #[must_use]
    pub fn all() -> [Self; 5] {
        [Self::mainnet(), Self::testnet3(), Self::testnet4(), Self::signet(), Self::regtest()]
    }

    /// Checks that the numbers make sense together. Built-in networks do.
    ///
    /// # Errors
    /// A [`NetworkError`] naming the fault.
    pub fn validate(&self) -> Result<(), NetworkError> {
        let Self { timespan, spacing, .. } = *self;
        if timespan.checked_rem(spacing) != Some(0) || timespan < spacing.saturating_mul(2) {
            return Err(NetworkError::Interval { timespan, spacing });
        }
        let longest = U256::from(timespan).saturating_mul(U256::from(4));
        let fits = self.no_retargeting || self.pow_limit.checked_mul(longest).is_some();
        if self.pow_limit.is_zero() || !fits {
            return Err(NetworkError::PowLimit);
        }
        Ok(())
    }

    /// Blocks of one retargeting period.
    #[must_use]
    pub const fn interval(&self) -> u64 {
        match self.timespan.checked_div(self.spacing) {
            Some(0) | None => 1,
            Some(interval) => interval as u64,
        }
    }

    /// Whether a period starts at `height`.
    #[must_use]
    pub const fn starts_period(&self, height: u64) -> bool {
        matches!(height.checked_rem(self.interval()), Some(0))
    }

    /// The compact form of the least difficulty.
    #[must_use]
    pub fn limit_bits(&self) -> u32 {
        target::encode(&self.pow_limit)
    }

    /// Hash of the genesis block, internal byte order.
    #[must_use]
    pub fn genesis_hash(&self) -> B256 {
        sha256d(self.genesis.as_slice())
    }

    /// The chain's CAIP-2 id.
    #[must_use]
    pub fn chain_id(&self) -> ChainId {
        ChainId::bip122(&self.genesis_hash())
    }
}

/// Which rules a Bitcoin chain has. In JSON: the name of a built-in network, or all parameters of
/// another one.
pub type NetworkSpec = Named<NetworkParams>;

impl Parameters for NetworkParams {
    const EXPECTED: &'static str = "the name of a Bitcoin network or its parameters";
}

impl NetworkSpec {
    /// The parameters.
    ///
    /// # Errors
    /// [`NetworkError`] for an unknown name or unusable numbers.
    pub fn params(&self) -> Result<NetworkParams, NetworkError> {
        match self {
            Self::BuiltIn(name) => NetworkParams::by_name(name),
            Self::Custom(params) => params.validate().map(|()| NetworkParams::clone(params)),
        }
    }
}

impl From<NetworkParams> for NetworkSpec {
    fn from(params: NetworkParams) -> Self {
        match NetworkParams::by_name(&params.name) {
            Ok(built_in) if built_in == params => Self::BuiltIn(params.name),
            _ => Self::Custom(Box::new(params)),
        }
    }
}

fn work_of(bytes: &[u8]) -> U256 {
    U256::try_from_be_slice(bytes).unwrap_or_default()
}
