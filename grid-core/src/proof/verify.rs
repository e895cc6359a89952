//! Checking a proof, from the fact up to the anchor.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    claim::Claim,
    ethereum::{EthereumFactError, EthereumRoots, ancestor::AncestorError},
    facts::{self, FactError},
    types::{Anchor, CrossChainProof, Inclusion, PROOF_VERSION, Segment},
};
use crate::{
    ChainId, CompatHeader, Level, Security,
    api::BlockRef,
    bitcoin::spv::BlockContext,
    grid::{CertificateError, ExtensionError, GridHeader, GridHeaderError, ValidatorSet},
    index,
    mmr::MmrError,
    tree::TreeProofError,
};

/// What a verifier trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Number of the Grid chain, `eip155:<n>`: votes are signed for it.
    pub chain_id: u64,
    /// Where trust comes from.
    pub anchor: TrustAnchor,
}

/// Where trust comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustAnchor {
    /// A validator set. The proof must carry a certificate by it.
    Validators(ValidatorSet),
    /// A Grid block hash. A certificate that the proof carries is then checked for
    /// consistency only.
    BlockHash(B256),
}

/// A value that has passed its check. Only [`verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// The value.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// The value, without the mark.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// What was proven, under which security, at which confirmation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proven {
    /// The fact.
    pub claim: Claim,
    /// [`Claim::hash`]: a name for the fact in its block.
    pub claim_hash: B256,
    /// The chain that it is about.
    pub source: ChainId,
    /// Height of its block.
    pub height: u64,
    /// Hash of its block, internal byte order.
    pub block_hash: B256,
    /// The block's own time, seconds since 1970.
    pub time: u64,
    /// The block of the index, where the fact's block is an ancestor of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ancestor_of: Option<BlockRef>,
    /// What stands behind the statement that the block belongs to the chain.
    pub security: Security,
    /// Speed level of the chain.
    pub level: Level,
    /// Headers that the index holds above the block, or above the one that it is an ancestor of.
    pub index_depth: u64,
    /// Height of the Grid block whose index was used.
    pub grid_height: u64,
    /// Hash of that Grid block.
    pub grid_block_hash: B256,
    /// Time of that Grid block, milliseconds since 1970.
    pub grid_time_ms: u64,
}

