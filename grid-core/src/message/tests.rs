use std::collections::BTreeMap;

use ::bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    absolute::LockTime, consensus::serialize, hashes::Hash as _, transaction::Version,
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use proptest::prelude::*;

use super::*;
use crate::{
    ChainId, ChainKey,
    bitcoin::tx::Tx,
    guarantee::{Guarantee, Status},
    state::{MemoryState, Overlay},
};

const MESSAGES: usize = 8;
const START: u64 = 1_000;

fn own() -> ChainKey {
    ChainId::eip155(7_357).key()
}

fn source() -> ChainKey {
    ChainId::eip155(1).key()
}

fn message(nonce: u64, ordered: bool, deadline: u64) -> Message {
    Message {
        source: source().0,
        nonce,
        sender: B256::repeat_byte(0x5e),
        destination: own().0,
        recipient: Address::repeat_byte(0x7e).into_word(),
        deadline,
        ordered,
        payload: Bytes::from_static(b"hello"),
    }
}

fn found(message: &Message) -> Found {
    Found { id: message.id(), message: message.clone(), emitter: None, tx: None }
}

fn open_route() -> Route {
    Route { policy: Route::OPEN, max_payload: 64, min_depth: 0, mailbox: Address::ZERO }
}

fn here(height: u64, now_secs: u64) -> Here {
    Here { own: own(), height, now_secs }
}

fn evidence(height: u64, anchor: u64) -> Evidence {
    Evidence { height, block: U256::from(height).into(), depth: 0, anchor }
}

/// A call: whatever fails leaves nothing.
fn try_deliver(
    overlay: &mut Overlay<'_>,
    here: &Here,
    message: &Message,
    evidence: &Evidence,
) -> Result<Outcome, MessageError> {
    let before = overlay.checkpoint();
    let result = deliver(overlay, here, &found(message), evidence);
    if result.is_err() {
        overlay.rollback(before);
    }
    result
}

/// Height of the block that all guarantees are for.
const COVERED_AT: u64 = 30;
/// Who pays for a guarantee that covers too little.
const POOR: u8 = 4;

/// A guarantee of every message's transaction.
fn guarantee(by: u8) -> Guarantee {
    Guarantee {
        status: Status::Guaranteed,
        chain: source(),
        txid: B256::ZERO,
        block: B256::repeat_byte(0xb1),
        height: COVERED_AT,
        deadline: 99,
        cover: if by == POOR { 4 } else { 5 },
        premium: 1,
        beneficiary: Address::repeat_byte(0xbe),
        payer: Address::repeat_byte(by),
    }
}

fn try_covered(
    overlay: &mut Overlay<'_>,
    here: &Here,
    message: &Message,
    by: u8,
) -> Result<(), MessageError> {
    let before = overlay.checkpoint();
    let ask = Ask { cover: 5, beneficiary: Address::repeat_byte(0xbe), premium: 0 };
    let found = found(message);
    let result = check_covered(overlay, here, &found)
        .and_then(|()| deliver_covered(overlay, here, &found, (&guarantee(by), &ask)));
    if result.is_err() {
        overlay.rollback(before);
    }
    result
}

#[derive(Debug, Clone)]
enum Step {
    /// Somebody delivers a message, found at a height, by a proof of an older Grid block.
    Deliver { which: usize, height: u64, back: u64 },
    /// Somebody delivers a message under a guarantee of its transaction.
    Covered { which: usize, by: u8 },
    /// The source's index is cut back.
    Cut { from: u64 },
    /// Somebody reports a message.
    Report { which: usize },
    /// Grid blocks pass.
    Pass { blocks: u64, secs: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..MESSAGES, 0..20u64, 1..6u64)
            .prop_map(|(which, height, back)| Step::Deliver { which, height, back }),
        3 => (0..MESSAGES, 0..5u8).prop_map(|(which, by)| Step::Covered { which, by }),
        1 => (0..20u64).prop_map(|from| Step::Cut { from }),
        1 => (0..MESSAGES).prop_map(|which| Step::Report { which }),
        2 => (1..4u64, 0..40u64).prop_map(|(blocks, secs)| Step::Pass { blocks, secs }),
    ];
    proptest::collection::vec(step, 1..120)
}

/// What must hold, with all that ever happened remembered.
#[derive(Default)]
struct Model {
    cuts: Vec<(u64, u64)>,
    states: BTreeMap<usize, (State, u64, u64)>,
    effects: Vec<usize>,
    next: u64,
    /// Which message each guarantee stands behind.
    covers: BTreeMap<u8, usize>,
}

impl Model {
    fn broken(&self, anchor: u64, height: u64) -> bool {
        self.cuts.iter().any(|(at, from)| *at > anchor && *from <= height)
    }

