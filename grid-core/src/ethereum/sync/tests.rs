//! The client's own rules, over a small chain signed with real keys. The spec's algorithm itself is
//! held against the official vectors, in the tests crate.

use alloy_primitives::{B256, FixedBytes};
use blst::min_pk::{AggregateSignature, SecretKey};
use proptest::prelude::*;

use super::{
    merkle::{COMMITTEE_DEPTH, CommitteeBranch, FINALITY_DEPTH, FinalityBranch},
    *,
};

mod evidence;
mod stored;

const MEMBERS: usize = 32;

/// Altair only, so that headers carry no execution block; one slot a second from time 0.
fn network() -> NetworkConfig {
    let mut network = NetworkConfig {
        preset: Preset::MINIMAL,
        seconds_per_slot: 1,
        genesis_time: 0,
        ..NetworkConfig::mainnet()
    };
    network.forks.truncate(1);
    network.forks[0].epoch = 0;
    network
}

fn secrets(seed: u8) -> Vec<SecretKey> {
    let secret = |index: usize| {
        SecretKey::key_gen(&[seed ^ u8::try_from(index).expect("few"); 32], &[]).expect("32 bytes")
    };
    (0..MEMBERS).map(secret).collect()
}

fn committee(seed: u8) -> SyncCommittee {
    let pubkeys = secrets(seed).iter().map(|s| FixedBytes(s.sk_to_pk().to_bytes())).collect();
    SyncCommittee { pubkeys, aggregate_pubkey: FixedBytes::repeat_byte(1) }
}

/// A state's root in which the three things of Altair's generalized indices stand, and their proofs.
struct State {
    root: B256,
    current: CommitteeBranch,
    next: CommitteeBranch,
    finalized: FinalityBranch,
}

fn state(current: &SyncCommittee, next: &SyncCommittee, finalized: B256) -> State {
    let mut leaves = vec![B256::ZERO; 32];
    // 54 and 55 are leaves of a tree of depth five; 105 is the right child of node 52.
    (leaves[22], leaves[23]) = (current.root(), next.root());
    let epoch = B256::repeat_byte(9);
    leaves[20] = merkle::node(&epoch, &finalized);
    let mut finality = vec![epoch];
    finality.extend(merkle::branch(&leaves, 20));
    State {
        root: merkle::root(&leaves),
        current: merkle::fill(&merkle::branch(&leaves, 22)).expect("shallow"),
        next: merkle::fill(&merkle::branch(&leaves, 23)).expect("shallow"),
        finalized: merkle::fill(&finality).expect("shallow"),
    }
}

fn header(slot: u64, state_root: B256, tag: u8) -> LightClientHeader {
    let body_root = B256::repeat_byte(tag);
    let beacon = BeaconBlockHeader { slot, state_root, body_root, ..BeaconBlockHeader::default() };
    LightClientHeader { beacon, ..LightClientHeader::default() }
}

/// Signs with the first `signers` members of a committee.
fn sign(seed: u8, signers: usize, header: &LightClientHeader) -> SyncAggregate {
    let network = network();
    let root = bls::signing_root(
        &header.beacon,
        network.fork_version(0),
        &network.genesis_validators_root,
    );
    let suite = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
    let signatures: Vec<_> =
        secrets(seed)[..signers].iter().map(|s| s.sign(root.as_slice(), suite, &[])).collect();
    let sum = AggregateSignature::aggregate(&signatures.iter().collect::<Vec<_>>(), false);
    let mut bits = vec![0; MEMBERS / 8];
    (0..signers).for_each(|member| bits[member / 8] |= 1 << (member % 8));
    SyncAggregate { bits, signature: FixedBytes(sum.expect("signed").to_signature().to_bytes()) }
}

/// What an update says; the rest follows from it.
#[derive(Clone, Copy)]
struct Plan {
    attested: u64,
    finalized: u64,
    /// Tells apart finalized headers of one slot.
    tag: u8,
    /// Seed of the next committee.
    next: Option<u8>,
    signers: usize,
}

