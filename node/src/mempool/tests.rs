use std::time::{Duration, Instant};

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};

use super::*;

fn transaction(sender: u8, nonce: u64, fee: u128, size: usize) -> Recovered<TxEnvelope> {
    let body = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: fee,
        max_priority_fee_per_gas: fee,
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

#[test]
fn best_price_first_but_a_senders_nonces_stay_in_order() {
    let pool = Mempool::new(MempoolLimits::default());
    for (sender, nonce, fee) in [(1, 0, 10), (1, 1, 90), (2, 0, 50), (2, 2, 99), (3, 5, 20)] {
        pool.add(transaction(sender, nonce, fee, 0), 0).unwrap();
    }
    let nonce_of = |sender: &Address| if sender.0[0] == 3 { 5 } else { 0 };
    let chosen = pool.candidates(1, 30_000_000, 1 << 20, nonce_of);
    assert_eq!(nonces(&chosen), [(2, 0), (3, 5), (1, 0), (1, 1)]);
    let two = pool.candidates(1, 42_000, 1 << 20, nonce_of);
    assert_eq!(nonces(&two), [(2, 0), (3, 5)]);
    let dear = pool.candidates(15, 30_000_000, 1 << 20, nonce_of);
    assert_eq!(nonces(&dear), [(2, 0), (3, 5)], "below the base fee waits, with what follows");
    assert_eq!(pool.pending_nonce(&Address::repeat_byte(1), 0), 2);
    assert_eq!(pool.pending_nonce(&Address::repeat_byte(2), 0), 1);
}

#[test]
fn a_replacement_pays_ten_percent_more() {
    let pool = Mempool::new(MempoolLimits::default());
    let first = transaction(1, 0, 100, 0);
    let hash = pool.add(first.clone(), 0).unwrap();
    assert_eq!(pool.add(first, 0), Err(MempoolError::AlreadyKnown(hash)));
    assert_eq!(pool.add(transaction(1, 0, 109, 0), 0), Err(MempoolError::Underpriced(0)));
    let second = pool.add(transaction(1, 0, 110, 0), 0).unwrap();
    assert!(pool.get(&hash).is_none());
    assert!(pool.get(&second).is_some());
    assert_eq!(pool.size().count, 1);
}

#[test]
fn every_bound_holds_with_its_reason() {
    let limits = MempoolLimits {
        count: 3,
        bytes: 2_000,
        transaction_bytes: 1_000,
        per_sender: 2,
        nonce_gap: 4,
        lifetime: Duration::from_secs(60),
    };
    let pool = Mempool::new(limits);
    assert!(matches!(pool.add(transaction(1, 0, 5, 1_000), 0), Err(MempoolError::TooLarge { .. })));
    assert!(matches!(
        pool.add(transaction(1, 0, 5, 0), 1),
        Err(MempoolError::NonceTooLow { nonce: 0, next: 1 })
    ));
    assert!(matches!(pool.add(transaction(1, 5, 5, 0), 0), Err(MempoolError::NonceTooHigh { .. })));
    pool.add(transaction(1, 0, 5, 0), 0).unwrap();
    pool.add(transaction(1, 1, 5, 0), 0).unwrap();
    assert!(matches!(pool.add(transaction(1, 2, 5, 0), 0), Err(MempoolError::SenderFull { .. })));
    pool.add(transaction(2, 0, 6, 0), 0).unwrap();
    assert!(matches!(pool.add(transaction(3, 0, 5, 0), 0), Err(MempoolError::Full { .. })));
    pool.add(transaction(3, 0, 7, 0), 0).unwrap();
    assert_eq!(pool.size().count, 3);
    assert_eq!(pool.pending_nonce(&Address::repeat_byte(1), 0), 1, "the cheapest tail went");
    pool.add(transaction(4, 0, 99, 800), 0).unwrap();
    pool.add(transaction(5, 0, 99, 800), 0).unwrap();
    assert!(pool.size().bytes <= limits.bytes);
    let waiting = pool.size().count;
    let expired = pool.refresh(Instant::now() + Duration::from_secs(61), |_| 0, |_| true);
    assert_eq!(expired, waiting);
    assert_eq!(pool.size(), MempoolSize::default());
}

#[test]
fn a_new_state_drops_what_is_used_or_refused() {
    let pool = Mempool::new(MempoolLimits::default());
    for nonce in 0..4 {
        pool.add(transaction(1, nonce, 5, 0), 0).unwrap();
    }
    let refused = pool.refresh(Instant::now(), |_| 2, |one| one.nonce() != 3);
    assert_eq!(refused, 1);
    assert_eq!(pool.size().count, 1);
    assert_eq!(pool.pending_nonce(&Address::repeat_byte(1), 2), 3);
    let hash = *transaction(1, 2, 5, 0).tx_hash();
    pool.remove([&hash]);
    assert_eq!(pool.size(), MempoolSize::default());
}
