//! What holds whatever is done.

use proptest::prelude::*;

use super::{super::records::read_set, *};

/// What can happen, in numbers that most often mean something.
#[derive(Debug, Clone)]
enum Op {
    Enter { seed: u8, tokens: u128 },
    Stake { from: u8, with: u8, tokens: u128 },
    StakeOwner { with: u8, tokens: u128 },
    Leave { from: u8, with: u8, parts: u16 },
    LeaveOwner { with: u8, parts: u16 },
    Take { from: u8, with: u8, back: u64 },
    TakeOwner { with: u8, back: u64 },
    Accuse { seed: u8, back: u64 },
    Certify { back: u64, signers: u8 },
    Unjail { seed: u8 },
    Lower { seed: u8, to: u16 },
    Fund { tokens: u128 },
    Block { proposer: u8, tips: u128 },
    Epoch,
}

fn op() -> impl Strategy<Value = Op> {
    let tokens = || prop_oneof![1..3u128, UNIT..2_000 * UNIT, Just(RICH / 2), Just(u128::MAX)];
    let with = 0..DELEGATES;
    let from = 0..HOLDERS;
    prop_oneof![
        1 => (with.clone(), tokens()).prop_map(|(seed, tokens)| Op::Enter { seed, tokens }),
        2 => (from.clone(), with.clone(), tokens())
            .prop_map(|(from, with, tokens)| Op::Stake { from, with, tokens }),
        1 => (with.clone(), tokens()).prop_map(|(with, tokens)| Op::StakeOwner { with, tokens }),
        2 => (from.clone(), with.clone(), 0..=12_000u16)
            .prop_map(|(from, with, parts)| Op::Leave { from, with, parts }),
        1 => (with.clone(), 0..=10_000u16).prop_map(|(with, parts)| Op::LeaveOwner { with, parts }),
        2 => (from, with.clone(), 0..6u64)
            .prop_map(|(from, with, back)| Op::Take { from, with, back }),
        1 => (with.clone(), 0..20u64).prop_map(|(seed, back)| Op::Accuse { seed, back }),
        1 => (0..5u64, 1..16u8).prop_map(|(back, signers)| Op::Certify { back, signers }),
        1 => (with.clone(), 0..6u64).prop_map(|(with, back)| Op::TakeOwner { with, back }),
        1 => with.clone().prop_map(|seed| Op::Unjail { seed }),
        1 => (with.clone(), 0..1_000u16).prop_map(|(seed, to)| Op::Lower { seed, to }),
        1 => (1..100 * UNIT).prop_map(|tokens| Op::Fund { tokens }),
        2 => (with, 0..UNIT).prop_map(|(proposer, tips)| Op::Block { proposer, tips }),
        2 => Just(Op::Epoch),
    ]
}

/// Does what the operation says; refusals are fine, panics and broken storage are not.
fn apply(chain: &mut Chain<'_>, op: &Op) {
    let part = |held: u128, parts: u16| held / 10_000 * u128::from(parts);
    let result = match *op {
        Op::Enter { seed, tokens } => chain.enter(seed, tokens).map(drop),
        Op::Stake { from, with, tokens } => {
            chain.stake(holder(from), address(with), tokens).map(drop)
        }
        Op::StakeOwner { with, tokens } => {
            chain.stake(owner(with), address(with), tokens).map(drop)
        }
        Op::Leave { from, with, parts } => {
            let held = stake_of(&chain.overlay, &address(with), &holder(from)).unwrap();
            chain.leave(holder(from), address(with), part(held, parts)).map(drop)
        }
        Op::LeaveOwner { with, parts } => {
            let held = stake_of(&chain.overlay, &address(with), &owner(with)).unwrap();
            chain.leave(owner(with), address(with), part(held, parts)).map(drop)
        }
        Op::Take { from, with, back } => {
            let epoch = chain.epoch().saturating_sub(back);
            chain.take(holder(from), address(with), epoch).map(drop)
        }
        Op::TakeOwner { with, back } => {
            let epoch = chain.epoch().saturating_sub(back);
            chain.take(owner(with), address(with), epoch).map(drop)
        }
        Op::Lower { seed, to } => {
            let by = chain.by(owner(seed));
            chain.run(|overlay| lower_commission(overlay, &by, address(seed), to))
        }
        Op::Accuse { seed, back } => {
            let height = chain.height.saturating_sub(back).max(1);
            accuse_and_compare(chain, seed, height)
        }
        Op::Certify { back, signers } => {
            let height = chain.height.saturating_sub(back);
            let signers: Vec<_> = (0..DELEGATES).filter(|seed| signers >> seed & 1 == 1).collect();
            chain.certify(height, &signers).map(drop)
        }
        Op::Unjail { seed } => {
            let by = chain.by(owner(seed));
            chain.run(|overlay| unjail(overlay, &by, address(seed)))
        }
        Op::Fund { tokens } => {
            let by = chain.by(holder(0));
            chain.run(|overlay| fund(overlay, &by, U256::from(tokens)))
        }
        Op::Block { proposer, tips } => {
            chain.next_block(address(proposer), tips);
            Ok(())
        }
        Op::Epoch => {
            chain.go_to(chain.epoch() + 1);
            Ok(())
        }
    };
    if let Err(StakingError::Storage(error)) = result {
        panic!("{op:?}: {error}");
    }
}

