//! Messages of blocks that are not confirmed, delivered under a guarantee: through whole blocks.

mod interleaving;
mod refusals;

use alloy_primitives::{Address, B256, Bytes, U128, U256};
use alloy_sol_types::{SolCall, SolEvent};
use grid_core::{
    ChainId, ChainKey,
    bitcoin::{Header, spv::BlockTxs},
    guarantee::{GuaranteeGenesis, GuaranteeParams, Terms, TermsOf},
    modules::abi::{ESCROW, Escrow, GUARANTEE, Guarantee, LIGHT_CLIENTS, MAILBOX, Mailbox},
    proof::facts::{BitcoinFact, from_block},
    transition::{self, ExecutedBlock, Proposal, TxReject},
};

use crate::{
    depth, read,
    support::{messages::*, *},
};

const FIRST: u64 = 1_296_688_602;
/// The governor, who is the underwriter too.
const POOL: usize = 0;
/// Who locks GRID and waits for the payment.
const OWNER: usize = 1;
/// Who carries messages and buys guarantees.
const RELAYER: usize = 2;
const PAYEE: Address = Address::repeat_byte(0xbe);
/// What the escrow holds for the payee, asks for as cover, and sets aside for the premium.
const VALUE: u128 = 5 * GRID;
const COVER: u128 = 50 * GRID;
const ASIDE: u128 = 20 * GRID;
/// An end that no test reaches.
const LATE: u64 = FIRST + 600 * 10_000;

struct World {
    chain: Chain,
    wallets: [Wallet; 4],
    nonces: [u64; 4],
    key: ChainKey,
    id: ChainId,
    index: Index,
    /// The source's best branch, from height 1.
    best: Vec<[u8; 80]>,
    /// The payment's transaction, and the block of height 8 with it.
    block: BlockTxs,
}

impl World {
    /// A chain whose rule is three blocks, a route with that policy, a pool of 500 GRID, and seven blocks.
    fn new(policy: u8) -> Self {
        let wallets = [1, 2, 3, 4].map(Wallet::new);
        let (network, key) = regtest();
        let record = bitcoin_record(&network, depth(3), 64);
        let id = network.chain_id();
        let terms =
            Terms { attacker_share: 100_000, spacing: 600, block_value: U128::from(100 * GRID) };
        let mut description = genesis(vec![record], &wallets.each_ref());
        description.time_ms = (FIRST + 600 * 8) * 1_000;
        description.guarantee = Some(GuaranteeGenesis {
            params: GuaranteeParams {
                min_term: 3,
                max_term: 12,
                grace: 2,
                min_age_secs: 0,
                ..GuaranteeParams::default()
            },
            chains: vec![TermsOf { chain: id.clone(), terms }],
        });
        let chain = Chain::new(&description);
        let best = mine(&network.genesis.0, 7, 1);
        let block = block_txs(8, &[]);
        let (nonces, index) = ([0; 4], Index::default());
        let mut world = Self { chain, wallets, nonces, key, id, index, best, block };
        world.go(POOL, GUARANTEE, 500 * GRID, &Guarantee::depositCall {});
        world.route(policy);
        world
    }

    fn route(&mut self, policy: u8) {
        let (source, destination) = (self.key.0, own());
        let route = Mailbox::setRouteCall {
            source,
            destination,
            policy,
            maxPayload: 64,
            // Of no account for guaranteed deliveries.
            minDepth: 1,
            mailbox: Address::ZERO,
        };
        self.go(POOL, MAILBOX, 0, &route);
    }

    /// A block with one call, which must succeed.
    fn go(&mut self, who: usize, to: Address, value: u128, call: &impl SolCall) -> ExecutedBlock {
        let block = self.attempt(who, to, value, call.abi_encode()).expect("it says something new");
        assert!(block.receipts[0].status(), "{:?}", self.reason(to, call));
        block
    }