/// The update of period 0, whose committee has seed 1 and whose next one has seed 2.
const FIRST: Plan = Plan { attested: 30, finalized: 16, tag: 7, next: Some(2), signers: MEMBERS };

fn update(plan: Plan) -> Update {
    let finalized = header(plan.finalized, B256::ZERO, plan.tag);
    let next = committee(plan.next.unwrap_or(2));
    let state = state(&committee(1), &next, finalized.beacon.root());
    let attested = header(plan.attested, state.root, 3);
    Update {
        attested_header: attested,
        next_sync_committee: plan.next.map(committee),
        next_sync_committee_branch: plan.next.map_or([B256::ZERO; COMMITTEE_DEPTH], |_| state.next),
        finalized_header: finalized,
        finality_branch: state.finalized,
        sync_aggregate: sign(if plan.attested >= 64 { 2 } else { 1 }, plan.signers, &attested),
        signature_slot: plan.attested + 1,
    }
}

fn start(policy: Policy, now: u64) -> Result<SyncClient, SyncError> {
    let state = state(&committee(1), &committee(2), B256::ZERO);
    let header = header(8, state.root, 1);
    let bootstrap = Bootstrap {
        header,
        current_sync_committee: committee(1),
        current_sync_committee_branch: state.current,
    };
    SyncClient::bootstrap(network(), policy, &header.beacon.root(), bootstrap, now)
}

/// A client that has taken [`FIRST`].
fn client(policy: Policy) -> SyncClient {
    let mut client = start(policy, 10).expect("bootstrap");
    let change = client.process(update(FIRST), 40).expect("first update");
    assert!(change.finalized && change.learned_committee && !change.rotated);
    client
}

#[test]
fn a_final_header_is_exported_and_an_optimistic_one_only_on_request() {
    let strict = client(Policy::default());
    assert_eq!(strict.finalized().expect("final").beacon.slot, 16);
    assert_eq!(strict.optimistic(), Err(SyncError::OptimisticOff));
    let loose = client(Policy { export_optimistic: true, ..Policy::default() });
    assert_eq!(loose.optimistic().expect("allowed").beacon.slot, 30);
    assert_eq!(loose.policy().loosened(), ["export_optimistic"]);
    assert!(strict.policy().loosened().is_empty());
}

#[test]
fn an_old_checkpoint_and_a_late_clock_stop_the_client() {
    let week = Policy::default().max_checkpoint_age;
    assert!(start(Policy::default(), 8 + week).is_ok());
    let stale = SyncError::StaleCheckpoint { slot: 8, age: week + 1, most: week };
    assert_eq!(start(Policy::default(), 9 + week).err(), Some(stale));
    assert!(start(Policy { max_checkpoint_age: 0, ..Policy::default() }, 9 + week).is_ok());
    let late = SyncError::ClockBehind { now: 7, finalized: 8 };
    assert_eq!(start(Policy::default(), 7).err(), Some(late));
    assert!(start(Policy { check_clock: false, ..Policy::default() }, 7).is_ok());

    let client = client(Policy::default());
    let bytes = client.store().encode(&network());
    let store = Store::decode(&network(), &bytes).expect("its own bytes");
    let exported = *client.finalized().expect("final");
    let resume =
        |now| SyncClient::resume(network(), Policy::default(), store.clone(), exported, now).err();
    assert_eq!(resume(16 + week), None);
    assert!(matches!(resume(17 + week), Some(SyncError::StaleCheckpoint { slot: 16, .. })));
}