/// Whatever left since, at least the slashed part of what stood behind the epoch's set is taken, less what
/// earlier slashes took.
fn accuse_and_compare(chain: &mut Chain<'_>, seed: u8, height: u64) -> Result<(), StakingError> {
    let epoch = params().epoch_of(height);
    let before = chain.slashes.get(&address(seed)).copied().unwrap_or(0);
    let done = chain.accuse(seed, height)?;
    let mut backing = chain.backing[&(address(seed), epoch)];
    for _ in 0..before {
        backing = backing.saturating_sub(backing.div_ceil(20) + 20);
    }
    // Stakes in several pools, each redeemed with a rounding.
    assert!(done.slashed + 100 >= backing / 20, "{} of {backing}", done.slashed);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn supply_is_conserved_whatever_happens(ops in proptest::collection::vec(op(), 1..48)) {
        let state = MemoryState::new();
        let mut chain = Chain::new(&state, &params());
        let supply = chain.supply();
        for op in &ops {
            apply(&mut chain, op);
            prop_assert_eq!(chain.supply(), supply, "after {:?}", op);
            chain.check();
            let set = system::validators(&chain.overlay).unwrap();
            prop_assert!(set.total_power() < u64::MAX / 3 && set.as_slice().len() <= 3);
            prop_assert_eq!(read_set(&chain.overlay, chain.epoch()).unwrap(), Some(set));
            for account in candidates(&chain.overlay).unwrap() {
                let found = Delegate::read(&chain.overlay, &account).unwrap().unwrap();
                prop_assert_eq!(found.jailed_until, 0);
            }
        }
    }

    #[test]
    fn election_is_a_function_of_the_stakes(
        list in proptest::collection::btree_map(any::<[u8; 20]>(), any::<u128>(), 0..40),
        most in 1usize..25,
        seed in any::<u64>(),
    ) {
        let total = list.len().max(1) as u128;
        let list: Vec<_> = list
            .into_iter()
            .map(|(account, tokens)| Candidate { account: account.into(), tokens: tokens / total })
            .collect();
        let mut shuffled = list.clone();
        shuffled.sort_by_key(|candidate| {
            alloy_primitives::keccak256([candidate.account.as_slice(), &seed.to_be_bytes()].concat())
        });
        let set = elect(list.clone(), most);
        prop_assert_eq!(&set, &elect(shuffled, most));
        let Some(set) = set else { return Ok(()) };
        prop_assert!(set.total_power() < u64::MAX / 3);
        prop_assert!(set.as_slice().len() <= most);
        let stake: BTreeMap<_, _> = list.iter().map(|c| (c.account, c.tokens)).collect();
        for one in set.as_slice() {
            for other in set.as_slice() {
                let more = stake[&one.account] >= stake[&other.account];
                prop_assert!(!more || one.power >= other.power, "powers follow stakes");
            }
            for (account, tokens) in &stake {
                let better = (*tokens, std::cmp::Reverse(*account));
                let elected = (stake[&one.account], std::cmp::Reverse(one.account));
                prop_assert!(set.power(account).is_some() || better < elected);
            }
        }
    }

    #[test]
    fn a_pool_is_worth_its_parts(
        deposits in proptest::collection::vec(1u128..u128::MAX / 1_000, 1..8),
        events in proptest::collection::vec((any::<bool>(), 0u16..9_999), 0..6),
    ) {
        let mut pool = Pool::default();
        let mut shares = Vec::new();
        for (tokens, event) in deposits.iter().zip(events.iter().chain(std::iter::repeat(&(true, 0)))) {
            if let Ok(new) = pool.deposit(*tokens) {
                prop_assert!(pool.worth(new) <= *tokens);
                shares.push(new);
            }
            match event {
                (true, parts) => { pool.slash(*parts); }
                (false, gain) => pool.tokens = pool.tokens.saturating_add(u128::from(*gain)),
            }
        }
        let held = pool.tokens;
        let paid: u128 = shares.into_iter().map(|shares| pool.redeem(shares).unwrap()).sum();
        prop_assert_eq!(paid, held);
        prop_assert_eq!(pool, Pool::default());
    }
}
