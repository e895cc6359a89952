//! What happens to delegates and holders over epochs.

use super::*;

#[test]
fn an_epoch_elects_and_a_left_stake_waits() {
    let state = MemoryState::new();
    let mut chain = Chain::new(&state, &params());
    assert!(matches!(chain.enter(2, 99 * UNIT), Err(StakingError::SelfBond { .. })));
    chain.enter(2, 100 * UNIT).unwrap();
    assert_eq!(chain.enter(2, 100 * UNIT), Err(StakingError::Exists(address(2))));
    chain.enter(3, 100 * UNIT).unwrap();
    let shares = chain.stake(holder(1), address(3), 5_000 * UNIT).unwrap();
    assert!(system::validators(&chain.overlay).unwrap().power(&address(3)).is_none());
    chain.go_to(1);
    let set = system::validators(&chain.overlay).unwrap();
    assert_eq!(set.as_slice().len(), 3, "the fourth has the least stake");
    assert!(set.power(&address(3)).unwrap() > set.power(&address(0)).unwrap());
    assert_eq!(set.power(&address(2)), None);

    let tokens = chain.leave(holder(1), address(3), shares).unwrap();
    assert!(tokens >= 5_000 * UNIT);
    assert_eq!(
        chain.take(holder(1), address(3), 1),
        Err(StakingError::Locked { until: 5, now: 1 })
    );
    chain.go_to(2);
    let power =
        |chain: &Chain<'_>, seed| system::validators(&chain.overlay).unwrap().power(&address(seed));
    assert_eq!(power(&chain, 3).is_some(), power(&chain, 2).is_none());
    chain.go_to(5);
    let before = chain.balance(holder(1));
    assert_eq!(chain.take(holder(1), address(3), 1), Ok(tokens));
    assert_eq!(chain.balance(holder(1)), before + tokens);
    assert_eq!(chain.take(holder(1), address(3), 1), Err(StakingError::Nothing));
    chain.check();
}

#[test]
fn leaving_does_not_dodge_a_slash_and_it_hits_once() {
    let state = MemoryState::new();
    let mut chain = Chain::new(&state, &params());
    chain.stake(holder(1), address(0), 1_000 * UNIT).unwrap();
    chain.go_to(1);
    // The vote is in epoch 1; then everybody leaves.
    let offence = chain.height;
    let shares = stake_of(&chain.overlay, &address(0), &holder(1)).unwrap();
    let left = chain.leave(holder(1), address(0), shares).unwrap();
    chain.go_to(2);
    let rest = stake_of(&chain.overlay, &address(0), &owner(0)).unwrap();
    let bond = chain.leave(owner(0), address(0), rest).unwrap();
    assert!(!candidates(&chain.overlay).unwrap().contains(&address(0)));
    chain.go_to(4);
    let (supply, burned) = (chain.supply(), system::burned(&chain.overlay).unwrap());
    let done = chain.accuse(0, offence).unwrap();
    let pools = [left, bond];
    assert_eq!(done.slashed, pools.iter().map(|tokens| tokens.div_ceil(20)).sum::<u128>());
    assert_eq!(done.reward, done.slashed / 20);
    let burned = system::burned(&chain.overlay).unwrap() - burned;
    assert_eq!(burned, U256::from(done.slashed - done.reward));
    assert_eq!(chain.supply(), supply);
    for height in [offence, offence + 1] {
        assert_eq!(chain.accuse(0, height), Err(StakingError::Known), "once an epoch");
    }
    chain.go_to(5);
    let paid = chain.take(holder(1), address(0), 1).unwrap();
    assert_eq!(paid, left - left.div_ceil(20));
    assert!(matches!(chain.accuse(0, offence), Err(StakingError::Age { .. })));
    chain.check();
}

#[test]
fn evidence_counts_only_against_the_validators_of_its_time() {
    let state = MemoryState::new();
    let mut chain = Chain::new(&state, &params());
    chain.go_to(1);
    let unknown = chain.accuse(3, 2).unwrap_err();
    assert_eq!(unknown, StakingError::NotAValidator { account: address(3), epoch: 0 });
    let future = chain.accuse(0, 1_000).unwrap_err();
    assert!(matches!(future, StakingError::Age { now: 1, .. }), "{future}");
    // Slashed for epoch 0 and, after that, for epoch 1.
    assert!(chain.accuse(0, 1).is_ok());
    assert!(chain.accuse(0, 5).is_ok());
    chain.check();
}

#[test]
fn a_jailed_delegate_loses_its_seat_until_it_is_let_out() {
    let state = MemoryState::new();
    let mut chain = Chain::new(&state, &params());
    chain.accuse(0, 1).unwrap();
    let unjail_by = |chain: &mut Chain<'_>, account| {
        let by = chain.by(account);
        chain.run(|overlay| unjail(overlay, &by, address(0)))
    };
    chain.go_to(1);
    assert_eq!(system::validators(&chain.overlay).unwrap().power(&address(0)), None);
    assert_eq!(unjail_by(&mut chain, holder(0)), Err(StakingError::NotOwner(owner(0))));
    assert_eq!(unjail_by(&mut chain, owner(0)), Err(StakingError::Locked { until: 2, now: 1 }));
    // A stake of the owner does not open the door.
    chain.stake(owner(0), address(0), 500 * UNIT).unwrap();
    assert!(!candidates(&chain.overlay).unwrap().contains(&address(0)));
    chain.go_to(2);
    unjail_by(&mut chain, owner(0)).unwrap();
    assert_eq!(unjail_by(&mut chain, owner(0)), Err(StakingError::NotJailed(address(0))));
    chain.go_to(3);
    assert!(system::validators(&chain.overlay).unwrap().power(&address(0)).is_some());
    // All in jail: those who decide go on.
    for seed in [0, 1] {
        chain.accuse(seed, chain.height).unwrap();
    }
    let before = system::validators(&chain.overlay).unwrap();
    chain.go_to(4);
    assert_eq!(system::validators(&chain.overlay).unwrap(), before);
}