#[test]
fn a_period_is_entered_only_with_the_committee_after_it() {
    let blind = Plan { attested: 80, finalized: 64, tag: 7, next: None, signers: MEMBERS };
    let mut strict = client(Policy::default());
    assert_eq!(strict.process(update(blind), 90), Err(SyncError::RotationWithoutNext(1)));
    let change = strict.process(update(Plan { next: Some(4), ..blind }), 90).expect("complete");
    assert!(change.rotated && change.learned_committee);
    let mut loose = client(Policy { require_next_committee: false, ..Policy::default() });
    assert!(loose.process(update(blind), 90).expect("as the spec").rotated);
    assert!(loose.store().next_sync_committee().is_none());
}

#[test]
fn a_forced_header_is_never_exported() {
    let mut strict = client(Policy::default());
    assert_eq!(strict.force_update(500), Err(SyncError::ForceUpdateOff));
    let mut loose = client(Policy { allow_force_update: true, ..Policy::default() });
    loose.process(update(Plan { attested: 40, signers: 12, ..FIRST }), 50).expect("weak");
    assert_eq!(loose.force_update(80).expect("allowed"), Change::default(), "too early");
    assert!(loose.force_update(500).expect("allowed").finalized);
    assert_eq!(loose.store().finalized_header().beacon.slot, 40);
    assert_eq!(loose.finalized().expect("the old one").beacon.slot, 16);
}

#[test]
fn a_running_client_stops_for_a_late_clock_and_after_a_long_sleep() {
    let week = Policy::default().max_checkpoint_age;
    let next = || update(Plan { attested: 40, finalized: 24, ..FIRST });
    let late = SyncError::ClockBehind { now: 15, finalized: 16 };
    assert_eq!(client(Policy::default()).process(next(), 15), Err(late));
    let stale = SyncError::StaleCheckpoint { slot: 16, age: week + 1, most: week };
    assert_eq!(client(Policy::default()).process(next(), 17 + week), Err(stale));
    let mut loose = client(Policy { max_checkpoint_age: 0, ..Policy::default() });
    assert!(loose.process(next(), 17 + week).expect("allowed").finalized);
}

#[test]
fn a_forced_period_change_needs_the_committee_after_it_too() {
    let weak = Plan { attested: 70, finalized: 16, tag: 7, next: None, signers: 12 };
    let forced = Policy { allow_force_update: true, ..Policy::default() };
    let mut strict = client(forced.clone());
    strict.process(update(weak), 80).expect("weak");
    assert_eq!(strict.force_update(500), Err(SyncError::RotationWithoutNext(1)));
    let mut loose = client(Policy { require_next_committee: false, ..forced });
    loose.process(update(weak), 80).expect("weak");
    assert!(loose.force_update(500).expect("as the spec").rotated);
    assert_eq!(loose.finalized().expect("the old one").beacon.slot, 16);
}

#[test]
fn every_setting_that_is_loosened_is_listed() {
    let week = Policy::default().max_checkpoint_age;
    let strict = Policy::default;
    let loose = [
        ("max_checkpoint_age", Policy { max_checkpoint_age: 0, ..strict() }),
        ("max_checkpoint_age", Policy { max_checkpoint_age: week + 1, ..strict() }),
        ("check_clock", Policy { check_clock: false, ..strict() }),
        ("require_next_committee", Policy { require_next_committee: false, ..strict() }),
        ("freeze_on_conflict", Policy { freeze_on_conflict: false, ..strict() }),
        ("allow_force_update", Policy { allow_force_update: true, ..strict() }),
        ("export_optimistic", Policy { export_optimistic: true, ..strict() }),
    ];
    for (name, policy) in loose {
        assert_eq!(policy.loosened(), [name]);
    }
    assert!(Policy { max_checkpoint_age: 60, ..strict() }.loosened().is_empty());
}

