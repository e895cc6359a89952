//! What is not delivered under a guarantee, why, and that nothing of it stays.

use grid_core::modules::{ChainStatus, abi::REGISTRY};

use super::*;
use crate::status;

/// Refused with this reason, as a view and in a block, and nothing is written but a fee.
fn refused(world: &mut World, call: &Mailbox::deliverGuaranteedCall, reason: &str) {
    let found = world.reason(MAILBOX, call).expect("it is refused");
    assert!(found.contains(reason), "{found}");
    let (escrow, pool) = (world.balance(ESCROW), world.balance(GUARANTEE));
    let block = world.attempt(RELAYER, MAILBOX, 0, call.abi_encode()).expect("not known");
    assert!(!block.receipts[0].status() && block.receipts[0].logs().is_empty());
    assert_eq!((world.balance(ESCROW), world.balance(GUARANTEE)), (escrow, pool));
}

/// A payment to two escrows, messages for both, one for a plain escrow, one for an account, one that is over, one out of turn.
fn paid() -> World {
    let mut world = World::new(9);
    let (one, two) = (world.open(), world.open());
    let Escrow::openGuaranteedCall { chain, script, amount, payee, deadline, .. } = world.terms(0);
    let plain = Escrow::openCall { chain, script, amount, payee, deadline };
    let plain = event::<Escrow::Opened>(&world.go(OWNER, ESCROW, VALUE, &plain)).id;
    let over = u32::try_from(FIRST).unwrap();
    world.pay(spend(vec![
        output(AMOUNT, &SCRIPT),
        output(AMOUNT, &SCRIPT),
        note(0, ESCROW, one.as_slice(), false, 0),
        note(1, ESCROW, two.as_slice(), false, 0),
        note(2, ESCROW, plain.as_slice(), false, 0),
        note(3, Address::repeat_byte(0xac), b"hi", false, 0),
        note(4, ESCROW, one.as_slice(), false, over),
        note(1, ESCROW, one.as_slice(), true, u32::MAX),
        note(5, ESCROW, &[7; 32], false, 0),
    ]));
    world
}

#[test]
fn who_does_not_ask_for_a_guarantee_takes_confirmed_messages_only() {
    let mut world = paid();
    let (guarantee, _) = world.guarantee(COVER);
    for (output, reason) in [
        (4, "from a confirmed block only"),
        (5, "from a confirmed block only"),
        (6, "is over, it is"),
        (7, "next ordered message has nonce 0, not 1"),
        (8, "there is no escrow"),
        (0, "output 0 is not OP_RETURN"),
        (9, "no output 9"),
    ] {
        let call = world.covered(guarantee, output);
        refused(&mut world, &call, reason);
        let asked = world.reason(MAILBOX, &world.asked(output)).unwrap();
        assert!(asked.contains(reason), "{asked}");
    }
    assert_eq!(world.reason(MAILBOX, &world.covered(guarantee, 2)), None);
}

#[test]
fn a_guarantee_must_be_what_the_recipient_asks_for() {
    let mut world = paid();
    let other = Address::repeat_byte(0x99);
    let made = world.request(other, COVER);
    let made: Guarantee::Requested = event(&world.go(RELAYER, GUARANTEE, COVER, &made));
    let call = world.covered(made.id, 2);
    refused(&mut world, &call, "the recipient asks for a cover of 50000000000000000000 or more");
    let (small, _) = world.guarantee(COVER - 1);
    let call = world.covered(small, 2);
    refused(&mut world, &call, "the guarantee covers 49999999999999999999");
    let call = world.covered(B256::repeat_byte(3), 2);
    let unknown = world.reason(MAILBOX, &call).unwrap();
    assert!(unknown.contains("there is no guarantee"), "{unknown}");
    // Another transaction with the same message.
    let mut call = world.covered(small, 2);
    call.transaction = spend(vec![note(0, ESCROW, &[0; 32], false, 0)]).into();
    call.output = 0;
    let unknown = world.reason(MAILBOX, &call).unwrap();
    assert!(unknown.contains("there is no escrow"), "{unknown}");
    let escrow = world.ask(MAILBOX, &world.asked(2));
    assert_eq!(escrow.cover, U256::from(COVER));
    let mut call = world.covered(small, 2);
    call.evidence = Bytes::new();
    refused(&mut world, &call, "the transaction that the first input spends is not shown");
}

