use std::convert::Infallible;

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};

use super::*;

mod model;

/// A block of the tests: base fee zero, so a tip is the fee cap.
fn refresh(
    pool: &Mempool,
    touched: &[u8],
    account_of: impl Fn(u8) -> Account,
    check: impl Fn(&Recovered<TxEnvelope>) -> bool,
) -> usize {
    refresh_at(pool, Instant::now(), touched, account_of, check)
}

fn refresh_at(
    pool: &Mempool,
    now: Instant,
    touched: &[u8],
    account_of: impl Fn(u8) -> Account,
    check: impl Fn(&Recovered<TxEnvelope>) -> bool,
) -> usize {
    let touched = touched.iter().map(|sender| Address::repeat_byte(*sender)).collect();
    let account_of = |address: &Address| Ok::<_, Infallible>(account_of(address.0[0]));
    pool.refresh(now, 0, &touched, account_of, check).unwrap()
}

/// An account that can pay for anything in these tests.
fn rich(nonce: u64) -> Account {
    Account { nonce, balance: U256::MAX >> 8 }
}

fn transaction(sender: u8, nonce: u64, fee: u128, size: usize) -> Recovered<TxEnvelope> {
    priced(sender, nonce, fee, fee, size)
}

fn priced(sender: u8, nonce: u64, fee: u128, tip: u128, size: usize) -> Recovered<TxEnvelope> {
    let body = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: fee,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(Address::ZERO),
        value: U256::from(sender),
        input: Bytes::from(vec![0; size]),
        ..Default::default()
    };
    let signed = body.into_signed(Signature::test_signature());
    Recovered::new_unchecked(signed.into(), Address::repeat_byte(sender))
}

fn nonces(chosen: &[Recovered<TxEnvelope>]) -> Vec<(u8, u64)> {
    chosen.iter().map(|one| (one.signer().0[0], one.nonce())).collect()
}

fn small() -> MempoolLimits {
    MempoolLimits {
        count: 3,
        bytes: 2_000,
        transaction_bytes: 1_000,
        per_sender: 2,
        sender_bytes: 1_000,
        protected: 1,
        nonce_gap: 4,
        lifetime: Duration::from_secs(60),
    }
}

#[test]
fn best_price_first_but_a_senders_nonces_stay_in_order() {
    let pool = Mempool::new(MempoolLimits::default());
    for (sender, nonce, fee) in [(1, 0, 10), (1, 1, 90), (2, 0, 50), (2, 2, 99), (3, 5, 20)] {
        let account = rich(if sender == 3 { 5 } else { 0 });
        pool.add(transaction(sender, nonce, fee, 0), account).unwrap();
    }
    let chosen = pool.candidates(1, Room::new(30_000_000, 1 << 20));
    assert_eq!(nonces(&chosen), [(2, 0), (3, 5), (1, 0), (1, 1)]);
    assert_eq!(nonces(&pool.candidates(1, Room::new(42_000, 1 << 20))), [(2, 0), (3, 5)]);
    let dear = pool.candidates(15, Room::new(30_000_000, 1 << 20));
    assert_eq!(nonces(&dear), [(2, 0), (3, 5)], "below the base fee waits, with what follows");
    assert_eq!(pool.pending_nonce(&Address::repeat_byte(1), 0), 2);
    assert_eq!(pool.pending_nonce(&Address::repeat_byte(2), 0), 1);
    assert_eq!(pool.status(), MempoolStatus { pending: 4, queued: 1 });
    let content = pool.content();
    assert_eq!(nonces(&content.queued[&Address::repeat_byte(2)]), [(2, 2)]);
    assert_eq!(nonces(&content.pending[&Address::repeat_byte(1)]), [(1, 0), (1, 1)]);
    assert!(!content.queued.contains_key(&Address::repeat_byte(1)));
}

