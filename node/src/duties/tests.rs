//! Validators without an engine: their chains, their duties, and a hand that decides who signs.

use std::collections::BTreeMap;

use alloy_primitives::U128;
use grid_consensus::{Chain as _, Origin, Verdict};
use grid_core::{
    genesis::{self, Genesis},
    grid::{RecoverableSignature, Validator, VoteKind, vote_digest},
    staking::{Equivocation, GenesisDelegate, SignedVote, StakingGenesis, StakingParams},
};
use prometheus::Registry;
use tempfile::TempDir;

use super::*;
use crate::{
    NodeMetrics,
    mempool::{Mempool, MempoolLimits},
    store::Store,
    tests::support::{CHAIN_ID, address, key},
};

const GRID: u128 = 1_000_000_000_000_000_000;
const BOND: u128 = 100 * GRID;
const REWARD: u128 = GRID / 100;
/// Validators of genesis; a seed's owner has a seed a hundred higher.
const FIRST: [u8; 4] = [11, 12, 13, 14];
const EPOCH: u64 = 24;

fn params() -> StakingParams {
    StakingParams {
        epoch_length: EPOCH,
        max_validators: 4,
        min_self_bond: U128::from(BOND),
        unbonding_epochs: 2,
        block_reward: U128::from(REWARD),
        jail_epochs: 1,
        min_counted: 4,
        ..StakingParams::default()
    }
}

fn description() -> Genesis {
    let mut accounts = FIRST.to_vec();
    accounts.extend([15]);
    accounts.extend(FIRST.map(|seed| seed + 100));
    let mut validators: Vec<_> =
        FIRST.iter().map(|seed| Validator { account: address(*seed), power: 1 }).collect();
    validators.sort_by_key(|validator| validator.account);
    let mut delegates: Vec<_> = FIRST
        .iter()
        .map(|seed| GenesisDelegate {
            account: address(*seed),
            owner: address(seed + 100),
            commission: 1_000,
            bond: U128::from(BOND),
        })
        .collect();
    delegates.sort_by_key(|delegate| delegate.account);
    Genesis {
        alloc: accounts
            .iter()
            .map(|seed| (address(*seed), U256::from(1_000 * GRID)))
            .collect::<BTreeMap<_, _>>(),
        validators,
        chains: Vec::new(),
        staking: Some(StakingGenesis {
            params: params(),
            reserve: U128::from(100 * GRID),
            delegates,
        }),
        ..crate::tests::support::genesis()
    }
}

fn open(directory: &TempDir, description: &Genesis) -> Arc<GridChain> {
    let genesis = genesis::build(description).unwrap();
    let store = Store::open(directory.path(), &genesis, 1 << 20).unwrap();
    let metrics = NodeMetrics::register(&Registry::new()).unwrap();
    let mempool = Mempool::new(MempoolLimits::default());
    Arc::new(GridChain::new(CHAIN_ID, store, mempool, metrics).unwrap())
}

struct Peer {
    seed: u8,
    chain: Arc<GridChain>,
    duties: Duties,
    directory: TempDir,
}

impl Peer {
    fn new(seed: u8, description: &Genesis) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let chain = open(&directory, description);
        let duties = Duties::new(chain.clone(), key(seed)).unwrap().unwrap();
        Self { seed, chain, duties, directory }
    }
}

/// All peers have every block; a transaction waits at the peer that made it.
struct Net {
    peers: Vec<Peer>,
    /// Who does not sign, propose or do anything.
    absent: Vec<u8>,
    /// Whose signatures reach only themselves.
    unheard: Vec<u8>,
}

impl Net {
    fn new(description: &Genesis) -> Self {
        let seeds = FIRST.into_iter().chain([15]);
        let peers = seeds.map(|seed| Peer::new(seed, description)).collect();
        Self { peers, absent: Vec::new(), unheard: Vec::new() }
    }

    fn peer(&mut self, seed: u8) -> &mut Peer {
        self.peers.iter_mut().find(|peer| peer.seed == seed).unwrap()
    }

    fn height(&self) -> u64 {
        self.peers[0].chain.head().height
    }

    fn set(&self) -> ValidatorSet {
        self.peers[0].chain.head().next_validators
    }

    fn view(&self) -> View {
        self.peers[0].chain.store().view().unwrap()
    }

    fn in_set(&self, seed: u8) -> bool {
        self.set().power(&address(seed)).is_some()
    }

