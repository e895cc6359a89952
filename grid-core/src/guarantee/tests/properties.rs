//! What holds whatever is done, in any order, on whatever branches.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Deposit { who: u8, tokens: u128 },
    Leave { who: u8, parts: u8 },
    Withdraw { who: u8, parts: u8 },
    Wait { secs: u16 },
    Mine { payments: Vec<u32> },
    Branch { back: u8, blocks: u8, payment: u32 },
    Request { who: u8, back: u8, cover: u128, term: u8 },
    Settle { at: u8 },
    SettleIn { at: u8, back: u8 },
    Claim { at: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    let amount = || prop_oneof![0..3u128, UNIT..5_000 * UNIT, Just(RICH), Just(u128::MAX)];
    let who = 0..3u8;
    prop_oneof![
        2 => (who.clone(), amount()).prop_map(|(who, tokens)| Op::Deposit { who, tokens }),
        1 => (who.clone(), 0..=11u8).prop_map(|(who, parts)| Op::Leave { who, parts }),
        1 => (who.clone(), 0..=11u8).prop_map(|(who, parts)| Op::Withdraw { who, parts }),
        1 => (0..160u16).prop_map(|secs| Op::Wait { secs }),
        4 => proptest::collection::vec(1..4u32, 0..2).prop_map(|payments| Op::Mine { payments }),
        2 => (0..8u8, 1..9u8, 0..4u32)
            .prop_map(|(back, blocks, payment)| Op::Branch { back, blocks, payment }),
        4 => (who, 0..6u8, amount(), 0..22u8)
            .prop_map(|(who, back, cover, term)| Op::Request { who, back, cover, term }),
        2 => any::<u8>().prop_map(|at| Op::Settle { at }),
        2 => (any::<u8>(), 0..30u8).prop_map(|(at, back)| Op::SettleIn { at, back }),
        2 => any::<u8>().prop_map(|at| Op::Claim { at }),
    ]
}

/// What the test itself knows: what each block holds, and how each guarantee ended.
#[derive(Default)]
struct Model {
    blocks: BTreeMap<B256, Vec<u32>>,
    guarantees: Vec<(B256, Status)>,
}

impl Model {
    fn mine(&mut self, world: &mut World<'_>, parent: B256, payments: &[u32]) -> B256 {
        let block = world.mine_on(parent, payments);
        self.blocks.insert(block, payments.to_vec());
        block
    }

    fn pick(&self, at: u8) -> Option<usize> {
        (!self.guarantees.is_empty()).then(|| usize::from(at) % self.guarantees.len())
    }

    fn end(&mut self, at: usize, done: Result<Guarantee, GuaranteeError>) {
        let (_, status) = &mut self.guarantees[at];
        match done {
            Ok(ended) => {
                assert_eq!(*status, Status::Guaranteed, "one end only");
                *status = ended.status;
            }
            Err(GuaranteeError::Storage(error)) => panic!("{error}"),
            Err(_) => {}
        }
    }
}

fn below(world: &World<'_>, back: u8) -> B256 {
    let height = world.tip().saturating_sub(back.into());
    world.client.tree().best_at(height).unwrap().hash()
}