    fn loose(&self, which: usize) -> bool {
        match self.states.get(&which) {
            Some((State::Breached, ..)) => true,
            Some((State::Delivered, anchor, height)) => self.broken(*anchor, *height),
            _ => false,
        }
    }

    /// What a delivery must do; `None` where it is refused.
    fn deliver(
        &mut self,
        (which, message): (usize, &Message),
        anchor: u64,
        height: u64,
        now: u64,
    ) -> Option<Outcome> {
        if self.broken(anchor, height) || self.states.contains_key(&which) && !self.loose(which) {
            return None;
        }
        if self.loose(which) {
            self.states.insert(which, (State::Delivered, anchor, height));
            return Some(Outcome::Reaffirmed);
        }
        if message.ordered {
            if message.nonce != self.next {
                return None;
            }
            self.next += 1;
        }
        if message.is_expired(now) {
            self.states.insert(which, (State::Expired, anchor, height));
            return Some(Outcome::Expired);
        }
        self.states.insert(which, (State::Delivered, anchor, height));
        self.effects.push(which);
        Some(Outcome::Delivered)
    }

    /// Whether a delivery under a guarantee is taken. Expired messages are for confirmed blocks to show.
    fn covered(
        &mut self,
        (which, message): (usize, &Message),
        by: u8,
        (at, now): (u64, u64),
    ) -> bool {
        let turn = !message.ordered || message.nonce == self.next;
        let known = self.states.contains_key(&which) || self.covers.contains_key(&by);
        if known || message.is_expired(now) || !turn || by == POOR {
            return false;
        }
        self.next += u64::from(message.ordered);
        self.states.insert(which, (State::Guaranteed, at, COVERED_AT));
        self.effects.push(which);
        self.covers.insert(by, which);
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Any interleaving of relayers, reorganisations and time: one effect at most, in order, and the same states as
    /// in a model that forgets nothing.
    #[test]
    fn every_message_takes_effect_once(steps in steps()) {
        let state = MemoryState::new();
        let mut overlay = Overlay::new(&state);
        let route = Route { policy: Route::OPEN | Route::GUARANTEED, ..open_route() };
        store_route(&mut overlay, source().0, own().0, &route).unwrap();
        // Half of them ordered; some with an end, all the ordered ones.
        let messages: Vec<_> = (0..MESSAGES)
            .map(|at| {
                let (nonce, ordered) = ((at / 2) as u64, at % 2 == 0);
                let deadline = if ordered || at % 4 == 1 { START + 40 * nonce } else { 0 };
                message(nonce, ordered, deadline)
            })
            .collect();
        let (mut model, mut height, mut now) = (Model::default(), 100, START);
        for step in steps {
            match step {
                Step::Deliver { which, height: source_height, back } => {
                    let anchor = height - back;
                    let expected =
                        model.deliver((which, &messages[which]), anchor, source_height, now);
                    let evidence = evidence(source_height, anchor);
                    let done =
                        try_deliver(&mut overlay, &here(height, now), &messages[which], &evidence);
                    prop_assert_eq!(done.clone().ok(), expected, "{:?}", done);
                }
                Step::Covered { which, by } => {
                    let at = (height, now);
                    let expected = model.covered((which, &messages[which]), by, at);
                    let done = try_covered(&mut overlay, &here(height, now), &messages[which], by);
                    prop_assert_eq!(done.is_ok(), expected, "{:?}", done);
                }
                Step::Cut { from } => {
                    model.cuts.push((height, from));
                    let cut = Cut { at: height, from, depth: 1, tip: B256::ZERO };
                    note_cut(&mut overlay, source(), cut).unwrap();
                }
                Step::Report { which } => {
                    let delivered = model.states.get(&which).is_some_and(|s| s.0 == State::Delivered);
                    let breached = delivered && model.loose(which);
                    let reported = report(&mut overlay, &messages[which].id());
                    prop_assert_eq!(reported.is_ok(), breached, "{:?}", reported);
                    if breached {
                        model.states.get_mut(&which).unwrap().0 = State::Breached;
                    }
                }
                Step::Pass { blocks, secs } => {
                    height += blocks;
                    now += secs;
                }
            }
        }
        let mut once = model.effects.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), model.effects.len());
        let ordered: Vec<_> = model.effects.iter().filter(|at| *at % 2 == 0).collect();
        prop_assert!(ordered.is_sorted());
        for (at, message) in messages.iter().enumerate() {
            let record = read_message(&overlay, &message.id()).unwrap();
            let found = record.map(|record| (record.state, record.anchor, record.height));
            prop_assert_eq!(found, model.states.get(&at).copied());
            let covers: Vec<_> = model.covers.iter().filter(|(_, which)| **which == at).collect();
            let cover = record.and_then(|record| record.guarantee);
            prop_assert_eq!(cover, covers.first().map(|(by, _)| guarantee(**by).id()));
            prop_assert!(covers.len() < 2);
            let known = is_known(&overlay, &message.id()).unwrap();
            prop_assert_eq!(known, model.states.contains_key(&at) && !model.loose(at));
        }
    }

    /// Dropping what a lower cut says anyway loses nothing.
    #[test]
    fn cuts_say_what_all_of_them_say(
        list in proptest::collection::vec((0..30u64, 0..30u64), 0..40),
        anchor in 0..40u64,
        height in 0..40u64,
    ) {
        let (mut cuts, mut all, mut at) = (Cuts::default(), Vec::new(), 0);
        for (later, from) in list {
            at += later % 3;
            cuts.push(Cut { at, from, depth: 1, tip: B256::ZERO });
            all.push((at, from));
        }
        let broken = all.iter().any(|(at, from)| *at > anchor && *from <= height);
        prop_assert_eq!(cuts.broken(anchor, height).is_some(), broken);
        prop_assert_eq!(cuts.check(anchor, height).is_err(), broken);
        prop_assert!(cuts.list.windows(2).all(|w| w[0].from < w[1].from && w[0].at <= w[1].at));
    }

    #[test]
    fn data_of_an_output_is_read_as_it_is_written(
        data in proptest::collection::vec(any::<u8>(), 0..100),
        good in any::<bool>(),
        flags in 0..3u8,
    ) {
        let mut data = data;
        if good && data.len() >= 6 {
            data[..4].copy_from_slice(b"GRID");
            (data[4], data[5]) = (VERSION, flags);
        }
        let note = BitcoinNote::decode(&data);
        prop_assert_eq!(note.is_ok(), good && data.len() >= HEADER_BYTES && flags < 2 || {
            data.len() >= HEADER_BYTES && data.starts_with(b"GRID\x01") && data[5] < 2
        });
        if let Ok(note) = note {
            prop_assert_eq!(note.encode(), data);
        }
    }
}

