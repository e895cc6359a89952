//! A network that is mined for thousands of blocks, with people who cover their payments and an attacker who asks only when he has
//! won: everything through the module itself.

use std::fmt::Write as _;

use super::*;

/// What a block counts as in the terms, and what the attacker loses with one that he does not publish.
const BLOCK_VALUE: u128 = 100 * UNIT;
/// What underwriters put in.
const POOL: u128 = 2_000 * UNIT;
/// The network's blocks of a run.
const BLOCKS: u64 = 1_500;
/// The attacker's secret branch is given up when it is so far behind.
const HOPELESS: usize = 3;

/// What a run brought.
#[derive(Debug, Default)]
struct Run {
    share: u32,
    asked: u64,
    settled: u64,
    mined_again: u64,
    defaulted: u64,
    attacks: u64,
    /// What the attacker lost with blocks that he mined for nothing.
    wasted: u128,
    /// The greatest part of the pool's value that was covered, parts of 10,000.
    cover_parts: u128,
}

struct Players<'a> {
    world: World<'a>,
    chance: Chance,
    run: Run,
    /// Every payment and block that holds it, while its guarantee is open.
    open: Vec<(B256, u32)>,
    /// Payments that wait for a block of the network's.
    waiting: Vec<u32>,
    last_payment: u32,
    blocks: Vec<(B256, Vec<u32>)>,
}

impl Players<'_> {
    fn payments_of(&self, block: &B256) -> Option<&Vec<u32>> {
        self.blocks.iter().rev().find(|(hash, _)| hash == block).map(|(_, payments)| payments)
    }

    fn new_payment(&mut self) -> u32 {
        self.last_payment += 1;
        self.last_payment
    }

    /// A block of the network's with what waits and a new payment; its hash.
    fn public_block(&mut self, parent: B256) -> B256 {
        let mut payments = core::mem::take(&mut self.waiting);
        payments.push(self.new_payment());
        let block = self.world.mine_on(parent, &payments);
        self.blocks.push((block, payments));
        block
    }

    /// Covers a payment of a block if the contract takes it.
    fn ask(&mut self, who: Address, block: B256, payment: u32, cover: u128) {
        let Some(payments) = self.payments_of(&block).cloned() else { return };
        let index = payments.iter().position(|one| *one == payment).unwrap() as u64 + 1;
        let mut order = self.world.order(block, &payments, cover);
        order.proof = block_txs(self.world.height_of(&block), &payments).prove(index).unwrap();
        order.beneficiary = who;
        if let Ok(made) = self.world.request(who, &order) {
            self.run.asked += 1;
            self.open.push((made.id(), payment));
            self.check_limits(made.cover);
        }
    }

    /// The limits, counted anew from what is stored.
    fn check_limits(&mut self, asked: u128) {
        let world = &self.world;
        let (book, confirmed) = (world.book(), world.confirmed());
        let open = read_open(&world.overlay, world.record.key()).unwrap();
        let cover: u128 = open.iter().map(|one| one.cover).sum();
        let at_risk: u128 = open
            .iter()
            .filter(|one| {
                let best = world.client.tree().is_best(&one.block);
                !(best && confirmed.is_some_and(|confirmed| one.height <= confirmed))
            })
            .map(|one| one.cover)
            .sum();
        assert!(cover <= book.value() / 2 && at_risk <= book.value() / 4, "{asked}");
        // Asked for at five confirmations at most.
        assert!(at_risk <= 5 * BLOCK_VALUE, "{at_risk}");
        self.run.cover_parts = self.run.cover_parts.max(cover * 10_000 / book.value());
    }

    /// The pool's side settles, the beneficiaries claim, whatever can be ended.
    fn end_all(&mut self) {
        for (id, payment) in core::mem::take(&mut self.open) {
            if self.world.settle(id).is_ok() {
                self.run.settled += 1;
            } else if self.settle_again(id, payment) {
                self.run.mined_again += 1;
            } else if self.world.claim(id).is_ok() {
                self.run.defaulted += 1;
            } else {
                self.open.push((id, payment));
            }
        }
        self.world.check();
    }

    fn settle_again(&mut self, id: B256, payment: u32) -> bool {
        let holds = |(hash, payments): &&(B256, Vec<u32>)| {
            self.world.client.tree().is_best(hash) && payments.contains(&payment)
        };
        let Some((hash, payments)) = self.blocks.iter().rev().find(holds).cloned() else {
            return false;
        };
        let index = payments.iter().position(|one| *one == payment).unwrap() as u64 + 1;
        self.world.settle_in(id, hash, &payments, index).is_ok()
    }

    /// One attempt: the network mines on, the attacker in secret, until he leads, gives up, or is too late.
    fn attempt(&mut self) {
        let fork = self.world.client.tree().tip().hash();
        let (mut own, mut public) = (0usize, Vec::new());
        let target = self.new_payment();
        self.waiting.push(target);
        loop {
            if self.chance.hits(self.run.share) {
                own += 1;
            } else {
                let parent = public.last().copied().unwrap_or(fork);
                let block = self.public_block(parent);
                public.push(block);
                self.people_ask(block);
                self.end_all();
            }
            if own > public.len() && !public.is_empty() {
                return self.strike(fork, target, own, &public);
            }
            if public.len() >= own + HOPELESS || public.len() >= DEPTH as usize {
                self.run.wasted += own as u128 * BLOCK_VALUE;
                return;
            }
        }
    }

    fn people_ask(&mut self, block: B256) {
        let payment = self.last_payment;
        if self.chance.hits(700_000) {
            let cover = UNIT * u128::from(10 + self.chance.next() % 60);
            self.ask(BOB, block, payment, cover);
        }
    }

    /// He asks for all that can be had, then shows his longer branch, which spends the payment's coins.
    fn strike(&mut self, fork: B256, target: u32, own: usize, public: &[B256]) {
        let first = public[0];
        if let Ok(quote) = self.world.quote(first, UNIT)
            && quote.available >= UNIT
        {
            self.run.attacks += 1;
            self.ask(CAROL, first, target, quote.available);
        }
        let mut at = fork;
        for _ in 0..own {
            at = self.world.mine_on(at, &[]);
        }
        assert!(self.world.client.tree().is_best(&at));
        // What others paid is mined again; what he paid is spent.
        for block in public {
            let lost = self.payments_of(block).cloned().unwrap_or_default();
            self.waiting.extend(lost.into_iter().filter(|payment| *payment != target));
        }
        self.end_all();
    }
}

