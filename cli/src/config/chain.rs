//! `[[chain]]`: one foreign chain and where to ask about it.

use std::path::{Path, PathBuf};

use grid_adapters::member::MAX_MEMBERS;
use grid_core::{ChainId, bitcoin::network::NetworkParams, ethereum::attest::MAX_ATTESTERS};
use serde::{Deserialize, Serialize};

use super::{
    BeaconSection, MessagesSection, PoolSection, SourceSection,
    check::{Faults, yes},
};

/// `[[chain]]`: one foreign chain and where to ask about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChainSection {
    /// CAIP-2 id. It must be registered on the main chain.
    pub(crate) id: ChainId,
    /// `bitcoin`, `ethereum` or `grid`.
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
    /// Which of its messages are carried to the main chain.
    #[serde(default, skip_serializing_if = "MessagesSection::is_default")]
    pub(crate) messages: MessagesSection,
    /// How its endpoints are treated.
    #[serde(default, skip_serializing_if = "PoolSection::is_default")]
    pub(crate) pool: PoolSection,
}

impl ChainSection {
    /// The number of its sources.
    pub(crate) fn source_count(&self) -> usize {
        self.rpc.len() + self.sources.len()
    }

    /// The files with its passwords and tokens. A cookie is none of them: it is read again by itself.
    pub(crate) fn secret_files(&self) -> Vec<&Path> {
        let own = self.rpc_password_file.as_deref();
        let sources = self.sources.iter().filter_map(|source| match source {
            SourceSection::Rpc { rpc_password_file, .. } => rpc_password_file.as_deref(),
            _ => None,
        });
        let attesters = self.attesters.iter().map(|attester| attester.token_file.as_path());
        own.into_iter().chain(sources).chain(attesters).collect()
    }

    /// What types alone cannot say.
    pub(super) fn check(&self, faults: &mut Faults<'_>) {
        let count = self.source_count();
        if count == 0 {
            faults.note("rpc", "at least one endpoint or [[chain.source]] is needed");
        }
        if count > MAX_MEMBERS {
            let text = format!("{count} sources are configured; at most {MAX_MEMBERS} can be");
            faults.note("source", text);
        }
        for (m, url) in self.rpc.iter().enumerate() {
            faults.http_url(&format!("rpc[{m}]"), url);
        }
        if self.agree == 0 || self.agree > count.max(1) {
            let text = format!("must be between 1 and the number of sources ({count})");
            faults.note("agree", text);
        }
        self.pool.check(&mut faults.inside("pool"));
        self.messages.check(&mut faults.inside("messages"));
        match self.kind {
            ChainKind::Bitcoin => self.check_bitcoin(faults),
            ChainKind::Ethereum => self.check_ethereum(faults),
            ChainKind::Grid => self.check_grid(faults),
        }
    }

    fn check_bitcoin(&self, faults: &mut Faults<'_>) {
        match self.network.as_deref().map(NetworkParams::by_name) {
            None => faults
                .note("network", "is missing: one of mainnet, testnet3, testnet4, signet, regtest"),
            Some(Err(error)) => faults.note("network", error.to_string()),
            Some(Ok(params)) if params.chain_id() != self.id => {
                let name = self.network.as_deref().unwrap_or_default();
                let text = format!("{} is not {name}, whose id is {}", self.id, params.chain_id());
                faults.note("id", text);
            }
            Some(Ok(_)) => {}
        }
        if !self.attesters.is_empty() {
            faults.note("attester", "Bitcoin is verified, nobody attests it");
        }
        if self.beacon.is_some() {
            faults.note("beacon", "Bitcoin has no beacon chain");
        }
        faults.login(&self.cookie_file, &self.user, &self.rpc_password_file);
        for (m, source) in self.sources.iter().enumerate() {
            source.check(&mut faults.inside(&format!("source[{m}]")));
        }
    }

    fn check_ethereum(&self, faults: &mut Faults<'_>) {
        if !self.sources.is_empty() {
            faults.note("source", "an Ethereum chain has `rpc` only");
        }
        if self.id.eip155_number().is_none() {
            faults.note("id", "an Ethereum chain's id has the form eip155:<number>");
        }
        let depth = self.follow.strip_prefix("latest-").map(str::parse::<u64>);
        if !matches!(self.follow.as_str(), "latest" | "safe" | "finalized")
            && !matches!(depth, Some(Ok(_)))
        {
            let text = format!("{:?} is none of latest, safe, finalized, latest-N", self.follow);
            faults.note("follow", text);
        }
        if self.attesters.len() > MAX_ATTESTERS {
            faults.note("attester", format!("at most {MAX_ATTESTERS} can be named"));
        }
        for (m, attester) in self.attesters.iter().enumerate() {
            let mut faults = faults.inside(&format!("attester[{m}]"));
            faults.http_url("url", &attester.url);
            faults.file("token_file", &attester.token_file);
        }
        let Some(beacon) = &self.beacon else { return };
        if !self.attesters.is_empty() {
            let text = "a chain with [chain.beacon] proves its finality, nobody attests it";
            faults.note("attester", text);
        }
        if beacon.agree > self.rpc.len() {
            let count = self.rpc.len();
            let text = format!("must be 0 to the number of execution endpoints ({count})");
            faults.note("beacon.agree", text);
        }
        beacon.check(&mut faults.inside("beacon"));
    }

    fn check_grid(&self, faults: &mut Faults<'_>) {
        if self.id.eip155_number().is_none() {
            faults.note("id", "a Grid chain's id has the form eip155:<number>");
        }
        if self.rpc.len() != 1 || !self.sources.is_empty() {
            faults.note("rpc", "a Grid chain has one node in `rpc`");
        }
        if self.beacon.is_some() || !self.attesters.is_empty() {
            let text = "a Grid chain's validators certify it: no beacon chain, no attesters";
            faults.note("kind", text);
        }
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

/// The families that the daemon can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChainKind {
    /// A Bitcoin node.
    Bitcoin,
    /// An Ethereum execution node.
    Ethereum,
    /// A node of another Grid chain.
    Grid,
}

const fn one() -> usize {
    1
}

fn latest() -> String {
    "latest".into()
}