#[test]
fn too_many_cuts_forget_the_oldest_and_say_so() {
    let mut cuts = Cuts::default();
    for at in 1..=MAX_CUTS as u64 + 3 {
        cuts.push(Cut { at, from: at, depth: 1, tip: B256::ZERO });
    }
    assert_eq!((cuts.list.len(), cuts.floor), (MAX_CUTS, 3));
    assert_eq!(cuts.check(2, 0), Err(MessageError::TooOld { anchor: 2, floor: 3 }));
    assert_eq!(cuts.check(3, 3), Ok(()));
    assert!(matches!(cuts.check(3, 4), Err(MessageError::Orphaned { from: 4, at: 4, .. })));
}

#[test]
fn the_id_hashes_every_field() {
    let base = message(3, false, 0);
    let changes: [fn(&mut Message); 8] = [
        |m| m.source = B256::ZERO,
        |m| m.nonce += 1,
        |m| m.sender = B256::ZERO,
        |m| m.destination = B256::ZERO,
        |m| m.recipient = B256::ZERO,
        |m| m.deadline += 1,
        |m| m.ordered = true,
        |m| m.payload = Bytes::from_static(b"hello\0"),
    ];
    for change in changes {
        let mut other = base.clone();
        change(&mut other);
        assert_ne!(other.id(), base.id());
    }
}

/// The same id as `abi.encode` of other tools gives; `contracts/test/GridMailbox.t.sol` has it too.
#[test]
fn the_id_is_that_of_other_tools() {
    let word = |number| B256::with_last_byte(number);
    let message = Message {
        source: word(1),
        nonce: 2,
        sender: word(3),
        destination: word(4),
        recipient: word(5),
        deadline: 6,
        ordered: true,
        payload: Bytes::from_static(b"grid"),
    };
    let expected = "0xc12ea2b3750ab3f4a70465ad3527288145d0d93b0a43804f8081d0465ff2323e";
    assert_eq!(message.id().to_string(), expected);
}

#[test]
fn routes_filter_before_anything_is_written() {
    let state = MemoryState::new();
    let mut overlay = Overlay::new(&state);
    let (one, ends) = (message(0, false, 0), (source().0, own().0));
    let mut go = |route: Option<Route>, evidence: Evidence| {
        let before = overlay.checkpoint();
        if let Some(route) = route {
            store_route(&mut overlay, ends.0, ends.1, &route).unwrap();
        }
        let result = deliver(&mut overlay, &here(9, START), &found(&one), &evidence);
        overlay.rollback(before);
        result
    };
    let at = evidence(5, 8);
    assert!(matches!(go(None, at), Err(MessageError::Closed { .. })));
    assert_eq!(go(Some(open_route()), at), Ok(Outcome::Delivered));
    let small = Route { max_payload: 4, ..open_route() };
    assert_eq!(go(Some(small), at), Err(MessageError::Payload { found: 5, most: 4 }));
    let deep = Route { min_depth: 3, ..open_route() };
    assert_eq!(go(Some(deep), at), Err(MessageError::Depth { found: 0, least: 3 }));
    assert_eq!(go(Some(deep), Evidence { depth: 3, ..at }), Ok(Outcome::Delivered));
    for list in [Route::LISTED_SENDERS, Route::LISTED_RECIPIENTS] {
        let listed = Route { policy: Route::OPEN | list, ..open_route() };
        assert!(matches!(go(Some(listed), at), Err(MessageError::NotListed { .. })));
    }
    assert!(
        store_route(&mut overlay, ends.0, ends.1, &Route { policy: 16, ..open_route() }).is_err()
    );
    let large = Route { max_payload: 4_097, ..open_route() };
    assert!(store_route(&mut overlay, ends.0, ends.1, &large).is_err());
}

