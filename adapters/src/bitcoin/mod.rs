//! Bitcoin and its kin through Bitcoin Core's JSON-RPC, and through REST where it is switched on.
//!
//! Hashes are in internal byte order everywhere except in messages and in what is exchanged with the
//! node. The active chain is the node's word; every header's hash is recomputed, so a header that is
//! handed out is exactly the one that its hash names.

mod esplora;
mod fetch;
mod header;
pub mod header_file;
mod import;
mod material;
mod messages;
mod network;
pub mod p2p;
mod quorum;
mod rest;
mod stale;
#[cfg(test)]
mod testing;
mod tip;
mod wake;

use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use alloy_primitives::B256;
use async_trait::async_trait;
pub use esplora::EsploraSource;
use grid_core::{ChainId, ChainKey};
pub use import::{ImportError, ImportSource};
pub use network::network_name;
pub use quorum::Quorum;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    AdapterError, Endpoint, HttpJsonRpc, Material, ProofRequest, RpcError, SourceChain,
    SourceHeader, SourceTip, SourceView, rpc::METHOD_NOT_FOUND,
};

/// Whether headers may come over REST (`rest=1` in `bitcoin.conf`), which is many times faster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestMode {
    /// Ask once; JSON-RPC where it is off.
    #[default]
    Auto,
    /// JSON-RPC only.
    Off,
}

/// What is asked of a node, as its metrics tell it apart.
const METHODS: [&str; 12] = [
    "getblockchaininfo",
    "getblockhash",
    "getblockheader",
    "getblock",
    "getchaintips",
    "getrawtransaction",
    "gettxoutproof",
    "getindexinfo",
    "waitfornewblock",
    "rest/blockhashbyheight",
    "rest/headers",
    "rest/chaininfo",
];

/// One Bitcoin node.
#[derive(Debug)]
pub struct BitcoinSource {
    chain: ChainId,
    key: ChainKey,
    rpc: HttpJsonRpc,
    rest: AtomicU8,
    checked: AtomicBool,
    tip: Mutex<tip::Known>,
    branches: Mutex<stale::Branches>,
}

/// The part of `getblockchaininfo` that matters here.
#[derive(Debug, Deserialize)]
struct ChainInfo {
    chain: String,
    blocks: u64,
    headers: u64,
    bestblockhash: String,
    #[serde(default)]
    initialblockdownload: bool,
}

impl BitcoinSource {
    /// A node of `chain`, whose id is `bip122:` and the start of its genesis hash. Nothing is sent yet.
    ///
    /// # Errors
    /// When the id is of another namespace or no HTTP client can be built.
    pub fn new(chain: ChainId, endpoint: Endpoint, rest: RestMode) -> Result<Self, AdapterError> {
        check_id(&chain)?;
        let rpc = HttpJsonRpc::counting(endpoint, &METHODS)?;
        let rest = AtomicU8::new(rest::Availability::of(rest) as u8);
        Ok(Self {
            key: chain.key(),
            chain,
            rpc,
            rest,
            checked: AtomicBool::new(false),
            tip: Mutex::default(),
            branches: Mutex::default(),
        })
    }

    /// The node's tip, after making sure that the node is of this network: one exchange.
    async fn checked_tip(&self) -> Result<(SourceTip, ChainInfo), AdapterError> {
        let calls = [("getblockchaininfo", json!([])), ("getblockhash", json!([0]))];
        let mut answers = self.rpc.batch(&calls).await?.into_iter();
        let (Some(info), Some(genesis)) = (answers.next(), answers.next()) else {
            return Err(self.bad_answer("getblockchaininfo", "two answers expected".into()));
        };
        let info = match info {
            Err(RpcError::Server { code: METHOD_NOT_FOUND, .. }) => {
                return Err(AdapterError::WrongKind {
                    endpoint: self.rpc.endpoint().into(),
                    family: "Bitcoin",
                    method: "getblockchaininfo",
                });
            }
            info => info?,
        };
        let info: ChainInfo = serde_json::from_value(info)
            .map_err(|error| self.bad_answer("getblockchaininfo", error.to_string()))?;
        let genesis = self.hash("getblockhash", genesis?.as_str().unwrap_or_default())?;
        let found = ChainId::bip122(&genesis);
        if found != self.chain {
            return Err(AdapterError::WrongNetwork {
                endpoint: self.rpc.endpoint().into(),
                expected: self.chain.clone(),
                expected_name: network_name(&self.chain),
                found_name: network_name(&found),
                found: found.to_string(),
            });
        }
        self.checked.store(true, Ordering::Relaxed);
        let hash = self.hash("getblockchaininfo", &info.bestblockhash)?;
        Ok((SourceTip { height: info.blocks, hash }, info))
    }