/// A run of the attacker with that share, who strikes whenever he leads.
fn run(share: u32) -> (Run, i128, i128) {
    let state = MemoryState::new();
    let mut world = World::new(&state);
    let terms = Terms { block_value: U128::from(BLOCK_VALUE), ..terms() };
    super::super::records::store_terms(&mut world.overlay, world.record.key(), &terms);
    world.deposit(ALICE, POOL).unwrap();
    world.mine_empty(3);
    let mut players = Players {
        world,
        chance: Chance(share.into()),
        run: Run { share, ..Run::default() },
        open: Vec::new(),
        waiting: Vec::new(),
        last_payment: 0,
        blocks: Vec::new(),
    };
    while players.world.tip() < BLOCKS {
        players.attempt();
        let keep = players.blocks.len().saturating_sub(60);
        players.blocks.drain(..keep);
    }
    // In the end everything is over.
    for _ in 0..40 {
        let tip = players.world.client.tree().tip().hash();
        players.public_block(tip);
        players.end_all();
    }
    assert!(players.open.is_empty());
    let Players { world, run, .. } = players;
    assert_eq!((world.book().cover, world.book().locked), (0, 0));
    let gained = |now: u128, before: u128| now as i128 - before as i128;
    let pool = gained(world.book().value(), POOL);
    let attacker = gained(world.balance(CAROL), RICH) - run.wasted as i128;
    assert_eq!(run.asked, run.settled + run.mined_again + run.defaulted, "one end each");
    (run, pool, attacker)
}

/// The runs as a table, in values of a block.
pub(super) fn table() -> String {
    let mut text = format!(
        "**In the module itself**: {BLOCKS} blocks of a network whose payments are covered, and an attacker who asks only when his secret branch \
         is longer. Pool {} values of a block; amounts in values of a block. Each guarantee ended once, the books balanced after each call, and no limit was passed.\n\n\
         | share | guarantees | settled | mined again | defaulted | strikes | most covered | pool | attacker |\n|---|---|---|---|---|---|---|---|---|\n",
        POOL / BLOCK_VALUE
    );
    for share in [50_000, 100_000, 200_000, 300_000] {
        let (run, pool, attacker) = run(share);
        let blocks = |amount: i128| {
            let tenths = amount.abs() / (BLOCK_VALUE as i128 / 10);
            format!("{}{}.{}", if amount < 0 { "−" } else { "+" }, tenths / 10, tenths % 10)
        };
        writeln!(
            text,
            "| {} % | {} | {} | {} | {} | {} | {}.{} % | {} | {} |",
            share / 10_000,
            run.asked,
            run.settled,
            run.mined_again,
            run.defaulted,
            run.attacks,
            run.cover_parts / 100,
            run.cover_parts % 100 / 10,
            blocks(pool),
            blocks(attacker)
        )
        .unwrap();
        if share <= 100_000 {
            assert!(pool >= 0, "{run:?}: the pool lost {pool}");
            assert!(attacker <= 0, "{run:?}: the attacker gained {attacker}");
        }
    }
    text + "\n"
}
