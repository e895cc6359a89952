//! What validators sign.
//!
//! The digest names no signer: one digest serves all signatures of a certificate, so a contract
//! hashes once and calls `ecrecover` per signer.

use std::sync::LazyLock;

use alloy_primitives::{Address, B256, Keccak256, Signature, keccak256};
use alloy_sol_types::SolValue;
use secp256k1::{
    Message, Secp256k1, VerifyOnly,
    ecdsa::{self, RecoveryId},
};
use serde::{Deserialize, Serialize};

/// Domain of every vote, with its version.
pub const VOTE_DOMAIN: &[u8] = b"GRID/vote/1";

/// Bitcoin Core's library: a recovery takes a fifth of the time that it takes in pure Rust, and a certificate has up to 21
/// of them or more.
static SECP: LazyLock<Secp256k1<VerifyOnly>> = LazyLock::new(Secp256k1::verification_only);

/// Which message of a round is signed. A certificate holds [`VoteKind::Precommit`]s for a block.
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
    /// The proposal of a block, which the round's votes are about: [`proposal_content`].
    Proposal = 0x05,
}

/// Where in a round something is signed: one message each, or the signer contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A proposal.
    Propose,
    /// The first vote.
    Prevote,
    /// The second vote.
    Precommit,
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
            0x05 => Self::Proposal,
            _ => return None,
        })
    }

    /// Whether it is a vote for nothing.
    #[must_use]
    pub const fn is_nil(self) -> bool {
        matches!(self, Self::PrevoteNil | Self::PrecommitNil)
    }

    /// The step to which it belongs.
    #[must_use]
    pub const fn step(self) -> Step {
        match self {
            Self::Proposal => Step::Propose,
            Self::Prevote | Self::PrevoteNil => Step::Prevote,
            Self::Precommit | Self::PrecommitNil => Step::Precommit,
        }
    }
}

/// `keccak256("GRID/vote/1" ‖ kind ‖ chain id (u64 BE) ‖ height (u64 BE) ‖ round (u32 BE) ‖ block hash)`.
///
/// `block_hash` is zero for the nil kinds, and [`proposal_content`] for a proposal.
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

/// What a proposal says, in place of a block hash: `keccak256(abi.encode(int64 validRound, bytes32 blockHash))`.
/// `valid_round` is the earlier round in which two thirds prevoted for the block; none is -1.
#[must_use]
pub fn proposal_content(valid_round: Option<u32>, block_hash: B256) -> B256 {
    let valid_round = valid_round.map_or(-1, i64::from);
    keccak256((valid_round, block_hash).abi_encode())
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
        let id = RecoveryId::from_i32(i32::from(v.checked_sub(27)?)).ok()?;
        let signature = ecdsa::RecoverableSignature::from_compact(rs, id).ok()?;
        // 29 and 30 name a point that overflows: nobody signs so, and a contract would refuse it.
        let (own, mut low) = (signature.to_standard(), signature.to_standard());
        low.normalize_s();
        if *v > 28 || low != own {
            return None;
        }
        let key = SECP.recover_ecdsa(&Message::from_digest(digest.0), &signature).ok()?;
        // Without the byte that says that both coordinates follow.
        let [_, point @ ..] = key.serialize_uncompressed();
        Some(Address::from_raw_public_key(&point))
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

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use k256::ecdsa::SigningKey;
    use proptest::prelude::*;

    use super::*;

    /// By the library that Ethereum's types come with.
    fn reference(signature: &RecoverableSignature, digest: &B256) -> Option<Address> {
        let bytes = signature.as_bytes();
        let odd = match bytes[64] {
            27 => false,
            28 => true,
            _ => return None,
        };
        let number = |part: &[u8]| U256::from_be_slice(part);
        let parsed = Signature::new(number(&bytes[..32]), number(&bytes[32..64]), odd);
        if parsed.normalize_s().is_some() {
            return None;
        }
        parsed.recover_address_from_prehash(digest).ok()
    }

    fn signed(seed: u8, digest: &B256) -> (RecoverableSignature, Address) {
        let key = SigningKey::from_slice(&[seed.clamp(1, 254); 32]).unwrap();
        let made = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
        (Signature::from(made).into(), Address::from_private_key(&key))
    }

    proptest! {
        #[test]
        fn both_libraries_recover_the_same(
            seed: u8, digest: [u8; 32], at in 0..65usize, bit in 0..8u8, noise: [u8; 32],
        ) {
            let digest = B256::from(digest);
            let (good, signer) = signed(seed, &digest);
            prop_assert_eq!(good.recover(&digest), Some(signer));
            let mut bytes = *good.as_bytes();
            bytes[at] ^= 1 << bit;
            let flipped = RecoverableSignature::from_bytes(bytes);
            prop_assert_eq!(flipped.recover(&digest), reference(&flipped, &digest));
            bytes[..32].copy_from_slice(&noise);
            let noisy = RecoverableSignature::from_bytes(bytes);
            prop_assert_eq!(noisy.recover(&digest), reference(&noisy, &digest));
        }
    }

    #[test]
    fn the_edges_of_both_numbers_are_judged_alike() {
        let order = U256::from_str_radix(
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
            16,
        )
        .unwrap();
        let one = U256::ONE;
        let edges = [U256::ZERO, one, order / U256::from(2), order / U256::from(2) + one];
        let edges: Vec<_> =
            edges.into_iter().chain([order - one, order, order + one, U256::MAX]).collect();
        let digest = B256::repeat_byte(3);
        for (r, s) in edges.iter().flat_map(|r| edges.iter().map(move |s| (r, s))) {
            for v in [0, 1, 26, 27, 28, 29, 30, 31, 255] {
                let mut bytes = [v; 65];
                bytes[..32].copy_from_slice(&r.to_be_bytes::<32>());
                bytes[32..64].copy_from_slice(&s.to_be_bytes::<32>());
                let signature = RecoverableSignature::from_bytes(bytes);
                let found = signature.recover(&digest);
                assert_eq!(found, reference(&signature, &digest), "{r} {s} {v}");
            }
        }
    }
}