#[test]
fn a_transaction_dearer_than_the_room_goes_alone_where_the_first_may() {
    let pool = Mempool::new(MempoolLimits::default());
    for (sender, fee) in [(1, 10), (2, 50), (3, 20)] {
        pool.add(transaction(sender, 0, fee, 0), rich(0)).unwrap();
    }
    let room = Room::new(20_999, 1 << 20);
    assert!(pool.candidates(1, room).is_empty());
    assert_eq!(nonces(&pool.candidates(1, Room { first: 21_000, ..room })), [(2, 0)]);
}

#[test]
fn a_replacement_pays_ten_percent_more_in_both_fees() {
    let pool = Mempool::new(MempoolLimits::default());
    let first = transaction(1, 0, 100, 0);
    let hash = pool.add(first.clone(), rich(0)).unwrap();
    let refused = |transaction| pool.add(transaction, rich(0)).unwrap_err();
    assert_eq!(refused(first), MempoolError::AlreadyKnown(hash));
    assert_eq!(refused(transaction(1, 0, 109, 0)), MempoolError::Underpriced(0));
    assert_eq!(refused(priced(1, 0, 200, 100, 0)), MempoolError::Underpriced(0));
    let second = pool.add(transaction(1, 0, 110, 0), rich(0)).unwrap();
    assert!(pool.get(&hash).is_none());
    assert!(pool.get(&second).is_some());
    assert_eq!(pool.size().count, 1);
}

#[test]
fn a_replacement_that_finds_no_room_leaves_the_old_one() {
    let pool = Mempool::new(MempoolLimits { bytes: 1_300, ..small() });
    let old = pool.add(transaction(1, 0, 10, 0), rich(0)).unwrap();
    pool.add(transaction(2, 0, 99, 850), rich(0)).unwrap();
    let larger = pool.add(transaction(1, 0, 20, 700), rich(0)).unwrap_err();
    assert!(matches!(larger, MempoolError::Full { count: 1, .. }), "{larger}");
    assert!(pool.contains(&old));
    assert_eq!(pool.size().count, 2);
    pool.pool().assert_whole(&MempoolLimits { bytes: 1_300, ..small() });
}

#[test]
fn every_bound_holds_with_its_reason() {
    let limits = small();
    let pool = Mempool::new(limits);
    let refused = |transaction, nonce| pool.add(transaction, rich(nonce)).unwrap_err();
    assert!(matches!(refused(transaction(1, 0, 5, 1_000), 0), MempoolError::TooLarge { .. }));
    assert_eq!(
        refused(transaction(1, 0, 5, 0), 1),
        MempoolError::NonceTooLow { nonce: 0, next: 1 }
    );
    assert!(matches!(refused(transaction(1, 5, 5, 0), 0), MempoolError::NonceTooHigh { .. }));
    pool.add(transaction(1, 0, 5, 0), rich(0)).unwrap();
    let bytes = refused(transaction(1, 1, 5, 880), 0);
    assert!(matches!(bytes, MempoolError::SenderFull { bytes: 1_000, .. }), "{bytes}");
    pool.add(transaction(1, 1, 5, 0), rich(0)).unwrap();
    assert!(matches!(refused(transaction(1, 2, 5, 0), 0), MempoolError::SenderFull { .. }));
    pool.add(transaction(2, 0, 6, 0), rich(0)).unwrap();
    assert!(matches!(refused(transaction(3, 0, 5, 0), 0), MempoolError::Full { .. }));
    pool.add(transaction(3, 0, 7, 0), rich(0)).unwrap();
    assert_eq!(pool.size().count, 3);
    assert_eq!(pool.pending_nonce(&Address::repeat_byte(1), 0), 1, "the cheapest tail went");
    pool.add(transaction(4, 0, 99, 800), rich(0)).unwrap();
    pool.add(transaction(5, 0, 99, 800), rich(0)).unwrap();
    assert!(pool.size().bytes <= limits.bytes);
    let waiting = pool.size().count;
    let later = Instant::now() + Duration::from_secs(61);
    assert_eq!(refresh_at(&pool, later, &[], |_| rich(0), |_| true), waiting);
    assert_eq!(pool.size(), MempoolSize::default());
}

