#![allow(clippy::cast_possible_truncation)]

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Signature, U128, U256};
use k256::ecdsa::SigningKey;
use proptest::prelude::*;

use super::{
    records::{read_set, read_waiting_pool},
    *,
};
use crate::{
    grid::{
        CommitCertificate, RecoverableSignature, Validator, ValidatorSet, VoteKind, vote_digest,
    },
    modules::abi::STAKING,
    state::{Account, MemoryState, Overlay, system},
};

const CHAIN_ID: u64 = 7_357;
const UNIT: u128 = 1_000_000;
const RICH: u128 = 1_000_000 * UNIT;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed + 1; 32]).unwrap()
}

fn address(seed: u8) -> Address {
    Address::from_public_key(key(seed).verifying_key())
}

fn sign(seed: u8, digest: B256) -> RecoverableSignature {
    Signature::from(key(seed).sign_prehash_recoverable(digest.as_slice()).unwrap()).into()
}

fn owner(seed: u8) -> Address {
    Address::repeat_byte(0xa0 + seed)
}

fn holder(number: u8) -> Address {
    Address::repeat_byte(0xc0 + number)
}

fn params() -> StakingParams {
    StakingParams {
        epoch_length: 4,
        max_validators: 3,
        min_self_bond: U128::from(100 * UNIT),
        unbonding_epochs: 3,
        block_reward: U128::from(7 * UNIT + 3),
        jail_epochs: 1,
        min_counted: 2,
        ..StakingParams::default()
    }
}

const DELEGATES: u8 = 4;
const HOLDERS: u8 = 3;

/// Staking over one long overlay, with everybody's account rich.
struct Chain<'a> {
    overlay: Overlay<'a>,
    height: u64,
    /// What stood behind each delegate when an epoch's set was elected.
    backing: BTreeMap<(Address, u64), u128>,
    /// Slashes so far, by delegate.
    slashes: BTreeMap<Address, u32>,
}

fn block_hash(height: u64) -> B256 {
    B256::left_padding_from(&(height + 1).to_be_bytes())
}

impl<'a> Chain<'a> {
    /// Delegates 0 and 1 from genesis; 2 and 3 may register.
    fn new(state: &'a MemoryState, params: &StakingParams) -> Self {
        let mut overlay = Overlay::new(state);
        let mut delegates: Vec<_> = (0..2u8)
            .map(|seed| GenesisDelegate {
                account: address(seed),
                owner: owner(seed),
                commission: 1_000 * u16::from(seed),
                bond: U128::from(1_000 * UNIT),
            })
            .collect();
        delegates.sort_by_key(|delegate| delegate.account);
        let list = delegates.iter().map(|d| Validator { account: d.account, power: 1 });
        let set = ValidatorSet::new(list.collect()).unwrap();
        let reserve = U128::from(500 * UNIT);
        let genesis = StakingGenesis { params: params.clone(), reserve, delegates };
        genesis.validate(&set).unwrap();
        system::store_validators(&mut overlay, &set);
        apply_genesis(&mut overlay, &genesis, &set).unwrap();
        for account in (0..DELEGATES).flat_map(|at| [address(at), owner(at)]) {
            Account { nonce: 0, balance: U256::from(RICH) }.store(&mut overlay, &account);
        }
        for account in (0..HOLDERS).map(holder) {
            Account { nonce: 0, balance: U256::from(RICH) }.store(&mut overlay, &account);
        }
        let mut chain =
            Self { overlay, height: 1, backing: BTreeMap::new(), slashes: BTreeMap::new() };
        chain.note_backing(0);
        chain
    }

    fn epoch(&self) -> u64 {
        params().epoch_of(self.height)
    }

    fn note_backing(&mut self, epoch: u64) {
        for account in (0..DELEGATES).map(address) {
            self.backing.insert((account, epoch), self.pool(account).tokens);
        }
    }

    fn pool(&self, account: Address) -> Pool {
        Delegate::read(&self.overlay, &account).unwrap().unwrap_or_default().pool
    }

    fn by(&self, account: Address) -> Holder {
        Holder { account, height: self.height }
    }

