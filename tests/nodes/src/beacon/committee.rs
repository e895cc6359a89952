//! Validators with real BLS keys, and the sync committees they form.

use std::fmt;

use alloy_primitives::{B256, FixedBytes, U256, uint};
use blst::min_pk::{AggregatePublicKey, PublicKey, SecretKey};
use grid_core::ethereum::sync::{SyncCommittee, merkle};

/// Order of the group of BLS12-381: secret keys are added modulo this.
const GROUP_ORDER: U256 =
    uint!(0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001_U256);

/// The ciphersuite of the beacon chain.
const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// All validators: twice as many as a committee has members.
pub struct Validators {
    members: usize,
    secrets: Vec<U256>,
    points: Vec<PublicKey>,
}

impl fmt::Debug for Validators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validators").field("members", &self.members).finish_non_exhaustive()
    }
}

impl Validators {
    /// Keys that follow from a seed.
    pub fn new(seed: u64, members: usize) -> Self {
        let secret = |index: u64| {
            let material = merkle::node(&merkle::uint(seed), &merkle::uint(index));
            SecretKey::key_gen(material.as_slice(), &[]).expect("32 bytes are enough")
        };
        let keys: Vec<SecretKey> = (0..2 * members as u64).map(secret).collect();
        Self {
            members,
            secrets: keys.iter().map(|key| U256::from_be_bytes(key.to_bytes())).collect(),
            points: keys.iter().map(SecretKey::sk_to_pk).collect(),
        }
    }

    /// The validators of a period's committee: half a committee and one further each period, so that
    /// each shares members with its neighbours and equals neither.
    fn seats(&self, period: u64) -> impl Iterator<Item = usize> {
        let all = self.secrets.len();
        let step = self.members as u64 / 2 + 1;
        let first = usize::try_from(period.wrapping_mul(step) % all as u64).unwrap_or_default();
        (0..self.members).map(move |seat| (first + seat) % all)
    }

    /// The committee of a period.
    pub fn committee(&self, period: u64) -> SyncCommittee {
        let points: Vec<&PublicKey> = self.seats(period).map(|index| &self.points[index]).collect();
        let sum = AggregatePublicKey::aggregate(&points, false).expect("a committee has members");
        SyncCommittee {
            pubkeys: points.iter().map(|point| FixedBytes(point.to_bytes())).collect(),
            aggregate_pubkey: FixedBytes(sum.to_public_key().to_bytes()),
        }
    }

    /// The aggregate signature of a committee's participants: one signature by the sum of their keys.
    pub fn sign(&self, period: u64, bits: &[u8], message: &B256) -> FixedBytes<96> {
        let sum = self
            .seats(period)
            .enumerate()
            .filter(|(seat, _)| bits[seat / 8] >> (seat % 8) & 1 == 1)
            .fold(U256::ZERO, |sum, (_, index)| sum.add_mod(self.secrets[index], GROUP_ORDER));
        match SecretKey::from_bytes(&sum.to_be_bytes::<32>()) {
            Ok(key) => FixedBytes(key.sign(message.as_slice(), CIPHERSUITE, &[]).to_bytes()),
            // Nobody: the point at infinity.
            Err(_) => {
                let mut infinity = FixedBytes::ZERO;
                infinity.0[0] = 0xc0;
                infinity
            }
        }
    }
}

/// The bits of so many participants of a committee; who is absent changes with `turn`.
pub fn participation(members: usize, participants: usize, turn: u64) -> Vec<u8> {
    let mut bits = vec![0; members / 8];
    let first = usize::try_from(turn % members as u64).unwrap_or_default();
    (0..participants.min(members))
        .map(|seat| (first + seat) % members)
        .for_each(|seat| bits[seat / 8] |= 1 << (seat % 8));
    bits
}
