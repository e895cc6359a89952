//! Why a chain is frozen: finality that contradicts itself.

use alloy_primitives::{B256, Bytes};

use super::error::StoredError;
use crate::{
    ethereum::sync::{Conflict, NetworkConfig},
    grid::light,
};

const SIGNED: u8 = 1;
const BRANCH: u8 = 2;
const CERTIFIED: u8 = 3;

/// Two finalities of which one cannot be true.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinalityConflict {
    /// Two updates that exclude each other, each signed by two thirds of a committee.
    Signed(Box<Conflict>),
    /// An execution block that is proven final and does not descend from one that was proven before.
    Branch {
        /// Height of the block that was final first.
        height: u64,
        /// Its hash.
        known: B256,
        /// Hash of the block that was proven final later.
        other: B256,
        /// Hash of the lowest ancestor of `other` that was shown; `other` itself where none was needed.
        ancestor: B256,
    },
    /// Two blocks of one height of a Grid chain, each signed by two thirds of its validators.
    Certified {
        /// Hash of the block that was final first.
        known: B256,
        /// Hash of the other.
        other: B256,
        /// Both blocks with their certificates: [`light::Conflict::to_abi`].
        blocks: Bytes,
    },
}

impl FinalityConflict {
    /// The evidence of a Grid client; `other` is the hash of the block that came later.
    pub(super) fn certified(conflict: &light::Conflict, other: B256) -> Self {
        let (first, second) = conflict.blocks();
        let [first, second] = [first, second].map(|block| block.certificate.block_hash);
        let known = if first == other { second } else { first };
        Self::Certified { known, other, blocks: conflict.to_abi().into() }
    }

    /// What was known, and what excludes it: roots of beacon blocks or committees, or hashes of
    /// execution blocks.
    #[must_use]
    pub fn sides(&self) -> (B256, B256) {
        match self {
            Self::Signed(conflict) => (conflict.known(), conflict.other()),
            Self::Branch { known, other, .. } | Self::Certified { known, other, .. } => {
                (*known, *other)
            }
        }
    }

    /// The stored form: 1 and [`Conflict::encode`]; 2, the height in big endian and three hashes; or 3, the two
    /// hashes and [`light::Conflict::to_abi`]. The network is that of a beacon chain.
    #[must_use]
    pub fn encode(&self, network: Option<&NetworkConfig>) -> Vec<u8> {
        match self {
            Self::Signed(conflict) => {
                let mut out = vec![SIGNED];
                out.extend(network.into_iter().flat_map(|network| conflict.encode(network)));
                out
            }
            Self::Branch { height, known, other, ancestor } => {
                let mut out = vec![BRANCH];
                out.extend(height.to_be_bytes());
                [known, other, ancestor].into_iter().for_each(|hash| out.extend(hash));
                out
            }
            Self::Certified { known, other, blocks } => {
                let mut out = vec![CERTIFIED];
                [known, other].into_iter().for_each(|hash| out.extend(hash));
                out.extend(blocks);
                out
            }
        }
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`StoredError`] for anything but bytes of [`Self::encode`].
    pub fn decode(network: Option<&NetworkConfig>, bytes: &[u8]) -> Result<Self, StoredError> {
        match (bytes.split_first(), network) {
            (Some((&SIGNED, rest)), Some(network)) => {
                Ok(Self::Signed(Box::new(Conflict::decode(network, rest)?)))
            }
            (Some((&BRANCH, rest)), _) => branch(rest).ok_or(StoredError::Part("conflict")),
            (Some((&CERTIFIED, rest)), None) => {
                certified(rest).ok_or(StoredError::Part("conflict"))
            }
            _ => Err(StoredError::Part("conflict")),
        }
    }
}

fn branch(bytes: &[u8]) -> Option<FinalityConflict> {
    let (height, hashes) = bytes.split_first_chunk::<8>()?;
    let ([known, other, ancestor], []) = hashes.as_chunks::<32>() else { return None };
    let [known, other, ancestor] = [known, other, ancestor].map(B256::from);
    Some(FinalityConflict::Branch { height: u64::from_be_bytes(*height), known, other, ancestor })
}

fn certified(bytes: &[u8]) -> Option<FinalityConflict> {
    let (known, rest) = bytes.split_first_chunk::<32>()?;
    let (other, blocks) = rest.split_first_chunk::<32>()?;
    let [known, other] = [known, other].map(B256::from);
    Some(FinalityConflict::Certified { known, other, blocks: Bytes::copy_from_slice(blocks) })
}
