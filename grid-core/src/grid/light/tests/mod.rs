#![allow(clippy::cast_possible_truncation)]

mod properties;

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, Signature, keccak256};
use alloy_sol_types::SolValue;
use k256::ecdsa::SigningKey;

use super::*;
use crate::grid::{
    CertificateError, CommitCertificate, Extension, RecoverableSignature, Validator, ValidatorSet,
    VoteKind, vote_digest,
};

const CHAIN_ID: u64 = 7_357;
const START_MS: u64 = 1_700_000_000_000;
/// Keys that exist; the last two never belong to an honest set.
const KEYS: usize = 12;
const HONEST: usize = 10;

/// A chain as a list of headers, and the keys of everybody.
struct World {
    keys: BTreeMap<Address, SigningKey>,
    /// Addresses by number, increasing.
    who: Vec<Address>,
    /// The set that decides each height; one more than there are headers.
    sets: Vec<ValidatorSet>,
    headers: Vec<Header>,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed.wrapping_add(1); 32]).unwrap()
}

fn set_of(who: &[Address], members: &[(usize, u64)]) -> ValidatorSet {
    let list: BTreeMap<_, _> = members.iter().map(|(at, power)| (who[*at], *power)).collect();
    let list = list.into_iter().map(|(account, power)| Validator { account, power });
    ValidatorSet::new(list.collect()).unwrap()
}

fn header(height: u64, parent: B256, sets: (&ValidatorSet, &ValidatorSet), salt: u8) -> Header {
    let time_ms = START_MS + height * 1000;
    let extension = Extension {
        version: 1,
        timeMs: time_ms,
        indexRoot: B256::repeat_byte(salt),
        validatorsHash: sets.0.hash(),
        nextValidatorsHash: sets.1.hash(),
        collectionHash: B256::ZERO,
        extra: Bytes::new(),
    };
    Header {
        parent_hash: parent,
        number: height,
        timestamp: time_ms / 1000,
        base_fee_per_gas: Some(7),
        extra_data: extension.abi_encode().into(),
        ..Header::default()
    }
}

impl World {
    /// `members[h]` decides height `h`; the last one is for the block after the chain.
    fn new(members: &[Vec<(usize, u64)>]) -> Self {
        let keys: BTreeMap<_, _> = (0..KEYS as u8)
            .map(|seed| (Address::from_public_key(key(seed).verifying_key()), key(seed)))
            .collect();
        let who: Vec<_> = keys.keys().copied().collect();
        let sets: Vec<_> = members.iter().map(|list| set_of(&who, list)).collect();
        let mut headers: Vec<Header> = Vec::new();
        for (height, pair) in (0..).zip(sets.windows(2)) {
            let parent = headers.last().map_or(B256::ZERO, Header::hash_slow);
            headers.push(header(height, parent, (&pair[0], &pair[1]), 0));
        }
        Self { keys, who, sets, headers }
    }

    /// A chain of `blocks` blocks whose set never changes: equal powers.
    fn steady(validators: usize, blocks: usize) -> Self {
        Self::new(&vec![(0..validators).map(|at| (at, 1)).collect(); blocks + 2])
    }

    fn sign(&self, header: &Header, round: u32, signers: &[Address]) -> CommitCertificate {
        let (height, block_hash) = (header.number, header.hash_slow());
        let digest = vote_digest(VoteKind::Precommit, CHAIN_ID, height, round, block_hash);
        let mut signers = signers.to_vec();
        signers.sort_unstable();
        let sign = |signer: &Address| {
            let made = self.keys[signer].sign_prehash_recoverable(digest.as_slice()).unwrap();
            RecoverableSignature::from(Signature::from(made))
        };
        let signatures = signers.iter().map(sign).collect();
        CommitCertificate { height, round, block_hash, signatures }
    }

    fn members(&self, height: u64) -> Vec<Address> {
        self.sets[height as usize].as_slice().iter().map(|validator| validator.account).collect()
    }

    /// The block of a height, signed by all of its validators, with both sets.
    fn block(&self, height: u64) -> LightBlock {
        self.block_by(height, &self.members(height))
    }

    fn block_by(&self, height: u64, signers: &[Address]) -> LightBlock {
        let header = &self.headers[height as usize];
        self.wrap(header, self.sign(header, 0, signers))
    }