    /// Refuses to go on while the node downloads its chain. A regtest node calls itself so until it
    /// sees a block of today, although nobody can send it one.
    fn refuse_download(&self, info: &ChainInfo) -> Result<(), AdapterError> {
        if info.initialblockdownload && info.chain != "regtest" {
            return Err(AdapterError::Syncing {
                endpoint: self.rpc.endpoint().into(),
                blocks: info.blocks,
                headers: info.headers,
            });
        }
        Ok(())
    }

    /// Makes sure, once per connection, that the node is of this network.
    async fn ensure_network(&self) -> Result<(), AdapterError> {
        if !self.checked.load(Ordering::Relaxed) {
            self.checked_tip().await?;
        }
        Ok(())
    }

    /// After a failed exchange another node may answer at the same address.
    fn noted<T>(&self, outcome: Result<T, AdapterError>) -> Result<T, AdapterError> {
        if let Err(AdapterError::Rpc(error)) = &outcome
            && error.code().is_none()
        {
            self.checked.store(false, Ordering::Relaxed);
            self.known().forget();
        }
        outcome
    }

    /// What is known of the tip.
    fn known(&self) -> MutexGuard<'_, tip::Known> {
        self.tip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tip, without asking where the node vouches for it, and whether its chain is complete.
    async fn newest_tip(&self) -> Result<SourceTip, AdapterError> {
        let vouched = self.known().vouched();
        if let Some(tip) = vouched.filter(|_| self.checked.load(Ordering::Relaxed)) {
            return Ok(tip);
        }
        let (tip, info) = self.noted(self.checked_tip().await)?;
        self.refuse_download(&info)?;
        Ok(tip)
    }

    fn branches(&self) -> MutexGuard<'_, stale::Branches> {
        self.branches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, method: &'static str, shown: &str) -> Result<B256, AdapterError> {
        header::parse_shown(shown).ok_or_else(|| {
            let shown = crate::rpc::Excerpt::of(shown.as_bytes());
            self.bad_answer(method, format!("expected a block hash, got {shown:?}"))
        })
    }

    fn bad_answer(&self, method: &'static str, reason: String) -> AdapterError {
        AdapterError::BadAnswer { endpoint: self.rpc.endpoint().into(), method, reason }
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Refuses the ids of other families.
fn check_id(chain: &ChainId) -> Result<(), AdapterError> {
    if chain.namespace() == "bip122" {
        return Ok(());
    }
    Err(AdapterError::Invalid(format!(
        "{chain} is no Bitcoin chain; expected an id such as bip122:000000000019d6689c085ae165831e93"
    )))
}

#[async_trait]
impl SourceChain for BitcoinSource {
    fn id(&self) -> &ChainId {
        &self.chain
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        let tip = self.newest_tip().await?;
        self.known().serve(tip);
        self.look_at(tip).await;
        Ok(tip)
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        self.ensure_network().await?;
        self.noted(self.fetch(from, count.min(crate::source::MAX_HEADERS)).await)
    }

    async fn proof_material(&self, request: ProofRequest) -> Result<Material, AdapterError> {
        let ProofRequest::Bitcoin { facts, block_hash } = request else {
            return Err(AdapterError::WrongFamily {
                chain: self.chain.clone(),
                request: request.kind(),
                family: "bitcoin",
            });
        };
        self.ensure_network().await?;
        self.noted(self.facts(&facts, block_hash).await)
    }

    async fn changed(&self) {
        self.wait_for_block().await;
    }

    fn view(&self) -> SourceView {
        SourceView { branches: self.known_branches(), ..SourceView::default() }
    }
}