/// Why a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Another version.
    #[error("proof version {0} is not supported, expected {PROOF_VERSION}")]
    Version(u16),
    /// Not exactly one segment.
    #[error(
        "proofs over {0} segments are not supported by version {PROOF_VERSION}, which climbs exactly one level"
    )]
    Segments(usize),
    /// The header is not of the chain that the proof names.
    #[error(
        "the proof names chain {source_id} with key {expected}, its header is of chain {found}"
    )]
    SourceChain {
        /// The chain that the proof names.
        source_id: ChainId,
        /// Its key.
        expected: B256,
        /// Key in the header.
        found: B256,
    },
    /// The index entry is of another chain.
    #[error("the index entry is of chain {found}, the header of chain {expected}")]
    EntryChain {
        /// Key in the header.
        expected: B256,
        /// Key in the entry.
        found: B256,
    },
    /// The kind of inclusion does not exist on such a chain.
    #[error("chain {source_id} has no inclusion of kind {kind}")]
    Kind {
        /// The chain.
        source_id: ChainId,
        /// The kind.
        kind: &'static str,
    },
    /// The Bitcoin inclusion fails.
    #[error("bitcoin inclusion: {0}")]
    Bitcoin(#[from] FactError),
    /// The Ethereum inclusion fails.
    #[error("ethereum inclusion: {0}")]
    Ethereum(#[from] EthereumFactError),
    /// The inclusion in an ancestor fails.
    #[error("ethereum inclusion: {0}")]
    Ancestor(#[from] AncestorError),
    /// The evidence shows something else.
    #[error("the evidence shows another fact than the proof claims: {0}")]
    Claim(String),
    /// The header lies below the accumulator.
    #[error("height {height} is below {first_height}, the first height of the chain's accumulator")]
    BelowFirstHeight {
        /// Height of the header.
        height: u64,
        /// First height of the entry.
        first_height: u64,
    },
    /// The leaf is at another place than the height demands.
    #[error(
        "header {height} must be leaf {expected} of the accumulator, the proof is of leaf {found}"
    )]
    LeafIndex {
        /// Height of the header.
        height: u64,
        /// `height - firstHeight`.
        expected: u64,
        /// Leaf index of the proof.
        found: u64,
    },
    /// The accumulator proof counts other leaves than the entry.
    #[error("the accumulator proof is for {found} leaves, the index entry has {expected}")]
    LeafCount {
        /// Count of the entry.
        expected: u64,
        /// Count of the proof.
        found: u64,
    },
    /// The accumulator proof has a wrong shape.
    #[error("accumulator proof: {0}")]
    Accumulator(#[from] MmrError),
    /// The header is not in the accumulator.
    #[error("the header leads to accumulator root {found}, the index entry has {expected}")]
    AccumulatorRoot {
        /// Root of the entry.
        expected: B256,
        /// Root that header and proof lead to.
        found: B256,
    },
    /// The entry's security or level is unknown.
    #[error("the index entry has unknown security {security} or level {level}")]
    Entry {
        /// Security code.
        security: u8,
        /// Level code.
        level: u8,
    },
    /// The index proof has a wrong shape.
    #[error("index proof: {0}")]
    Index(#[from] TreeProofError),
    /// The entry is not in the index.
    #[error("the entry leads to index root {found}, the grid header has {expected}")]
    IndexRoot {
        /// Root of the Grid header.
        expected: B256,
        /// Root that entry and proof lead to.
        found: B256,
    },
    /// The Grid header cannot be decoded.
    #[error("malformed grid header: {0}")]
    GridHeader(String),
    /// The Grid header's extension cannot be decoded.
    #[error("grid header: {0}")]
    Extension(#[from] ExtensionError),
    /// The validators are not those that the Grid header names.
    #[error("the grid header names validator set {expected}, the proof carries {found}")]
    ValidatorsHash {
        /// Hash in the header.
        expected: B256,
        /// Hash of the carried set.
        found: B256,
    },
    /// The validators are not the trusted ones.
    #[error(
        "the proof is anchored in validator set {found}, trusted is {trusted}; give the set of the proof's grid height as trust"
    )]
    UntrustedValidators {
        /// Hash of the trusted set.
        trusted: B256,
        /// Hash of the carried set.
        found: B256,
    },
    /// The certificate is for another block.
    #[error(
        "the certificate is for block {found_height} {found_hash}, the grid header is block {height} {hash}"
    )]
    CertificateBlock {
        /// Height of the header.
        height: u64,
        /// Hash of the header.
        hash: B256,
        /// Height of the certificate.
        found_height: u64,
        /// Hash in the certificate.
        found_hash: B256,
    },
    /// The certificate's signatures fail.
    #[error("certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The proof has no certificate, but trust is in validators.
    #[error("the proof carries no certificate; trust in a validator set needs one")]
    NoCertificate,
    /// The Grid block is not the trusted one.
    #[error("the proof is anchored in grid block {found}, trusted is {trusted}")]
    UntrustedBlock {
        /// Trusted hash.
        trusted: B256,
        /// keccak256 of the carried header.
        found: B256,
    },
    /// The hash that the proof names is not that of its Grid header.
    #[error("the proof names grid block {named}, its header has hash {found}")]
    AnchorHash {
        /// Hash in the anchor.
        named: B256,
        /// keccak256 of the carried header.
        found: B256,
    },
}

impl From<GridHeaderError> for VerifyError {
    fn from(error: GridHeaderError) -> Self {
        match error {
            GridHeaderError::Extension(error) => Self::Extension(error),
            malformed => Self::GridHeader(malformed.to_string()),
        }
    }
}

/// Checks a proof against what the verifier trusts. Pure: needs no network, no clock and no state.
///
/// # Errors
/// The first [`VerifyError`] on the way from the fact to the anchor.
pub fn verify(proof: &CrossChainProof, trust: &Trust) -> Result<Verified<Proven>, VerifyError> {
    if proof.version != PROOF_VERSION {
        return Err(VerifyError::Version(proof.version));
    }
    let [segment] = proof.segments.as_slice() else {
        return Err(VerifyError::Segments(proof.segments.len()));
    };
    let header = &proof.header;
    let key = proof.source.key().0;
    if header.chain != key {
        let (source_id, found) = (proof.source.clone(), header.chain);
        return Err(VerifyError::SourceChain { source_id, expected: key, found });
    }
    let claim = prove_claim(&proof.source, header, &proof.inclusion)?;
    if claim != proof.claim {
        // A log's data may be long; its beginning is enough for people.
        return Err(VerifyError::Claim(format!("{claim:?}").chars().take(400).collect()));
    }
    let grid = climb(header, segment)?;
    check_anchor(&grid, &proof.anchor, trust)?;
    let entry = &segment.entry;
    let (Some(security), Some(level)) =
        (Security::from_code(entry.security), Level::from_code(entry.level))
    else {
        return Err(VerifyError::Entry { security: entry.security, level: entry.level });
    };
    let BlockRef { height, hash: block_hash } = claim.block(header);
    let (time, ancestor_of) = match claim {
        Claim::Ancestor { time, .. } => {
            (time, Some(BlockRef { height: header.height, hash: header.blockHash }))
        }
        _ => (header.time, None),
    };
    Ok(Verified(Proven {
        claim_hash: claim.hash(header),
        claim,
        source: proof.source.clone(),
        height,
        block_hash,
        time,
        ancestor_of,
        security,
        level,
        index_depth: entry.tip_height().unwrap_or_default().saturating_sub(header.height),
        grid_height: grid.header.number,
        grid_block_hash: grid.hash,
        grid_time_ms: grid.extension.timeMs,
    }))
}

