//! The binary form: strict Solidity ABI.
//!
//! ```text
//! abi.encode(ProofEnvelope)   with, by kind, in `body`:
//! claim      0 BitcoinTxClaim   1 TransactionClaim  2 ReceiptClaim  3 AccountClaim  4 StorageClaim  5 ""
//! inclusion  0 BitcoinTxBody    1 TransactionBody   2 ReceiptBody   3 AccountBody   4 StorageBody   5 ""
//! anchor     0 CertificateBody  1 abi.encode(bytes32 blockHash)
//! outcome    0 failure  1 success  2 state root (in detail)  3 unknown type (last byte of detail)
//! ```
//!
//! There is one byte string per proof: decoding is strict (no gaps, overlaps, dirty padding or
//! trailing bytes), and what is decoded must encode to the same bytes again.

use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{SolType, SolValue, abi::AbiDecoderConfig, sol};
use thiserror::Error;

use super::{
    claim::{AccountState, Claim, Outcome, ProvenLog},
    types::{Anchor, CrossChainProof, Inclusion, Segment},
};
use crate::{
    ChainId, CompatHeader,
    grid::{CommitCertificate, RecoverableSignature, Validator, ValidatorSet},
    index::ChainEntry,
    mmr::MmrProof,
    tree::TreeProof,
};

/// The most bytes of a proof in binary form: 4 MiB of trie nodes, or two Bitcoin transactions of at most
/// 1 MB, and the rest.
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

    struct NamedClaim { bytes32 chain; uint64 height; bytes32 blockHash; uint8 kind; bytes body; }
    struct BitcoinTxClaim { bytes32 txid; uint64 index; }
    struct TransactionClaim { uint64 index; bytes32 hash; }
    struct LogWire { uint64 index; address account; bytes32[] topics; bytes data; }
    struct ReceiptClaim { uint64 index; uint8 outcome; bytes32 detail; LogWire[] logs; }
    struct AccountClaim {
        address account; bool exists; uint64 nonce; uint256 balance; bytes32 storageRoot; bytes32 codeHash;
    }
    struct StorageClaim { address account; bytes32 slot; uint256 value; }

    struct BitcoinTxBody { bytes raw; uint64 index; bytes32[] branch; bytes coinbase; bytes32[] coinbaseBranch; }
    struct TransactionBody { uint64 index; bytes[] nodes; }
    struct ReceiptBody { uint64 index; bytes[] nodes; uint64[] log; }
    struct AccountBody { address account; bytes[] nodes; }
    struct StorageBody { address account; bytes[] accountNodes; bytes32 slot; bytes[] storageNodes; }

    struct CertificateBody {
        uint64 height; uint32 round; bytes32 blockHash; bytes[] signatures; Validator[] validators;
    }
}

