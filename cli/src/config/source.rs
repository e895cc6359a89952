//! `[[chain.source]]`: the sources of a Bitcoin network.

use std::path::PathBuf;

use grid_adapters::bitcoin::p2p::{MAX_PEERS, P2pConfig};
use serde::{Deserialize, Serialize};

use super::check::{Faults, yes};

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

impl SourceSection {
    /// What types alone cannot say.
    pub(super) fn check(&self, faults: &mut Faults<'_>) {
        match self {
            Self::Rpc { url, cookie_file, user, rpc_password_file, .. } => {
                faults.http_url("url", url);
                faults.login(cookie_file, user, rpc_password_file);
            }
            Self::Esplora { url } => faults.http_url("url", url),
            Self::P2p(peers) => check_peers(peers, faults),
            Self::Import { file, .. } => faults.file("file", file),
        }
    }
}

fn check_peers(config: &P2pConfig, faults: &mut Faults<'_>) {
    if config.max_peers == 0 || config.max_peers > MAX_PEERS {
        faults.note("max_peers", format!("must be between 1 and {MAX_PEERS}"));
    }
    if config.peers.len() > MAX_PEERS {
        faults.note("peers", format!("at most {MAX_PEERS} can be named"));
    }
    for (m, peer) in config.peers.iter().enumerate() {
        if peer.is_empty() || peer.contains(['/', ' ']) {
            let text = format!("{peer:?} is no peer; expected host or host:port");
            faults.note(&format!("peers[{m}]"), text);
        }
    }
}