#[test]
fn a_balance_covers_all_that_waits() {
    let pool = Mempool::new(MempoolLimits::default());
    let one = U256::from(21_000 * 10 + 1);
    let account = Account { nonce: 0, balance: one * U256::from(2) };
    pool.add(transaction(1, 0, 10, 0), account).unwrap();
    pool.add(transaction(1, 1, 10, 0), account).unwrap();
    let third = pool.add(transaction(1, 2, 10, 0), account).unwrap_err();
    assert!(matches!(third, MempoolError::Overdraft { cost, .. } if cost == one * U256::from(3)));
    let dearer = pool.add(transaction(1, 1, 11, 0), account).unwrap_err();
    assert!(matches!(dearer, MempoolError::Overdraft { .. }), "{dearer}");
    // The balance shrinks: the first is still paid for, the second is not.
    let poorer = |_| Account { nonce: 0, balance: one };
    assert_eq!(refresh(&pool, &[1], poorer, |_| true), 1);
    assert_eq!(nonces(&pool.candidates(0, Room::new(u64::MAX, usize::MAX))), [(1, 0)]);
}

#[test]
fn room_is_made_from_what_cannot_be_in_the_next_block_first() {
    let pool = Mempool::new(small());
    pool.add(transaction(1, 0, 5, 0), rich(0)).unwrap();
    pool.add(transaction(2, 3, 99, 0), rich(0)).unwrap();
    pool.add(transaction(3, 0, 50, 0), rich(0)).unwrap();
    // A newcomer behind a gap of its own may not push out anything that earns, whatever it promises.
    let gapped = pool.add(transaction(4, 1, 90, 0), rich(0)).unwrap_err();
    assert!(matches!(gapped, MempoolError::Full { .. }), "{gapped}");
    pool.add(transaction(4, 0, 1, 0), rich(0)).unwrap();
    assert_eq!(pool.status(), MempoolStatus { pending: 3, queued: 0 });
}

#[test]
fn a_stranger_with_much_to_send_pushes_out_only_the_ends_of_long_queues() {
    let pool = Mempool::new(MempoolLimits { per_sender: 3, ..small() });
    pool.add(transaction(1, 0, 5, 0), rich(0)).unwrap();
    pool.add(transaction(2, 0, 50, 0), rich(0)).unwrap();
    pool.add(transaction(2, 1, 50, 0), rich(0)).unwrap();
    // The end of a long queue stays: it earns more than the newcomer. The cheapest goes instead.
    pool.add(transaction(3, 0, 40, 0), rich(0)).unwrap();
    assert!(!pool.content().pending.contains_key(&Address::repeat_byte(1)));
    // The stranger's second stands deep: it may push out the end of another's queue, not its head.
    pool.add(transaction(3, 1, 90, 0), rich(0)).unwrap_err();
    pool.add(transaction(4, 0, 60, 0), rich(0)).unwrap();
    let waiting = pool.content().pending;
    assert_eq!(nonces(&waiting[&Address::repeat_byte(2)]), [(2, 0)]);
    let second = pool.add(transaction(4, 1, 90, 0), rich(0)).unwrap_err();
    assert!(matches!(second, MempoolError::Full { .. }), "{second}");
}

#[test]
fn one_large_newcomer_does_not_clear_the_pool() {
    let limits = MempoolLimits { bytes: 20_000, transaction_bytes: 20_000, ..Default::default() };
    let pool = Mempool::new(limits);
    for sender in 1..=150 {
        pool.add(transaction(sender, 0, 5, 10), rich(0)).unwrap();
    }
    let before = pool.size();
    let refused = pool.add(transaction(200, 0, 99, 15_000), rich(0)).unwrap_err();
    assert!(matches!(refused, MempoolError::Full { .. }), "{refused}");
    assert_eq!(pool.size(), before);
    pool.pool().assert_whole(&limits);
    pool.add(transaction(200, 0, 99, 5_000), rich(0)).unwrap();
    pool.pool().assert_whole(&limits);
}