    /// A block with one call; `None` where it tells nothing new.
    fn attempt(
        &mut self,
        who: usize,
        to: Address,
        value: u128,
        input: Vec<u8>,
    ) -> Option<ExecutedBlock> {
        let tx = self.wallets[who].tx(self.nonces[who], to, value, 14_000_000, input.into());
        let known = transition::check(&self.chain.state, &tx, 1) == Err(TxReject::AlreadyKnown);
        let Proposal { executed, dropped } = self.chain.propose(vec![tx]);
        if executed.receipts.is_empty() {
            assert!(dropped.iter().all(|(_, why)| *why == TxReject::AlreadyKnown), "{dropped:?}");
            return None;
        }
        // A block may have another reason first, but what the mempool refuses is never taken.
        assert!(!known || !executed.receipts[0].status());
        let judged =
            transition::validate(&self.chain.parent, &self.chain.state, &executed.block).unwrap();
        assert_eq!(judged, executed);
        self.nonces[who] += 1;
        self.chain.commit(&executed);
        self.index.follow(&executed, self.key);
        Some(executed)
    }

    /// Why a call would be refused now.
    fn reason(&self, to: Address, call: &impl SolCall) -> Option<String> {
        read(&self.chain, to, call.abi_encode()).reverted
    }

    fn ask<C: SolCall>(&self, to: Address, call: &C) -> C::Return {
        let outcome = read(&self.chain, to, call.abi_encode());
        assert_eq!(outcome.reverted, None);
        C::abi_decode_returns(&outcome.output).unwrap()
    }

    /// Takes blocks off the source's best branch down to a height, and puts others on.
    fn branch(&mut self, from: usize, headers: &[[u8; 80]]) -> ExecutedBlock {
        self.best.truncate(from);
        self.best.extend(headers);
        let last = Header::parse(self.best.last().unwrap()).time;
        self.chain.time_ms = self.chain.time_ms.max(u64::from(last) * 1_000);
        let input = submit_input(self.key, headers).to_vec();
        let block = self.attempt(POOL, LIGHT_CLIENTS, 0, input).expect("new headers");
        assert!(block.receipts[0].status());
        block
    }

    /// Brings block 8 with a transaction, on the seven before it.
    fn pay(&mut self, tx: Vec<u8>) -> ExecutedBlock {
        self.block = block_txs(8, &[tx]);
        let header = mine_root(&self.best[6], self.block.tree().root());
        let mut headers = self.best[..7].to_vec();
        headers.push(header);
        self.branch(0, &headers)
    }

    /// More blocks on the best branch.
    fn more(&mut self, count: usize) -> ExecutedBlock {
        let headers = mine(self.best.last().unwrap(), count, 1);
        self.branch(self.best.len(), &headers)
    }

    /// A longer branch from below the payment's block, without the payment.
    fn orphan(&mut self) -> ExecutedBlock {
        let headers = mine(&self.best[6], self.best.len() + 6, 2);
        self.branch(7, &headers)
    }

    fn open(&mut self) -> B256 {
        let call = self.terms(ASIDE);
        let block = self.go(OWNER, ESCROW, VALUE + ASIDE, &call);
        event::<Escrow::Asked>(&block).id
    }

    fn terms(&self, premium: u128) -> Escrow::openGuaranteedCall {
        Escrow::openGuaranteedCall {
            chain: self.key.0,
            script: SCRIPT.to_vec().into(),
            amount: AMOUNT,
            payee: PAYEE,
            deadline: LATE,
            cover: U256::from(COVER),
            premium: U256::from(premium),
        }
    }

    /// The payment's transaction without witness.
    fn transaction(&self) -> Bytes {
        self.block.prove(1).unwrap().raw
    }

    fn request(&self, beneficiary: Address, cover: u128) -> Guarantee::requestCall {
        Guarantee::requestCall {
            chain: self.key.0,
            blockHash: Header::parse(&self.best[7]).hash(),
            payment: self.block.prove(1).unwrap().into(),
            cover: U256::from(cover),
            beneficiary,
            deadline: self.best.len() as u64 + 6,
        }
    }

    /// Buys a guarantee for the owner; returns its id and what it cost.
    fn guarantee(&mut self, cover: u128) -> (B256, U256) {
        let call = self.request(self.wallets[OWNER].address, cover);
        let block = self.go(RELAYER, GUARANTEE, cover, &call);
        let made: Guarantee::Requested = event(&block);
        (made.id, made.premium)
    }

    fn covered(&self, guarantee: B256, output: u32) -> Mailbox::deliverGuaranteedCall {
        let (transaction, evidence) = (self.transaction(), funding().into());
        Mailbox::deliverGuaranteedCall { guarantee, transaction, output, evidence }
    }

