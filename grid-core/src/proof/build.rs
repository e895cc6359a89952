//! Putting a proof together. Pure: whoever calls has fetched the parts.

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::Decodable;

use super::{
    types::{Anchor, CrossChainProof, Inclusion, PROOF_VERSION, Segment},
    verify::{VerifyError, prove_claim},
};
use crate::{ChainId, CompatHeader, bitcoin::spv::TxProof, index::ChainEntry, mmr::MmrProof};

/// Puts the parts together. The claim is what the inclusion shows, so a proof can't be built from
/// an inclusion that does not fit the header.
///
/// # Errors
/// As [`prove_claim`].
pub fn assemble(
    header: CompatHeader,
    source: ChainId,
    inclusion: Inclusion,
    segment: Segment,
    anchor: Anchor,
) -> Result<CrossChainProof, VerifyError> {
    let claim = prove_claim(&source, &header, &inclusion)?;
    let segments = vec![segment];
    Ok(CrossChainProof {
        version: PROOF_VERSION,
        claim,
        source,
        header,
        inclusion,
        segments,
        anchor,
    })
}

/// The segment of chain `at` of the sorted index entries, under a Grid block's header. `None` where there is
/// no such entry.
#[must_use]
pub fn segment(
    accumulator: MmrProof,
    entries: &[ChainEntry],
    at: usize,
    grid_header: Bytes,
) -> Option<Segment> {
    let entry = entries.get(at)?.clone();
    let index = crate::index::prove_entry(entries, at)?;
    Some(Segment { accumulator, entry, index, grid_header })
}

impl Segment {
    /// Height and hash of the segment's Grid block, unchecked; `None` where its header is not RLP.
    #[must_use]
    pub fn grid_block(&self) -> Option<(u64, B256)> {
        let header = Header::decode(&mut self.grid_header.as_ref()).ok()?;
        Some((header.number, keccak256(&self.grid_header)))
    }
}

impl CrossChainProof {
    /// Height and hash of the Grid block that anchors the proof, unchecked: for looking up what a
    /// verifier knows about that block.
    #[must_use]
    pub fn grid_block(&self) -> Option<(u64, B256)> {
        self.segments.last().and_then(Segment::grid_block)
    }
}

impl From<TxProof> for Inclusion {
    fn from(proof: TxProof) -> Self {
        Self::BitcoinTx(proof)
    }
}
