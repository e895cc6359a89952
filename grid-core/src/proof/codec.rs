//! The binary form: strict Solidity ABI.
//!
//! ```text
//! abi.encode(ProofEnvelope)   with, by kind, in `body`:
//! claim      0 BitcoinTxClaim       1 TransactionClaim    2 ReceiptClaim  3 AccountClaim  4 StorageClaim  5 ""
//!            6 BitcoinPaymentClaim  7 BitcoinDataClaim    8 BitcoinWitnessClaim    9 FactsClaim (bitcoin)
//!            10 CodeClaim           11 TransactionCountClaim   12 LogsClaim        13 FactsClaim (ethereum)
//!            14 AncestorClaim
//! inclusion  0 BitcoinTxBody        1 EthereumBody        5 ""
//!            6 BitcoinOutputBody    7 BitcoinOutputBody   8 BitcoinWitnessBody     9 BitcoinTxsBody
//!            14 AncestorBody
//! anchor     0 CertificateBody  1 abi.encode(bytes32 blockHash)
//! outcome    0 failure  1 success  2 state root (in detail)  3 unknown type (last byte of detail)
//! ```
//!
//! There is one byte string per proof: decoding is strict (no gaps, overlaps, dirty padding or
//! trailing bytes), and what is decoded must encode to the same bytes again.

use alloy_primitives::Bytes;
use alloy_sol_types::{SolType, SolValue, abi::AbiDecoderConfig, sol};
use thiserror::Error;

use super::types::{Anchor, CrossChainProof, Segment};
use crate::{
    ChainId, CompatHeader,
    grid::{CommitCertificate, RecoverableSignature, Validator, ValidatorSet},
    index::ChainEntry,
    mmr::MmrProof,
    tree::TreeProof,
};

mod claim;
mod inclusion;

pub(super) use claim::named_claim;

/// The most bytes of a proof in binary form: 4 MiB of trie nodes, or a Bitcoin transaction of at most 4 MB with
/// its witness beside a coinbase of at most 1 MB, and the rest.
pub const MAX_PROOF_BYTES: usize = 5 << 20;

/// Decoded tokens may take a few times the size of the input.
const DECODER_MEMORY: usize = 4 * MAX_PROOF_BYTES;

/// Why bytes are not a proof.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Too long.
    #[error("a proof has at most {MAX_PROOF_BYTES} bytes, found {0}")]
    TooLong(usize),
    /// Not strict ABI encoding.
    #[error("{part} is not in strict ABI encoding: {error}")]
    Abi {
        /// Which part.
        part: &'static str,
        /// What the decoder says.
        error: String,
    },
    /// A kind that this version does not know.
    #[error("unknown {part} kind {kind}")]
    Kind {
        /// Which part.
        part: &'static str,
        /// The kind's number.
        kind: u8,
    },
    /// A value that decodes but is not valid.
    #[error("{part} is invalid: {error}")]
    Value {
        /// Which part.
        part: &'static str,
        /// Why.
        error: String,
    },
    /// Another byte string is the canonical one.
    #[error("the proof is not in its canonical binary form")]
    NotCanonical,
}

sol! {
    struct TaggedWire { uint8 kind; bytes body; }
    struct AccumulatorWire { uint64 leafIndex; uint64 count; bytes32[] siblings; bytes32[] peaks; }
    struct TreeWire { uint64 index; uint64 count; bytes32[] siblings; }
    struct SegmentWire {
        AccumulatorWire accumulator; ChainEntry entry; TreeWire index; bytes gridHeader;
    }
    struct ProofWire {
        uint16 version; TaggedWire claim; string source; CompatHeader header; TaggedWire inclusion;
        SegmentWire[] segments; TaggedWire anchor;
    }

    struct CertificateBody {
        uint64 height; uint32 round; bytes32 blockHash; bytes[] signatures; Validator[] validators;
    }
}