    /// Decides one block: the validators propose in turn, those present sign.
    fn step(&mut self) {
        let height = self.height() + 1;
        let set = self.set();
        let present: Vec<u8> = set
            .as_slice()
            .iter()
            .map(|one| self.peers.iter().find(|p| address(p.seed) == one.account).unwrap().seed)
            .filter(|seed| !self.absent.contains(seed))
            .collect();
        let proposer = present[usize::try_from(height).unwrap() % present.len()];
        let block = self.peer(proposer).chain.build(height, 0, address(proposer)).unwrap();
        for seed in self.peers.iter().map(|peer| peer.seed).collect::<Vec<_>>() {
            let peer = self.peer(seed);
            let body = block.body.clone();
            let by = address(proposer);
            let verdict = peer.chain.validate(height, by, block.hash, body, Origin::Live);
            assert_eq!(verdict.unwrap(), Verdict::Valid);
            let heard = |signer: &&u8| **signer == seed || !self.unheard.contains(*signer);
            let signers: Vec<_> = present.iter().filter(heard).copied().collect();
            let certificate = certificate(height, block.hash, &signers);
            certificate.verify(CHAIN_ID, &set).unwrap();
            self.peer(seed).chain.commit(certificate).unwrap();
        }
        for peer in &mut self.peers {
            if !self.absent.contains(&peer.seed) {
                peer.duties.perform().unwrap();
            }
        }
    }

    /// Goes on until so many blocks of an epoch are decided.
    fn go_to(&mut self, epoch: u64, blocks: u64) {
        while self.height() < epoch * EPOCH + blocks {
            self.step();
        }
    }

    /// A call of an account, through whatever peer proposes next.
    fn send(&mut self, seed: u8, nonce: u64, value: u128, input: Vec<u8>) {
        let body = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: 500_000,
            max_fee_per_gas: 1_000_000_000,
            max_priority_fee_per_gas: 1_000,
            to: TxKind::Call(STAKING),
            value: U256::from(value),
            input: input.into(),
            ..TxEip1559::default()
        };
        let hash = body.signature_hash();
        let signature =
            Signature::from(key(seed).sign_prehash_recoverable(hash.as_slice()).unwrap());
        let raw = TxEnvelope::from(body.into_signed(signature)).encoded_2718();
        for peer in &self.peers {
            peer.chain.submit(&raw).unwrap();
        }
        self.step();
        let view = self.view();
        assert!(view.receipts(view.height()).unwrap().receipts.iter().all(|one| one.status()));
        assert_eq!(Account::read(&view, &address(seed)).unwrap().nonce, nonce + 1);
    }

    fn read<C: alloy_sol_types::SolCall>(&self, call: &C) -> C::Return {
        let view = self.view();
        let header = view.header(view.height()).unwrap().unwrap();
        let context = CallContext {
            to: Some(STAKING),
            input: call.abi_encode().into(),
            ..CallContext::default()
        };
        let outcome = transition::call(&view, &context, &header).unwrap();
        assert_eq!(outcome.reverted, None);
        C::abi_decode_returns(&outcome.output).unwrap()
    }

    fn delegate(&self, seed: u8) -> Staking::delegateInfoReturn {
        self.read(&Staking::delegateInfoCall { delegate: address(seed) })
    }

    /// How many of the epoch's counted blocks a validator signed, and how many count.
    fn attendance(&self, seed: u8) -> (u64, u64) {
        let counts = self.read(&Staking::attendanceCall {});
        let set = self.view().validators(self.height()).unwrap().unwrap();
        let at = set.as_slice().iter().position(|one| one.account == address(seed)).unwrap();
        (counts.signed.get(at).copied().unwrap_or(0), counts.counted)
    }

    /// Everything that anybody has, and what was burned.
    fn supply(&self) -> U256 {
        let view = self.view();
        let seeds = (11..=15).chain(FIRST.map(|seed| seed + 100)).map(address);
        let held: U256 = seeds
            .chain([STAKING])
            .map(|account| Account::read(&view, &account).unwrap().balance)
            .sum();
        held + state::query::burned(&view).unwrap()
    }

    /// Transactions of the staking contract in all blocks from a height on.
    fn transactions(&self, from: u64) -> u64 {
        let view = self.view();
        (from..=self.height())
            .map(|height| view.block(height).unwrap().unwrap().body.transactions.len() as u64)
            .sum()
    }
}

fn sign(seed: u8, kind: VoteKind, height: u64, block_hash: B256) -> RecoverableSignature {
    let digest = vote_digest(kind, CHAIN_ID, height, 0, block_hash);
    Signature::from(key(seed).sign_prehash_recoverable(digest.as_slice()).unwrap()).into()
}