#[test]
fn a_listed_sender_passes_until_it_is_taken_off() {
    let state = MemoryState::new();
    let mut overlay = Overlay::new(&state);
    let route = Route { policy: Route::OPEN | Route::LISTED_SENDERS, ..open_route() };
    store_route(&mut overlay, source().0, own().0, &route).unwrap();
    let ends = (source().0, own().0);
    let (one, two) = (message(0, false, 0), message(1, false, 0));
    set_listed(&mut overlay, ends, Party::Sender, &one.sender, true);
    let at = evidence(5, 8);
    assert_eq!(try_deliver(&mut overlay, &here(9, START), &one, &at), Ok(Outcome::Delivered));
    set_listed(&mut overlay, ends, Party::Sender, &one.sender, false);
    let refused = try_deliver(&mut overlay, &here(9, START), &two, &at);
    assert!(matches!(refused, Err(MessageError::NotListed { party: "sender", .. })));
}

#[test]
fn sent_messages_are_numbered_by_sender_destination_and_order() {
    let state = MemoryState::new();
    let mut overlay = Overlay::new(&state);
    let other = source().0;
    let mut order = Order {
        sender: Address::repeat_byte(1),
        destination: other,
        recipient: B256::repeat_byte(2),
        deadline: 0,
        ordered: false,
        payload: Bytes::new(),
    };
    let here = here(4, START);
    let closed = send(&mut overlay, &here, order.clone());
    assert!(matches!(closed, Err(MessageError::Closed { .. })));
    store_route(&mut overlay, own().0, other, &open_route()).unwrap();
    let mut nonce = |order: &Order| send(&mut overlay, &here, order.clone()).map(|sent| sent.nonce);
    assert_eq!((nonce(&order), nonce(&order)), (Ok(0), Ok(1)));
    order.ordered = true;
    assert_eq!(nonce(&order), Err(MessageError::NoDeadline));
    order.deadline = START;
    let over = MessageError::Deadline { deadline: START, now: START };
    assert_eq!(nonce(&order), Err(over));
    order.deadline = START + 1;
    assert_eq!(nonce(&order), Ok(0));
    order.sender = Address::repeat_byte(3);
    assert_eq!(nonce(&order), Ok(0));
    order.recipient = B256::ZERO;
    assert_eq!(nonce(&order), Err(MessageError::Recipient(B256::ZERO)));
    order.destination = own().0;
    assert_eq!(nonce(&order), Err(MessageError::Itself));
}

fn tx(spends: (B256, u32), script: &[u8]) -> Vec<u8> {
    let input = TxIn {
        previous_output: OutPoint { txid: Txid::from_byte_array(spends.0.0), vout: spends.1 },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    let output =
        TxOut { value: Amount::from_sat(7), script_pubkey: ScriptBuf::from_bytes(script.to_vec()) };
    serialize(&Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![output],
    })
}

#[test]
fn the_sender_on_bitcoin_is_the_script_that_was_spent() {
    // Not four bytes: that would make 64 of the transaction.
    let script = [0x00, 0x14, 0xab, 0xcd, 0xef];
    let spent = tx((B256::repeat_byte(1), 0), &script);
    let txid = Tx::from_stripped(&spent).unwrap().id();
    let sent = Tx::from_stripped(&tx((txid, 0), &[0x6a])).unwrap();
    assert_eq!(sender_of(&sent, &spent), Ok(keccak256(script)));
    let other = tx((B256::repeat_byte(2), 0), &script);
    for bad in [&other[..], &spent[..20], &[]] {
        assert!(matches!(sender_of(&sent, bad), Err(MessageError::Spent(_))));
    }
    let missing = Tx::from_stripped(&tx((txid, 1), &[0x6a])).unwrap();
    assert!(matches!(sender_of(&missing, &spent), Err(MessageError::Spent(_))));
    let coinbase = Tx::from_stripped(&tx((B256::ZERO, u32::MAX), &[0x6a])).unwrap();
    assert_eq!(sender_of(&coinbase, &spent), Err(MessageError::Coinbase));
}
