//! The sections of `grid.toml`, each beside its defaults.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use alloy_primitives::B256;
use grid_adapters::bitcoin::p2p::P2pConfig;
use grid_core::{ChainId, ethereum::sync::Policy};
use serde::{Deserialize, Serialize};

use super::NodeSection;

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The Grid chain.
    pub(crate) node: NodeSection,
    /// The relayer daemon.
    pub(crate) relayer: RelayerSection,
    /// Logging.
    pub(crate) log: LogSection,
    /// The foreign chains to follow.
    #[serde(rename = "chain", skip_serializing_if = "Vec::is_empty")]
    pub(crate) chains: Vec<ChainSection>,
}

/// `[relayer]`: the daemon that brings headers to the main chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RelayerSection {
    /// The main chain's JSON-RPC for `grid relayer run` and for the commands that ask the chain.
    /// `grid start` speaks to its own node in the same process.
    pub(crate) main_chain: String,
    /// Encrypted key that pays for submissions and signs attestations.
    pub(crate) key: PathBuf,
    /// File that holds the key's password; `GRID_KEY_PASSWORD` goes first.
    pub(crate) password_file: PathBuf,
    /// Database file.
    pub(crate) store: PathBuf,
    /// Address of `/livez`, `/readyz`, `/metrics` and `/v1`.
    pub(crate) listen: SocketAddr,
    /// Files with a token each: who has one may ask this relayer to attest a header (`POST /v1/attest`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) attest_tokens: Vec<PathBuf>,
    /// How often each speed level's lane looks for work.
    pub(crate) poll: PollSection,
}

impl Default for RelayerSection {
    fn default() -> Self {
        Self {
            main_chain: "http://127.0.0.1:8645".into(),
            key: "keys/relayer.json".into(),
            password_file: "keys/password".into(),
            store: "relayer.db".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 9640)),
            attest_tokens: Vec::new(),
            poll: PollSection::default(),
        }
    }
}

/// `[relayer.poll]`: the timers of the four lanes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PollSection {
    /// Chains with blocks at most 5 s apart.
    #[serde(with = "humantime_serde")]
    pub(crate) l0: Duration,
    /// At most 60 s.
    #[serde(with = "humantime_serde")]
    pub(crate) l1: Duration,
    /// At most 5 min.
    #[serde(with = "humantime_serde")]
    pub(crate) l2: Duration,
    /// Slower.
    #[serde(with = "humantime_serde")]
    pub(crate) l3: Duration,
}

impl Default for PollSection {
    fn default() -> Self {
        Self {
            l0: Duration::from_millis(500),
            l1: Duration::from_secs(2),
            l2: Duration::from_secs(5),
            l3: Duration::from_secs(5),
        }
    }
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogSection {
    /// A `tracing` filter such as `info` or `info,grid_relayer=debug`.
    pub(crate) filter: String,
    /// One JSON object a line instead of text.
    pub(crate) json: bool,
}

impl Default for LogSection {
    fn default() -> Self {
        Self {
            filter: "info,arc_malachitebft=warn,arc_malachitebft_engine::node=error,arc_malachitebft_network=off,libp2p=warn"
                .into(),
            json: false,
        }
    }
}

/// `[[chain]]`: one foreign chain and where to ask about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChainSection {
    /// CAIP-2 id. It must be registered on the main chain.
    pub(crate) id: ChainId,
    /// `bitcoin` or `ethereum`.
    pub(crate) kind: ChainKind,
    /// JSON-RPC endpoints, best first. Credentials do not belong here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rpc: Vec<String>,
    /// How many sources must agree on a block hash before it is relayed.
    #[serde(default = "one")]
    pub(crate) agree: usize,
    /// Bitcoin: the network's name: mainnet, testnet3, testnet4, signet or regtest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) network: Option<String>,
    /// Bitcoin: the node's cookie file, re-read when the node restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cookie_file: Option<PathBuf>,
    /// Bitcoin: RPC user, where no cookie is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// Bitcoin: file that holds the RPC password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rpc_password_file: Option<PathBuf>,
    /// Bitcoin: use the node's REST interface for headers where it is on.
    #[serde(default = "yes")]
    pub(crate) rest: bool,
    /// Ethereum: which block counts as the head: `latest`, `safe`, `finalized` or `latest-N`.
    #[serde(default = "latest")]
    pub(crate) follow: String,
    /// Bitcoin: more sources, each with its own settings. They come after `rpc`.
    #[serde(default, rename = "source", skip_serializing_if = "Vec::is_empty")]
    pub(crate) sources: Vec<SourceSection>,
    /// Ethereum without a beacon chain: the other attesters of the chain.
    #[serde(default, rename = "attester", skip_serializing_if = "Vec::is_empty")]
    pub(crate) attesters: Vec<AttesterSection>,
    /// Ethereum: follow the chain by its beacon chain's light client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) beacon: Option<BeaconSection>,
}