    fn wrap(&self, header: &Header, certificate: CommitCertificate) -> LightBlock {
        let height = header.number as usize;
        LightBlock {
            header: alloy_rlp::encode(header).into(),
            certificate,
            validators: self.sets[height].clone(),
            next_validators: Some(self.sets[height + 1].clone()),
        }
    }

    fn trusted(&self, height: u64) -> TrustedState {
        let rlp = alloy_rlp::encode(&self.headers[height as usize]);
        TrustedState::new(CHAIN_ID, &rlp, self.sets[height as usize + 1].clone()).unwrap()
    }

    /// Another block of a height: same sets, other content.
    fn fork(&self, height: u64, round: u32, signers: &[Address]) -> LightBlock {
        let at = height as usize;
        let sets = (&self.sets[at], &self.sets[at + 1]);
        let header = header(height, self.headers[at].parent_hash, sets, 0xf0);
        let certificate = self.sign(&header, round, signers);
        self.wrap(&header, certificate)
    }
}

fn policy() -> LightPolicy {
    LightPolicy { trusting_period_ms: 1_000_000, clock_drift_ms: 5_000, max_headers: 64 }
}

const NOW: u64 = START_MS + 100_000;

fn follow(world: &World, from: u64, block: &LightBlock) -> Result<TrustedState, LightError> {
    world.trusted(from).follow(block, &policy(), NOW)
}

/// Drives a bisection over a chain; returns the end and the heights that were fetched.
fn drive(world: &World, from: u64, target: u64) -> Result<(TrustedState, Vec<u64>), LightError> {
    let (mut machine, mut step) = Bisection::new(world.trusted(from), target, policy())?;
    let mut fetched = Vec::new();
    loop {
        match step {
            Step::Fetch(height) => {
                fetched.push(height);
                step = machine.supply(world.block(height), NOW)?;
            }
            Step::Done(state) => return Ok((state, fetched)),
        }
    }
}

#[test]
fn a_steady_chain_is_skipped_in_one_step() {
    let world = World::steady(4, 50);
    let (state, fetched) = drive(&world, 0, 50).unwrap();
    assert_eq!((state, fetched), (world.trusted(50), vec![50]));
    assert_eq!(follow(&world, 49, &world.block(50)).unwrap(), world.trusted(50));
}

#[test]
fn skipping_needs_more_than_a_third_of_the_trusted_power() {
    let of = |kept: &[usize]| {
        let old: Vec<_> = (0..3).map(|at| (at, 1)).collect();
        let new: Vec<_> = kept.iter().chain(&[7, 8, 9]).map(|at| (*at, 1)).collect();
        let world = World::new(&[old.clone(), old, new.clone(), new]);
        follow(&world, 0, &world.block(2)).map(|state| state == world.trusted(2))
    };
    assert_eq!(of(&[]), Err(LightError::Overlap { signed: 0, total: 3 }));
    assert_eq!(of(&[1]), Err(LightError::Overlap { signed: 1, total: 3 }));
    assert_eq!(of(&[1, 2]), Ok(true));
}

#[test]
fn power_counts_where_it_signed_not_where_it_sits() {
    // All old validators are in the new set, but none of them signs.
    let old: Vec<_> = (0..3).map(|at| (at, 1)).collect();
    let new: Vec<_> = (0..3).map(|at| (at, 1)).chain((4..8).map(|at| (at, 100))).collect();
    let world = World::new(&[old.clone(), old, new.clone(), new]);
    let signers: Vec<_> = (4..8).map(|at| world.who[at]).collect();
    let error = follow(&world, 0, &world.block_by(2, &signers)).unwrap_err();
    assert_eq!(error, LightError::Overlap { signed: 0, total: 3 });
    assert!(error.is_transient());
}

