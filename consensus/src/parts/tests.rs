use grid_core::grid::Validator;
use k256::ecdsa::SigningKey;

use super::*;
use crate::guard::Guard;

const CHAIN_ID: u64 = 7;

fn keyring(number: u8) -> Keyring {
    let key = SigningKey::from_slice(&[number; 32]).expect("a valid scalar");
    // Parts are not votes: nothing is asked of the guard.
    let guard = Guard::open(std::path::Path::new("/nonexistent/votes")).expect("no file yet");
    Keyring::new(CHAIN_ID, key, guard)
}

fn validators(keyrings: &[&Keyring]) -> ValidatorSet {
    let mut list: Vec<_> = keyrings
        .iter()
        .map(|keyring| Validator { account: keyring.address().0, power: 1 })
        .collect();
    list.sort_by_key(|validator| validator.account);
    ValidatorSet::new(list).expect("a good set")
}

fn proposed(height: u64, by: &Keyring) -> Proposed {
    Proposed {
        height: Height(height),
        round: Round::new(1),
        pol_round: Round::Nil,
        proposer: by.address(),
        value: BlockHash(alloy_primitives::U256::from(height).into()),
    }
}

fn body(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

#[test]
fn bodies_of_all_lengths_survive_in_any_order() {
    let keyring = keyring(1);
    let set = validators(&[&keyring]);
    for length in [0, 1, PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 3 * PART_SIZE] {
        let mut parts = split(&keyring, proposed(5, &keyring), &body(length)).expect("parts");
        assert_eq!(parts.len(), length.div_ceil(PART_SIZE).max(1));
        parts.reverse();
        let mut assembler = Assembler::default();
        for part in parts {
            assert!(assembler.take(5).is_empty());
            assembler.add(part.clone(), Recovery::new(CHAIN_ID), &set, 5).expect("accepted");
            // A second copy over another route changes nothing.
            assembler.add(part, Recovery::new(CHAIN_ID), &set, 5).expect("accepted");
        }
        let complete = assembler.take(5);
        assert_eq!(complete, [(proposed(5, &keyring), body(length).into())]);
        assert!(assembler.take(5).is_empty());
    }
}

#[test]
fn the_longest_body_has_as_many_parts_as_fit() {
    let longest = u32::try_from(MAX_BODY).expect("fits");
    for (length, parts) in [(0, Some(1)), (longest, Some(64)), (longest + 1, None)] {
        assert_eq!(count(length), parts, "{length} bytes");
    }
}

#[test]
fn parts_that_nobody_should_have_sent_are_refused() {
    let (keyring, stranger) = (keyring(1), keyring(2));
    let set = validators(&[&keyring]);
    let part = || split(&keyring, proposed(5, &keyring), &body(100)).expect("parts").remove(0);
    let foreign = split(&stranger, proposed(5, &keyring), &body(100)).expect("parts").remove(0);
    let signed = |change: fn(&mut Part)| {
        let mut part = part();
        change(&mut part);
        keyring.sign_part(part).expect("signed")
    };
    let unsigned = |change: fn(&mut Part)| {
        let mut part = part();
        change(&mut part);
        part
    };
    let cases = [
        ("by a stranger", foreign),
        ("for a decided height", signed(|part| part.height = Height(4))),
        ("for a far height", signed(|part| part.height = Height(8))),
        ("without a round", signed(|part| part.round = Round::Nil)),
        ("too long a body", signed(|part| part.length = 4 * 1024 * 1024 + 1)),
        ("the longest number", signed(|part| part.length = u32::MAX)),
        ("behind the end", signed(|part| part.index = 1)),
        ("far behind the end", signed(|part| part.index = u32::MAX)),
        ("too short", signed(|part| part.data.truncate(99))),
        ("changed data", unsigned(|part| part.data[0] ^= 1)),
        ("changed hash", unsigned(|part| part.value.0[0] ^= 1)),
        ("changed proposer", unsigned(|part| part.proposer.0[0] ^= 1)),
    ];
    for (case, part) in cases {
        let mut assembler = Assembler::default();
        let refused = assembler.add(part, Recovery::new(CHAIN_ID), &set, 5);
        assert!(refused.is_err(), "{case}");
        assert!(assembler.senders.is_empty(), "{case}");
    }
}

#[test]
fn a_sender_pushes_out_only_its_own_bodies() {
    let (honest, greedy) = (keyring(1), keyring(2));
    let set = validators(&[&honest, &greedy]);
    let mut assembler = Assembler::default();
    let mut add = |keyring: &Keyring, round: u32| {
        let mut proposed = proposed(6, keyring);
        proposed.round = Round::new(round);
        for part in split(keyring, proposed, &body(10)).expect("parts") {
            assembler.add(part, Recovery::new(CHAIN_ID), &set, 5).expect("accepted");
        }
    };
    add(&honest, 0);
    (0..100).for_each(|round| add(&greedy, round));
    assert_eq!(assembler.senders.values().map(VecDeque::len).sum::<usize>(), 4);
    let complete = assembler.take(6);
    assert!(complete.iter().any(|(proposed, _)| proposed.proposer == honest.address()));
    assert!(assembler.senders.is_empty());
}
