//! The pool's book, and the rules.

use proptest::prelude::*;

use super::*;

#[test]
fn rules_and_terms_have_bounds() {
    assert_eq!(GuaranteeParams::default().validate(), Ok(()));
    let bad = [
        GuaranteeParams { loading_parts: 9_999, ..params() },
        GuaranteeParams { chain_cap_parts: 10_001, ..params() },
        GuaranteeParams { reorg_cap_parts: 5_001, ..params() },
        GuaranteeParams { min_term: 21, ..params() },
        GuaranteeParams { max_term: 2_017, ..params() },
        GuaranteeParams { grace: 0, ..params() },
        GuaranteeParams { withdraw_delay_secs: 0, ..params() },
        GuaranteeParams { withdraw_window_secs: 0, ..params() },
        GuaranteeParams { min_cover: U128::ZERO, ..params() },
    ];
    for rules in bad {
        assert!(rules.validate().is_err(), "{rules:?}");
    }
    for (attacker_share, spacing) in [(0, 600), (500_000, 600), (100_000, 0)] {
        let terms = Terms { attacker_share, spacing, ..terms() };
        assert!(matches!(terms.validate(), Err(GuaranteeError::Terms(_))));
    }
    let json = serde_json::to_string(&params()).unwrap();
    assert_eq!(serde_json::from_str::<GuaranteeParams>(&json).unwrap(), params());
}

#[test]
fn shares_stay_until_announced_and_leave_in_their_window_only() {
    let state = MemoryState::new();
    let mut world = World::new(&state);
    assert!(matches!(world.deposit(ALICE, 0), Err(GuaranteeError::TooLittle { .. })));
    assert!(matches!(world.deposit(ALICE, 2 * RICH), Err(GuaranteeError::Funds { .. })));
    let shares = world.deposit(ALICE, 100 * UNIT).unwrap();
    assert!(matches!(world.withdraw(ALICE, shares), Err(GuaranteeError::Shares { .. })));
    assert!(matches!(world.leave(ALICE, shares + 1), Err(GuaranteeError::Shares { .. })));
    assert!(matches!(world.leave(BOB, 1), Err(GuaranteeError::Shares { held: 0, .. })));
    let (from, until) = world.leave(ALICE, shares).unwrap();
    assert_eq!((from - world.now_ms, until - from), (100_000, 50_000));
    for now in [from - 1, until + 1] {
        world.now_ms = now;
        assert!(matches!(world.withdraw(ALICE, shares), Err(GuaranteeError::NotNow { .. })));
    }
    world.now_ms = until;
    assert_eq!(world.withdraw(ALICE, shares / 2), Ok(50 * UNIT));
    assert_eq!(world.withdraw(ALICE, shares - shares / 2), Ok(50 * UNIT));
    assert!(matches!(world.withdraw(ALICE, 1), Err(GuaranteeError::Shares { held: 0, .. })));
    assert_eq!(world.balance(ALICE), RICH);
    world.check();
}

/// Whatever the first one adds to the pool, the next one's loss is less than what it cost the first one.
#[test]
fn nobody_gains_by_raising_the_price_before_a_deposit() {
    for gift in [0, 1, UNIT, 1_000 * UNIT, 1_000_000 * UNIT] {
        let mut book = Book::default();
        let first = book.deposit(1).unwrap();
        // A gift can only come as a premium.
        book.settle(0, gift);
        let Ok(second) = book.deposit(10 * UNIT) else { continue };
        let lost = 10 * UNIT - book.worth(second).min(10 * UNIT);
        let gained = book.worth(first).saturating_sub(1);
        assert!(gained <= gift && lost <= gift / 1_000 + 1, "gift {gift}: {gained} {lost}");
    }
}

#[test]
fn a_pool_that_lost_everything_starts_anew() {
    let mut book = Book::default();
    book.deposit(10 * UNIT).unwrap();
    book.lock(10 * UNIT, 7).unwrap();
    book.pay(10 * UNIT, 7);
    assert_eq!((book.value(), book.generation), (7, 0));
    let shares = book.deposit(UNIT).unwrap();
    assert_eq!((book.generation, book.shares), (1, shares));
    assert!(book.worth(shares) <= UNIT + 7 && book.worth(shares) >= UNIT - UNIT / 1_000);
    assert!(book.is_balanced());
}

proptest! {
    /// Deposits and withdrawals never lower what a share of others is worth.
    #[test]
    fn rounding_favours_the_pool(
        start in 1..RICH,
        moves in proptest::collection::vec((any::<bool>(), 1..RICH, 0..1_000u128), 1..20),
    ) {
        let mut book = Book::default();
        let mine = book.deposit(start).unwrap();
        let mut theirs = 0u128;
        for (enters, tokens, earned) in moves {
            let before = book.worth(mine);
            if enters {
                theirs += book.deposit(tokens).unwrap_or(0);
            } else {
                let part = theirs / 2 + theirs % 2;
                book.redeem(part).unwrap();
                theirs -= part;
            }
            prop_assert!(book.worth(mine) >= before);
            prop_assert!(book.is_balanced());
            book.lock(1.min(book.pool), earned).unwrap();
            book.settle(book.cover, book.locked - book.cover);
            prop_assert!(book.is_balanced() && book.locked == 0);
        }
    }

    #[test]
    fn no_number_breaks_the_book(
        ops in proptest::collection::vec((0u8..5, 0..u128::MAX / 64, 0..u128::MAX / 64), 0..30),
    ) {
        let mut book = Book::default();
        for (kind, one, other) in ops {
            let before = book;
            let done = match kind {
                0 => book.deposit(one).map(drop),
                1 => book.redeem(one).map(drop),
                2 => book.lock(one, other),
                3 => { book.settle(book.cover, book.locked - book.cover); Ok(()) }
                _ => { book.pay(book.cover, book.locked - book.cover); Ok(()) }
            };
            if done.is_err() {
                // The caller undoes what a refused call did.
                book = before;
            }
            prop_assert!(book.is_balanced(), "{:?}", book);
        }
    }
}
