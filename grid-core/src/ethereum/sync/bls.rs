//! Aggregate signatures of sync committees, on blst.
//!
//! Decompressing and checking 512 keys costs some 40 ms, a verification with known keys one. So the
//! points of the few committees in use are kept in a [`KeyCache`], which is no part of any store: it
//! can be dropped at any time and only costs time.

use std::sync::Arc;

use alloy_primitives::{B256, FixedBytes};
use blst::{
    BLST_ERROR,
    min_pk::{AggregatePublicKey, PublicKey, Signature},
};

use super::{
    error::SyncError,
    merkle,
    types::{BeaconBlockHeader, SyncAggregate, SyncCommittee},
};

/// The ciphersuite of the beacon chain: proof of possession.
const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// `DOMAIN_SYNC_COMMITTEE`.
const DOMAIN_SYNC_COMMITTEE: [u8; 4] = [7, 0, 0, 0];

/// Committees kept: the current and the next one of eight chains, 100 KB each.
const KEPT: usize = 16;

/// A committee's points.
#[derive(Debug)]
struct CommitteeKeys {
    committee: SyncCommittee,
    /// Each member's point, where its key is one of the group and not infinity.
    points: Vec<Option<PublicKey>>,
    /// The sum of all points, where all are valid.
    sum: Option<AggregatePublicKey>,
}

impl CommitteeKeys {
    fn new(committee: &SyncCommittee) -> Self {
        let points: Vec<_> = committee
            .pubkeys
            .iter()
            .map(|key| PublicKey::key_validate(key.as_slice()).ok())
            .collect();
        let valid: Vec<&PublicKey> = points.iter().flatten().collect();
        let all = valid.len() == points.len();
        let sum = all.then(|| AggregatePublicKey::aggregate(&valid, false).ok()).flatten();
        Self { committee: committee.clone(), points, sum }
    }

    /// The sum of the participants' points: of them, or of all minus the absent ones, whichever
    /// takes fewer additions.
    fn participants(&self, aggregate: &SyncAggregate) -> Result<PublicKey, SyncError> {
        let members = || self.points.iter().zip(aggregate.flags()).enumerate();
        let absent = self.points.len().saturating_sub(aggregate.participants());
        if let Some(sum) = &self.sum
            && absent.saturating_mul(2) < self.points.len()
        {
            let mut sum = *sum;
            for point in
                members().filter(|(_, (_, signed))| !signed).filter_map(|(_, (p, _))| p.as_ref())
            {
                sum.sub_aggregate(&AggregatePublicKey::from_public_key(point));
            }
            return Ok(sum.to_public_key());
        }
        let mut signers = Vec::with_capacity(aggregate.participants());
        for (index, (point, _)) in members().filter(|(_, (_, signed))| *signed) {
            signers.push(point.as_ref().ok_or(SyncError::PublicKey(index))?);
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
        let signer = self.keys(committee).participants(aggregate)?;
        let result = signature.fast_aggregate_verify_pre_aggregated(
            false,
            signing_root.as_slice(),
            CIPHERSUITE,
            &signer,
        );
        if result == BLST_ERROR::BLST_SUCCESS {
            Ok(())
        } else {
            let participants = aggregate.participants();
            Err(SyncError::Signature { slot: signature_slot, participants })
        }
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
