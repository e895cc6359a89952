//! What nodes of a Grid chain send each other about transactions.

use std::{path::Path, sync::OnceLock};

use alloy_consensus::{
    SignableTransaction, TxEip1559, TxEip2930, TxEnvelope, TxLegacy,
    transaction::SignerRecoverable as _,
};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use grid_core::{
    genesis::{self, Genesis},
    grid::Validator,
    state::{Account, MemoryState},
    transition,
};
use grid_node::{
    chain::decode,
    gossip::{Answer, MAX_HASHES, Request},
    mempool::{Mempool, MempoolLimits},
};
use k256::ecdsa::SigningKey;

const CHAIN_ID: u64 = 7_117;

/// Reads bytes as a request and as an answer. What is taken has one spelling and is bounded.
pub fn gossip_messages(data: &[u8]) {
    if let Ok(request) = Request::decode(data) {
        assert_eq!(request.encode(), data, "another spelling was taken");
        let (Request::Announce(hashes) | Request::Fetch(hashes)) = request;
        assert!(hashes.len() <= MAX_HASHES);
    }
    if let Ok(answer) = Answer::decode(data) {
        assert_eq!(answer.encode(), data, "another spelling was taken");
    }
}

/// Reads bytes as a transaction, checks it against a state in which one account has money, and puts what
/// passes into a mempool. The hash is that of the very bytes.
pub fn grid_transaction(data: &[u8]) {
    let Ok(envelope) = decode(data) else { return };
    assert_eq!(envelope.encoded_2718(), data, "another spelling was taken");
    assert_eq!(*envelope.tx_hash(), keccak256(data));
    let Ok(transaction) = envelope.try_into_recovered() else { return };
    let hash = *transaction.tx_hash();
    let checked = transition::check(state(), &transaction, 1_000_000);
    if let Err(reason) = &checked {
        assert!(!reason.to_string().is_empty());
    }
    // The mempool itself must hold whatever was let through to it.
    let mempool = Mempool::new(MempoolLimits::default());
    let account = Account { nonce: 0, balance: U256::MAX };
    let sender = transaction.signer();
    if mempool.add(transaction, account).is_ok() {
        assert_eq!(mempool.sender(&hash), Some(sender));
        assert_eq!(mempool.size().bytes, data.len());
        mempool.remove([&hash]);
    }
    assert_eq!(mempool.size(), Default::default());
}

/// The state after a genesis in which the test's key has money.
fn state() -> &'static MemoryState {
    static STATE: OnceLock<MemoryState> = OnceLock::new();
    STATE.get_or_init(|| {
        let rich = Address::from_private_key(&key());
        let genesis = Genesis {
            chain_id: CHAIN_ID,
            time_ms: 1_700_000_000_000,
            gas_limit: 60_000_000,
            base_fee: 1_000_000,
            alloc: [(rich, U256::from(10u64).pow(U256::from(24)))].into(),
            governor: rich,
            validators: vec![Validator { account: rich, power: 1 }],
            staking: None,
            guarantee: None,
            chains: Vec::new(),
        };
        let block = genesis::build(&genesis).expect("the genesis is sound");
        let mut state = MemoryState::new();
        state.apply(&block);
        state
    })
}

fn key() -> SigningKey {
    SigningKey::from_slice(&[2; 32]).expect("it is in range")
}

fn sign<T: SignableTransaction<Signature>>(body: T) -> Vec<u8>
where
    TxEnvelope: From<alloy_consensus::Signed<T>>,
{
    let hash = body.signature_hash();
    let signature = key().sign_prehash_recoverable(hash.as_slice()).expect("any hash is signed");
    TxEnvelope::from(body.into_signed(Signature::from(signature))).encoded_2718()
}

/// Transfers of each type.
pub(super) fn transactions(_: &Path) -> Vec<Vec<u8>> {
    let (to, value) = (TxKind::Call(Address::repeat_byte(7)), U256::from(1));
    let (gas_limit, gas_price) = (30_000, 1_000_000_000);
    let input = Bytes::from_static(b"some call data");
    vec![
        sign(TxLegacy {
            chain_id: Some(CHAIN_ID),
            nonce: 0,
            gas_price,
            gas_limit,
            to,
            value,
            input: input.clone(),
        }),
        sign(TxEip2930 { chain_id: CHAIN_ID, gas_price, gas_limit, to, ..Default::default() }),
        sign(TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: 3,
            gas_limit,
            max_fee_per_gas: gas_price,
            max_priority_fee_per_gas: 1,
            to,
            value,
            input,
            ..Default::default()
        }),
    ]
}

/// One message of each kind.
pub(super) fn messages(data: &Path) -> Vec<Vec<u8>> {
    let hashes: Vec<_> = (0..5).map(B256::repeat_byte).collect();
    let raw = transactions(data).into_iter().map(Bytes::from).collect();
    vec![
        Request::Announce(hashes.clone()).encode(),
        Request::Fetch(hashes).encode(),
        Answer::Noted.encode(),
        Answer::Transactions(raw).encode(),
    ]
}