    fn asked(&self, output: u32) -> Mailbox::askOfCall {
        let (transaction, evidence) = (self.transaction(), funding().into());
        Mailbox::askOfCall { source: self.key.0, transaction, output, evidence }
    }

    /// A delivery by a proof against the index of the newest block.
    fn proven(&self, block: &ExecutedBlock, output: u32) -> Mailbox::deliverCall {
        let txid = self.block.tree().txids()[1];
        let inclusion = from_block(&self.block, &[BitcoinFact::Data { txid, output }]).unwrap();
        let proof = self.index.prove(block, &self.id, 8, inclusion).to_abi();
        Mailbox::deliverCall { proof, evidence: funding().into() }
    }

    fn balance(&self, account: Address) -> U256 {
        self.chain.account(account).balance
    }

    /// The books of the pool and of the escrows.
    fn check(&self, escrows: &[B256]) {
        let pool = self.ask(GUARANTEE, &Guarantee::poolCall {});
        let totals = self.ask(GUARANTEE, &Guarantee::totalsCall {});
        assert_eq!(self.balance(GUARANTEE), pool.free + pool.locked);
        let (into, out) = (totals.deposited + totals.premiums, totals.paid + totals.withdrawn);
        assert_eq!(pool.free + pool.locked + out, into);
        assert!(pool.cover <= pool.locked);
        let held = escrows.iter().map(|id| self.ask(ESCROW, &Escrow::escrowOfCall { id: *id }));
        let open = held.filter(|one| one.status == 1).map(|one| one.value + one.premium);
        assert_eq!(self.balance(ESCROW), open.sum::<U256>());
    }
}

fn event<T: SolEvent>(block: &ExecutedBlock) -> T {
    find(block).expect("an event")
}

fn find<T: SolEvent>(block: &ExecutedBlock) -> Option<T> {
    let logs = block.receipts[0].logs();
    logs.iter().find_map(|log| T::decode_log(log).ok()).map(|log| log.data)
}

/// A payment in a block of one confirmation has released an escrow: its id, the message's, the guarantee's.
fn released() -> (World, B256, B256, B256) {
    let mut world = World::new(9);
    let supply = world.chain.supply();
    let escrow = world.open();
    assert_eq!(world.balance(ESCROW), U256::from(VALUE + ASIDE));
    world.pay(spend(vec![output(AMOUNT, &SCRIPT), note(0, ESCROW, escrow.as_slice(), false, 0)]));
    // The recipient says what it asks for; whoever carries messages needs no opinion of his own.
    let asked = world.ask(MAILBOX, &world.asked(1));
    let owner = world.wallets[OWNER].address;
    assert_eq!((asked.cover, asked.beneficiary), (U256::from(COVER), owner));
    assert_eq!(asked.premium, U256::from(ASIDE));
    let (guarantee, premium) = world.guarantee(COVER);
    assert!(premium < U256::from(ASIDE));
    let (before, rich) = (world.balance(owner), world.balance(GUARANTEE));
    // Who delivers need not be who paid.
    let call = world.covered(guarantee, 1);
    let block = world.go(POOL, MAILBOX, 0, &call);
    let told: Mailbox::Guaranteed = event(&block);
    assert_eq!((told.id, told.guarantee, told.height), (asked.id, guarantee, 8));
    assert_eq!(event::<Mailbox::Delivered>(&block).id, asked.id);
    assert_eq!(event::<Escrow::Released>(&block).message, asked.id);
    assert_eq!(world.balance(PAYEE), U256::from(VALUE));
    // The relayer has its premium back, the owner the rest of what was set aside.
    let back: Escrow::PremiumPaid = event(&block);
    assert_eq!((back.payer, back.premium), (world.wallets[RELAYER].address, premium));
    assert_eq!(world.balance(owner), before + U256::from(ASIDE) - premium);
    assert_eq!(world.balance(GUARANTEE), rich);
    let shown = world.ask(MAILBOX, &Mailbox::messageOfCall { id: asked.id });
    assert_eq!((shown.state, shown.guarantee, shown.guaranteeStatus), (5, guarantee, 1));
    assert_eq!((shown.height, shown.source), (8, world.key.0));
    assert_eq!(world.chain.supply(), supply);
    world.check(&[escrow]);
    (world, escrow, asked.id, guarantee)
}