fn certificate(height: u64, block_hash: B256, signers: &[u8]) -> CommitCertificate {
    let sign = |seed: &u8| sign(*seed, VoteKind::Precommit, height, block_hash);
    let signatures = signers.iter().map(sign).collect();
    CommitCertificate { height, round: 0, block_hash, signatures }
}

fn double_vote(seed: u8, height: u64) -> Equivocation {
    let vote = |block_hash| SignedVote {
        kind: VoteKind::Prevote,
        block_hash,
        signature: sign(seed, VoteKind::Prevote, height, block_hash),
    };
    let (one, other) = (vote(B256::repeat_byte(1)), vote(B256::repeat_byte(2)));
    Equivocation { height, round: 0, one, other }
}

#[test]
fn every_block_is_counted_cheaply_and_all_validators_earn() {
    let mut net = Net::new(&description());
    let supply = net.supply();
    net.go_to(0, EPOCH - 1);
    for seed in FIRST {
        let (signed, counted) = net.attendance(seed);
        assert!(counted >= EPOCH - 6, "{counted} of {EPOCH}");
        assert_eq!(signed, counted);
    }
    let sent = net.transactions(1);
    assert!(sent < EPOCH, "{sent} transactions: one a block at most");
    let quiet = (1..EPOCH)
        .filter(|height| net.view().block(*height).unwrap().unwrap().body.transactions.is_empty());
    assert!(quiet.count() as u64 > EPOCH / 3, "an idle chain stays idle most of the time");
    let owners =
        FIRST.map(|seed| Account::read(&net.view(), &address(seed + 100)).unwrap().balance);
    net.go_to(1, 0);
    for (at, seed) in FIRST.iter().enumerate() {
        let earned = net.delegate(*seed).tokens - U256::from(BOND);
        let share = U256::from(u128::from(EPOCH) * REWARD / 4);
        assert!(earned >= share * U256::from(9) / U256::from(10), "{earned}");
        let owner = Account::read(&net.view(), &address(seed + 100)).unwrap().balance;
        assert!(owner - owners[at] >= share / U256::from(10), "the commission");
    }
    assert_eq!(net.supply(), supply);
}

#[test]
fn who_is_away_is_jailed_and_comes_back() {
    let mut net = Net::new(&description());
    net.absent = vec![13];
    net.go_to(0, EPOCH - 1);
    assert!(net.in_set(13), "the set is fixed during an epoch");
    net.go_to(1, 0);
    assert!(!net.in_set(13));
    assert_eq!(net.set().as_slice().len(), 3);
    let jailed = net.delegate(13);
    assert_eq!((jailed.jailedUntil, jailed.candidate), (2, false));
    assert_eq!(jailed.tokens, U256::from(BOND), "absence costs no stake");
    net.absent.clear();
    net.go_to(2, 0);
    let unjail = Staking::unjailCall { delegate: address(13) }.abi_encode();
    net.send(113, 0, 0, unjail);
    assert!(net.delegate(13).candidate);
    net.go_to(3, 0);
    assert!(net.in_set(13));
}

#[test]
fn whose_signature_the_others_do_not_show_shows_it_itself() {
    let mut net = Net::new(&description());
    net.unheard = vec![12];
    net.go_to(0, EPOCH - 1);
    let (signed, counted) = net.attendance(12);
    assert!(counted >= EPOCH - 6, "{counted} of {EPOCH}");
    assert!(signed * 10_000 >= counted * 5_000, "{signed} of {counted}");
    net.go_to(1, 0);
    assert!(net.in_set(12), "not jailed");
}

#[test]
fn a_richer_delegate_takes_the_last_seat_at_an_epochs_end() {
    let mut net = Net::new(&description());
    let supply = net.supply();
    let register = Staking::registerCall { owner: address(15), commission: 0 }.abi_encode();
    net.step();
    net.send(15, 0, 2 * BOND, register);
    net.go_to(0, EPOCH - 1);
    assert!(!net.in_set(15));
    net.go_to(1, 0);
    assert!(net.in_set(15));
    let out: Vec<_> = FIRST.into_iter().filter(|seed| !net.in_set(*seed)).collect();
    assert_eq!(out.len(), 1, "one for one");
    let power = |seed| net.set().power(&address(seed)).unwrap();
    let other = FIRST.into_iter().find(|seed| !out.contains(seed)).unwrap();
    assert!(power(15) > power(other) * 19 / 10);
    // The new set decides, and what it does is counted.
    net.go_to(1, EPOCH - 1);
    assert!(net.attendance(15).0 >= EPOCH - 6);
    net.go_to(2, 0);
    assert_eq!(net.supply(), supply);
}

