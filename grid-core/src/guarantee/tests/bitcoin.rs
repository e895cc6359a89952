//! Guarantees of payments on a network that is mined for it.

use super::*;

/// A world with a pool of 10,000 GRID and ten blocks, the last of which holds payment 1.
fn with_payment(state: &MemoryState) -> (World<'_>, B256) {
    let mut world = World::new(state);
    world.deposit(ALICE, 10_000 * UNIT).unwrap();
    world.mine_empty(9);
    let block = world.mine(&[1]);
    (world, block)
}

#[test]
fn a_payment_that_confirms_is_settled_and_the_premium_earned() {
    let state = MemoryState::new();
    let (mut world, block) = with_payment(&state);
    let order = world.order(block, &[1], 500 * UNIT);
    let quoted = world.quote(block, 500 * UNIT).unwrap();
    assert_eq!((quoted.risk.confirmations, quoted.risk.lead), (1, None));
    let made = world.request(BOB, &order).unwrap();
    let id = made.id();
    assert_eq!((made.premium, made.status), (quoted.premium, Status::Guaranteed));
    assert_eq!(world.balance(BOB), RICH - made.premium);
    world.check();
    assert!(matches!(world.settle(id), Err(GuaranteeError::NotConfirmed { .. })));
    assert!(matches!(world.claim(id), Err(GuaranteeError::NotOver { .. })));
    world.mine_empty(5);
    let ended = world.settle(id).unwrap();
    assert_eq!(ended.status, Status::Settled);
    assert_eq!(world.book().pool, 10_000 * UNIT + made.premium);
    world.check();
    for again in [world.settle(id), world.claim(id)] {
        assert_eq!(again, Err(GuaranteeError::Ended { id, status: Status::Settled }));
    }
    // One for each transaction, beneficiary and payer, for ever.
    assert!(matches!(world.request(BOB, &order), Err(GuaranteeError::Confirmed { .. })));
}

#[test]
fn a_payment_that_is_mined_again_is_settled_in_its_new_block() {
    let state = MemoryState::new();
    let (mut world, block) = with_payment(&state);
    let order = world.order(block, &[1], 500 * UNIT);
    let id = world.request(BOB, &order).unwrap().id();
    // Another branch wins, with the payment one block later.
    let fork = world.client.tree().get(&block).unwrap().parent_hash();
    let side = world.mine_on(fork, &[2]);
    let again = world.mine_on(side, &[3, 1]);
    assert!(!world.client.tree().is_best(&block));
    assert!(matches!(
        world.settle_in(id, again, &[3, 1], 2),
        Err(GuaranteeError::NotConfirmed { .. })
    ));
    world.mine_empty(5);
    assert!(matches!(world.settle(id), Err(GuaranteeError::NotBest(_))));
    // Another transaction, and a proof of another block.
    let other = world.settle_in(id, again, &[3, 1], 1);
    assert!(matches!(other, Err(GuaranteeError::OtherTransaction { .. })));
    assert!(matches!(world.settle_in(id, side, &[3, 1], 2), Err(GuaranteeError::Proof(_))));
    assert!(matches!(world.settle_in(id, block, &[1], 1), Err(GuaranteeError::NotBest(_))));
    assert_eq!(world.settle_in(id, again, &[3, 1], 0), Err(GuaranteeError::Coinbase));
    let (ended, height) = world.settle_in(id, again, &[3, 1], 2).unwrap();
    assert_eq!((ended.status, height), (Status::Settled, world.height_of(&again)));
    world.check();
}

#[test]
fn a_double_spent_payment_is_paid_by_the_pool_once() {
    let state = MemoryState::new();
    let (mut world, block) = with_payment(&state);
    let order = world.order(block, &[1], 500 * UNIT);
    let made = world.request(BOB, &order).unwrap();
    let id = made.id();
    let fork = world.client.tree().get(&block).unwrap().parent_hash();
    let side = world.mine_on(fork, &[2]);
    world.mine_on(side, &[]);
    // The deadline is at tip + 8, the grace is 4, six confirmations.
    let last = made.deadline + 4 + DEPTH;
    while world.tip() < last - 1 {
        world.mine(&[]);
        assert!(matches!(world.claim(id), Err(GuaranteeError::NotOver { .. })), "{}", world.tip());
    }
    world.mine(&[]);
    assert_eq!(world.claim(id).unwrap().status, Status::Defaulted);
    assert_eq!(world.balance(CAROL), RICH + 500 * UNIT);
    assert_eq!(world.book().pool, 9_500 * UNIT + made.premium);
    assert_eq!(world.book().locked, 0);
    world.check();
    assert!(matches!(world.claim(id), Err(GuaranteeError::Ended { .. })));
    let found = read_guarantee(&world.overlay, &id).unwrap().unwrap();
    assert_eq!(found.status, Status::Defaulted);
}

