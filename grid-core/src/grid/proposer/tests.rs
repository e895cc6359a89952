use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn set(powers: &[u64]) -> ValidatorSet {
    let validators = (1..).zip(powers).map(|(number, power)| Validator {
        account: Address::with_last_byte(number),
        power: *power,
    });
    ValidatorSet::new(validators.collect()).expect("a good set")
}

/// How often each validator proposes round 0 over many heights, in address order.
fn turns(validators: &ValidatorSet, heights: std::ops::Range<u64>) -> Vec<u64> {
    let mut turns: BTreeMap<Address, u64> =
        validators.as_slice().iter().map(|validator| (validator.account, 0)).collect();
    for height in heights {
        *turns.get_mut(&proposer(validators, height, 0).account).expect("of the set") += 1;
    }
    turns.into_values().collect()
}

#[test]
fn turns_follow_power() {
    for powers in
        [&[10, 10, 10, 10][..], &[1, 2, 3, 4, 90], &[1_000_000, 1], &[u64::MAX / 4, 1 << 60]]
    {
        let (validators, heights) = (set(powers), 10_000u64);
        for (power, turns) in powers.iter().zip(turns(&validators, 1..1 + heights)) {
            // Each count is binomial; five standard deviations off happens once in two million.
            let share = *power as f64 / validators.total_power() as f64;
            let expected = share * heights as f64;
            let allowed = 5.0 * (heights as f64 * share * (1.0 - share)).sqrt() + 1.0;
            assert!((turns as f64 - expected).abs() < allowed, "{powers:?}: {turns} of {expected}");
        }
    }
}

/// The same values on every machine and in every version: whoever computes another proposer leaves the network.
#[test]
fn draws_are_pinned() {
    let validators = set(&[1, 2, 3, 4]);
    let draws: Vec<u8> = (1..=12)
        .flat_map(|height| (0..4).map(move |round| (height, round)))
        .map(|(height, round)| proposer(&validators, height, round).account[19])
        .collect();
    assert_eq!(draws, PINNED);
}

const PINNED: [u8; 48] = [
    3, 1, 4, 2, 4, 3, 2, 1, 2, 4, 3, 1, 4, 3, 2, 1, 3, 2, 4, 1, 4, 3, 1, 2, 2, 3, 4, 1, 3, 1, 4, 2,
    1, 2, 4, 3, 3, 4, 2, 1, 4, 3, 1, 2, 3, 2, 4, 1,
];

#[test]
fn a_crashed_proposer_costs_one_round() {
    let validators = set(&[1, 1, 1_000]);
    for height in 1..200 {
        let accounts = [0, 1, 2].map(|round| proposer(&validators, height, round).account);
        assert!(
            accounts[0] != accounts[1] && accounts[1] != accounts[2] && accounts[0] != accounts[2]
        );
    }
}

proptest! {
    #[test]
    fn everybody_has_a_turn_before_anybody_has_two(
        powers in proptest::collection::vec(1u64..1 << 50, 1..20),
        height: u64,
        pass in 0u32..1_000,
    ) {
        let validators = set(&powers);
        let count = u32::try_from(powers.len()).unwrap();
        let mut seen: Vec<_> = (pass * count..(pass + 1) * count)
            .map(|round| proposer(&validators, height, round).account)
            .collect();
        seen.sort_unstable();
        let all: Vec<_> = validators.as_slice().iter().map(|validator| validator.account).collect();
        prop_assert_eq!(seen, all);
    }

    #[test]
    fn no_round_is_without_a_proposer(
        powers in proptest::collection::vec(1u64..1 << 50, 1..5), height: u64, round: u32,
    ) {
        let validators = set(&powers);
        let chosen = proposer(&validators, height, round);
        prop_assert_eq!(validators.power(&chosen.account), Some(chosen.power));
    }
}
