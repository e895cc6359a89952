//! Proofs by later validators than the trusted ones.
//!
//! A proof carries the certificate of its Grid block by the validators of that time. Whoever trusts an older header gets
//! there with Grid's light client: at once, if enough of the trusted validators are among the signers, or over
//! headers in between that hand the trust over.

use alloy_primitives::keccak256;
use thiserror::Error;

use super::{
    types::{Anchor, CrossChainProof},
    verify::{Proven, Trust, TrustAnchor, Verified, VerifyError, verify},
};
use crate::grid::light::{
    HandOver, HandOverError, LightBlock, LightError, LightPolicy, TrustedState,
};

/// Why a proof cannot be reached from a trusted header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The headers in between do not lead on from the trusted one.
    #[error(transparent)]
    HandOver(#[from] HandOverError),
    /// The proof's Grid block does not follow from the last trusted header.
    #[error("the proof's grid block does not follow from trusted block {trusted}: {reason}")]
    GridBlock {
        /// Height of the last trusted header.
        trusted: u64,
        /// Why.
        reason: Box<LightError>,
    },
    /// The proof has no segment or no certificate.
    #[error("the proof carries no certified grid block")]
    NoCertificate,
    /// The proof itself fails.
    #[error(transparent)]
    Proof(#[from] VerifyError),
}

/// Checks a proof against a trusted header, older or newer than its Grid block. `hand_over` leads on from the trusted
/// header, where validators with more than a third of the trusted power did not sign the proof's block. `now_ms` is
/// milliseconds since 1970.
///
/// # Errors
/// The first [`FollowError`] met on the way from the trusted header to the fact.
pub fn verify_from(
    proof: &CrossChainProof,
    start: &TrustedState,
    hand_over: Option<&HandOver>,
    policy: &LightPolicy,
    now_ms: u64,
) -> Result<Verified<Proven>, FollowError> {
    let block = grid_block(proof).ok_or(FollowError::NoCertificate)?;
    // First what the proof says of itself: its reasons tell more than those of the way to it.
    let anchor = TrustAnchor::BlockHash(keccak256(&block.header));
    let verified = verify(proof, &Trust { chain_id: start.chain_id, anchor })?;
    let trusted = match hand_over {
        Some(way) => way.follow(start, policy, now_ms)?,
        None => start.clone(),
    };
    trusted.verify_any(&block, policy, now_ms).map_err(|reason| FollowError::GridBlock {
        trusted: trusted.height,
        reason: Box::new(reason),
    })?;
    Ok(verified)
}

/// The proof's Grid block as a light client takes it.
fn grid_block(proof: &CrossChainProof) -> Option<LightBlock> {
    let Anchor::Certificate { certificate, validators } = &proof.anchor else { return None };
    Some(LightBlock {
        header: proof.segments.last()?.grid_header.clone(),
        certificate: certificate.clone(),
        validators: validators.clone(),
        next_validators: None,
    })
}

#[cfg(test)]
mod tests {
    use alloy_consensus::Header;
    use alloy_primitives::{Address, B256, Bytes};
    use alloy_sol_types::SolValue;
    use k256::ecdsa::SigningKey;

    use super::*;
    use crate::{
        grid::{Extension, GridHeader, Validator, ValidatorSet},
        proof::tests::fixture::{GRID, Validators, bitcoin_proof},
    };

    /// Three validators whose keys nobody else has.
    fn strangers() -> Validators {
        let address = |key: &SigningKey| Address::from_public_key(key.verifying_key());
        let mut keys: Vec<_> =
            (100..103u8).map(|seed| SigningKey::from_slice(&[seed; 32]).unwrap()).collect();
        keys.sort_by_key(address);
        let members = keys.iter().map(|key| Validator { account: address(key), power: 1 });
        let set = ValidatorSet::new(members.collect()).unwrap();
        Validators { keys, set }
    }

    /// The time of the proof's Grid block.
    fn time_of(proof: &CrossChainProof) -> u64 {
        GridHeader::decode(&proof.segments[0].grid_header).unwrap().extension().timeMs
    }

    fn trusted(validators: &Validators, proof: &CrossChainProof) -> TrustedState {
        TrustedState {
            chain_id: GRID,
            height: 10,
            block_hash: B256::repeat_byte(1),
            time_ms: time_of(proof) - 60_000,
            validators: validators.set.clone(),
        }
    }

    /// Block 20: decided by some, handed over to others.
    fn hand_over(from: &Validators, to: &Validators, time_ms: u64) -> LightBlock {
        let extension = Extension {
            version: 1,
            timeMs: time_ms,
            indexRoot: B256::ZERO,
            validatorsHash: from.set.hash(),
            nextValidatorsHash: to.set.hash(),
            collectionHash: B256::ZERO,
            extra: Bytes::new(),
        };
        let header = Header {
            number: 20,
            timestamp: time_ms / 1000,
            extra_data: extension.abi_encode().into(),
            ..Header::default()
        };
        let anchor = from.certify(20, header.hash_slow(), from.keys.len());
        let Anchor::Certificate { certificate, validators } = anchor else { panic!("certified") };
        LightBlock {
            header: alloy_rlp::encode(&header).into(),
            certificate,
            validators,
            next_validators: Some(to.set.clone()),
        }
    }

    #[test]
    fn a_later_set_is_reached_by_overlap_or_by_headers_in_between() {
        let (old, new) = (Validators::new(3), Validators::new(6));
        let proof = bitcoin_proof(&new, (5, 11));
        let (policy, now) = (LightPolicy::default(), time_of(&proof) + 1_000);
        let from = |start: &TrustedState, way: &[LightBlock]| {
            let way = HandOver { chain_id: GRID, blocks: way.to_vec() };
            verify_from(&proof, start, Some(&way), &policy, now).map(Verified::into_inner)
        };
        let direct = verify(&proof, &new.trust()).unwrap().into_inner();
        assert_eq!(from(&trusted(&old, &proof), &[]).unwrap(), direct);

        let strangers = strangers();
        let start = trusted(&strangers, &proof);
        let far = from(&start, &[]).unwrap_err();
        assert!(
            matches!(&far, FollowError::GridBlock { reason, .. }
            if matches!(**reason, LightError::Overlap { signed: 0, total: 3 })),
            "{far}"
        );
        let block = hand_over(&strangers, &new, time_of(&proof) - 30_000);
        assert_eq!(from(&start, std::slice::from_ref(&block)).unwrap(), direct);
        let twice = from(&start, &[block.clone(), block.clone()]).unwrap_err();
        assert!(
            matches!(twice, FollowError::HandOver(HandOverError::Block { height: 20, .. })),
            "{twice}"
        );
        let other = hand_over(&strangers, &old, time_of(&proof) - 30_000);
        assert_eq!(from(&start, &[other]).unwrap(), direct, "half of the new ones are known");
        let few = LightPolicy { max_headers: 0, ..policy };
        let way = HandOver { chain_id: GRID, blocks: vec![block] };
        let many = verify_from(&proof, &start, Some(&way), &few, now).unwrap_err();
        assert_eq!(many, HandOverError::TooMany { found: 1, most: 0 }.into());
        let foreign = HandOver { chain_id: GRID + 1, ..way };
        let error = verify_from(&proof, &start, Some(&foreign), &policy, now).unwrap_err();
        assert_eq!(error, HandOverError::Chain { trusted: GRID, found: GRID + 1 }.into());
    }

    #[test]
    fn a_newer_trusted_header_shows_older_proofs() {
        let (same, other) = (Validators::new(4), strangers());
        let proof = bitcoin_proof(&same, (5, 11));
        let (height, hash) = proof.grid_block().unwrap();
        let (policy, now) = (LightPolicy::default(), time_of(&proof) + 2_000);
        let newer = |validators: &Validators, height, block_hash| TrustedState {
            height,
            block_hash,
            time_ms: time_of(&proof) + 1_000,
            ..trusted(validators, &proof)
        };
        let check = |start: &TrustedState| verify_from(&proof, start, None, &policy, now).map(drop);
        check(&newer(&same, height + 1_000, B256::ZERO)).unwrap();
        let left = check(&newer(&other, height + 1_000, B256::ZERO)).unwrap_err();
        assert!(
            matches!(&left, FollowError::GridBlock { reason, .. }
            if matches!(**reason, LightError::Overlap { signed: 0, .. })),
            "{left}"
        );
        check(&newer(&other, height, hash)).unwrap();
        let rival = check(&newer(&same, height, B256::ZERO)).unwrap_err();
        assert!(
            matches!(&rival, FollowError::GridBlock { reason, .. }
            if matches!(**reason, LightError::Other { .. })),
            "{rival}"
        );
        let late = TrustedState { time_ms: time_of(&proof), ..newer(&same, height + 1, hash) };
        let late = check(&late).unwrap_err();
        assert!(
            matches!(&late, FollowError::GridBlock { reason, .. }
            if matches!(**reason, LightError::NotBelow { .. })),
            "{late}"
        );
    }

    #[test]
    fn what_proves_nothing_or_too_late_is_refused() {
        let validators = Validators::new(4);
        let good = bitcoin_proof(&validators, (5, 11));
        let start = trusted(&validators, &good);
        let (policy, now) = (LightPolicy::default(), time_of(&good) + 1_000);
        let refuse = |proof: &CrossChainProof, now| {
            verify_from(proof, &start, None, &policy, now).map(drop).unwrap_err()
        };
        let (_, hash) = good.grid_block().unwrap();
        let bare = CrossChainProof { anchor: Anchor::BlockHash { hash }, ..good.clone() };
        assert_eq!(refuse(&bare, now), FollowError::NoCertificate);
        let empty = CrossChainProof { segments: Vec::new(), ..good.clone() };
        assert_eq!(refuse(&empty, now), FollowError::NoCertificate);
        let expired = refuse(&good, now + policy.trusting_period_ms);
        assert!(matches!(expired, FollowError::GridBlock { .. }), "{expired}");
        let mut lie = good;
        lie.header.height += 1;
        assert!(matches!(refuse(&lie, now), FollowError::Proof(_)));
    }
}
