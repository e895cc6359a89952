//! A chain with staking and nothing else, and what is asked of it.

#![allow(clippy::cast_possible_truncation)]

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Signature, U128, U256};
use k256::ecdsa::SigningKey;

use super::{records::read_waiting_pool, *};
use crate::{
    grid::{
        CommitCertificate, RecoverableSignature, Validator, ValidatorSet, VoteKind,
        proposal_content, vote_digest,
    },
    modules::abi::STAKING,
    state::{Account, MemoryState, Overlay, system},
};

mod life;
mod properties;
mod rules;

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
