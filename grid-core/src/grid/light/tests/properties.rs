//! What holds for every chain, every pair of heights and every set of liars.

use proptest::prelude::*;

use super::*;

/// A set of at most four of the honest keys.
fn members() -> impl Strategy<Value = Vec<(usize, u64)>> {
    proptest::collection::btree_map(0..HONEST, 1u64..20, 1..5)
        .prop_map(|set| set.into_iter().collect())
}

/// A chain whose set changes now and then, up to a full replacement.
fn chains() -> impl Strategy<Value = Vec<Vec<(usize, u64)>>> {
    proptest::collection::vec(prop_oneof![3 => Just(None), 1 => members().prop_map(Some)], 3..40)
        .prop_flat_map(|changes| (members(), Just(changes)))
        .prop_map(|(first, changes)| {
            let mut sets = vec![first];
            for change in changes {
                let last = sets.last().unwrap().clone();
                sets.push(change.unwrap_or(last));
            }
            sets
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bisection_ends_where_one_by_one_verification_ends(
        sets in chains(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()
    ) {
        let world = World::new(&sets);
        let last = world.headers.len() as u64 - 1;
        let from = from.index(last as usize) as u64;
        let target = from + 1 + to.index((last - from) as usize) as u64;
        let mut step_by_step = world.trusted(from);
        for height in from + 1..=target {
            step_by_step = step_by_step.follow(&world.block(height), &policy(), NOW).unwrap();
        }
        let (state, fetched) = drive(&world, from, target).unwrap();
        prop_assert_eq!(&state, &step_by_step);
        prop_assert_eq!(state, world.trusted(target));
        let mut once = fetched.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), fetched.len(), "no header is asked for twice");
    }

    #[test]
    fn less_than_a_third_of_the_trusted_power_moves_no_client(
        powers in proptest::collection::vec(1u64..50, HONEST),
        traitors in proptest::collection::vec(any::<bool>(), HONEST),
        height in 2u64..4,
    ) {
        // Traitors of the trusted set and two outsiders sign a block of a set of their own choice.
        let honest: Vec<_> = powers.iter().copied().enumerate().collect();
        let world = World::new(&vec![honest.clone(); 6]);
        let chosen: Vec<_> = honest.iter().copied().filter(|(at, _)| traitors[*at]).collect();
        let betrayed: u64 = chosen.iter().map(|(_, power)| power).sum();
        let members: Vec<_> = chosen.into_iter().chain([(10, 1), (11, 1)]).collect();
        let evil = set_of(&world.who, &members);
        let fake = header(height, B256::repeat_byte(9), (&evil, &evil), 3);
        let signers: Vec<_> = members.iter().map(|(at, _)| world.who[*at]).collect();
        let block = LightBlock {
            header: alloy_rlp::encode(&fake).into(),
            certificate: world.sign(&fake, 0, &signers),
            validators: evil,
            next_validators: None,
        };
        let moved = follow(&world, 0, &block).is_ok();
        prop_assert_eq!(moved, betrayed * 3 > powers.iter().sum::<u64>());
    }

    #[test]
    fn junk_is_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(LightBlock::from_abi(&bytes).is_err());
        let block = LightBlock { header: bytes.into(), ..World::steady(1, 1).block(1) };
        prop_assert!(follow(&World::steady(1, 1), 0, &block).is_err());
    }
}
