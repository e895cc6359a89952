//! Finality by the validators of another Grid chain.

use alloy_primitives::B256;
use alloy_sol_types::SolValue;

use super::{
    anchors::Anchor,
    error::{CommitteeError, StoredError},
    evidence::FinalityConflict,
    finality::Held,
    pending::MAX_PENDING,
    prover::Proved,
};
use crate::{
    ethereum::sync::Parts,
    grid::{
        Validator, ValidatorSet,
        light::{Accepted, GridClient, LightBlock, LightError, LightPolicy, TrustedState},
    },
    light_client::Finalized,
};

/// First byte of an object that is a certified Grid block; the kinds below it are the beacon chain's.
pub const GRID_BLOCK_KIND: u8 = 3;

/// How far above the newest certified block the next one may be, so that the headers between them have room to wait:
/// eighteen hours of blocks of one second.
pub const MAX_GRID_STEP: u64 = MAX_PENDING / 2;

/// A certified block as an object of a submission: the kind and [`LightBlock::to_abi`].
#[must_use]
pub fn grid_object(block: &LightBlock) -> Vec<u8> {
    let mut object = vec![GRID_BLOCK_KIND];
    object.extend(block.to_abi());
    object
}

/// Reads an object.
///
/// # Errors
/// [`LightError::Malformed`] for another kind, else as [`LightBlock::from_abi`].
pub fn read_grid_object(bytes: &[u8]) -> Result<LightBlock, LightError> {
    match bytes.split_first() {
        Some((&GRID_BLOCK_KIND, block)) => LightBlock::from_abi(block),
        found => {
            let kind = found.map_or_else(|| "nothing".into(), |(kind, _)| format!("kind {kind}"));
            Err(LightError::Malformed(format!(
                "a certified block begins with {GRID_BLOCK_KIND}, found {kind}"
            )))
        }
    }
}

/// The light client of a Grid chain.
#[derive(Debug, Clone)]
pub(super) struct GridProver {
    /// Hash of the registered start.
    pub(super) start: B256,
    /// Hash of the trusted block: the start, or that of the last restart.
    pub(super) checkpoint: B256,
    client: GridClient,
}

impl GridProver {
    pub(super) fn new(
        chain_id: u64,
        validators: &ValidatorSet,
        policy: LightPolicy,
        start: &[u8],
    ) -> Result<Self, CommitteeError> {
        let state = TrustedState::new(chain_id, start, validators.clone())
            .map_err(CommitteeError::GridStart)?;
        let hash = state.block_hash;
        Ok(Self { start: hash, checkpoint: hash, client: GridClient::new(state, policy) })
    }

    pub(super) fn take(
        &mut self,
        index: usize,
        bytes: &[u8],
        now_ms: u64,
    ) -> Result<Proved, CommitteeError> {
        let refused = |error| CommitteeError::Grid { index, error: Box::new(error) };
        let block = read_grid_object(bytes).map_err(refused)?;
        let (height, hash) = (block.certificate.height, block.certificate.block_hash);
        Ok(match self.client.accept(block, now_ms).map_err(refused)? {
            Accepted::Advanced => Proved::Final(Anchor { slot: height, hash }),
            Accepted::Known => Proved::Known,
            Accepted::Older => Proved::Older(height, hash),
            Accepted::Conflict => match self.client.conflict() {
                Some(conflict) => Proved::Conflict(FinalityConflict::certified(conflict, hash)),
                None => Proved::Known,
            },
        })
    }

    /// Whether a block is kept, or its header is held and the client is past it.
    pub(super) fn knows(&self, bytes: &[u8], held: Held<'_>) -> bool {
        let Ok(LightBlock { certificate, .. }) = read_grid_object(bytes) else { return false };
        let (height, hash) = (certificate.height, certificate.block_hash);
        let past = height <= self.client.newest().height;
        self.client.knows(&hash) || (past && held.hash_at(height) == Some(hash))
    }

    /// However old the block is: the governor vouches for it, and one of a long outage may be too far to reach at once.
    pub(super) fn restart(
        &mut self,
        checkpoint: B256,
        bytes: &[u8],
        froze: bool,
    ) -> Result<Anchor, CommitteeError> {
        let refused = |error| CommitteeError::Grid { index: 0, error: Box::new(error) };
        let block = read_grid_object(bytes).map_err(refused)?;
        let newest = self.client.newest();
        let (slot, known) = (block.certificate.height, newest.height);
        let found = block.certificate.block_hash;
        if found != checkpoint {
            return Err(CommitteeError::OtherCheckpoint { found, checkpoint });
        }
        if !froze && slot < known {
            return Err(CommitteeError::OldCheckpoint { slot, known });
        }
        let policy = *self.client.policy();
        let state = TrustedState::certified(newest.chain_id, &block).map_err(refused)?;
        self.checkpoint = checkpoint;
        self.client = GridClient::new(state, policy);
        Ok(Anchor { slot, hash: checkpoint })
    }

    pub(super) const fn finalized(&self) -> Finalized {
        let newest = self.client.newest();
        let hash = newest.block_hash;
        Finalized { slot: newest.height, root: hash, execution: hash }
    }

    pub(super) const fn finalized_time(&self) -> u64 {
        self.client.newest().time_ms / 1_000
    }

    /// How long what is newest may be trusted, seconds.
    pub(super) const fn trusting_seconds(&self) -> u64 {
        self.client.policy().trusting_period_ms / 1_000
    }

    /// The stored form: the head names the trusted start and the heights of the blocks that are kept.
    pub(super) fn to_parts(&self) -> Parts {
        let (first, blocks) = self.client.kept();
        let blocks: Vec<&LightBlock> = blocks.collect();
        let heights: Vec<u64> = blocks.iter().map(|block| block.certificate.height).collect();
        let set = first.validators.as_slice().to_vec();
        let head = (first.height, first.block_hash, first.time_ms, set, heights);
        let proofs = blocks.iter().map(|block| (block.certificate.height, block.to_abi()));
        Parts { head: head.abi_encode_params(), proofs: proofs.collect(), ..Parts::default() }
    }

    /// The heights of the blocks that belong to a head.
    pub(super) fn heights(head: &[u8]) -> Result<Vec<u64>, StoredError> {
        decode_head(head).map(|head| head.4)
    }

    pub(super) fn load(
        chain_id: u64,
        policy: LightPolicy,
        (start, checkpoint): (B256, B256),
        parts: &Parts,
    ) -> Result<Self, StoredError> {
        let broken = |_| StoredError::Part("validators of a Grid chain");
        let (height, block_hash, time_ms, set, _) = decode_head(&parts.head)?;
        let validators = ValidatorSet::new(set).map_err(|_| StoredError::Part("validator set"))?;
        let first = TrustedState { chain_id, height, block_hash, time_ms, validators };
        let mut client = GridClient::new(first, policy);
        for (_, bytes) in &parts.proofs {
            let block = LightBlock::from_abi(bytes).map_err(broken)?;
            client.restore(block).map_err(broken)?;
        }
        Ok(Self { start, checkpoint, client })
    }
}

/// Height, hash, time and set of the oldest state, and the heights of the blocks above it.
type Head = (u64, B256, u64, Vec<Validator>, Vec<u64>);

fn decode_head(bytes: &[u8]) -> Result<Head, StoredError> {
    Head::abi_decode_params(bytes).map_err(|_| StoredError::Part("head of a Grid chain"))
}