#[test]
fn adversarial_certificates_are_refused() {
    let world = World::steady(6, 3);
    let all = world.members(2);
    let good = world.block(2);
    type Check = fn(&LightError) -> bool;
    type Change<'a> = Box<dyn Fn(&mut LightBlock) + 'a>;
    let refused = |change: &dyn Fn(&mut LightBlock)| {
        let mut bad = good.clone();
        change(&mut bad);
        assert_ne!(bad, good);
        [0, 1].map(|from| follow(&world, from, &bad).unwrap_err())
    };
    let stranger = world.sign(&world.headers[2], 0, &world.who[HONEST..]).signatures;
    let by = |signers: &[Address], round| world.sign(&world.headers[2], round, signers);
    let other = world.sign(&world.headers[1], 0, &all);
    let nil = vote_digest(VoteKind::Prevote, CHAIN_ID, 2, 0, world.headers[2].hash_slow());
    let prevotes: Vec<_> = all
        .iter()
        .map(|signer| {
            let made = world.keys[signer].sign_prehash_recoverable(nil.as_slice()).unwrap();
            RecoverableSignature::from(Signature::from(made))
        })
        .collect();
    let unknown: Check =
        |error| matches!(error, LightError::Certificate(CertificateError::NotAValidator { .. }));
    let order: Check = |error| matches!(error, LightError::Certificate(CertificateError::Order(_)));
    let quorum: Check =
        |error| matches!(error, LightError::Certificate(CertificateError::NoQuorum { .. }));
    let block: Check = |error| matches!(error, LightError::CertificateBlock { .. });
    let hash: Check = |error| matches!(error, LightError::ValidatorsHash { .. });
    let cases: Vec<(&str, Change<'_>, Check)> = vec![
        ("empty", Box::new(|b| b.certificate.signatures.clear()), quorum),
        ("exactly two thirds", Box::new(|b| b.certificate = by(&all[..4], 0)), quorum),
        (
            "one signer twice",
            Box::new(|b| b.certificate.signatures[1] = b.certificate.signatures[0]),
            order,
        ),
        ("order", Box::new(|b| b.certificate.signatures.reverse()), order),
        (
            "a stranger beside enough",
            Box::new(|b| b.certificate.signatures.extend_from_slice(&stranger)),
            unknown,
        ),
        ("another round", Box::new(|b| b.certificate.round = 1), unknown),
        ("prevotes", Box::new(|b| b.certificate.signatures = prevotes.clone()), unknown),
        ("another block's", Box::new(|b| b.certificate = other.clone()), block),
        ("another height", Box::new(|b| b.certificate.height = 3), block),
        (
            "more signatures than validators can be",
            Box::new(|b| b.certificate.signatures = vec![stranger[0]; 257]),
            |error| matches!(error, LightError::Certificate(CertificateError::TooMany(257))),
        ),
        (
            "fewer validators",
            Box::new(|b| b.validators = set_of(&world.who, &[(0, 1), (1, 1)])),
            hash,
        ),
        (
            "another next set",
            Box::new(|b| b.next_validators = Some(set_of(&world.who, &[(10, 1)]))),
            hash,
        ),
        (
            "a changed header",
            Box::new(|b| {
                let mut header = world.headers[2].clone();
                header.state_root = B256::repeat_byte(1);
                b.header = alloy_rlp::encode(&header).into();
            }),
            block,
        ),
    ];
    for (name, change, check) in cases {
        for error in refused(&change) {
            assert!(check(&error), "{name}: {error}");
        }
    }
    assert_eq!(follow(&world, 0, &world.block_by(2, &all[1..])).unwrap(), world.trusted(2));
    let elsewhere = TrustedState { chain_id: 1, ..world.trusted(0) };
    let error = elsewhere.follow(&good, &policy(), NOW).unwrap_err();
    assert!(unknown(&error), "votes of another chain: {error}");
}

#[test]
fn a_made_up_set_is_refused_right_above_and_further_up() {
    let world = World::steady(4, 3);
    let evil = set_of(&world.who, &[(10, 1), (11, 1)]);
    let signers = &world.who[HONEST..];
    let forge = |height: u64, parent| {
        let header = header(height, parent, (&evil, &evil), 1);
        let certificate = world.sign(&header, 0, signers);
        LightBlock {
            header: alloy_rlp::encode(&header).into(),
            certificate,
            validators: evil.clone(),
            next_validators: None,
        }
    };
    let above = follow(&world, 0, &forge(1, world.headers[0].hash_slow())).unwrap_err();
    assert!(matches!(above, LightError::HandOver { .. }), "{above}");
    let orphan = follow(&world, 0, &forge(1, B256::ZERO)).unwrap_err();
    assert!(matches!(orphan, LightError::Parent { .. }), "{orphan}");
    let far = follow(&world, 0, &forge(2, B256::ZERO)).unwrap_err();
    assert_eq!(far, LightError::Overlap { signed: 0, total: 4 });
}

