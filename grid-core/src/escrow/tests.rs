use ::bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    absolute::LockTime, consensus::serialize, hashes::Hash as _, transaction::Version,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use proptest::prelude::*;

use super::*;
use crate::{
    ChainId, ChainKey, Family, Level, Security,
    bitcoin::{NetworkParams, tx::Tx},
    confirm::ConfirmationRule,
    guarantee::{self, Guarantee},
    message::Message,
    modules::{ChainRecord, ChainStatus, ClientParams, abi::ESCROW, store_new_record},
    state::{Account, MemoryState, Overlay},
};

const SELLER: Address = Address::repeat_byte(0x5e);
const BUYER: Address = Address::repeat_byte(0xb0);
const RELAYER: Address = Address::repeat_byte(0x4e);
const RICH: u128 = 1_000_000;
const START: u64 = 1_000;
const SCRIPT: [u8; 3] = [0x51, 0x52, 0xae];

#[test]
fn ids_differ_by_owner_and_number() {
    let ids = [escrow_id(&SELLER, 0), escrow_id(&SELLER, 1), escrow_id(&BUYER, 0)];
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
}

fn record() -> ChainRecord {
    let network = NetworkParams::regtest();
    ChainRecord {
        id: network.chain_id(),
        family: Family::Bitcoin,
        security: Security::ProofOfWork,
        level: Level::L3,
        measured: false,
        rule: ConfirmationRule::Depth { blocks: 2 },
        status: ChainStatus::Active,
        client: ClientParams::Bitcoin { network: network.into(), checkpoint: None },
        window: 64,
    }
}

fn terms(chain: ChainKey, value: u128, amount: u64, deadline: u64) -> Terms {
    Terms {
        owner: SELLER,
        payee: BUYER,
        value: U256::from(value),
        chain,
        script: SCRIPT.to_vec().into(),
        amount,
        deadline,
        guaranteed: None,
    }
}

/// A transaction that is told from others by its number, and pays these amounts to the script.
fn payment(number: u8, amounts: &[u64]) -> Tx {
    let output = |sats: &u64| TxOut {
        value: Amount::from_sat(*sats),
        script_pubkey: ScriptBuf::from_bytes(SCRIPT.to_vec()),
    };
    let input = TxIn {
        previous_output: OutPoint { txid: Txid::from_byte_array([number; 32]), vout: 0 },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: amounts.iter().map(output).collect(),
    };
    Tx::from_stripped(&serialize(&transaction)).unwrap()
}

/// A guarantee that cost so much.
fn guarantee(premium: u128) -> Guarantee {
    Guarantee {
        status: guarantee::Status::Guaranteed,
        chain: record().key(),
        txid: B256::ZERO,
        block: B256::ZERO,
        height: 8,
        deadline: 20,
        cover: 50,
        premium,
        beneficiary: SELLER,
        payer: RELAYER,
    }
}

