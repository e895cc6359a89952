//! Election, pools, evidence and genesis, each alone.

use super::*;

#[test]
fn election_takes_the_most_stake_and_the_lower_address() {
    let candidate = |at: u8, tokens| Candidate { account: Address::repeat_byte(at), tokens };
    let list = vec![candidate(4, 7), candidate(3, 7), candidate(2, 9), candidate(1, 0)];
    let set = elect(list.clone(), 2).unwrap();
    let expected =
        [(2, 9), (3, 7)].map(|(at, power)| Validator { account: Address::repeat_byte(at), power });
    assert_eq!(set.as_slice(), expected);
    assert_eq!(elect(list[3..].to_vec(), 2), None);
    assert_eq!(elect(Vec::new(), 2), None);
    let huge = elect(vec![candidate(1, u128::MAX / 2), candidate(2, 1)], 2).unwrap();
    assert_eq!(huge.as_slice()[1].power, 1, "the smallest stake keeps a vote");
    assert!(huge.total_power() >= 1 << 59);
}

#[test]
fn a_pool_never_pays_more_than_it_holds() {
    let mut pool = Pool::default();
    assert_eq!(pool.deposit(0), Err(StakingError::Nothing));
    assert_eq!(pool.deposit(1_000).unwrap(), 1_000);
    pool.tokens += 500;
    assert_eq!(pool.deposit(1), Err(StakingError::Nothing), "less than a share's worth");
    assert_eq!(pool.deposit(10).unwrap(), 6, "rounded down");
    assert_eq!(pool.redeem(7_000), Err(StakingError::Shares { wanted: 7_000, held: 1_006 }));
    assert_eq!(pool.redeem(6).unwrap(), 9, "rounded down, the rest is the others'");
    assert_eq!(pool.slash(1), 1, "rounded up");
    assert_eq!(pool.redeem(1_000).unwrap(), 1_500, "the last one takes all");
    assert_eq!(pool, Pool::default());
    let mut gone = Pool { tokens: 5, shares: 5 };
    assert_eq!(gone.slash(10_000), 5);
    assert_eq!(gone.deposit(9), Err(StakingError::Emptied));
    assert_eq!(gone.redeem(5), Ok(0));
}

#[test]
fn evidence_needs_two_votes_of_one_step_that_exclude_each_other() {
    let good = equivocation(0, 9);
    assert_eq!(good.verify(CHAIN_ID), Ok(address(0)));
    let signed = |seed, kind, block_hash| SignedVote {
        kind,
        block_hash,
        signature: sign(seed, vote_digest(kind, CHAIN_ID, 9, 0, block_hash)),
    };
    let (block, none) = (B256::repeat_byte(1), B256::ZERO);
    use VoteKind::{Precommit, PrecommitNil, Prevote, PrevoteNil, Proposal};
    let with = |other| Equivocation { other, ..good };
    for (kind, nil) in [(Precommit, PrecommitNil), (Prevote, PrevoteNil)] {
        let (one, other) = (signed(0, kind, block), signed(0, nil, none));
        let evidence = Equivocation { height: 9, round: 0, one, other };
        assert_eq!(evidence.verify(CHAIN_ID), Ok(address(0)), "a block and nothing");
    }
    let contents = [(None, block), (Some(0), block), (None, B256::repeat_byte(2))];
    let proposed = contents.map(|(valid, hash)| signed(0, Proposal, proposal_content(valid, hash)));
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let (one, other) = (proposed[one], proposed[other]);
        let evidence = Equivocation { height: 9, round: 0, one, other };
        assert_eq!(evidence.verify(CHAIN_ID), Ok(address(0)), "two proposals");
    }
    type Error = EquivocationError;
    type Check = fn(&Error) -> bool;
    let no_conflict: Check = |error| matches!(error, Error::NoConflict(_));
    let signers: Check = |error| matches!(error, Error::Signers { .. });
    let malformed: Check = |error| *error == Error::Malformed;
    let form: Check = |error| *error == Error::Form;
    let broken = SignedVote { signature: RecoverableSignature::from_bytes([9; 65]), ..good.other };
    let cases: [(&str, Equivocation, Check); 10] = [
        ("the same vote", with(good.one), no_conflict),
        ("another step", with(signed(0, Prevote, block)), no_conflict),
        ("a proposal and a vote", with(proposed[0]), no_conflict),
        ("the same proposal", Equivocation { one: proposed[0], ..with(proposed[0]) }, no_conflict),
        ("another signer", with(signed(1, Precommit, B256::repeat_byte(2))), signers),
        ("another height", Equivocation { height: 8, ..good }, signers),
        ("another round", Equivocation { round: 1, ..good }, signers),
        ("a vote for block zero", with(signed(0, Precommit, none)), form),
        ("nothing, with a block", with(signed(0, PrecommitNil, block)), form),
        ("no signature", with(broken), malformed),
    ];
    for (name, evidence, check) in cases {
        let error = evidence.verify(CHAIN_ID).unwrap_err();
        assert!(check(&error), "{name}: {error}");
    }
    assert!(good.verify(1).is_err(), "another chain");
}

#[test]
fn genesis_names_the_field_that_is_wrong() {
    let delegate = |seed| GenesisDelegate {
        account: address(seed),
        owner: owner(seed),
        commission: 0,
        bond: U128::from(100 * UNIT),
    };
    let set = elect(vec![Candidate { account: address(0), tokens: 1 }], 1).unwrap();
    let good =
        StakingGenesis { params: params(), reserve: U128::ZERO, delegates: vec![delegate(0)] };
    assert_eq!(good.validate(&set), Ok(()));
    let json = serde_json::to_string(&good).unwrap();
    assert_eq!(serde_json::from_str::<StakingGenesis>(&json).unwrap(), good);
    let short: StakingGenesis = serde_json::from_str(r#"{"delegates":[]}"#).unwrap();
    assert_eq!(short.params, StakingParams::default());
    type Change = fn(&mut StakingGenesis);
    let cases: [(&str, Change); 8] = [
        ("must be a delegate", |g| g.delegates.clear()),
        ("strictly increasing", |g| g.delegates.push(g.delegates[0].clone())),
        ("bond of", |g| g.delegates[0].bond = U128::from(99 * UNIT)),
        ("commission of", |g| g.delegates[0].commission = 10_001),
        ("must have an owner", |g| g.delegates[0].owner = Address::ZERO),
        ("epochLength 0", |g| g.params.epoch_length = 0),
        ("maxValidators 257", |g| g.params.max_validators = 257),
        ("below 2^128", |g| g.reserve = U128::MAX),
    ];
    for (expected, change) in cases {
        let mut bad = good.clone();
        change(&mut bad);
        let error = bad.validate(&set).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
