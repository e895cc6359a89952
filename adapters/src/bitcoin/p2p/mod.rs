//! Bitcoin over its peer-to-peer protocol: headers first, from several peers, none of them trusted.
//!
//! What is guaranteed:
//! * **Only verified headers leave.** The main chain's own light client judges each header, from a
//!   configured start on; the best chain is the one of most work that any peer shows.
//! * **A peer cannot make us remember.** A branch is stored once it has the network's known work,
//!   or the tip's but for a day of blocks; before that it goes through the two-phase download of
//!   [`presync`](grid_core::bitcoin::presync). Messages, channels, connections, addresses and
//!   blocks under way are bounded.
//! * **A peer cannot hold us up.** Connecting, introducing, finishing a message, answering a ping
//!   or a request have deadlines; who breaks the protocol or a header rule is banned, who is slow
//!   is replaced. Bans are kept in memory only.
//! * **Surrounding us is work.** Peers from DNS seeds are drawn at random, one for each network
//!   group; if no block comes for half an hour another peer is asked. Addresses that peers
//!   gossip are not taken.
//!
//! New headers are pushed by the peers (`sendheaders`); [`changed`](SourceChain::changed) tells at once. A
//! block is downloaded only to prove a transaction in it. Dropping the source ends everything.

mod blocks;
mod book;
mod chain;
mod config;
mod driver;
mod error;
mod handshake;
mod peer;
mod seeds;
mod status;
mod store;
mod sync;
pub mod wire;

use core::time::Duration;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use grid_core::{
    ChainId, ChainKey,
    bitcoin::{Checkpoint, NetworkParams, spv::RawBlock},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

pub use config::{MAX_PEERS, P2pConfig, Timing};
pub use error::{MIN_PROTOCOL_VERSION, PeerError};
pub use status::{Progress, SyncPhase};

use self::{
    chain::Chain,
    driver::{Driver, Query},
    status::Status,
    store::HeaderFile,
    wire::WireError,
};
use super::{header, material::Origin, network_name, now_ms};
use crate::{
    AdapterError, Material, ProofRequest, SourceChain, SourceHeader, SourceTip, SourceView,
};

/// Questions that wait for the owner of the headers.
const QUERIES: usize = 16;
/// Reasons named in one error.
const MOST_REASONS: usize = 5;

/// A Bitcoin network through its peers.
#[derive(Debug)]
pub struct P2pSource {
    chain: ChainId,
    key: ChainKey,
    params: NetworkParams,
    queries: mpsc::Sender<Query>,
    status: watch::Receiver<Status>,
    /// The tip that was handed out last; another one is news.
    told: Mutex<Option<SourceTip>>,
    timing: Timing,
    owner: JoinHandle<()>,
}

impl Drop for P2pSource {
    fn drop(&mut self) {
        // Its connections are tasks of its own and end with it.
        self.owner.abort();
    }
}

impl P2pSource {
    /// Starts to follow a network from a trusted start, within a Tokio runtime. Returns at once;
    /// [`Self::progress`] and [`SourceChain::tip`] tell how far it is.
    ///
    /// # Errors
    /// [`AdapterError::Invalid`] for an unusable start, configuration or headers file.
    pub fn start(
        params: NetworkParams,
        start: &Checkpoint,
        config: P2pConfig,
    ) -> Result<Self, AdapterError> {
        let (most, given) = (config.max_peers, config.peers.len());
        if most == 0 || most > MAX_PEERS || given > MAX_PEERS {
            return Err(AdapterError::Invalid(format!(
                "p2p: max_peers is {most}, peers are {given}; expected 1 to {MAX_PEERS}"
            )));
        }
        if given == 0 && seeds::names(&params, &config).is_empty() {
            return Err(AdapterError::Invalid(format!(
                "p2p: no peers are configured, and {} has no DNS seeds; set `peers` or `dns_seeds`",
                params.name
            )));
        }
        let file = config.headers_file.as_deref();
        let file = file.map(|path| HeaderFile::open(path, &start.header.0)).transpose()?;
        let chain = Chain::new(params.clone(), start, config.min_chain_work, file)?;
        let (status, seen) = watch::channel(Status::default());
        let (queries, asked) = mpsc::channel(QUERIES);
        let timing = config.timing;
        let id = params.chain_id();
        let owner = tokio::spawn(own(chain, params.clone(), config, status, asked));
        let (key, told) = (id.key(), Mutex::default());
        Ok(Self { chain: id, key, params, queries, status: seen, told, timing, owner })
    }

    /// How far the source is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.status.borrow().progress
    }

    /// Waits a little for the state to be fit for an answer.
    async fn ready(&self, fit: impl Fn(&Status) -> bool) -> Result<Status, AdapterError> {
        let mut status = self.status.clone();
        let outcome = timeout(self.timing.answer, status.wait_for(fit)).await;
        match outcome {
            Ok(Ok(status)) => Ok(status.clone()),
            Ok(Err(_)) => Err(self.no_peer("can be asked", "the source has ended".into())),
            Err(_) => Err(self.obstacle(&self.status.borrow())),
        }
    }

    /// Why there is no tip.
    fn obstacle(&self, status: &Status) -> AdapterError {
        let Progress { peers, height, best_known, .. } = status.progress;
        if peers > 0 || status.progress.phase == SyncPhase::Loading {
            let (blocks, headers) = (height, best_known);
            return AdapterError::Syncing { endpoint: self.endpoint(), blocks, headers };
        }
        for (address, error) in &status.errors {
            if let PeerError::Wire(WireError::WrongMagic { found, .. }) = error {
                return self.wrong_network(address, *found);
            }
        }
        let mut reasons: Vec<String> = status
            .errors
            .iter()
            .take(MOST_REASONS)
            .map(|(address, error)| format!("{address}: {error}"))
            .collect();
        if reasons.is_empty() {
            reasons
                .push("no address was found; check `peers`, or the resolver if DNS is used".into());
        }
        self.no_peer("is connected", reasons.join("; "))
    }

    fn wrong_network(&self, address: &str, magic: [u8; 4]) -> AdapterError {
        let known = NetworkParams::all().into_iter().find(|known| known.p2p_magic.0 == magic);
        let found = format!("magic {}", alloy_primitives::hex::encode(magic));
        let found_name =
            known.map_or_else(|| "no known network".into(), |it| format!("Bitcoin {}", it.name));
        AdapterError::WrongNetwork {
            endpoint: address.into(),
            expected: self.chain.clone(),
            expected_name: network_name(&self.chain),
            found,
            found_name,
        }
    }

    fn endpoint(&self) -> String {
        format!("peers of Bitcoin {}", self.params.name)
    }

    fn no_peer(&self, what: impl Into<String>, reasons: String) -> AdapterError {
        AdapterError::NoPeer { network: self.params.name.clone(), what: what.into(), reasons }
    }

    async fn ask<T>(
        &self,
        query: impl FnOnce(oneshot::Sender<T>) -> Query,
        patience: Duration,
    ) -> Result<T, AdapterError> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.queries.send(query(reply)).await.ok()?;
            answer.await.ok()
        };
        let late = || self.no_peer("answered", format!("nothing within {patience:?}"));
        let ended = || self.no_peer("can be asked", "the source has ended".into());
        timeout(patience, asked).await.map_err(|_| late())?.ok_or_else(ended)
    }
}