fn apply(world: &mut World<'_>, model: &mut Model, op: &Op) {
    let account = |who: u8| PEOPLE[usize::from(who)];
    let result = match op {
        Op::Deposit { who, tokens } => world.deposit(account(*who), *tokens).map(drop),
        Op::Leave { who, parts } | Op::Withdraw { who, parts } => {
            let holder = account(*who);
            let found = read_holding(&world.overlay, &holder, &world.book()).unwrap();
            if matches!(op, Op::Leave { .. }) {
                world.leave(holder, found.shares / 10 * u128::from(*parts)).map(drop)
            } else {
                world.withdraw(holder, found.leaving / 10 * u128::from(*parts)).map(drop)
            }
        }
        Op::Wait { secs } => {
            world.now_ms += u64::from(*secs) * 1_000;
            Ok(())
        }
        Op::Mine { payments } => {
            let tip = world.client.tree().tip().hash();
            model.mine(world, tip, payments);
            Ok(())
        }
        Op::Branch { back, blocks, payment } => {
            let mut at = below(world, *back);
            for n in 0..*blocks {
                let payments = if u32::from(n) == *payment { vec![*payment] } else { Vec::new() };
                at = model.mine(world, at, &payments);
            }
            Ok(())
        }
        Op::Request { who, back, cover, term } => {
            let block = below(world, *back);
            let payments = model.blocks.get(&block).cloned().unwrap_or_default();
            if payments.is_empty() {
                return;
            }
            let mut order = world.order(block, &payments, *cover);
            order.deadline = world.tip() + u64::from(*term);
            let made = world.request(account(*who), &order);
            if let Ok(made) = &made {
                assert!(!model.guarantees.iter().any(|(id, _)| *id == made.id()));
                model.guarantees.push((made.id(), made.status));
                let book = world.book();
                assert!(book.cover <= book.value() / 2, "of one chain");
            }
            made.map(drop)
        }
        Op::Settle { at } => {
            let Some(at) = model.pick(*at) else { return };
            let done = world.settle(model.guarantees[at].0);
            model.end(at, done);
            Ok(())
        }
        Op::SettleIn { at, back } => {
            let Some(at) = model.pick(*at) else { return };
            let block = below(world, *back);
            let payments = model.blocks.get(&block).cloned().unwrap_or_default();
            if payments.is_empty() {
                return;
            }
            let done = world.settle_in(model.guarantees[at].0, block, &payments, 1);
            model.end(at, done.map(|(ended, _)| ended));
            Ok(())
        }
        Op::Claim { at } => {
            let Some(at) = model.pick(*at) else { return };
            let done = world.claim(model.guarantees[at].0);
            model.end(at, done);
            Ok(())
        }
    };
    if let Err(GuaranteeError::Storage(error)) = result {
        panic!("{op:?}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_unit_is_accounted_for_and_every_guarantee_ends_once(
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        let state = MemoryState::new();
        let mut world = World::new(&state);
        let mut model = Model::default();
        world.deposit(ALICE, 20_000 * UNIT).unwrap();
        world.mine_empty(4);
        for op in &ops {
            apply(&mut world, &mut model, op);
            world.check();
            for (id, status) in &model.guarantees {
                prop_assert_eq!(world.status(id), Some(*status), "after {:?}", op);
            }
        }
        // In the end nothing stays open.
        world.mine_empty(40);
        for at in 0..model.guarantees.len() {
            let (id, status) = model.guarantees[at];
            if status == Status::Guaranteed {
                let done = world.settle(id).or_else(|_| world.claim(id));
                prop_assert!(done.is_ok(), "{:?}", done);
                model.end(at, done);
            }
        }
        world.check();
        let book = world.book();
        prop_assert_eq!((book.cover, book.locked), (0, 0));
        prop_assert!(read_open(&world.overlay, world.record.key()).unwrap().is_empty());
        let open: Vec<_> = model.guarantees.iter().filter(|(_, s)| *s == Status::Guaranteed).collect();
        prop_assert!(open.is_empty());
    }
}

#[test]
fn stored_values_read_back() {
    let state = MemoryState::new();
    let mut world = World::new(&state);
    world.deposit(ALICE, 10_000 * UNIT).unwrap();
    world.mine_empty(3);
    let block = world.mine(&[1]);
    let order = world.order(block, &[1], 50 * UNIT);
    let made = world.request(BOB, &order).unwrap();
    assert_eq!(read_guarantee(&world.overlay, &made.id()).unwrap(), Some(made));
    let found = read_terms(&world.overlay, world.record.key()).unwrap();
    assert_eq!(found, Some(terms()));
    // A value that is too short names itself.
    world.overlay.set(keys::guarantee(&made.id()), vec![0; 9]);
    assert!(read_guarantee(&world.overlay, &made.id()).is_err());
}