fn decode<T>(part: &'static str, bytes: &[u8]) -> Result<T, CodecError>
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

/// What [`Claim::hash`] hashes.
pub(super) fn named_claim(claim: &Claim, header: &CompatHeader) -> Vec<u8> {
    let (kind, body) = claim_parts(claim);
    let CompatHeader { chain, height, blockHash: block_hash, .. } = *header;
    NamedClaim { chain, height, blockHash: block_hash, kind, body }.abi_encode_params()
}

/// Kind and body of a claim.
fn claim_parts(claim: &Claim) -> (u8, Bytes) {
    let (kind, body) = match claim {
        Claim::BitcoinTx { txid, index } => {
            (0, BitcoinTxClaim { txid: *txid, index: *index }.abi_encode())
        }
        Claim::Transaction { index, hash } => {
            (1, TransactionClaim { index: *index, hash: *hash }.abi_encode())
        }
        Claim::Receipt { index, outcome, log } => {
            let (outcome, detail) = match *outcome {
                Outcome::Failure {} => (0, B256::ZERO),
                Outcome::Success {} => (1, B256::ZERO),
                Outcome::PostState { root } => (2, root),
                Outcome::Unknown { tx_type } => (3, B256::with_last_byte(tx_type)),
            };
            let logs = log.iter().map(LogWire::from).collect();
            (2, ReceiptClaim { index: *index, outcome, detail, logs }.abi_encode())
        }
        Claim::Account { address, account } => (3, account_claim(*address, *account).abi_encode()),
        Claim::Storage { address, slot, value } => {
            (4, StorageClaim { account: *address, slot: *slot, value: *value }.abi_encode())
        }
        Claim::Header {} => (5, Vec::new()),
    };
    (kind, body.into())
}

fn account_claim(
    address: alloy_primitives::Address,
    account: Option<AccountState>,
) -> AccountClaim {
    let (exists, state) = account.map_or_else(
        || {
            let zero = B256::ZERO;
            let balance = alloy_primitives::U256::ZERO;
            (false, AccountState { nonce: 0, balance, storage_root: zero, code_hash: zero })
        },
        |state| (true, state),
    );
    let AccountState { nonce, balance, storage_root, code_hash } = state;
    AccountClaim {
        account: address,
        exists,
        nonce,
        balance,
        storageRoot: storage_root,
        codeHash: code_hash,
    }
}

fn decode_claim(TaggedWire { kind, body }: &TaggedWire) -> Result<Claim, CodecError> {
    let part = "claim";
    Ok(match kind {
        0 => {
            let BitcoinTxClaim { txid, index } = decode(part, body)?;
            Claim::BitcoinTx { txid, index }
        }
        1 => {
            let TransactionClaim { index, hash } = decode(part, body)?;
            Claim::Transaction { index, hash }
        }
        2 => {
            let ReceiptClaim { index, outcome, detail, logs } = decode(part, body)?;
            let outcome = match outcome {
                0 => Outcome::Failure {},
                1 => Outcome::Success {},
                2 => Outcome::PostState { root: detail },
                3 => Outcome::Unknown { tx_type: detail.0[31] },
                kind => return Err(CodecError::Kind { part: "outcome", kind }),
            };
            let log = optional("logs of the claim", logs)?.map(ProvenLog::from);
            Claim::Receipt { index, outcome, log }
        }
        3 => {
            let wire: AccountClaim = decode(part, body)?;
            let account = wire.exists.then_some(AccountState {
                nonce: wire.nonce,
                balance: wire.balance,
                storage_root: wire.storageRoot,
                code_hash: wire.codeHash,
            });
            Claim::Account { address: wire.account, account }
        }
        4 => {
            let StorageClaim { account, slot, value } = decode(part, body)?;
            Claim::Storage { address: account, slot, value }
        }
        5 if body.is_empty() => Claim::Header {},
        5 => return Err(invalid(part, &"a header claim has no body")),
        kind => return Err(CodecError::Kind { part, kind: *kind }),
    })
}

impl From<&ProvenLog> for LogWire {
    fn from(log: &ProvenLog) -> Self {
        let ProvenLog { index, address, topics, data } = log.clone();
        Self { index, account: address, topics, data }
    }
}

impl From<LogWire> for ProvenLog {
    fn from(LogWire { index, account, topics, data }: LogWire) -> Self {
        Self { index, address: account, topics, data }
    }
}

impl From<&Inclusion> for TaggedWire {
    fn from(inclusion: &Inclusion) -> Self {
        let (kind, body) = match inclusion.clone() {
            Inclusion::BitcoinTx { raw, index, branch, coinbase, coinbase_branch } => {
                let wire =
                    BitcoinTxBody { raw, index, branch, coinbase, coinbaseBranch: coinbase_branch };
                (0, wire.abi_encode())
            }
            Inclusion::Transaction { index, nodes } => {
                (1, TransactionBody { index, nodes }.abi_encode())
            }
            Inclusion::Receipt { index, nodes, log } => {
                let log = log.into_iter().collect();
                (2, ReceiptBody { index, nodes, log }.abi_encode())
            }
            Inclusion::Account { address, nodes } => {
                (3, AccountBody { account: address, nodes }.abi_encode())
            }
            Inclusion::Storage { address: account, account_nodes, slot, storage_nodes } => {
                let wire = StorageBody {
                    account,
                    accountNodes: account_nodes,
                    slot,
                    storageNodes: storage_nodes,
                };
                (4, wire.abi_encode())
            }
            Inclusion::HeaderOnly {} => (5, Vec::new()),
        };
        Self { kind, body: body.into() }
    }
}

fn decode_inclusion(TaggedWire { kind, body }: &TaggedWire) -> Result<Inclusion, CodecError> {
    let part = "inclusion";
    Ok(match kind {
        0 => {
            let wire: BitcoinTxBody = decode(part, body)?;
            let BitcoinTxBody { raw, index, branch, coinbase, coinbaseBranch } = wire;
            Inclusion::BitcoinTx { raw, index, branch, coinbase, coinbase_branch: coinbaseBranch }
        }
        1 => {
            let TransactionBody { index, nodes } = decode(part, body)?;
            Inclusion::Transaction { index, nodes }
        }
        2 => {
            let ReceiptBody { index, nodes, log } = decode(part, body)?;
            Inclusion::Receipt { index, nodes, log: optional("log of the inclusion", log)? }
        }
        3 => {
            let AccountBody { account, nodes } = decode(part, body)?;
            Inclusion::Account { address: account, nodes }
        }
        4 => {
            let StorageBody { account, accountNodes, slot, storageNodes } = decode(part, body)?;
            let (account_nodes, storage_nodes) = (accountNodes, storageNodes);
            Inclusion::Storage { address: account, account_nodes, slot, storage_nodes }
        }
        5 if body.is_empty() => Inclusion::HeaderOnly {},
        5 => return Err(invalid(part, &"a header needs no inclusion body")),
        kind => return Err(CodecError::Kind { part, kind: *kind }),
    })
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
            let wire: CertificateBody = decode(part, body)?;
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
        1 => Anchor::BlockHash { hash: decode(part, body)? },
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
        let segment = Self::from(decode::<SegmentWire>("segment", bytes)?);
        if *segment.to_abi() == *bytes { Ok(segment) } else { Err(CodecError::NotCanonical) }
    }
}

impl CrossChainProof {
    /// The canonical binary form.
    #[must_use]
    pub fn to_abi(&self) -> Bytes {
        let (kind, body) = claim_parts(&self.claim);
        let wire = ProofWire {
            version: self.version,
            claim: TaggedWire { kind, body },
            source: self.source.to_string(),
            header: self.header.clone(),
            inclusion: TaggedWire::from(&self.inclusion),
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
        let wire: ProofWire = decode("proof", bytes)?;
        let proof = Self {
            version: wire.version,
            claim: decode_claim(&wire.claim)?,
            source: wire.source.parse::<ChainId>().map_err(|error| invalid("source", &error))?,
            header: wire.header,
            inclusion: decode_inclusion(&wire.inclusion)?,
            segments: wire.segments.into_iter().map(Segment::from).collect(),
            anchor: decode_anchor(&wire.anchor)?,
        };
        if *proof.to_abi() == *bytes { Ok(proof) } else { Err(CodecError::NotCanonical) }
    }
}