#[test]
fn a_copy_of_a_message_in_a_transaction_that_is_not_covered_is_refused() {
    let mut world = World::new(9);
    let escrow = world.open();
    let outputs = || vec![output(AMOUNT, &SCRIPT), note(0, ESCROW, escrow.as_slice(), false, 0)];
    world.pay(spend(outputs()));
    let (guarantee, _) = world.guarantee(COVER);
    let mut call = world.covered(guarantee, 1);
    // The same message and the same payment, never mined.
    let mut copy = outputs();
    copy.push(output(1, &SENDER_SCRIPT));
    call.transaction = spend(copy).into();
    refused(&mut world, &call, "the guarantee is for transaction");
}

#[test]
fn a_guarantee_stands_behind_one_message() {
    let mut world = paid();
    let (guarantee, _) = world.guarantee(COVER);
    let (first, second) = (world.covered(guarantee, 2), world.covered(guarantee, 3));
    world.go(RELAYER, MAILBOX, 0, &first);
    refused(&mut world, &second, "stands behind message");
    // Another one, by another payer, is enough for the second.
    let call = world.request(world.wallets[OWNER].address, COVER);
    let made: Guarantee::Requested = event(&world.go(POOL, GUARANTEE, COVER, &call));
    let second = world.covered(made.id, 3);
    world.go(RELAYER, MAILBOX, 0, &second);
    assert_eq!(world.balance(PAYEE), U256::from(2 * VALUE));
}

#[test]
fn the_block_must_be_on_the_best_branch_and_not_confirmed() {
    let mut world = paid();
    let (guarantee, _) = world.guarantee(COVER);
    let call = world.covered(guarantee, 2);
    let held = world.best.clone();
    world.branch(7, &mine(&held[6], 2, 2));
    refused(&mut world, &call, "is not on the best branch");
    // It comes back, and is confirmed with the third block.
    let back = mine(&held[7], 2, 3);
    world.best = held;
    world.branch(8, &back);
    refused(&mut world, &call, "height 8 is confirmed already");
    world.go(RELAYER, GUARANTEE, 0, &Guarantee::settleCall { id: guarantee });
    refused(&mut world, &call, "is settled already");
}

#[test]
fn a_route_lets_guaranteed_messages_pass_by_a_bit_of_its_own() {
    let mut world = paid();
    let (guarantee, _) = world.guarantee(COVER);
    let call = world.covered(guarantee, 2);
    for (policy, reason) in [
        (0, "no open route"),
        (8, "no open route"),
        (1, "takes no guaranteed deliveries"),
        (11, "sender"),
        (13, "recipient"),
    ] {
        world.route(policy);
        refused(&mut world, &call, reason);
        let asked = world.reason(MAILBOX, &world.asked(2)).unwrap();
        assert!(asked.contains(reason), "{asked}");
    }
    world.route(9);
    assert_eq!(world.reason(MAILBOX, &call), None);
}

#[test]
fn a_suspended_source_delivers_nothing() {
    let mut world = paid();
    let (guarantee, _) = world.guarantee(COVER);
    let input = status(world.key, ChainStatus::Suspended).to_vec();
    assert!(world.attempt(POOL, REGISTRY, 0, input).unwrap().receipts[0].status());
    let call = world.covered(guarantee, 2);
    refused(&mut world, &call, "suspended");
}

#[test]
fn a_second_guaranteed_escrow_holds_what_it_says() {
    let mut world = World::new(9);
    let bad = [
        (Escrow::openGuaranteedCall { cover: U256::ZERO, ..world.terms(0) }, "cover above 0"),
        (Escrow::openGuaranteedCall { cover: U256::MAX, ..world.terms(0) }, "128 bits"),
        (world.terms(VALUE), "must be above the premium"),
    ];
    for (call, reason) in bad {
        let block = world.attempt(OWNER, ESCROW, VALUE, call.abi_encode()).unwrap();
        assert!(!block.receipts[0].status(), "{reason}");
    }
    let call = world.terms(VALUE - 1);
    let block = world.go(OWNER, ESCROW, VALUE, &call);
    let opened: Escrow::Opened = event(&block);
    assert_eq!(
        (opened.value, event::<Escrow::Asked>(&block).premium),
        (U256::ONE, U256::from(VALUE - 1))
    );
    world.check(&[opened.id]);
}
