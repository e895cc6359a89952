//! Any interleaving of deliveries of both kinds, reorganisations, ends of guarantees and of escrows, by several relayers.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// Somebody buys a guarantee, good enough or not.
    Request {
        who: usize,
        enough: bool,
        owner: bool,
    },
    /// Somebody delivers a message under one of them.
    Covered {
        who: usize,
        guarantee: usize,
        message: usize,
    },
    /// Somebody delivers a message by a proof.
    Proven {
        who: usize,
        message: usize,
    },
    /// Blocks on the best branch.
    More {
        blocks: usize,
    },
    /// Another branch from below the payment wins, with the payment in its first block or without.
    Branch {
        ahead: usize,
        with: bool,
    },
    Settle {
        guarantee: usize,
    },
    SettleIn {
        guarantee: usize,
    },
    Claim {
        guarantee: usize,
    },
    Report {
        message: usize,
    },
    Refund {
        escrow: usize,
    },
    Wait {
        blocks: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (who, guarantee, message) = (1..4usize, 0..6usize, 0..4usize);
    let step = prop_oneof![
        3 => (who.clone(), prop::bool::weighted(0.8), prop::bool::weighted(0.8))
            .prop_map(|(who, enough, owner)| Step::Request { who, enough, owner }),
        5 => (who.clone(), guarantee.clone(), message.clone())
            .prop_map(|(who, guarantee, message)| Step::Covered { who, guarantee, message }),
        4 => (who, message.clone()).prop_map(|(who, message)| Step::Proven { who, message }),
        2 => (1..4usize).prop_map(|blocks| Step::More { blocks }),
        1 => (1..4usize, any::<bool>()).prop_map(|(ahead, with)| Step::Branch { ahead, with }),
        1 => guarantee.clone().prop_map(|guarantee| Step::Settle { guarantee }),
        1 => guarantee.clone().prop_map(|guarantee| Step::SettleIn { guarantee }),
        2 => guarantee.prop_map(|guarantee| Step::Claim { guarantee }),
        1 => message.prop_map(|message| Step::Report { message }),
        1 => (0..2usize).prop_map(|escrow| Step::Refund { escrow }),
        1 => (1..30u64).prop_map(|blocks| Step::Wait { blocks }),
    ];
    proptest::collection::vec(step, 1..40)
}

/// The payment's outputs that are messages: for two escrows that ask, ordered and with an end, and for an account.
const MESSAGES: [u32; 4] = [2, 3, 4, 5];
/// When the ordered messages end.
const END: u64 = FIRST + 600 * 40;

struct Run {
    world: World,
    tx: Vec<u8>,
    escrows: [B256; 2],
    guarantees: Vec<B256>,
    /// What each message did: effects, and the guarantee that it took effect under.
    effects: BTreeMap<B256, (u32, Option<B256>)>,
    releases: BTreeMap<B256, u32>,
    salt: u8,
}

impl Run {
    fn new() -> Self {
        let mut world = World::new(9);
        let escrows = [world.open(), world.open()];
        let end = u32::try_from(END).unwrap();
        let tx = spend(vec![
            output(AMOUNT, &SCRIPT),
            output(AMOUNT, &SCRIPT),
            note(0, ESCROW, escrows[0].as_slice(), true, end),
            note(1, ESCROW, escrows[1].as_slice(), true, end),
            note(0, ESCROW, escrows[0].as_slice(), false, 0),
            note(1, Address::repeat_byte(0xac), b"hi", false, 0),
        ]);
        world.pay(tx.clone());
        let (guarantees, effects, releases) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { world, tx, escrows, guarantees, effects, releases, salt: 3 }
    }

    fn go(&mut self, who: usize, to: Address, value: u128, call: &impl SolCall) {
        if let Some(block) = self.world.attempt(who, to, value, call.abi_encode()) {
            self.note(&block);
        }
    }

    /// What a block's only call did.
    fn note(&mut self, block: &ExecutedBlock) {
        if !block.receipts[0].status() {
            assert!(block.receipts[0].logs().is_empty());
            return;
        }
        if let Some(made) = find::<Guarantee::Requested>(block) {
            self.guarantees.push(made.id);
        }
        if let Some(done) = find::<Mailbox::Delivered>(block) {
            let cover = find::<Mailbox::Guaranteed>(block).map(|told| told.guarantee);
            let entry = self.effects.entry(done.id).or_insert((0, cover));
            entry.0 += 1;
        }
        if let Some(released) = find::<Escrow::Released>(block) {
            *self.releases.entry(released.id).or_default() += 1;
        }
    }