#[test]
fn a_new_state_drops_what_is_used_or_refused() {
    let pool = Mempool::new(MempoolLimits::default());
    for nonce in 0..4 {
        pool.add(transaction(1, nonce, 5, 0), rich(0)).unwrap();
    }
    let refused = refresh(&pool, &[1], |_| rich(2), |one| one.nonce() != 3);
    assert_eq!(refused, 1);
    assert_eq!(pool.size().count, 1);
    assert_eq!(pool.pending_nonce(&Address::repeat_byte(1), 2), 3);
    let hash = *transaction(1, 2, 5, 0).tx_hash();
    pool.remove([&hash]);
    assert_eq!(pool.size(), MempoolSize::default());
}

#[test]
fn an_older_state_than_the_known_one_changes_nothing() {
    let pool = Mempool::new(MempoolLimits::default());
    pool.add(transaction(1, 5, 5, 0), rich(5)).unwrap();
    let late = pool.add(transaction(1, 4, 5, 0), rich(4)).unwrap_err();
    assert_eq!(late, MempoolError::NonceTooLow { nonce: 4, next: 5 });
    assert_eq!(nonces(&pool.candidates(0, Room::new(u64::MAX, usize::MAX))), [(1, 5)]);
}

#[test]
fn what_no_block_touched_is_looked_at_in_turn() {
    let limits = MempoolLimits { count: 2_000, ..MempoolLimits::default() };
    let pool = Mempool::new(limits);
    let senders = 200;
    for sender in 1..=senders {
        for nonce in 0..8 {
            pool.add(transaction(sender, nonce, 5, 0), rich(0)).unwrap();
        }
    }
    let mut rounds = 0;
    while pool.size().count > 0 {
        let before = pool.size().count;
        refresh(&pool, &[], |_| rich(0), |_| false);
        let gone = before - pool.size().count;
        assert!(0 < gone && gone <= REVISITED, "{gone}");
        rounds += 1;
    }
    assert_eq!(rounds, 1_600usize.div_ceil(REVISITED));
}

#[tokio::test]
async fn whoever_waits_for_work_is_woken_by_what_can_be_in_a_block() {
    let pool = Mempool::new(MempoolLimits::default());
    let work = pool.work();
    pool.add(transaction(1, 1, 5, 0), rich(0)).unwrap();
    assert!(!pool.has_work());
    let quiet = tokio::time::timeout(Duration::ZERO, work.notified()).await;
    assert!(quiet.is_err(), "a gap is no work");
    pool.add(transaction(1, 0, 5, 0), rich(0)).unwrap();
    assert!(pool.has_work());
    tokio::time::timeout(Duration::from_secs(5), work.notified()).await.unwrap();
}

#[test]
fn arrivals_are_told_in_order_and_in_pieces() {
    let pool = Mempool::new(MempoolLimits::default());
    for sender in 1..=5 {
        pool.add(transaction(sender, 0, 5, 0), rich(0)).unwrap();
    }
    pool.remove([transaction(2, 0, 5, 0).tx_hash()]);
    let (first, next) = pool.since(0, 2);
    assert_eq!(nonces(&first), [(1, 0), (3, 0)]);
    let (rest, next) = pool.since(next, 10);
    assert_eq!(nonces(&rest), [(4, 0), (5, 0)]);
    assert_eq!((pool.since(next, 10).0.len(), next), (0, *pool.arrived().borrow()));
    assert_eq!(pool.waiting(Duration::ZERO).len(), 4);
    assert!(pool.waiting(Duration::from_secs(60)).is_empty());
}