#[test]
fn rewards_follow_signed_blocks_and_leave_no_unit_behind() {
    let state = MemoryState::new();
    let mut chain = Chain::new(&state, &params());
    chain.enter(2, 1_000 * UNIT).unwrap();
    chain.go_to(1);
    let first = chain.height;
    chain.next_block(address(0), 0);
    chain.next_block(address(0), 0);
    assert_eq!(system::validators(&chain.overlay).unwrap().as_slice().len(), 3);
    assert_eq!(chain.certify(first, &[0, 1, 2]), Ok(3));
    assert_eq!(chain.certify(first, &[0, 1, 2]), Err(StakingError::Known));
    assert!(is_counted(&chain.overlay, &certificate(first, &[0, 1, 2]), CHAIN_ID).unwrap());
    assert!(matches!(chain.certify(first + 1, &[0]), Err(StakingError::Certificate(_))));
    // The first two have earned a reward, and so a little more than two thirds.
    assert_eq!(chain.certify(first + 1, &[0, 1]), Ok(2));
    assert_eq!(chain.certify(first + 1, &[0, 1, 2]), Ok(1));
    assert!(matches!(chain.certify(first - 1, &[0, 1]), Err(StakingError::NotRecent { .. })));
    assert!(matches!(chain.certify(first + 9, &[0, 1]), Err(StakingError::NotRecent { .. })));
    let (pools, left) = ([0, 1, 2].map(|at| chain.pool(address(at)).tokens), chain.supply());
    let owners = [0, 1, 2].map(|at| chain.balance(owner(at)));
    let before = reserve(&chain.overlay).unwrap();
    chain.go_to(2);
    let paid = before - reserve(&chain.overlay).unwrap();
    let sum = 4 * (7 * UNIT + 3);
    assert!(paid <= sum && paid > sum - 3, "{paid} of {sum}");
    let gained: u128 = (0..3u8)
        .map(|at| {
            let pool = chain.pool(address(at)).tokens - pools[usize::from(at)];
            pool + chain.balance(owner(at)) - owners[usize::from(at)]
        })
        .sum();
    assert_eq!(gained, paid);
    assert_eq!(chain.supply(), left);
    assert!(chain.balance(owner(1)) > owners[1], "a commission of a tenth");
    assert_eq!(chain.balance(owner(0)), owners[0], "no commission");
    chain.check();
}

#[test]
fn who_is_absent_loses_the_seat_but_no_stake() {
    let state = MemoryState::new();
    let mut chain = Chain::new(&state, &params());
    chain.stake(holder(0), address(0), 9_000 * UNIT).unwrap();
    chain.go_to(1);
    let first = chain.height;
    chain.next_block(address(0), 0);
    chain.next_block(address(0), 0);
    // Delegate 0 has more than two thirds alone.
    for height in [first, first + 1] {
        assert_eq!(chain.certify(height, &[0]), Ok(1));
    }
    let stake = chain.pool(address(1)).tokens;
    chain.go_to(2);
    assert_eq!(system::validators(&chain.overlay).unwrap().power(&address(1)), None);
    assert_eq!(chain.pool(address(1)).tokens, stake, "no reward, no slash");
    chain.check();
    // A late signer is added by a fuller certificate.
    let first = chain.height;
    chain.next_block(address(0), 0);
    assert_eq!(chain.certify(first, &[0]), Ok(1));
    assert_eq!(attendance(&chain.overlay).unwrap().signed, [1]);
}

#[test]
fn fees_are_shared_or_kept_for_rewards() {
    let state = MemoryState::new();
    let mut chain = Chain::new(&state, &params());
    let (pool, mine) = (chain.pool(address(1)).tokens, chain.balance(owner(1)));
    chain.next_block(address(1), 1_005);
    assert_eq!(chain.balance(owner(1)), mine + 100);
    assert_eq!(chain.pool(address(1)).tokens, pool + 905);
    let before = reserve(&chain.overlay).unwrap();
    chain.next_block(holder(0), 77);
    assert_eq!(reserve(&chain.overlay).unwrap(), before + 77);
    let by = chain.by(holder(0));
    chain.run(|overlay| fund(overlay, &by, U256::from(5))).unwrap();
    assert_eq!(reserve(&chain.overlay).unwrap(), before + 82);
    let by = chain.by(owner(1));
    let mut lower = |to| chain.run(|overlay| lower_commission(overlay, &by, address(1), to));
    assert_eq!(lower(1_001), Err(StakingError::Commission { found: 1_001, most: 1_000 }));
    assert_eq!(lower(10), Ok(()));
    assert_eq!(lower(11), Err(StakingError::Commission { found: 11, most: 10 }));
    chain.check();
}

#[test]
fn without_staking_every_call_is_refused_and_fees_are_the_proposers() {
    let state = MemoryState::new();
    let mut overlay = Overlay::new(&state);
    let by = Holder { account: holder(0), height: 4 };
    assert_eq!(fund(&mut overlay, &by, U256::from(1)), Err(StakingError::Disabled));
    let error = report(&mut overlay, &by, &equivocation(0, 1), CHAIN_ID).unwrap_err();
    assert_eq!(error, StakingError::Disabled);
    end_block(&mut overlay, 4, &holder(1), U256::from(9)).unwrap();
    assert_eq!(Account::load(&overlay, &holder(1)).unwrap().balance, U256::from(9));
}
