//! Esplora servers: Blockstream's and mempool.space's HTTP API, also of one's own.
//!
//! The API has no bulk download of headers. `/blocks/:height` describes ten blocks (mempool.space:
//! fifteen) with every field of their headers, so these are put together and hashed here; several such
//! questions are on their way at a time. A limit on the rate (HTTP 429) in the middle of an answer
//! makes it shorter, not void.

mod blocks;
mod proof;

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy_primitives::B256;
use async_trait::async_trait;
use bytes::Bytes;
use grid_core::{ChainId, ChainKey};
use reqwest::StatusCode;

use super::{header, network_name, tip};
use crate::{
    AdapterError, Endpoint, Material, ProofRequest, SourceChain, SourceHeader, SourceTip,
    http::HttpClient, rpc::Excerpt,
};

/// What is asked of a server, as its metrics tell it apart.
const METHODS: [&str; 6] =
    ["blocks/tip/hash", "blocks/tip/height", "blocks/", "block-height/", "block/", "tx/"];

/// An Esplora server of one network.
#[derive(Debug)]
pub struct EsploraSource {
    chain: ChainId,
    key: ChainKey,
    http: HttpClient,
    checked: AtomicBool,
    tip: Mutex<tip::Known>,
}

impl EsploraSource {
    /// The server at `endpoint`, for example `https://blockstream.info/api`, of `chain`, whose id is
    /// `bip122:` and the start of its genesis hash. Nothing is sent yet.
    ///
    /// # Errors
    /// When the id is of another namespace or no HTTP client can be built.
    pub fn new(chain: ChainId, endpoint: Endpoint) -> Result<Self, AdapterError> {
        super::check_id(&chain)?;
        let http = HttpClient::new(endpoint, &METHODS)?;
        let (checked, tip) = (AtomicBool::new(false), Mutex::default());
        Ok(Self { key: chain.key(), chain, http, checked, tip })
    }

    fn endpoint(&self) -> String {
        self.http.endpoint().origin().into()
    }

    /// One answer; `None` for what the server does not have.
    async fn get(&self, path: &str) -> Result<Option<Bytes>, AdapterError> {
        let answer = self.http.get_below(path).await?;
        match answer.status {
            status if status.is_success() => Ok(Some(answer.body)),
            // Some servers say 400 for a height that they do not have.
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => Ok(None),
            _ => Err(self.http.exchange().status(path, &answer).into()),
        }
    }

    /// As [`get`](Self::get), a text without the space around it.
    async fn text(&self, method: &'static str, path: &str) -> Result<Option<String>, AdapterError> {
        let Some(body) = self.get(path).await? else { return Ok(None) };
        match String::from_utf8(body.into()) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) => Err(self.bad_answer(method, error.to_string())),
        }
    }

    async fn hash(&self, method: &'static str, path: &str) -> Result<Option<B256>, AdapterError> {
        let Some(text) = self.text(method, path).await? else { return Ok(None) };
        self.parse_hash(method, &text).map(Some)
    }

    fn parse_hash(&self, method: &'static str, text: &str) -> Result<B256, AdapterError> {
        header::parse_shown(text).ok_or_else(|| {
            let text = Excerpt::of(text.as_bytes());
            self.bad_answer(method, format!("expected a hash, got \"{text}\""))
        })
    }

    /// Makes sure, once per connection, that the server is of this network.
    async fn ensure_network(&self) -> Result<(), AdapterError> {
        if self.checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(genesis) = self.hash("block-height", "/block-height/0").await? else {
            return Err(AdapterError::WrongKind {
                endpoint: self.endpoint(),
                family: "Esplora",
                method: "/block-height/0",
            });
        };
        let found = ChainId::bip122(&genesis);
        if found != self.chain {
            return Err(AdapterError::WrongNetwork {
                endpoint: self.endpoint(),
                expected: self.chain.clone(),
                expected_name: network_name(&self.chain),
                found_name: network_name(&found),
                found: found.to_string(),
            });
        }
        self.checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Tip hash, then, where it is new, its height by its own description: two texts could belong to two
    /// tips.
    async fn ask_tip(&self) -> Result<SourceTip, AdapterError> {
        self.ensure_network().await?;
        let method = "blocks/tip/hash";
        let Some(hash) = self.hash(method, "/blocks/tip/hash").await? else {
            return Err(self.bad_answer(method, "the server has no block".into()));
        };
        let known = self.known().newest().filter(|tip| tip.hash == hash);
        if let Some(tip) = known {
            return Ok(tip);
        }
        let Some(header) = self.header_by(&hash).await? else {
            return Err(self.bad_answer(method, "the server does not know its own tip".into()));
        };
        let tip = SourceTip { height: header.compat.height, hash };
        let mut known = self.known();
        known.serve(tip);
        known.set_header(header);
        Ok(tip)
    }

    /// What is known of the tip.
    fn known(&self) -> MutexGuard<'_, tip::Known> {
        self.tip.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a failed exchange another server may answer at the same address.
    fn noted<T>(&self, outcome: Result<T, AdapterError>) -> Result<T, AdapterError> {
        if let Err(AdapterError::Rpc(_)) = &outcome {
            self.checked.store(false, Ordering::Relaxed);
        }
        outcome
    }

    fn bad_answer(&self, method: &'static str, reason: String) -> AdapterError {
        AdapterError::BadAnswer { endpoint: self.endpoint(), method, reason }
    }
}

#[async_trait]
impl SourceChain for EsploraSource {
    fn id(&self) -> &ChainId {
        &self.chain
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        let tip = self.noted(self.ask_tip().await)?;
        self.known().serve(tip);
        Ok(tip)
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        self.noted(self.ensure_network().await)?;
        self.noted(self.fetch(from, count).await)
    }

    async fn proof_material(&self, request: ProofRequest) -> Result<Material, AdapterError> {
        self.noted(self.ensure_network().await)?;
        self.noted(self.material(request).await)
    }
}