/// What an inclusion shows under a header. The header itself is not judged.
///
/// # Errors
/// [`VerifyError::Kind`], [`VerifyError::Bitcoin`], [`VerifyError::Ethereum`] or [`VerifyError::Ancestor`].
pub fn prove_claim(
    source: &ChainId,
    header: &CompatHeader,
    inclusion: &Inclusion,
) -> Result<Claim, VerifyError> {
    let namespace = match inclusion {
        Inclusion::HeaderOnly {} => None,
        inclusion if inclusion.coinbase().is_some() => Some("bip122"),
        _ => Some("eip155"),
    };
    if namespace.is_some_and(|namespace| namespace != source.namespace()) {
        return Err(VerifyError::Kind { source_id: source.clone(), kind: inclusion.kind() });
    }
    Ok(match inclusion {
        Inclusion::Ethereum(proof) => proof.show(&EthereumRoots::from(header))?,
        Inclusion::EthereumAncestor(proof) => proof.show(header)?,
        Inclusion::HeaderOnly {} => Claim::Header {},
        bitcoin => facts::claim(bitcoin, &BlockContext::new(source, header.txRoot, header.height))?,
    })
}

/// From the header to the Grid block whose index holds it.
fn climb(header: &CompatHeader, segment: &Segment) -> Result<GridHeader, VerifyError> {
    let Segment { accumulator, entry, index: index_proof, grid_header } = segment;
    if entry.chain != header.chain {
        return Err(VerifyError::EntryChain { expected: header.chain, found: entry.chain });
    }
    let (height, first_height) = (header.height, entry.firstHeight);
    let expected = height
        .checked_sub(first_height)
        .ok_or(VerifyError::BelowFirstHeight { height, first_height })?;
    if accumulator.leaf_index != expected {
        return Err(VerifyError::LeafIndex { height, expected, found: accumulator.leaf_index });
    }
    if accumulator.count != entry.count {
        return Err(VerifyError::LeafCount { expected: entry.count, found: accumulator.count });
    }
    let found = accumulator.root(header.leaf())?;
    if found != entry.accumulatorRoot {
        return Err(VerifyError::AccumulatorRoot { expected: entry.accumulatorRoot, found });
    }
    let found = index::root_of(entry, index_proof)?;
    let grid = GridHeader::decode(grid_header)?;
    if found != grid.extension.indexRoot {
        return Err(VerifyError::IndexRoot { expected: grid.extension.indexRoot, found });
    }
    Ok(grid)
}

fn check_anchor(grid: &GridHeader, anchor: &Anchor, trust: &Trust) -> Result<(), VerifyError> {
    if let TrustAnchor::BlockHash(trusted) = trust.anchor
        && grid.hash != trusted
    {
        return Err(VerifyError::UntrustedBlock { trusted, found: grid.hash });
    }
    match (anchor, &trust.anchor) {
        (Anchor::Certificate { certificate, validators }, trusted) => {
            let found = validators.hash();
            if let TrustAnchor::Validators(trusted) = trusted
                && validators != trusted
            {
                return Err(VerifyError::UntrustedValidators { trusted: trusted.hash(), found });
            }
            let expected = grid.extension.validatorsHash;
            if found != expected {
                return Err(VerifyError::ValidatorsHash { expected, found });
            }
            if certificate.height != grid.header.number || certificate.block_hash != grid.hash {
                return Err(VerifyError::CertificateBlock {
                    height: grid.header.number,
                    hash: grid.hash,
                    found_height: certificate.height,
                    found_hash: certificate.block_hash,
                });
            }
            Ok(certificate.verify(trust.chain_id, validators)?)
        }
        (Anchor::BlockHash { .. }, TrustAnchor::Validators(_)) => Err(VerifyError::NoCertificate),
        (Anchor::BlockHash { hash }, TrustAnchor::BlockHash(_)) if *hash == grid.hash => Ok(()),
        (Anchor::BlockHash { hash }, TrustAnchor::BlockHash(_)) => {
            Err(VerifyError::AnchorHash { named: *hash, found: grid.hash })
        }
    }
}
