//! The signing side: a header is attested when this relayer's own sources vouch for it, and never against
//! the journal.

use core::time::Duration;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use grid_adapters::{AdapterError, Class, SourceChain};
use grid_core::{ChainId, api::BlockRef, grid::RecoverableSignature};
use thiserror::Error;

use super::{AttestAnswer, AttestConfig, AttestError, AttestRequest, sign};
use crate::{
    ChainSource,
    store::{Journaled, Store, StoreError},
};

/// How long the sources may take for the sake of one question.
const SOURCES: Duration = Duration::from_secs(2);

/// Why this relayer's own keys did not sign.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OwnError {
    /// The journal could not be written, so nothing may be signed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key refused.
    #[error(transparent)]
    Key(#[from] AttestError),
    /// Another header of this height was signed as final.
    #[error(
        "{signed} was signed as final at height {height} before; find out which of the endpoints left \
         a final block"
    )]
    Conflict {
        /// Height.
        height: u64,
        /// The header that was signed.
        signed: B256,
    },
}

#[derive(Clone)]
struct Followed {
    source: Arc<dyn SourceChain>,
    /// Whether the head that is followed counts as final.
    is_final: bool,
}

/// This relayer's attester keys, with the sources that they speak for.
pub struct Attester {
    keys: Arc<[PrivateKeySigner]>,
    store: Store,
    chains: RwLock<BTreeMap<ChainId, Followed>>,
}

impl core::fmt::Debug for Attester {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Attester")
            .field("keys", &self.addresses())
            .field("chains", &self.with(|chains| chains.keys().cloned().collect::<Vec<_>>()))
            .finish_non_exhaustive()
    }
}

impl Attester {
    /// Attests those of the sources' chains that the configuration names, with all `keys`.
    #[must_use]
    pub fn new(
        keys: Arc<[PrivateKeySigner]>,
        store: Store,
        sources: &[ChainSource],
        config: &AttestConfig,
    ) -> Self {
        let chains = sources
            .iter()
            .filter_map(|source| {
                // What proves its finality needs nobody's word.
                let ChainSource::Headers(source) = source else { return None };
                let is_final = config.chains.get(source.id())?.follows_final;
                Some((source.id().clone(), Followed { source: source.clone(), is_final }))
            })
            .collect();
        Self { keys, store, chains: RwLock::new(chains) }
    }

    fn with<R>(&self, read: impl FnOnce(&BTreeMap<ChainId, Followed>) -> R) -> R {
        read(&self.chains.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn followed(&self, chain: &ChainId) -> Option<Followed> {
        self.with(|chains| chains.get(chain).cloned())
    }

    /// From now on a chain's headers are attested by this source, whose followed head may count as final; with none they are
    /// not.
    pub fn follow(&self, chain: &ChainId, source: Option<(Arc<dyn SourceChain>, bool)>) {
        let mut chains = self.chains.write().unwrap_or_else(PoisonError::into_inner);
        match source {
            Some((source, is_final)) => {
                chains.insert(chain.clone(), Followed { source, is_final });
            }
            None => {
                chains.remove(chain);
            }
        }
    }

    /// The keys' addresses.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.keys.iter().map(PrivateKeySigner::address).collect()
    }

    /// Whether requests for a chain are answered.
    #[must_use]
    pub fn attests(&self, chain: &ChainId) -> bool {
        !self.keys.is_empty() && self.with(|chains| chains.contains_key(chain))
    }

    /// Signs a header that this relayer's own sources just handed out. The journal is written first: a
    /// crash in between leaves a row without a signature, never the reverse.
    ///
    /// # Errors
    /// [`OwnError::Conflict`] when the journal forbids it.
    pub async fn sign(
        &self,
        chain: &ChainId,
        block: BlockRef,
        now: u64,
    ) -> Result<Vec<RecoverableSignature>, OwnError> {
        let is_final = self.followed(chain).is_some_and(|followed| followed.is_final);
        for address in self.addresses() {
            match self.store.journal(&address, chain, block, is_final, now).await? {
                Journaled::Sign => {}
                Journaled::Conflict(signed) => {
                    return Err(OwnError::Conflict { height: block.height, signed });
                }
            }
        }
        Ok(sign(&self.keys, chain.key(), block)?)
    }

    /// Answers another relayer. What was signed before is signed again without a question to the sources.
    pub async fn answer(&self, request: &AttestRequest, now: u64) -> AttestAnswer {
        let block = request.block();
        let Some(followed) = self.followed(&request.chain).filter(|_| !self.keys.is_empty()) else {
            return AttestAnswer::Unknown;
        };
        match self.signed_before(&request.chain, block).await {
            Ok(true) => {}
            Ok(false) => {
                let look = tokio::time::timeout(SOURCES, vouched(&followed.source, block));
                match look.await {
                    Ok(Ok(None)) => {}
                    Ok(Ok(Some(refusal))) => return refusal,
                    Ok(Err(error)) => return unable(word(&error)),
                    Err(_elapsed) => return unable("slow-sources"),
                }
            }
            Err(error) => {
                tracing::error!(%error, "the signing journal cannot be read");
                return unable("database");
            }
        }
        match self.sign(&request.chain, block, now).await {
            Ok(signatures) => AttestAnswer::Signed { signatures },
            Err(OwnError::Conflict { height, signed }) => {
                tracing::error!(chain = %request.chain, height, %signed, asked = %block.hash,
                    "asked to attest a second header at a final height; refused");
                AttestAnswer::Conflict { hash: signed }
            }
            Err(error) => {
                tracing::error!(%error, "a header was not attested");
                unable("signing")
            }
        }
    }

    async fn signed_before(&self, chain: &ChainId, block: BlockRef) -> Result<bool, StoreError> {
        for address in self.addresses() {
            if !self.store.has_attested(&address, chain, block).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// `None` where the source calls `block` its followed head or an ancestor of it.
async fn vouched(
    source: &Arc<dyn SourceChain>,
    block: BlockRef,
) -> Result<Option<AttestAnswer>, AdapterError> {
    let tip = source.tip().await?;
    let head = BlockRef { height: tip.height, hash: tip.hash };
    if block.height > head.height {
        return Ok(Some(AttestAnswer::Behind { head }));
    }
    let hash = if block.height == head.height {
        head.hash
    } else {
        match source.header_at(block.height).await? {
            Some(header) => header.compat.blockHash,
            // It was reorganised to below that height in between.
            None => return Ok(Some(AttestAnswer::Behind { head })),
        }
    };
    Ok((hash != block.hash).then_some(AttestAnswer::Disagree { hash }))
}

fn unable(reason: &str) -> AttestAnswer {
    AttestAnswer::Unable { reason: reason.into() }
}

/// An error in one fixed word: others need not know this relayer's endpoints.
const fn word(error: &AdapterError) -> &'static str {
    match error.class() {
        Class::Retry { .. } => "retry",
        Class::Wait { until } => until,
        Class::Reject { reason } | Class::Halt { reason } => reason,
    }
}