    fn apply(&mut self, step: &Step) {
        let some = |at: usize, all: &[B256]| all.get(at).copied().unwrap_or(B256::ZERO);
        match *step {
            Step::Request { who, enough, owner } => {
                let beneficiary = self.world.wallets[if owner { OWNER } else { POOL }].address;
                let cover = if enough { COVER } else { COVER / 2 };
                let call = self.world.request(beneficiary, cover);
                self.go(who, GUARANTEE, cover, &call);
            }
            Step::Covered { who, guarantee, message } => {
                let guarantee = some(guarantee, &self.guarantees);
                let call = self.world.covered(guarantee, MESSAGES[message]);
                self.go(who, MAILBOX, 0, &call);
            }
            Step::Proven { who, message } => {
                let confirmed = self.world.index.0.iter().find(|header| header.height == 8);
                let root = self.world.block.tree().root();
                if confirmed.is_some_and(|header| header.txRoot == root) {
                    let block = self.world.chain.step(Vec::new());
                    self.world.index.follow(&block, self.world.key);
                    let call = self.world.proven(&block, MESSAGES[message]);
                    self.go(who, MAILBOX, 0, &call);
                }
            }
            Step::More { blocks } => {
                let room = 40usize.saturating_sub(self.world.best.len());
                if room > 0 {
                    self.world.more(blocks.min(room));
                }
            }
            Step::Branch { ahead, with } => self.branch(ahead, with),
            Step::Settle { guarantee } => {
                let id = some(guarantee, &self.guarantees);
                self.go(1, GUARANTEE, 0, &Guarantee::settleCall { id });
            }
            Step::SettleIn { guarantee } => {
                let id = some(guarantee, &self.guarantees);
                let Guarantee::requestCall { blockHash, payment, .. } =
                    self.world.request(Address::ZERO, 0);
                self.go(1, GUARANTEE, 0, &Guarantee::settleInCall { id, blockHash, payment });
            }
            Step::Claim { guarantee } => {
                let id = some(guarantee, &self.guarantees);
                self.go(1, GUARANTEE, 0, &Guarantee::claimCall { id });
            }
            Step::Report { message } => {
                let ids: Vec<_> = self.effects.keys().copied().collect();
                let id = some(message, &ids);
                self.go(1, MAILBOX, 0, &Mailbox::reportCall { id });
            }
            Step::Refund { escrow } => {
                let id = self.escrows[escrow];
                self.go(1, ESCROW, 0, &Escrow::refundCall { id });
            }
            Step::Wait { blocks } => self.world.chain.time_ms += blocks * 600_000,
        }
    }

    /// A longer branch on block 7; the payment is in a block of height 8 that differs from all before, or in none.
    fn branch(&mut self, ahead: usize, with: bool) {
        self.salt = self.salt.wrapping_add(1);
        let length = self.world.best.len() - 7 + ahead;
        if length > 33 {
            return;
        }
        let below = self.world.best[6];
        let first = if with {
            let other = spend(vec![output(u64::from(self.salt) + 600, &SENDER_SCRIPT)]);
            self.world.block = block_txs(8, &[self.tx.clone(), other]);
            mine_root(&below, self.world.block.tree().root())
        } else {
            mine_root(&below, B256::repeat_byte(self.salt))
        };
        let mut headers = vec![first];
        headers.extend(mine(&first, length - 1, self.salt));
        self.world.branch(7, &headers);
    }

    fn check(&self) {
        self.world.check(&self.escrows);
        assert!(self.releases.values().all(|count| *count == 1), "{:?}", self.releases);
        let mut covers: Vec<&B256> = Vec::new();
        for (id, (count, cover)) in &self.effects {
            assert_eq!(*count, 1, "{id} took effect more than once");
            let shown = self.world.ask(MAILBOX, &Mailbox::messageOfCall { id: *id });
            match cover {
                // It keeps its state, whatever becomes of its block and of the guarantee.
                Some(cover) => {
                    assert_eq!((shown.state, shown.guarantee), (5, *cover));
                    assert_eq!(shown.brokenAt, 0);
                    assert!((1..=3).contains(&shown.guaranteeStatus));
                }
                None => assert!([2, 4].contains(&shown.state) && shown.guarantee.is_zero()),
            }
            covers.extend(cover);
        }
        let count = covers.len();
        covers.sort_unstable();
        covers.dedup();
        assert_eq!(covers.len(), count, "a guarantee stands behind one message");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// One effect at most for each message and each escrow; guaranteed messages keep their state; the books balance and the supply stays.
    #[test]
    fn every_message_takes_effect_once_in_either_way(steps in steps()) {
        let mut run = Run::new();
        let supply = run.world.chain.supply();
        for step in &steps {
            run.apply(step);
            run.check();
        }
        prop_assert_eq!(run.world.chain.supply(), supply);
    }
}

/// The paths that the strategy is to meet exist: both kinds of delivery in one run, the ends of both guarantees.
#[test]
fn both_ways_meet_in_one_run() {
    let mut run = Run::new();
    let good = |who| Step::Request { who, enough: true, owner: true };
    for step in [
        good(1),
        Step::Covered { who: 2, guarantee: 0, message: 0 },
        Step::Covered { who: 3, guarantee: 0, message: 1 },
        good(2),
        Step::Branch { ahead: 1, with: true },
        Step::Covered { who: 3, guarantee: 1, message: 1 },
        Step::More { blocks: 3 },
        Step::Proven { who: 1, message: 0 },
        Step::Proven { who: 1, message: 1 },
        Step::Proven { who: 1, message: 3 },
        Step::SettleIn { guarantee: 0 },
        Step::Branch { ahead: 3, with: false },
        Step::Report { message: 0 },
        Step::More { blocks: 3 },
        Step::More { blocks: 3 },
        Step::More { blocks: 3 },
        Step::Claim { guarantee: 1 },
    ] {
        run.apply(&step);
        run.check();
    }
    let covers: Vec<_> = run.effects.values().map(|(_, cover)| cover.is_some()).collect();
    assert_eq!(covers.iter().filter(|covered| **covered).count(), 1);
    assert_eq!((covers.len(), run.releases.len()), (3, 2));
    let status = |at: usize| {
        let id = run.guarantees[at];
        run.world.ask(GUARANTEE, &Guarantee::guaranteeOfCall { id }).status
    };
    assert_eq!((status(0), status(1)), (2, 3));
}
