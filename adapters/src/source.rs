//! The seam between a chain's nodes and everything that uses them.

use alloy_primitives::{B256, Bytes};
use async_trait::async_trait;
use grid_core::{
    ChainId, CompatHeader,
    api::SyncStatus,
    committee::grid_object,
    ethereum::sync::SyncData,
    grid::light::LightBlock,
    proof::{Inclusion, ethereum::EthereumFact, facts::BitcoinFact},
};
use serde::{Deserialize, Serialize};

use crate::{AdapterError, SourceView};

/// A chain as seen through one or several of its nodes.
///
/// Every answer is checked against itself: hashes are recomputed, headers linked, roots rebuilt. Which
/// of two valid branches is the active one is the node's word; that is what the main chain's light
/// client decides for itself.
#[async_trait]
pub trait SourceChain: Send + Sync {
    /// The chain's CAIP-2 id.
    fn id(&self) -> &ChainId;

    /// The newest block that this source vouches for: the active tip, or what the configured
    /// [`FollowHead`](crate::ethereum::FollowHead) says. The first call, and the first after a failure,
    /// makes sure that the node belongs to this chain's network and is ready to serve.
    ///
    /// # Errors
    /// The first obstacle, with its fix.
    async fn tip(&self) -> Result<SourceTip, AdapterError>;

    /// Up to `count` headers of the active chain, ascending from height `from`, each the parent of the
    /// next, every hash recomputed. Shorter where the tip is reached and where a source limits one
    /// answer (at most [`MAX_HEADERS`]); empty above the tip.
    ///
    /// # Errors
    /// [`AdapterError::Reorganised`] when the active chain changed between two questions: ask again.
    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError>;

    /// What a proof needs from the source: the header and the inclusion in it, already verified here.
    /// Whether the main chain has confirmed that header is not this crate's question.
    ///
    /// # Errors
    /// [`AdapterError::NotFound`] when the node does not know the object,
    /// [`AdapterError::NotIncluded`] when it is in no block yet.
    async fn proof_material(&self, request: ProofRequest) -> Result<Material, AdapterError>;

    /// Returns when [`tip`](Self::tip) may have something new. Only a wake-up: it may come for nothing
    /// and may not come at all, so callers also ask from time to time. Never returns where the source
    /// has no such signal. Dropping the future ends the wait.
    async fn changed(&self) {
        core::future::pending().await
    }

    /// What is known beyond the tip, as of the last [`tip`](Self::tip): nothing is asked for it.
    fn view(&self) -> SourceView {
        SourceView::default()
    }
}

impl dyn SourceChain {
    /// The active chain's header at a height; `None` above the tip.
    ///
    /// # Errors
    /// As [`headers`](SourceChain::headers).
    pub async fn header_at(&self, height: u64) -> Result<Option<SourceHeader>, AdapterError> {
        Ok(self.headers(height, 1).await?.into_iter().next())
    }
}

/// A chain whose final blocks prove themselves, and the proofs.
///
/// The tip of such a source is a block that its own light client has seen final. What a caller carries
/// to another light client is verified there again.
#[async_trait]
pub trait FinalityChain: SourceChain {
    /// What a light client at `position` is missing to be where this source is: of a beacon chain its bootstrap if it
    /// has not started, the update of each period that it has not entered, the newest finality; of a Grid chain the
    /// certified blocks that lead to the newest. In the order
    /// in which they are to be submitted; any beginning of the list makes progress by itself. At most
    /// [`MAX_SYNC_DATA`] objects; empty where there is nothing newer.
    ///
    /// A source that has no trusted block of its own takes that of `position`, which is why it is to be
    /// asked this before its tip.
    ///
    /// # Errors
    /// The first obstacle, with its fix.
    async fn finality_data(&self, position: &SyncStatus)
    -> Result<Vec<FinalityData>, AdapterError>;

    /// Height and hash of a block by its hash, such as one that a light client names final;
    /// `None` where no endpoint knows it. The header is hashed, so the height is the block's own.
    ///
    /// # Errors
    /// When no endpoint answers.
    async fn block(&self, hash: B256) -> Result<Option<SourceTip>, AdapterError>;
}

/// A light-client object as the main chain takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalityData {
    /// Its binary form, the kind first.
    pub bytes: Bytes,
    /// The slot that it proves final; on a Grid chain the height.
    pub slot: u64,
    /// Hash of the block that it names final; headers must lead to it.
    pub anchor: B256,
}

impl FinalityData {
    /// An object of a beacon chain; `None` for a kind that proves nothing final.
    #[must_use]
    pub fn of_sync(data: &SyncData) -> Option<Self> {
        let header = match data {
            SyncData::Bootstrap(bootstrap) => &bootstrap.header,
            SyncData::Update(update) => &update.finalized_header,
            SyncData::FinalityUpdate(update) => &update.finalized_header,
            _ => return None,
        };
        let (slot, anchor) = (header.beacon.slot, header.execution_block_hash);
        Some(Self { bytes: data.encode().into(), slot, anchor })
    }

    /// A certified block of a Grid chain.
    #[must_use]
    pub fn of_grid(block: &LightBlock) -> Self {
        let (slot, anchor) = (block.certificate.height, block.certificate.block_hash);
        Self { bytes: grid_object(block).into(), slot, anchor }
    }
}

/// Most objects in one answer of [`FinalityChain::finality_data`]: what the main chain takes in one call.
pub const MAX_SYNC_DATA: usize = 16;

/// Most headers in one answer of [`SourceChain::headers`]: Bitcoin's REST and P2P limit.
pub const MAX_HEADERS: usize = 2_000;

/// Height and hash of a source's newest block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceTip {
    /// Height.
    pub height: u64,
    /// Block hash, the chain's internal byte order.
    pub hash: B256,
}

/// One header, in common form and as the chain writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHeader {
    /// The common form; `block_hash` is recomputed from `raw`.
    pub compat: CompatHeader,
    /// The evidence for the main chain: Bitcoin's 80 bytes, Ethereum's RLP.
    pub raw: Bytes,
}

/// What to prove. Hashes are in the chain's internal byte order (for Bitcoin the reverse of what is
/// shown).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum ProofRequest {
    /// Facts about Bitcoin transactions of one block: that they are in it, what outputs pay, data, a witness.
    Bitcoin {
        /// The facts, at least one; a witness stands alone.
        facts: Vec<BitcoinFact>,
        /// The block, where known: a node without a transaction index needs it.
        block_hash: Option<B256>,
    },
    /// Facts about one block of an Ethereum chain.
    Ethereum {
        /// The facts, at least one.
        facts: Vec<EthereumFact>,
        /// Height of the block. Where absent, the block of the transactions that the facts name, or, where they
        /// name none, the source's head.
        block: Option<u64>,
        /// Height of a later block whose state names the block's hash (EIP-2935): the facts are then shown under
        /// this one's header, for a block below the index. At most 8,191 above the block.
        via: Option<u64>,
    },
}

impl ProofRequest {
    /// One word for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Bitcoin { .. } => "bitcoin transaction",
            Self::Ethereum { .. } => "ethereum facts",
        }
    }
}

/// What a source contributes to a proof.
#[derive(Debug, Clone)]
pub struct Material {
    /// Header of the block that includes the object, or of the later one that it is shown through.
    pub header: CompatHeader,
    /// The inclusion part, verified against `header`.
    pub inclusion: Inclusion,
}
