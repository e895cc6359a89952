//! Aggregate signatures of sync committees, on blst.
//!
//! Decompressing and checking 512 keys costs some 40 ms, a verification with known keys one. Two things
//! keep that away from almost every update. A committee comes with the sum of its keys, under the same root:
//! that sum less the absent members is what most signatures are by, and only the absent members' keys
//! are decompressed. And the points of the few committees in use are kept in a [`KeyCache`], which is
//! no part of any store: it can be dropped at any time and only costs time.

use std::sync::{Arc, OnceLock};

use alloy_primitives::{B256, FixedBytes};
use blst::{
    BLST_ERROR,
    min_pk::{AggregatePublicKey, PublicKey, Signature},
};

use super::{
    error::SyncError,
    merkle,
    types::{BeaconBlockHeader, PublicKeyBytes, SyncAggregate, SyncCommittee},
};

/// The ciphersuite of the beacon chain: proof of possession.
const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// `DOMAIN_SYNC_COMMITTEE`.
const DOMAIN_SYNC_COMMITTEE: [u8; 4] = [7, 0, 0, 0];

/// Committees kept: the current and the next one of eight chains, 100 KB each.
const KEPT: usize = 16;

/// A committee's points, each decompressed and checked when it is first needed.
#[derive(Debug)]
struct CommitteeKeys {
    committee: SyncCommittee,
    /// Each member's point, where its key is one of the group and not infinity.
    points: Box<[OnceLock<Option<PublicKey>>]>,
    /// The sum that the committee comes with, where it is a key.
    sum: OnceLock<Option<AggregatePublicKey>>,
}

impl CommitteeKeys {
    fn new(committee: &SyncCommittee) -> Self {
        let points = committee.pubkeys.iter().map(|_| OnceLock::new()).collect();
        Self { committee: committee.clone(), points, sum: OnceLock::new() }
    }

    /// The members that signed, or those that did not, with their points.
    fn members(
        &self,
        aggregate: &SyncAggregate,
        signed: bool,
    ) -> impl Iterator<Item = (usize, Option<&PublicKey>)> {
        let point = |key: &PublicKeyBytes| PublicKey::key_validate(key.as_slice()).ok();
        self.points
            .iter()
            .zip(&self.committee.pubkeys)
            .zip(aggregate.flags())
            .enumerate()
            .filter(move |(_, (_, flag))| *flag == signed)
            .map(move |(index, ((known, key), _))| {
                (index, known.get_or_init(|| point(key)).as_ref())
            })
    }

    /// The committee's own sum less the absent members; none where that takes more points than
    /// [`Self::participants`], or where one of them is no key.
    ///
    /// The beacon state's `aggregate_pubkey` is the sum of the members' keys by its transition function
    /// (altair/beacon-chain.md: `get_next_sync_committee`) and stands under the same proven root as the
    /// keys: who could forge it could forge the keys.
    fn present(&self, aggregate: &SyncAggregate) -> Option<PublicKey> {
        let absent = self.points.len().saturating_sub(aggregate.participants());
        if absent.saturating_mul(2) >= self.points.len() {
            return None;
        }
        let claimed = self.committee.aggregate_pubkey.as_slice();
        let sum = self.sum.get_or_init(|| {
            let key = PublicKey::key_validate(claimed).ok();
            key.as_ref().map(AggregatePublicKey::from_public_key)
        });
        let mut sum = (*sum)?;
        for (_, point) in self.members(aggregate, false) {
            sum.sub_aggregate(&AggregatePublicKey::from_public_key(point?));
        }
        Some(sum.to_public_key())
    }

    /// The sum of the participants' points, from nothing but the keys.
    fn participants(&self, aggregate: &SyncAggregate) -> Result<PublicKey, SyncError> {
        let mut signers = Vec::with_capacity(aggregate.participants());
        for (index, point) in self.members(aggregate, true) {
            signers.push(point.ok_or(SyncError::PublicKey(index))?);
        }
        AggregatePublicKey::aggregate(&signers, false)
            .map(|sum| sum.to_public_key())
            .map_err(|_| SyncError::NoParticipants)
    }
}

/// The points of the committees used last. A copy shares them.
#[derive(Debug, Clone, Default)]
pub struct KeyCache {
    kept: Vec<Arc<CommitteeKeys>>,
}

impl KeyCache {
    /// An empty cache.
    #[must_use]
    pub const fn new() -> Self {
        Self { kept: Vec::new() }
    }

    fn keys(&mut self, committee: &SyncCommittee) -> Arc<CommitteeKeys> {
        let found = self.kept.iter().position(|keys| keys.committee == *committee);
        let keys = match found {
            Some(at) => self.kept.remove(at),
            None => Arc::new(CommitteeKeys::new(committee)),
        };
        self.kept.truncate(KEPT.saturating_sub(1));
        self.kept.insert(0, Arc::clone(&keys));
        keys
    }