#[test]
fn evidence_outlives_a_restart_and_is_punished_once_whoever_sends_it() {
    let description = description();
    let mut net = Net::new(&description);
    net.go_to(0, 3);
    let supply = net.supply();
    for seed in [11, 12, 14] {
        let chain = &net.peer(seed).chain;
        chain.keep_evidence(&[double_vote(13, 2), double_vote(13, 3)]).unwrap();
        assert_eq!(chain.evidence().unwrap().len(), 1, "one a validator and epoch");
    }
    // One of them goes down before it could send anything.
    let at = net.peers.iter().position(|peer| peer.seed == 12).unwrap();
    let Peer { directory, chain, duties, .. } = net.peers.remove(at);
    drop((chain, duties));
    let chain = open(&directory, &description);
    assert_eq!(chain.evidence().unwrap().len(), 1);
    assert_eq!(chain.metrics().evidence_waiting.get(), 1);
    let duties = Duties::new(chain.clone(), key(12)).unwrap().unwrap();
    net.peers.insert(at, Peer { seed: 12, chain, duties, directory });

    net.go_to(0, 8);
    let punished = net.delegate(13);
    assert_eq!(punished.tokens, U256::from(BOND - BOND / 20));
    assert_eq!((punished.jailedUntil, punished.candidate), (2, false));
    assert_eq!(net.supply(), supply, "what is slashed is burned or paid");
    for seed in [11, 12, 14] {
        assert_eq!(net.peer(seed).chain.evidence().unwrap(), [], "nothing is left to tell");
        assert_eq!(net.peer(seed).chain.metrics().evidence_waiting.get(), 0);
    }
    let sent: u64 =
        net.peers.iter().map(|peer| peer.chain.metrics().evidence_sent_total.get()).sum();
    assert!((1..=3).contains(&sent), "{sent}");
    net.go_to(1, 0);
    assert!(!net.in_set(13));
}

#[test]
fn evidence_that_proves_nothing_is_dropped() {
    let mut net = Net::new(&description());
    net.go_to(0, 2);
    let mut forged = double_vote(13, 2);
    forged.other = forged.one;
    let peer = net.peer(11);
    peer.chain.keep_evidence(&[forged]).unwrap();
    assert_eq!(peer.chain.evidence().unwrap(), []);
    // Properly signed, but by somebody who had no vote.
    peer.chain.keep_evidence(&[double_vote(15, 2)]).unwrap();
    assert_eq!(peer.chain.evidence().unwrap().len(), 1);
    peer.duties.perform().unwrap();
    assert_eq!(peer.chain.evidence().unwrap(), []);
    assert_eq!(peer.chain.metrics().evidence_sent_total.get(), 0);
    // Of the next epoch: it waits for its time.
    peer.chain.keep_evidence(&[double_vote(13, EPOCH + 1)]).unwrap();
    peer.duties.perform().unwrap();
    assert_eq!(peer.chain.evidence().unwrap().len(), 1);
}

#[test]
fn a_validator_without_money_is_told_and_the_others_do_its_work() {
    let mut description = description();
    description.alloc.remove(&address(11));
    description.alloc.remove(&address(12));
    let mut net = Net::new(&description);
    net.go_to(0, EPOCH - 1);
    let (signed, counted) = net.attendance(11);
    assert!(counted >= EPOCH / 2, "{counted} of {EPOCH}");
    assert_eq!(signed, counted);
    assert!(net.peer(11).chain.metrics().duties_unpaid_total.get() > 0);
    assert_eq!(net.peer(11).chain.metrics().attendance_sent_total.get(), 0);
    assert!(net.peer(13).chain.metrics().attendance_sent_total.get() > 0);
    net.go_to(1, 0);
    assert!(net.in_set(11) && net.in_set(12));
}

#[test]
fn a_chain_without_staking_has_no_duties() {
    let directory = tempfile::tempdir().unwrap();
    let chain = open(&directory, &crate::tests::support::genesis());
    assert!(Duties::new(chain.clone(), key(1)).unwrap().is_none());
    chain.keep_evidence(&[double_vote(1, 1)]).unwrap();
    assert_eq!(chain.evidence().unwrap(), []);
}