#[test]
fn a_payment_after_the_deadline_is_late_and_one_that_is_confirmed_is_never_claimed() {
    let state = MemoryState::new();
    let (mut world, block) = with_payment(&state);
    let near = Order { deadline: world.tip() + 3, ..world.order(block, &[1], 500 * UNIT) };
    let id = world.request(BOB, &near).unwrap().id();
    let kept = world.request(CAROL, &near).unwrap().id();
    // The first stays on its branch for the second: nothing is lost there.
    world.mine_empty(20);
    assert_eq!(world.claim(kept), Err(GuaranteeError::Settles(kept)));
    let fork = world.client.tree().get(&block).unwrap().parent_hash();
    let mut at = fork;
    for _ in 0..5 {
        at = world.mine_on(at, &[]);
    }
    let late = world.mine_on(at, &[1]);
    at = late;
    while !world.client.tree().is_best(&late) || world.confirmed() < Some(world.height_of(&late)) {
        at = world.mine_on(at, &[]);
    }
    let refused = world.settle_in(id, late, &[1], 1);
    assert!(matches!(refused, Err(GuaranteeError::Late { .. })), "{refused:?}");
    assert_eq!(world.claim(id).unwrap().status, Status::Defaulted);
    assert_eq!(world.claim(kept).unwrap().status, Status::Defaulted);
    world.check();
}

#[test]
fn what_cannot_be_covered_is_refused_without_a_trace() {
    let state = MemoryState::new();
    let (mut world, block) = with_payment(&state);
    let good = world.order(block, &[1], 500 * UNIT);
    let tip = world.tip();
    let mut wrong_proof = good.clone();
    wrong_proof.proof.raw = block_txs(tip, &[9]).prove(1).unwrap().raw;
    let coinbase = Order { proof: block_txs(tip, &[1]).prove(0).unwrap(), ..good.clone() };
    let old = world.client.tree().best_at(4).unwrap().hash();
    let bad = [
        Order { block: B256::repeat_byte(7), ..good.clone() },
        Order { block: old, ..good.clone() },
        Order { cover: 0, ..good.clone() },
        Order { cover: UNIT - 1, ..good.clone() },
        Order { cover: u128::MAX, ..good.clone() },
        Order { cover: 1_001 * UNIT, value: U256::MAX, ..good.clone() },
        Order { beneficiary: Address::ZERO, ..good.clone() },
        Order { beneficiary: GUARANTEE, ..good.clone() },
        Order { deadline: 0, ..good.clone() },
        Order { deadline: tip + 2, ..good.clone() },
        Order { deadline: tip + 21, ..good.clone() },
        Order { deadline: u64::MAX, ..good.clone() },
        Order { value: U256::ZERO, ..good.clone() },
        wrong_proof,
        coinbase,
    ];
    for order in bad {
        let refused = world.request(BOB, &order);
        assert!(refused.is_err(), "{order:?}");
        assert_eq!(world.balance(BOB), RICH, "{refused:?}");
        world.check();
    }
    // A rival as long as the best branch, seen later, makes the risk certain.
    let fork = world.client.tree().get(&block).unwrap().parent_hash();
    let rival = world.mine_on(fork, &[2]);
    assert!(world.client.tree().is_best(&block));
    assert!(matches!(world.request(BOB, &good), Err(GuaranteeError::Risk { .. })));
    let losing = world.order(rival, &[2], 500 * UNIT);
    assert!(matches!(world.request(BOB, &losing), Err(GuaranteeError::NotBest(_))));
    // One block more on the branch, and it has a price again.
    world.mine(&[]);
    let priced = world.quote(block, 500 * UNIT).unwrap();
    assert_eq!((priced.risk.confirmations, priced.risk.lead), (2, Some(1)));
    world.record.status = ChainStatus::Suspended;
    assert!(matches!(world.request(BOB, &good), Err(GuaranteeError::NotActive { .. })));
    world.record.status = ChainStatus::Active;
    world.record.security = Security::Attested;
    assert!(matches!(world.request(BOB, &good), Err(GuaranteeError::NoWork(_))));
    world.record.security = Security::ProofOfWork;
    let id = world.request(BOB, &good).unwrap().id();
    assert_eq!(world.request(BOB, &good), Err(GuaranteeError::Exists(id)));
    world.check();
}