    /// Verifies the committee's aggregate signature over a header, for a fork of a network.
    ///
    /// # Errors
    /// [`SyncError`] where the bits do not fit, a key or the signature is no valid point, or the
    /// signature is not by exactly the participants.
    // altair/sync-protocol.md: validate_light_client_update, "Verify sync committee aggregate signature"
    pub fn verify(
        &mut self,
        committee: &SyncCommittee,
        aggregate: &SyncAggregate,
        signature_slot: u64,
        signing_root: &B256,
    ) -> Result<(), SyncError> {
        let (bits, members) = (aggregate.members(), committee.pubkeys.len());
        if bits != members {
            return Err(SyncError::BitCount { bits, members });
        }
        // Infinity is a sum of no signatures and never one of participants.
        let signature = Signature::sig_validate(aggregate.signature.as_slice(), true)
            .map_err(|_| SyncError::SignatureEncoding)?;
        let keys = self.keys(committee);
        let is_by = |signer: &PublicKey| {
            let message = signing_root.as_slice();
            let result =
                signature.fast_aggregate_verify_pre_aggregated(false, message, CIPHERSUITE, signer);
            result == BLST_ERROR::BLST_SUCCESS
        };
        // What the short way refuses is judged by the keys themselves, as the spec does.
        if keys.present(aggregate).is_some_and(|signer| is_by(&signer))
            || is_by(&keys.participants(aggregate)?)
        {
            return Ok(());
        }
        let participants = aggregate.participants();
        Err(SyncError::Signature { slot: signature_slot, participants })
    }
}

/// What a sync committee signs: `compute_signing_root` of the header in the committee's domain.
#[must_use]
pub fn signing_root(
    header: &BeaconBlockHeader,
    fork_version: FixedBytes<4>,
    genesis_validators_root: &B256,
) -> B256 {
    // phase0/beacon-chain.md: compute_fork_data_root, compute_domain
    let fork_data = merkle::node(&merkle::bytes(fork_version.as_slice()), genesis_validators_root);
    let mut domain = DOMAIN_SYNC_COMMITTEE.to_vec();
    domain.extend(fork_data.iter().take(28));
    merkle::node(&header.root(), &merkle::bytes(&domain))
}

#[cfg(test)]
mod tests {
    use blst::min_pk::{AggregateSignature, SecretKey};

    use super::*;

    const MESSAGE: B256 = B256::repeat_byte(7);

    fn secrets() -> Vec<SecretKey> {
        (1..=16).map(|n| SecretKey::key_gen(&[n; 32], &[]).unwrap()).collect()
    }

    fn committee() -> SyncCommittee {
        let keys: Vec<_> = secrets().iter().map(SecretKey::sk_to_pk).collect();
        let keys: Vec<_> = keys.iter().collect();
        let sum = AggregatePublicKey::aggregate(&keys, false).unwrap().to_public_key();
        SyncCommittee {
            pubkeys: keys.iter().map(|key| FixedBytes(key.to_bytes())).collect(),
            aggregate_pubkey: FixedBytes(sum.to_bytes()),
        }
    }

    /// The message, signed by the members whose bits are set.
    fn signed(bits: u16) -> SyncAggregate {
        let signatures: Vec<_> = secrets()
            .iter()
            .enumerate()
            .filter(|(n, _)| (bits >> n) & 1 == 1)
            .map(|(_, key)| key.sign(MESSAGE.as_slice(), CIPHERSUITE, &[]))
            .collect();
        let signatures: Vec<_> = signatures.iter().collect();
        let sum = AggregateSignature::aggregate(&signatures, false).unwrap().to_signature();
        SyncAggregate { bits: bits.to_le_bytes().into(), signature: FixedBytes(sum.to_bytes()) }
    }

    fn known_points(keys: &KeyCache) -> usize {
        keys.kept[0].points.iter().filter(|point| point.get().is_some()).count()
    }

    #[test]
    fn only_the_absent_members_keys_are_decompressed() {
        let committee = committee();
        for (bits, expected) in [(u16::MAX, 0), (0xfffe, 1), (0x7ff7, 2), (0x00ff, 8)] {
            let mut keys = KeyCache::new();
            keys.verify(&committee, &signed(bits), 1, &MESSAGE).unwrap();
            assert_eq!(known_points(&keys), expected, "{bits:04x}");
        }
    }

    #[test]
    fn the_keys_decide_where_the_committees_sum_does_not_help() {
        let other = SecretKey::key_gen(&[99; 32], &[]).unwrap().sk_to_pk().to_bytes();
        for sum in [FixedBytes(other), FixedBytes::ZERO, FixedBytes::repeat_byte(1)] {
            let committee = SyncCommittee { aggregate_pubkey: sum, ..committee() };
            for bits in [u16::MAX, 0xfffe, 0x00ff] {
                KeyCache::new().verify(&committee, &signed(bits), 1, &MESSAGE).unwrap();
            }
        }
    }

    #[test]
    fn a_signature_is_by_exactly_the_participants() {
        let committee = committee();
        let mut keys = KeyCache::new();
        for (claimed, by) in [(u16::MAX, 0xfffe), (0xfffe, u16::MAX), (0xfffe, 0xfffd), (1, 2)] {
            let aggregate = SyncAggregate { bits: u16::to_le_bytes(claimed).into(), ..signed(by) };
            let refused = keys.verify(&committee, &aggregate, 1, &MESSAGE);
            assert!(matches!(refused, Err(SyncError::Signature { .. })), "{refused:?}");
        }
        let refused = keys.verify(&committee, &signed(u16::MAX), 1, &B256::ZERO);
        assert!(matches!(refused, Err(SyncError::Signature { .. })), "{refused:?}");
    }

    #[test]
    fn a_participants_key_that_is_none_is_named() {
        let mut committee = committee();
        committee.pubkeys[3] = FixedBytes::ZERO;
        let refused = KeyCache::new().verify(&committee, &signed(0x00ff), 1, &MESSAGE);
        assert_eq!(refused, Err(SyncError::PublicKey(3)));
    }
}
