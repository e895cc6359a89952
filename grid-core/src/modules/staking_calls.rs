//! Call data of evidence and certificates, both ways.

use alloy_primitives::Bytes;

use super::{CallError, abi::Staking};
use crate::{
    grid::{CommitCertificate, RecoverableSignature, VoteKind, validators::MAX_VALIDATORS},
    staking::{Equivocation, SignedVote},
};

fn signature(bytes: &[u8]) -> Result<RecoverableSignature, CallError> {
    RecoverableSignature::from_slice(bytes).ok_or_else(|| {
        CallError::Revert(format!("a signature has 65 bytes, found {}", bytes.len()))
    })
}

fn vote(vote: &Staking::Vote) -> Result<SignedVote, CallError> {
    let kind = VoteKind::from_code(vote.kind)
        .ok_or_else(|| CallError::Revert(format!("there is no vote of kind {}", vote.kind)))?;
    Ok(SignedVote { kind, block_hash: vote.blockHash, signature: signature(&vote.signature)? })
}

pub(super) fn equivocation(
    call: &Staking::reportEquivocationCall,
) -> Result<Equivocation, CallError> {
    let (one, other) = (vote(&call.one)?, vote(&call.other)?);
    Ok(Equivocation { height: call.height, round: call.round, one, other })
}

pub(super) fn certificate(
    call: &Staking::recordCommitCall,
) -> Result<CommitCertificate, CallError> {
    if call.signatures.len() > MAX_VALIDATORS {
        return Err(CallError::Revert(format!("at most {MAX_VALIDATORS} signatures")));
    }
    let signatures =
        call.signatures.iter().map(|bytes| signature(bytes)).collect::<Result<_, _>>()?;
    let (height, round, block_hash) = (call.height, call.round, call.blockHash);
    Ok(CommitCertificate { height, round, block_hash, signatures })
}

fn bytes(signature: &RecoverableSignature) -> Bytes {
    Bytes::copy_from_slice(signature.as_bytes())
}

impl From<&SignedVote> for Staking::Vote {
    fn from(vote: &SignedVote) -> Self {
        let SignedVote { kind, block_hash, signature } = vote;
        Self { kind: *kind as u8, blockHash: *block_hash, signature: bytes(signature) }
    }
}

impl From<&Equivocation> for Staking::reportEquivocationCall {
    fn from(evidence: &Equivocation) -> Self {
        let Equivocation { height, round, one, other } = evidence;
        Self { height: *height, round: *round, one: one.into(), other: other.into() }
    }
}

impl From<&CommitCertificate> for Staking::recordCommitCall {
    fn from(certificate: &CommitCertificate) -> Self {
        let CommitCertificate { height, round, block_hash, signatures } = certificate;
        let signatures = signatures.iter().map(bytes).collect();
        Self { height: *height, round: *round, blockHash: *block_hash, signatures }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use proptest::prelude::*;

    use super::*;

    fn signatures(seeds: &[u8]) -> Vec<RecoverableSignature> {
        seeds.iter().map(|seed| RecoverableSignature::from_bytes([*seed; 65])).collect()
    }

    proptest! {
        #[test]
        fn call_data_says_what_was_put_in(
            height in any::<u64>(),
            round in any::<u32>(),
            hash in any::<[u8; 32]>(),
            seeds in proptest::collection::vec(any::<u8>(), 0..8),
            kinds in (1u8..6, 1u8..6),
        ) {
            let block_hash = B256::from(hash);
            let shown =
                CommitCertificate { height, round, block_hash, signatures: signatures(&seeds) };
            prop_assert_eq!(certificate(&(&shown).into()), Ok(shown));
            let vote = |kind| SignedVote {
                kind: VoteKind::from_code(kind).unwrap(),
                block_hash,
                signature: RecoverableSignature::from_bytes([kind; 65]),
            };
            let evidence =
                Equivocation { height, round, one: vote(kinds.0), other: vote(kinds.1) };
            prop_assert_eq!(equivocation(&(&evidence).into()), Ok(evidence));
        }
    }

    #[test]
    fn other_kinds_sizes_and_numbers_are_refused() {
        let good = SignedVote {
            kind: VoteKind::Prevote,
            block_hash: B256::ZERO,
            signature: RecoverableSignature::from_bytes([1; 65]),
        };
        let evidence = Equivocation { height: 1, round: 0, one: good, other: good };
        for kind in [0, 6, 255] {
            let mut call = Staking::reportEquivocationCall::from(&evidence);
            call.other.kind = kind;
            assert!(equivocation(&call).is_err(), "kind {kind}");
        }
        let mut call = Staking::reportEquivocationCall::from(&evidence);
        call.one.signature = vec![1; 64].into();
        assert!(equivocation(&call).is_err());
        let many = signatures(&[1; MAX_VALIDATORS + 1]);
        let shown =
            CommitCertificate { height: 1, round: 0, block_hash: B256::ZERO, signatures: many };
        assert!(certificate(&(&shown).into()).is_err());
    }
}