#[test]
fn signatures_are_refused_unless_exact() {
    let refuse = |change: fn(&mut Update)| {
        let mut update = update(FIRST);
        change(&mut update);
        let mut client = start(Policy::default(), 10).expect("bootstrap");
        let before = client.store().clone();
        let error = client.process(update, 40).expect_err("refused");
        assert_eq!(*client.store(), before);
        error
    };
    let infinity = |update: &mut Update| {
        update.sync_aggregate.signature = FixedBytes::ZERO;
        update.sync_aggregate.signature.0[0] = 0xc0;
    };
    assert_eq!(refuse(infinity), SyncError::SignatureEncoding);
    assert_eq!(refuse(|u| u.sync_aggregate.signature.0[5] ^= 1), SyncError::SignatureEncoding);
    assert_eq!(refuse(|u| u.sync_aggregate.bits.fill(0)), SyncError::NoParticipants);
    // One member fewer, by subtraction; many fewer, by addition.
    let one_less = refuse(|u| u.sync_aggregate.bits[0] ^= 1);
    assert_eq!(one_less, SyncError::Signature { slot: 31, participants: MEMBERS - 1 });
    let most_less = refuse(|u| u.sync_aggregate.bits[1..].fill(0));
    assert_eq!(most_less, SyncError::Signature { slot: 31, participants: 8 });
    let wide = refuse(|u| u.sync_aggregate.bits.push(0));
    assert_eq!(wide, SyncError::BitCount { bits: MEMBERS + 8, members: MEMBERS });
    assert!(matches!(refuse(|u| u.signature_slot = 41), SyncError::SlotOrder { now: 40, .. }));
}

#[test]
fn networks_are_sound_and_choose_forks_by_epoch() {
    for name in ["mainnet", "sepolia", "hoodi"] {
        let network = NetworkConfig::by_name(name).expect("built in");
        network.validate().expect("sound");
        let json = serde_json::to_string(&network).expect("plain data");
        assert_eq!(serde_json::from_str::<NetworkConfig>(&json).expect("its own"), network);
    }
    let mainnet = NetworkConfig::mainnet();
    let last = 364_032 * 32 - 1;
    assert_eq!(mainnet.fork_at_slot(last), Some(Fork::Deneb));
    assert_eq!(mainnet.fork_version(last), FixedBytes([4, 0, 0, 0]));
    assert_eq!(mainnet.fork_version(last + 1), FixedBytes([5, 0, 0, 0]));
    assert_eq!(mainnet.fork_at_slot(0), None);
    let mut gap = mainnet.clone();
    gap.forks.remove(1);
    assert!(gap.validate().is_err());
    let mut back = mainnet;
    back.forks[3].epoch = 0;
    assert!(back.validate().is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
        let network = NetworkConfig { preset: Preset::MINIMAL, ..NetworkConfig::mainnet() };
        for format in [Format::Altair, Format::Capella, Format::Deneb, Format::Electra, Format::Gloas] {
            let _ = ssz::bootstrap(&network, format, &bytes);
            let _ = ssz::update(&network, format, &bytes);
            let _ = ssz::finality_update(&network, format, &bytes);
            let _ = ssz::optimistic_update(&network, format, &bytes);
        }
        let _ = Store::decode(&network, &bytes);
        let _ = json::envelope(&bytes);
    }

    #[test]
    fn a_branch_leads_to_the_root_of_its_leaves_only(
        leaves in proptest::collection::vec(any::<[u8; 32]>().prop_map(B256::new), 1..40),
        at in any::<prop::sample::Index>(),
    ) {
        let index = at.index(leaves.len());
        let (root, branch) = (merkle::root(&leaves), merkle::branch(&leaves, index));
        let gindex = (1u64 << branch.len()) + index as u64;
        prop_assert!(merkle::verify(&leaves[index], &branch, gindex, &root));
        prop_assert!(!merkle::verify(&B256::repeat_byte(0xee), &branch, gindex, &root));
        let filled: [B256; FINALITY_DEPTH] = merkle::fill(&branch).expect("at most six");
        prop_assert!(merkle::verify(&leaves[index], &filled, gindex, &root));
        let mut other = filled;
        other[0] = B256::repeat_byte(1);
        prop_assert!(!merkle::verify(&leaves[index], &other, gindex, &root));
    }
}