#[test]
fn age_clock_time_and_height_are_checked() {
    let world = World::steady(4, 20);
    let state = world.trusted(3);
    let at = |height: u64, now| state.follow(&world.block(height), &policy(), now).map(drop);
    let start = state.time_ms;
    assert_eq!(at(9, start + 999_999), Ok(()));
    let expired = at(9, start + 1_000_000).unwrap_err();
    assert!(matches!(expired, LightError::Expired { period_ms: 1_000_000, .. }), "{expired}");
    let time = START_MS + 20_000;
    assert_eq!(at(20, time - 5_000), Ok(()));
    assert!(matches!(at(20, time - 5_001).unwrap_err(), LightError::Future { .. }));
    for height in [1, 3] {
        assert_eq!(at(height, NOW), Err(LightError::Height { trusted: 3, found: height }));
    }
    let late = TrustedState { time_ms: START_MS + 9_000, ..state.clone() };
    let error = late.follow(&world.block(9), &policy(), NOW).unwrap_err();
    assert_eq!(error, LightError::Time { trusted: START_MS + 9_000, found: START_MS + 9_000 });
    let rlp = alloy_rlp::encode(&world.headers[3]);
    let wrong = TrustedState::new(CHAIN_ID, &rlp, set_of(&world.who, &[(0, 1)])).unwrap_err();
    assert!(matches!(wrong, LightError::ValidatorsHash { .. }), "{wrong}");
}

#[test]
fn a_changed_set_must_be_shown_to_go_on() {
    let members = |at| vec![(at, 1), (at + 1, 1)];
    let world = World::new(&[members(0), members(0), members(2), members(2)]);
    let mut block = world.block(1);
    block.next_validators = None;
    assert!(world.trusted(0).verify(&block, &policy(), NOW).is_ok());
    assert_eq!(follow(&world, 0, &block), Err(LightError::MissingNext(1)));
    let mut block = world.block(2);
    block.next_validators = None;
    assert_eq!(follow(&world, 1, &block).unwrap(), world.trusted(2));
}

#[test]
fn a_contract_stores_one_word_made_of_five() {
    let state = World::steady(3, 1).trusted(1);
    let word = |number: u64| B256::left_padding_from(&number.to_be_bytes()).0;
    let list: Vec<u8> = [word(32), word(3)]
        .into_iter()
        .chain(
            state
                .validators
                .as_slice()
                .iter()
                .flat_map(|validator| [validator.account.into_word().0, word(validator.power)]),
        )
        .flatten()
        .collect();
    let words =
        [word(CHAIN_ID), word(1), state.block_hash.0, word(state.time_ms), keccak256(list).0];
    assert_eq!(state.commitment(), keccak256(words.concat()));
}

#[test]
fn the_binary_form_is_the_only_one_and_no_byte_can_change() {
    let world = World::steady(2, 3);
    let block = world.block(2);
    let bytes = block.to_abi();
    assert_eq!(LightBlock::from_abi(&bytes).unwrap(), block);
    let json = serde_json::to_vec(&block).unwrap();
    assert_eq!(serde_json::from_slice::<LightBlock>(&json).unwrap(), block);
    let state = world.trusted(0);
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        let accepted = LightBlock::from_abi(&bad)
            .and_then(|block| state.follow(&block, &policy(), NOW))
            .is_ok();
        assert!(!accepted, "byte {at}");
    }
    assert!(LightBlock::from_abi(&[bytes, vec![0; 32]].concat()).is_err());
    assert!(LightBlock::from_abi(&vec![0; MAX_LIGHT_BLOCK_BYTES + 1]).is_err());
    assert!(LightBlock::from_abi(&[]).is_err());
}

#[test]
fn the_largest_block_fits_its_bound() {
    let list: Vec<_> = (1..=256u64)
        .map(|at| Validator { account: Address::left_padding_from(&at.to_be_bytes()), power: at })
        .collect();
    let set = ValidatorSet::new(list).unwrap();
    let signatures = vec![RecoverableSignature::from_bytes([1; 65]); 256];
    let block = LightBlock {
        header: vec![0; crate::grid::header::MAX_HEADER_BYTES].into(),
        certificate: CommitCertificate { height: 1, round: 0, block_hash: B256::ZERO, signatures },
        validators: set.clone(),
        next_validators: Some(set),
    };
    assert!(block.to_abi().len() <= MAX_LIGHT_BLOCK_BYTES);
}