impl ChainSection {
    /// The number of its sources.
    pub(crate) fn source_count(&self) -> usize {
        self.rpc.len() + self.sources.len()
    }
}

/// `[[chain.attester]]`: the relayer of another attester.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttesterSection {
    /// Its `/v1/attest`, for example `https://relayer.example/v1/attest`.
    pub(crate) url: String,
    /// File with the token that its operator gave out.
    pub(crate) token_file: PathBuf,
}

/// `[chain.beacon]`: an Ethereum chain's light client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeaconSection {
    /// Beacon nodes' REST addresses, best first.
    pub(crate) url: Vec<String>,
    /// `mainnet`, `sepolia`, `hoodi`, or a JSON file with another network's numbers.
    pub(crate) network: String,
    /// Root of the trusted beacon block; that of the main chain's record where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<B256>,
    /// File that keeps the verified light client over a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<PathBuf>,
    /// So many execution endpoints must call the light client's finalized block final too; 0 asks none.
    #[serde(default)]
    pub(crate) agree: usize,
    /// Oldest checkpoint or stored state that is trusted. `0s` switches the rule off.
    #[serde(default = "max_checkpoint_age", with = "humantime_serde")]
    pub(crate) max_checkpoint_age: Duration,
    /// Refuse to work while the clock is before the finalized block.
    #[serde(default = "yes")]
    pub(crate) check_clock: bool,
    /// Refuse an update that enters a new period without the committee after it.
    #[serde(default = "yes")]
    pub(crate) require_next_committee: bool,
    /// Stop as soon as two finalities exclude each other.
    #[serde(default = "yes")]
    pub(crate) freeze_on_conflict: bool,
}

impl BeaconSection {
    /// A section with every default.
    pub(crate) fn new(url: Vec<String>, network: String) -> Self {
        Self {
            url,
            network,
            checkpoint: None,
            store: None,
            agree: 0,
            max_checkpoint_age: max_checkpoint_age(),
            check_clock: true,
            require_next_committee: true,
            freeze_on_conflict: true,
        }
    }

    /// The light client's rules.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            max_checkpoint_age: self.max_checkpoint_age.as_secs(),
            check_clock: self.check_clock,
            require_next_committee: self.require_next_committee,
            freeze_on_conflict: self.freeze_on_conflict,
            // What these two would let through is never relayed.
            ..Policy::default()
        }
    }
}

fn max_checkpoint_age() -> Duration {
    Duration::from_secs(Policy::default().max_checkpoint_age)
}

/// `[[chain.source]]`: one source of a Bitcoin network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "a handful exist, read once")]
pub(crate) enum SourceSection {
    /// A Bitcoin Core node: JSON-RPC, and REST where it is on.
    Rpc {
        /// Its address. Credentials do not belong here.
        url: String,
        /// Its cookie file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cookie_file: Option<PathBuf>,
        /// RPC user, where no cookie is used.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// File that holds the RPC password.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rpc_password_file: Option<PathBuf>,
        /// Use REST for headers where it is on.
        #[serde(default = "yes")]
        rest: bool,
    },
    /// An Esplora server.
    Esplora {
        /// Where its API begins, for example `https://blockstream.info/api`.
        url: String,
    },
    /// The network's peers. One section is one source, however many peers it has.
    P2p(P2pConfig),
    /// A file of raw headers, 80 bytes each, ascending.
    Import {
        /// The file.
        file: PathBuf,
        /// Height of its first header.
        #[serde(default)]
        start_height: u64,
    },
}

const fn one() -> usize {
    1
}

const fn yes() -> bool {
    true
}

fn latest() -> String {
    "latest".into()
}

/// The families that the daemon can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChainKind {
    /// A Bitcoin node.
    Bitcoin,
    /// An Ethereum execution node.
    Ethereum,
}