#[test]
fn a_payment_releases_after_one_block_and_the_owner_is_paid_when_it_is_orphaned() {
    let (mut world, escrow, message, guarantee) = released();
    let (supply, owner) = (world.chain.supply(), world.wallets[OWNER].address);
    // Whoever comes again, by this way or the other.
    let call = world.covered(guarantee, 1).abi_encode();
    assert!(world.attempt(RELAYER, MAILBOX, 0, call).is_none());
    world.orphan();
    let shown = world.ask(MAILBOX, &Mailbox::messageOfCall { id: message });
    assert_eq!((shown.state, shown.guaranteeStatus, shown.brokenAt), (5, 1, 0));
    let before = world.balance(owner);
    let paid = world.go(POOL, GUARANTEE, 0, &Guarantee::claimCall { id: guarantee });
    assert_eq!(event::<Guarantee::Defaulted>(&paid).beneficiary, owner);
    assert_eq!(world.balance(owner), before + U256::from(COVER));
    // The payee keeps the GRID, the message its state, and nobody can call it breached.
    assert_eq!(world.balance(PAYEE), U256::from(VALUE));
    let shown = world.ask(MAILBOX, &Mailbox::messageOfCall { id: message });
    assert_eq!((shown.state, shown.guarantee, shown.guaranteeStatus), (5, guarantee, 3));
    let report = world.reason(MAILBOX, &Mailbox::reportCall { id: message }).unwrap();
    assert!(report.contains("is guaranteed"), "{report}");
    assert_eq!(world.chain.supply(), supply);
    world.check(&[escrow]);
}

#[test]
fn a_guaranteed_message_keeps_its_state_when_its_block_confirms_and_when_it_is_cut_off_later() {
    let (mut world, escrow, message, guarantee) = released();
    world.more(2);
    let block = world.more(1);
    // The proof is as good as any, and the message is known.
    let again = world.proven(&block, 1);
    assert_eq!(world.reason(MAILBOX, &again).as_deref(), Some("already known"));
    assert!(world.attempt(RELAYER, MAILBOX, 0, again.abi_encode()).is_none());
    world.go(RELAYER, GUARANTEE, 0, &Guarantee::settleCall { id: guarantee });
    let state = |world: &World| {
        let shown = world.ask(MAILBOX, &Mailbox::messageOfCall { id: message });
        (shown.state, shown.guaranteeStatus, shown.brokenAt)
    };
    assert_eq!(state(&world), (5, 2, 0));
    world.orphan();
    assert_eq!(state(&world), (5, 2, 0));
    assert!(world.reason(MAILBOX, &Mailbox::reportCall { id: message }).is_some());
    world.check(&[escrow]);
}

#[test]
fn a_confirmed_payment_needs_no_guarantee_and_the_premium_goes_back() {
    let mut world = World::new(9);
    let escrow = world.open();
    world.pay(spend(vec![output(AMOUNT, &SCRIPT), note(0, ESCROW, escrow.as_slice(), false, 0)]));
    world.more(2);
    let block = world.more(1);
    let owner = world.wallets[OWNER].address;
    let before = world.balance(owner);
    let call = world.proven(&block, 1);
    let block = world.go(RELAYER, MAILBOX, 0, &call);
    assert!(find::<Mailbox::Guaranteed>(&block).is_none());
    assert!(find::<Escrow::PremiumPaid>(&block).is_none());
    assert_eq!(world.balance(PAYEE), U256::from(VALUE));
    assert_eq!(world.balance(owner), before + U256::from(ASIDE));
    world.check(&[escrow]);
}

#[test]
fn the_deadline_gives_the_premium_back_too() {
    let mut world = World::new(9);
    let escrow = world.open();
    let owner = world.wallets[OWNER].address;
    let before = world.balance(owner);
    world.chain.time_ms = (LATE + 1) * 1_000;
    world.go(RELAYER, ESCROW, 0, &Escrow::refundCall { id: escrow });
    assert_eq!(world.balance(owner), before + U256::from(VALUE + ASIDE));
    world.check(&[escrow]);
}