fn read<T>(part: &'static str, bytes: &[u8]) -> Result<T, CodecError>
where
    T: SolValue + From<<T::SolType as SolType>::RustType>,
{
    let config = AbiDecoderConfig::new().strict(true).memory_limit(DECODER_MEMORY);
    T::abi_decode_with_config(bytes, config)
        .map_err(|error| CodecError::Abi { part, error: error.to_string() })
}

fn invalid(part: &'static str, error: &dyn core::fmt::Display) -> CodecError {
    CodecError::Value { part, error: error.to_string() }
}

/// At most one element.
fn optional<T>(part: &'static str, mut list: Vec<T>) -> Result<Option<T>, CodecError> {
    let last = list.pop();
    if list.is_empty() { Ok(last) } else { Err(invalid(part, &"more than one element")) }
}

impl From<&Segment> for SegmentWire {
    fn from(segment: &Segment) -> Self {
        let Segment { accumulator, entry, index, grid_header } = segment.clone();
        let MmrProof { leaf_index, count, siblings, peaks } = accumulator;
        Self {
            accumulator: AccumulatorWire { leafIndex: leaf_index, count, siblings, peaks },
            entry,
            index: TreeWire { index: index.index, count: index.count, siblings: index.siblings },
            gridHeader: grid_header,
        }
    }
}

impl From<SegmentWire> for Segment {
    fn from(SegmentWire { accumulator, entry, index, gridHeader }: SegmentWire) -> Self {
        let AccumulatorWire { leafIndex, count, siblings, peaks } = accumulator;
        Self {
            accumulator: MmrProof { leaf_index: leafIndex, count, siblings, peaks },
            entry,
            index: TreeProof { index: index.index, count: index.count, siblings: index.siblings },
            grid_header: gridHeader,
        }
    }
}

impl From<&Anchor> for TaggedWire {
    fn from(anchor: &Anchor) -> Self {
        let (kind, body) = match anchor {
            Anchor::Certificate { certificate, validators } => {
                let signatures =
                    certificate.signatures.iter().map(|signature| (*signature).into()).collect();
                let wire = CertificateBody {
                    height: certificate.height,
                    round: certificate.round,
                    blockHash: certificate.block_hash,
                    signatures,
                    validators: validators.as_slice().to_vec(),
                };
                (0, wire.abi_encode())
            }
            Anchor::BlockHash { hash } => (1, hash.abi_encode()),
        };
        Self { kind, body: body.into() }
    }
}

fn decode_anchor(TaggedWire { kind, body }: &TaggedWire) -> Result<Anchor, CodecError> {
    let part = "anchor";
    Ok(match kind {
        0 => {
            let wire: CertificateBody = read(part, body)?;
            let signatures = wire
                .signatures
                .into_iter()
                .map(RecoverableSignature::try_from)
                .collect::<Result<_, _>>()
                .map_err(|error| invalid(part, &error))?;
            let certificate = CommitCertificate {
                height: wire.height,
                round: wire.round,
                block_hash: wire.blockHash,
                signatures,
            };
            let validators =
                ValidatorSet::new(wire.validators).map_err(|error| invalid(part, &error))?;
            Anchor::Certificate { certificate, validators }
        }
        1 => Anchor::BlockHash { hash: read(part, body)? },
        kind => return Err(CodecError::Kind { part, kind: *kind }),
    })
}

impl Segment {
    /// The segment's binary form, by itself.
    #[must_use]
    pub fn to_abi(&self) -> Bytes {
        SegmentWire::from(self).abi_encode().into()
    }

    /// Reads the binary form of one segment.
    ///
    /// # Errors
    /// [`CodecError`] unless the bytes are the canonical form of a segment.
    pub fn from_abi(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(CodecError::TooLong(bytes.len()));
        }
        let segment = Self::from(read::<SegmentWire>("segment", bytes)?);
        if *segment.to_abi() == *bytes { Ok(segment) } else { Err(CodecError::NotCanonical) }
    }
}

impl CrossChainProof {
    /// The canonical binary form.
    #[must_use]
    pub fn to_abi(&self) -> Bytes {
        let (kind, body) = claim::encode(&self.claim);
        let wire = ProofWire {
            version: self.version,
            claim: TaggedWire { kind, body },
            source: self.source.to_string(),
            header: self.header.clone(),
            inclusion: inclusion::encode(&self.inclusion),
            segments: self.segments.iter().map(SegmentWire::from).collect(),
            anchor: TaggedWire::from(&self.anchor),
        };
        wire.abi_encode().into()
    }

    /// Reads the binary form.
    ///
    /// # Errors
    /// [`CodecError`] unless the bytes are the canonical form of a proof.
    pub fn from_abi(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.len() > MAX_PROOF_BYTES {
            return Err(CodecError::TooLong(bytes.len()));
        }
        let wire: ProofWire = read("proof", bytes)?;
        let proof = Self {
            version: wire.version,
            claim: claim::decode(&wire.claim)?,
            source: wire.source.parse::<ChainId>().map_err(|error| invalid("source", &error))?,
            header: wire.header,
            inclusion: inclusion::decode(&wire.inclusion)?,
            segments: wire.segments.into_iter().map(Segment::from).collect(),
            anchor: decode_anchor(&wire.anchor)?,
        };
        if *proof.to_abi() == *bytes { Ok(proof) } else { Err(CodecError::NotCanonical) }
    }
}
