//! What validators sign.
//!
//! The digest names no signer: one digest serves all signatures of a certificate, so a contract
//! hashes once and calls `ecrecover` per signer.

use alloy_primitives::{Address, B256, Keccak256, Signature, U256};
use serde::{Deserialize, Serialize};

/// Domain of every vote, with its version.
pub const VOTE_DOMAIN: &[u8] = b"GRID/vote/1";

/// Which vote is signed. A certificate holds [`VoteKind::Precommit`]s for a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum VoteKind {
    /// A prevote for a block.
    Prevote = 0x01,
    /// A prevote for nothing.
    PrevoteNil = 0x02,
    /// A precommit for a block: the only kind that a commit certificate holds.
    Precommit = 0x03,
    /// A precommit for nothing.
    PrecommitNil = 0x04,
}

impl VoteKind {
    /// The kind of a code in a vote's digest.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0x01 => Self::Prevote,
            0x02 => Self::PrevoteNil,
            0x03 => Self::Precommit,
            0x04 => Self::PrecommitNil,
            _ => return None,
        })
    }

    /// Whether it is a vote for nothing.
    #[must_use]
    pub const fn is_nil(self) -> bool {
        matches!(self, Self::PrevoteNil | Self::PrecommitNil)
    }

    /// Whether it is a vote of the second step.
    #[must_use]
    pub const fn is_precommit(self) -> bool {
        matches!(self, Self::Precommit | Self::PrecommitNil)
    }
}

/// `keccak256("GRID/vote/1" ‖ kind ‖ chain id (u64 BE) ‖ height (u64 BE) ‖ round (u32 BE) ‖ block hash)`.
///
/// `block_hash` is zero for the nil kinds.
#[must_use]
pub fn vote_digest(
    kind: VoteKind,
    chain_id: u64,
    height: u64,
    round: u32,
    block_hash: B256,
) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(VOTE_DOMAIN);
    hasher.update([kind as u8]);
    hasher.update(chain_id.to_be_bytes());
    hasher.update(height.to_be_bytes());
    hasher.update(round.to_be_bytes());
    hasher.update(block_hash);
    hasher.finalize()
}

/// A secp256k1 signature `r ‖ s ‖ v` with `v` 27 or 28 and `s` in the lower half of the order: 65 bytes,
/// one accepted form per signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "alloy_primitives::Bytes", into = "alloy_primitives::Bytes")]
pub struct RecoverableSignature([u8; 65]);

impl RecoverableSignature {
    /// Takes 65 bytes `r ‖ s ‖ v`; their meaning is judged by [`Self::recover`].
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 65]) -> Self {
        Self(bytes)
    }

    /// Takes bytes from the outside; `None` unless there are exactly 65.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        <[u8; 65]>::try_from(bytes).ok().map(Self)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }

    /// The signer's address, or `None` where the signature is malformed, in the upper half, or
    /// recovers to nothing.
    #[must_use]
    pub fn recover(&self, digest: &B256) -> Option<Address> {
        let [rs @ .., v] = &self.0;
        let odd = match v {
            27 => false,
            28 => true,
            _ => return None,
        };
        let (r, s) = rs.split_at_checked(32)?;
        let signature = Signature::new(U256::from_be_slice(r), U256::from_be_slice(s), odd);
        if signature.normalize_s().is_some() {
            return None;
        }
        signature.recover_address_from_prehash(digest).ok()
    }
}

impl From<Signature> for RecoverableSignature {
    fn from(signature: Signature) -> Self {
        Self(signature.normalized_s().as_bytes())
    }
}

impl From<RecoverableSignature> for alloy_primitives::Bytes {
    fn from(signature: RecoverableSignature) -> Self {
        signature.0.to_vec().into()
    }
}

impl TryFrom<alloy_primitives::Bytes> for RecoverableSignature {
    type Error = String;

    fn try_from(bytes: alloy_primitives::Bytes) -> Result<Self, Self::Error> {
        Self::from_slice(&bytes)
            .ok_or_else(|| format!("a signature has 65 bytes (r, s, v), found {}", bytes.len()))
    }
}

impl core::fmt::Debug for RecoverableSignature {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", alloy_primitives::hex::encode_prefixed(self.0))
    }
}