/// Reads the kept headers, then runs the owner.
async fn own(
    mut chain: Chain,
    params: NetworkParams,
    config: P2pConfig,
    status: watch::Sender<Status>,
    asked: mpsc::Receiver<Query>,
) {
    let name = params.name.clone();
    let loading = tokio::task::spawn_blocking(move || {
        let mut said = std::time::Instant::now();
        let outcome = chain.replay(now_ms(), |height| {
            status.send_modify(|status| status.progress.height = height);
            if said.elapsed() >= Duration::from_secs(10) {
                said = std::time::Instant::now();
                tracing::info!(network = name, height, "reading the headers file");
            }
        });
        if let Err(error) = outcome {
            tracing::warn!(network = name, %error, "headers file is not used");
        }
        (chain, status)
    });
    let Ok((chain, status)) = loading.await else { return };
    let (driver, heard) = Driver::new(chain, &params, config, status);
    driver.run(asked, heard).await;
}

#[async_trait]
impl SourceChain for P2pSource {
    fn id(&self) -> &ChainId {
        &self.chain
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        // Without a peer the tip may be an old one.
        let fit = |status: &Status| status.tip.is_some() && status.progress.peers > 0;
        let status = self.ready(fit).await?;
        let tip = status.tip.ok_or_else(|| self.obstacle(&status))?;
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(tip);
        Ok(tip)
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        self.ready(|status| status.tip.is_some()).await?;
        let count = count.min(crate::source::MAX_HEADERS);
        let raws =
            self.ask(|reply| Query::Headers { from, count, reply }, self.timing.answer).await?;
        let heights = from..u64::MAX;
        Ok(heights
            .zip(&raws)
            .map(|(height, raw)| header::normalise(self.key, height, raw))
            .collect())
    }

    async fn proof_material(&self, request: ProofRequest) -> Result<Material, AdapterError> {
        let ProofRequest::Bitcoin { facts, block_hash } = request else {
            return Err(AdapterError::WrongFamily {
                chain: self.chain.clone(),
                request: request.kind(),
                family: "bitcoin",
            });
        };
        let Some(hash) = block_hash else {
            return Err(AdapterError::Unavailable {
                endpoint: self.endpoint(),
                what: "a transaction without its block".into(),
                reason: "peers find no transaction by its id; name the block".into(),
            });
        };
        self.ready(|status| status.tip.is_some() && status.progress.peers > 0).await?;
        let query = |reply| Query::Block { hash, reply };
        // Three peers may be asked.
        let patience = self.timing.block.saturating_mul(3);
        let fetched = self.ask(query, patience).await??;
        let (endpoint, method) = (self.endpoint(), "getdata");
        let block = match RawBlock::parse(&fetched.raw) {
            Ok(block) => block,
            Err(error) => {
                let reason = format!("block {}: {error}", header::shown(&hash));
                let (peer, error) = (fetched.from, PeerError::Block { reason: reason.clone() });
                // The next attempt goes to another peer; if the queue is full, to the same one.
                let _ = self.queries.try_send(Query::Drop { peer, error });
                return Err(AdapterError::BadAnswer { endpoint, method, reason });
            }
        };
        let header = header::normalise(self.key, fetched.height, &block.header).compat;
        Origin { chain: &self.chain, endpoint: &endpoint, method }
            .material(header, &block.txs, &facts)
    }

    /// Returns once the tip is another than the one that [`SourceChain::tip`] handed out last.
    async fn changed(&self) {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut status = self.status.clone();
        if status.wait_for(|now| now.tip.is_some() && now.tip != told).await.is_err() {
            // The source has ended, which the next question will tell: no news will come.
            core::future::pending().await
        }
    }

    fn view(&self) -> SourceView {
        SourceView { branches: self.status.borrow().branches.clone(), ..SourceView::default() }
    }
}