    /// Runs a call as the transition does: what fails is undone.
    fn run<T>(
        &mut self,
        call: impl FnOnce(&mut Overlay<'a>) -> Result<T, StakingError>,
    ) -> Result<T, StakingError> {
        let checkpoint = self.overlay.checkpoint();
        call(&mut self.overlay).inspect_err(|_| self.overlay.rollback(checkpoint))
    }

    fn stake(&mut self, from: Address, with: Address, tokens: u128) -> Result<u128, StakingError> {
        let by = self.by(from);
        self.run(|overlay| delegate(overlay, &by, with, U256::from(tokens)))
    }

    fn leave(&mut self, from: Address, with: Address, shares: u128) -> Result<u128, StakingError> {
        let by = self.by(from);
        self.run(|overlay| undelegate(overlay, &by, with, shares)).map(|(tokens, _)| tokens)
    }

    fn take(&mut self, from: Address, with: Address, epoch: u64) -> Result<u128, StakingError> {
        let by = self.by(from);
        self.run(|overlay| withdraw(overlay, &by, with, epoch))
    }

    fn enter(&mut self, seed: u8, tokens: u128) -> Result<u128, StakingError> {
        let by = self.by(address(seed));
        self.run(|overlay| register(overlay, &by, owner(seed), 500, U256::from(tokens)))
    }

    fn accuse(&mut self, seed: u8, height: u64) -> Result<punish::Punished, StakingError> {
        let by = self.by(holder(0));
        let evidence = equivocation(seed, height);
        let done = self.run(|overlay| report(overlay, &by, &evidence, CHAIN_ID))?;
        *self.slashes.entry(done.delegate).or_default() += 1;
        Ok(done)
    }

    fn certify(&mut self, height: u64, signers: &[u8]) -> Result<u64, StakingError> {
        let (now, certificate) = (self.height, certificate(height, signers));
        self.run(|overlay| record_commit(overlay, &certificate, CHAIN_ID, now))
    }

    fn next_block(&mut self, proposer: Address, tips: u128) {
        let (height, epoch) = (self.height, self.epoch());
        let payer = holder(HOLDERS - 1);
        let mut account = Account::load(&self.overlay, &payer).unwrap();
        let tips = U256::from(tips).min(account.balance);
        account.balance -= tips;
        account.store(&mut self.overlay, &payer);
        end_block(&mut self.overlay, height, &proposer, tips).unwrap();
        system::store_block_hash(&mut self.overlay, height, block_hash(height));
        self.height += 1;
        if self.epoch() > epoch {
            self.note_backing(epoch + 1);
        }
    }

    /// Goes to the first block of an epoch.
    fn go_to(&mut self, epoch: u64) {
        while self.epoch() < epoch {
            self.next_block(holder(0), 0);
        }
    }

    fn everybody() -> Vec<Address> {
        let delegates = (0..DELEGATES).flat_map(|at| [address(at), owner(at)]);
        delegates.chain((0..HOLDERS).map(holder)).collect()
    }

    fn balance(&self, account: Address) -> u128 {
        u128::try_from(Account::load(&self.overlay, &account).unwrap().balance).unwrap()
    }

    /// Balances and burned: must never change.
    fn supply(&self) -> U256 {
        let accounts = Self::everybody().into_iter().chain([STAKING]);
        let sum = accounts.map(|account| U256::from(self.balance(account))).sum::<U256>();
        sum + system::burned(&self.overlay).unwrap()
    }

    /// What the contract owes is what it has; every share has a holder.
    fn check(&self) {
        let mut owed = reserve(&self.overlay).unwrap();
        for account in (0..DELEGATES).map(address) {
            let pool = self.pool(account);
            owed += pool.tokens;
            let held: u128 = Self::everybody()
                .iter()
                .map(|holder| stake_of(&self.overlay, &account, holder).unwrap())
                .sum();
            assert_eq!(held, pool.shares, "shares of {account}");
            for epoch in 0..=self.epoch() {
                let pool = read_waiting_pool(&self.overlay, &account, epoch).unwrap();
                owed += pool.tokens;
                let held: u128 = Self::everybody()
                    .iter()
                    .map(|holder| waiting(&self.overlay, &account, epoch, holder).unwrap().0)
                    .sum();
                assert_eq!(held, pool.shares, "waiting shares of {account}, epoch {epoch}");
            }
        }
        assert_eq!(owed, self.balance(STAKING));
    }
}

fn equivocation(seed: u8, height: u64) -> Equivocation {
    let vote = |block_hash| SignedVote {
        kind: VoteKind::Precommit,
        block_hash,
        signature: sign(seed, vote_digest(VoteKind::Precommit, CHAIN_ID, height, 0, block_hash)),
    };
    let (one, other) = (vote(B256::repeat_byte(1)), vote(B256::repeat_byte(2)));
    Equivocation { height, round: 0, one, other }
}

fn certificate(height: u64, signers: &[u8]) -> CommitCertificate {
    let mut signers = signers.to_vec();
    signers.sort_by_key(|seed| address(*seed));
    let block_hash = block_hash(height);
    let digest = vote_digest(VoteKind::Precommit, CHAIN_ID, height, 0, block_hash);
    let signatures = signers.into_iter().map(|seed| sign(seed, digest)).collect();
    CommitCertificate { height, round: 0, block_hash, signatures }
}

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
    use VoteKind::{Precommit, PrecommitNil, Prevote, PrevoteNil};
    let with = |other| Equivocation { other, ..good };
    for nil in [PrecommitNil, PrevoteNil] {
        let kind = if nil.is_precommit() { Precommit } else { Prevote };
        let (one, other) = (signed(0, kind, block), signed(0, nil, none));
        let evidence = Equivocation { height: 9, round: 0, one, other };
        assert_eq!(evidence.verify(CHAIN_ID), Ok(address(0)), "a block and nothing");
    }
    type Error = EquivocationError;
    type Check = fn(&Error) -> bool;
    let no_conflict: Check = |error| matches!(error, Error::NoConflict(_));
    let signers: Check = |error| matches!(error, Error::Signers { .. });
    let malformed: Check = |error| *error == Error::Malformed;
    let form: Check = |error| *error == Error::Form;
    let broken = SignedVote { signature: RecoverableSignature::from_bytes([9; 65]), ..good.other };
    let cases: [(&str, Equivocation, Check); 8] = [
        ("the same vote", with(good.one), no_conflict),
        ("another step", with(signed(0, Prevote, block)), no_conflict),
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

/// What can happen, in numbers that most often mean something.
#[derive(Debug, Clone)]
enum Op {
    Enter { seed: u8, tokens: u128 },
    Stake { from: u8, with: u8, tokens: u128 },
    StakeOwner { with: u8, tokens: u128 },
    Leave { from: u8, with: u8, parts: u16 },
    LeaveOwner { with: u8, parts: u16 },
    Take { from: u8, with: u8, back: u64 },
    Accuse { seed: u8, back: u64 },
    Certify { back: u64, signers: u8 },
    Unjail { seed: u8 },
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
        1 => with.clone().prop_map(|seed| Op::Unjail { seed }),
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