fn message(source: ChainKey, payload: &[u8]) -> Message {
    Message {
        source: source.0,
        nonce: 0,
        sender: B256::repeat_byte(0x5e),
        destination: ChainId::eip155(7_357).key().0,
        recipient: ESCROW.into_word(),
        deadline: 0,
        ordered: false,
        payload: Bytes::copy_from_slice(payload),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Open { value: u128, amount: u64, secs: u64, guaranteed: Option<(u128, u128)> },
    Pay { escrow: usize, payment: usize, premium: Option<u128> },
    Refund { escrow: usize },
    Pass { secs: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (1..RICH / 4, 1..60u64, 1..40u64, proptest::option::of((0..3u128, 0..RICH / 8)))
            .prop_map(|(value, amount, secs, guaranteed)| {
                Step::Open { value, amount, secs, guaranteed }
            }),
        4 => (0..12usize, 0..4usize, proptest::option::of(0..RICH / 8))
            .prop_map(|(escrow, payment, premium)| Step::Pay { escrow, payment, premium }),
        2 => (0..12usize).prop_map(|escrow| Step::Refund { escrow }),
        1 => (1..20u64).prop_map(|secs| Step::Pass { secs }),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is shown and asked in whatever order: an escrow ends once, an output releases one, and the contract holds
    /// what is open.
    #[test]
    fn what_is_locked_goes_to_one_of_two(steps in steps()) {
        let state = MemoryState::new();
        let mut overlay = Overlay::new(&state);
        let chain = record().key();
        prop_assert!(store_new_record(&mut overlay, &record()).is_ok());
        Account { nonce: 0, balance: U256::from(RICH) }.store(&mut overlay, &SELLER);
        let payments = [
            payment(1, &[10]), payment(2, &[50, 20]), payment(3, &[20, 20, 60]), payment(4, &[]),
        ];
        let outputs: usize = payments.iter().map(|tx| tx.inner().output.len()).sum();
        let (mut ids, mut now, mut released) = (Vec::new(), START, 0);
        let mut premiums = 0;
        for step in steps {
            let before = overlay.checkpoint();
            let known = |at: usize| ids.get(at).copied().unwrap_or(B256::ZERO);
            let done = match step {
                Step::Open { value, amount, secs, guaranteed } => {
                    let guaranteed = guaranteed.map(|(cover, premium)| (U256::from(cover), U256::from(premium)));
                    let terms = Terms { guaranteed, ..terms(chain, value, amount, now + secs) };
                    let opened = open(&mut overlay, &terms, now);
                    opened.map(|(id, _)| ids.push(id)).is_ok()
                }
                Step::Pay { escrow, payment, premium } => {
                    let id = known(escrow);
                    let was = read_escrow(&overlay, &id).unwrap();
                    let found = message(chain, id.as_slice());
                    let tx = Some(&payments[payment]);
                    let guarantee = premium.map(guarantee);
                    let asked = ask(&overlay, &found, tx, now);
                    let paid = receive(&mut overlay, &found, tx, guarantee.as_ref(), now);
                    prop_assert_eq!(asked.is_ok(), paid.is_ok());
                    if let Ok(paid) = &paid {
                        let was = was.unwrap();
                        let cover = asked.unwrap().map_or(0, |ask| ask.cover);
                        prop_assert_eq!(cover, was.cover);
                        let back = premium.map_or(0, |premium| premium.min(was.premium));
                        prop_assert_eq!(paid.premium.map_or(0, |(_, back)| back), back);
                        premiums += back;
                        prop_assert_eq!(was.status, Status::Open);
                        prop_assert!(now <= was.deadline);
                        released += 1;
                    }
                    paid.is_ok()
                }
                Step::Refund { escrow } => {
                    let id = known(escrow);
                    let was = read_escrow(&overlay, &id).unwrap();
                    let over = was.is_some_and(|was| was.status == Status::Open && now > was.deadline);
                    let refunded = refund(&mut overlay, &id, now);
                    prop_assert_eq!(refunded.is_ok(), over);
                    refunded.is_ok()
                }
                Step::Pass { secs } => {
                    now += secs;
                    true
                }
            };
            if !done {
                overlay.rollback(before);
            }
            let (mut sums, mut held) = ([0u128; 3], 0);
            for id in &ids {
                let escrow = read_escrow(&overlay, id).unwrap().unwrap();
                sums[escrow.status as usize - 1] += escrow.value;
                held += if escrow.status == Status::Open { escrow.value + escrow.premium } else { 0 };
            }
            let balance = |account| Account::read(&overlay, &account).unwrap().balance;
            prop_assert_eq!(balance(ESCROW), U256::from(held));
            prop_assert_eq!(balance(BUYER), U256::from(sums[1]));
            prop_assert_eq!(balance(RELAYER), U256::from(premiums));
            prop_assert_eq!(balance(SELLER), U256::from(RICH - held - sums[1] - premiums));
        }
        prop_assert!(released <= outputs);
    }
}

#[test]
fn a_message_releases_by_its_chain_its_payload_and_its_payment_only() {
    let state = MemoryState::new();
    let mut overlay = Overlay::new(&state);
    let chain = record().key();
    store_new_record(&mut overlay, &record()).unwrap();
    Account { nonce: 0, balance: U256::from(RICH) }.store(&mut overlay, &SELLER);
    let (id, _) = open(&mut overlay, &terms(chain, 7, 20, START), START - 1).unwrap();
    let mut receive = |source, payload: &[u8], tx: Option<&Tx>, now| {
        super::receive(&mut overlay, &message(source, payload), tx, None, now).map(drop)
    };
    let good = payment(1, &[20]);
    let (other, unpaid) = (ChainId::eip155(1).key(), EscrowError::Unpaid { amount: 20 });
    let source = EscrowError::Source { expected: chain.0, found: other.0 };
    assert_eq!(receive(other, id.as_slice(), Some(&good), START), Err(source));
    assert_eq!(receive(chain, b"id", Some(&good), START), Err(EscrowError::Payload(2)));
    let unknown = B256::repeat_byte(1);
    let refused = receive(chain, unknown.as_slice(), Some(&good), START);
    assert_eq!(refused, Err(EscrowError::Unknown(unknown)));
    assert_eq!(receive(chain, id.as_slice(), None, START), Err(unpaid.clone()));
    assert_eq!(receive(chain, id.as_slice(), Some(&payment(1, &[19])), START), Err(unpaid));
    let late = EscrowError::Deadline { deadline: START, now: START + 1 };
    assert_eq!(receive(chain, id.as_slice(), Some(&good), START + 1), Err(late));
    assert_eq!(receive(chain, id.as_slice(), Some(&good), START), Ok(()));
    let ended = EscrowError::Ended { id, status: Status::Released };
    assert_eq!(receive(chain, id.as_slice(), Some(&good), START), Err(ended));
}

#[test]
fn bad_terms_lock_nothing() {
    let state = MemoryState::new();
    let mut overlay = Overlay::new(&state);
    let chain = record().key();
    store_new_record(&mut overlay, &record()).unwrap();
    Account { nonce: 0, balance: U256::from(RICH) }.store(&mut overlay, &SELLER);
    let good = || terms(chain, 7, 20, START + 1);
    let guaranteed = |value, cover, premium| Terms {
        guaranteed: Some((U256::from(cover), U256::from(premium))),
        ..terms(chain, value, 20, START + 1)
    };
    let other = ChainId::eip155(1).key();
    let cases = [
        (Terms { value: U256::ZERO, ..good() }, EscrowError::Nothing),
        (Terms { amount: 0, ..good() }, EscrowError::Nothing),
        (Terms { value: U256::MAX, ..good() }, EscrowError::Amount),
        (Terms { payee: Address::ZERO, ..good() }, EscrowError::Payee(Address::ZERO)),
        (Terms { payee: ESCROW, ..good() }, EscrowError::Payee(ESCROW)),
        (Terms { script: Bytes::new(), ..good() }, EscrowError::Script(0)),
        (Terms { script: vec![0; MAX_SCRIPT + 1].into(), ..good() }, EscrowError::Script(101)),
        (Terms { chain: other, ..good() }, EscrowError::Chain(other.0)),
        (
            Terms { deadline: START, ..good() },
            EscrowError::Deadline { deadline: START, now: START },
        ),
        (guaranteed(7, 0, 0), EscrowError::Cover),
        (guaranteed(7, 9, 7), EscrowError::Premium { value: 7, premium: 7 }),
        (guaranteed(7, 9, 8), EscrowError::Premium { value: 7, premium: 8 }),
        (Terms { guaranteed: Some((U256::MAX, U256::ZERO)), ..good() }, EscrowError::Amount),
        (Terms { owner: BUYER, ..good() }, EscrowError::Funds { account: BUYER, amount: 7 }),
    ];
    for (terms, expected) in cases {
        assert_eq!(open(&mut overlay, &terms, START), Err(expected));
    }
    assert!(open(&mut overlay, &good(), START).is_ok());
    assert_eq!(Account::read(&overlay, &ESCROW).unwrap().balance, U256::from(7));
}