#[test]
fn exposure_never_exceeds_its_limits() {
    let state = MemoryState::new();
    let (mut world, block) = with_payment(&state);
    // One confirmation: as much as one block is worth, 1,000 GRID.
    assert_eq!(world.quote(block, UNIT).unwrap().available, 1_000 * UNIT);
    let mut order = world.order(block, &[1], 600 * UNIT);
    world.request(BOB, &order).unwrap();
    assert_eq!(world.quote(block, UNIT).unwrap().available, 400 * UNIT);
    let again = world.request(CAROL, &order);
    assert!(matches!(
        again,
        Err(GuaranteeError::Exposure { limit: "by the work that undoes it", .. })
    ));
    // Four confirmations: a quarter of the pool, 2,500 GRID, less what is at risk.
    world.mine_empty(3);
    assert_eq!(world.quote(block, UNIT).unwrap().available, 1_900 * UNIT);
    (order.cover, order.value) = (1_900 * UNIT, U256::from(1_900 * UNIT));
    world.request(CAROL, &order).unwrap();
    assert_eq!(world.quote(block, UNIT).unwrap().available, 0);
    // Locked GRID cannot leave.
    let shares = read_holding(&world.overlay, &ALICE, &world.book()).unwrap().shares;
    world.now_ms = world.leave(ALICE, shares).unwrap().0;
    assert!(matches!(world.withdraw(ALICE, shares), Err(GuaranteeError::Locked { .. })));
    world.withdraw(ALICE, shares / 2).unwrap();
    world.check();
}

#[test]
fn a_fresh_block_must_be_tracked_for_a_while() {
    let state = MemoryState::new();
    let (mut world, block) = with_payment(&state);
    // At that age a single block of 2 s is so slow that the loading alone would be too much.
    let rules = GuaranteeParams { min_age_secs: 30, loading_parts: 10_000, ..params() };
    super::super::params::store(&mut world.overlay, &rules).unwrap();
    assert!(matches!(world.quote(block, UNIT * 10), Err(GuaranteeError::TooFresh { .. })));
    world.now_ms += 30_000;
    world.quote(block, UNIT * 10).unwrap();
}

#[test]
fn slow_blocks_and_fewer_confirmations_cost_more() {
    let state = MemoryState::new();
    let (mut world, block) = with_payment(&state);
    let mut last = u128::MAX;
    for z in 1..=5u64 {
        let quote = world.quote(block, 100 * UNIT).unwrap();
        assert_eq!(quote.risk.confirmations, z);
        assert!(quote.premium < last, "{z}");
        last = quote.premium;
        let now = world.now_ms;
        world.now_ms += 60_000;
        assert!(world.quote(block, 100 * UNIT).map_or(u128::MAX, |slow| slow.premium) > last);
        world.now_ms = now;
        world.mine(&[]);
    }
}

#[test]
fn a_terminated_chain_ends_what_is_open() {
    let state = MemoryState::new();
    let (mut world, block) = with_payment(&state);
    let order = world.order(block, &[1], 500 * UNIT);
    let id = world.request(BOB, &order).unwrap().id();
    for status in [ChainStatus::Suspended, ChainStatus::Frozen] {
        world.record.status = status;
        assert!(matches!(world.claim(id), Err(GuaranteeError::NotOver { .. })));
    }
    world.record.status = ChainStatus::Terminated;
    assert_eq!(world.claim(id).unwrap().status, Status::Defaulted);
    world.check();
}

#[test]
fn headers_under_a_thousand_others_are_not_judged() {
    let state = MemoryState::new();
    let mut world = World::new(&state);
    world.mine_empty(1_000);
    let tree = world.client.tree();
    let judge = |height| assess(tree, tree.best_at(height).unwrap(), world.now_ms, &terms());
    assert_eq!(judge(0), Err(GuaranteeError::TooDeep { found: 1_000, most: 1_000 }));
    let deepest = judge(1).unwrap();
    assert!(deepest.confirmations > 900, "{deepest:?}");
    assert_eq!(deepest.probability.of(u128::from(u64::MAX)), 0);
}

#[test]
fn premiums_round_up_and_stay_below_the_cover() {
    use crate::risk::Probability;
    let rules = GuaranteeParams { base_premium: U128::from(3), ..params() };
    assert_eq!(premium(&rules, Probability::ZERO, 100), Ok(3));
    let certain = premium(&rules, Probability::ONE, 100);
    assert_eq!(certain, Err(GuaranteeError::Risk { premium: 153, cover: 100 }));
    let fifth = crate::risk::rosenfeld(crate::risk::Ratio::from_ppm(100_000), 1);
    // A fifth of 101 is 20.2, so 21; one and a half times that is 31.5, so 32.
    assert_eq!(premium(&rules, fifth, 101), Ok(35));
    assert_eq!(premium(&rules, Probability::ONE, u128::MAX), Err(GuaranteeError::Amount));
}