#[test]
fn bisection_is_bounded_and_survives_a_bad_source() {
    // Nobody stays for two blocks.
    let members: Vec<_> = (0..42).map(|height| vec![(height % HONEST, 1)]).collect();
    let world = World::new(&members);
    let tight = LightPolicy { max_headers: 8, ..policy() };
    let (mut machine, mut step) = Bisection::new(world.trusted(0), 40, tight).unwrap();
    let error = loop {
        let Step::Fetch(height) = step else { panic!("every set is another one") };
        match machine.supply(world.block(height), NOW) {
            Ok(next) => step = next,
            Err(error) => break error,
        }
    };
    assert_eq!(error, LightError::TooFar(8));

    let (mut machine, step) = Bisection::new(world.trusted(0), 5, policy()).unwrap();
    assert_eq!(step, Step::Fetch(5));
    let wrong = machine.supply(world.block(4), NOW).unwrap_err();
    assert_eq!(wrong, LightError::WrongBlock { asked: 5, found: 4 });
    let mut bad = world.block(5);
    bad.certificate.signatures.clear();
    assert!(machine.supply(bad, NOW).is_err());
    assert_eq!(machine.trusted(), &world.trusted(0));
    assert_eq!(machine.supply(world.block(5), NOW), Ok(Step::Fetch(2)));
    let error = Bisection::new(world.trusted(3), 3, policy()).unwrap_err();
    assert_eq!(error, LightError::Height { trusted: 3, found: 3 });
}

#[test]
fn two_certified_blocks_of_one_height_are_a_record_and_freeze_the_client() {
    let world = World::steady(6, 8);
    let all = world.members(5);
    let (real, fork) = (world.block_by(5, &all[..5]), world.fork(5, 0, &all[1..]));
    let state = world.trusted(2);
    let conflict = state.conflict(real.clone(), fork.clone(), &policy(), NOW).unwrap();
    let swapped = state.conflict(fork.clone(), real.clone(), &policy(), NOW).unwrap();
    assert_eq!(conflict, swapped, "one record, whoever finds it");
    assert_eq!(conflict.signers_of_both(), &all[1..5]);
    assert!(conflict.is_equivocation());
    let record = conflict.to_abi();
    assert_eq!(state.read_conflict(&record, &policy(), NOW).unwrap(), conflict);
    for at in (0..record.len()).step_by(7) {
        let mut bad = record.clone();
        bad[at] ^= 1;
        assert!(state.read_conflict(&bad, &policy(), NOW).is_err(), "byte {at}");
    }
    let same = state.conflict(real.clone(), world.block(5), &policy(), NOW).unwrap_err();
    assert_eq!(same, LightError::NoConflict { first: 5, second: 5 });
    let later = state.conflict(real.clone(), world.block(6), &policy(), NOW).unwrap_err();
    assert_eq!(later, LightError::NoConflict { first: 5, second: 6 });
    let amnesia = state.conflict(real.clone(), world.fork(5, 3, &all), &policy(), NOW).unwrap();
    assert!(!amnesia.is_equivocation());

    let mut client = GridClient::new(world.trusted(0), policy());
    assert_eq!(client.accept(real, NOW), Ok(Accepted::Advanced));
    assert_eq!(client.accept(world.block(5), NOW), Ok(Accepted::Known));
    let mut weak = fork.clone();
    weak.certificate.signatures.truncate(4);
    assert!(client.accept(weak, NOW).is_err(), "a fork without a quorum freezes nobody");
    assert_eq!(client.conflict(), None);
    assert_eq!(client.accept(fork, NOW), Ok(Accepted::Conflict));
    assert_eq!(client.conflict().unwrap().blocks(), conflict.blocks());
    assert_eq!(client.accept(world.block(8), NOW), Err(LightError::Frozen(5)));
}

#[test]
fn a_client_keeps_a_bounded_past() {
    let world = World::steady(1, 80);
    let mut client = GridClient::new(world.trusted(10), policy());
    for height in (12..=80).filter(|height| *height != 70) {
        assert_eq!(client.accept(world.block(height), NOW), Ok(Accepted::Advanced));
    }
    assert_eq!(client.newest(), &world.trusted(80));
    assert_eq!(client.accept(world.block(70), NOW), Ok(Accepted::Older));
    assert_eq!(client.accept(world.block(79), NOW), Ok(Accepted::Known));
    let error = client.accept(world.block(11), NOW).unwrap_err();
    // The newest ones, without the one that came late.
    let oldest = 80 - MAX_KEPT as u64;
    assert_eq!(error, LightError::Old { oldest, found: 11 });
}
