//! The sentence over every case, and that none is left out.

use std::collections::HashSet;

use alloy_primitives::{Address, B256};
use grid_core::{
    ChainId, Family, Level, Security,
    api::{BlockRef, ChainInfo},
};

use super::{
    facts::{Before, Facts, Follow, Work},
    say::{Place, judge},
};
use crate::{
    status::{Holder, MainStatus},
    store::{Carried, ChainState, Item, Kind, Lease, Pause, Stage},
};

const NOW: u64 = 1_700_000_000_000;

fn at(height: u64) -> BlockRef {
    BlockRef { height, hash: B256::with_last_byte(u8::try_from(height % 251).unwrap()) }
}

fn chain() -> ChainId {
    ChainId::eip155(1)
}

/// Index from 10, confirmed to 90, tracked to 95.
fn info() -> ChainInfo {
    ChainInfo {
        id: chain(),
        key: chain().key().0,
        family: Family::Ethereum,
        security: Security::Attested,
        level: Level::L1,
        measured: false,
        median_interval: None,
        status: "active".into(),
        rule: "6 blocks deep".into(),
        first_height: 10,
        base: at(10),
        tracked: at(95),
        confirmed: Some(at(90)),
        tracked_headers: 85,
        tracked_bytes: 0,
        sync: None,
        attesters: None,
        submitters: Vec::new(),
    }
}

/// A header of a healthy chain whose source's tip is 120.
fn header(height: u64) -> Facts {
    Facts {
        now: NOW,
        asked: format!("eip155:1:{height}"),
        chain: Some(chain()),
        height: Some(height),
        main: MainStatus { seen_at: NOW, height: 500, ..MainStatus::default() },
        info: Some(info()),
        registry_known: true,
        follow: Some(Follow { tip: Some(at(120)), ..Follow::default() }),
        ..Facts::default()
    }
}

fn item(stage: Stage) -> Item {
    Item {
        key: format!("eip155:1:100:110:{:x}", at(110).hash),
        chain: chain(),
        kind: Kind::Headers,
        stage,
        from: 100,
        parent: at(99).hash,
        last: at(110),
        attempt: 0,
        next_at: 0,
        reason: None,
        tx_hash: None,
        nonce: None,
        created_at: NOW - 60_000,
        updated_at: NOW - 5_000,
    }
}

fn carried(nonce: u64) -> Carried {
    Carried {
        hash: B256::repeat_byte(7),
        signer: Address::ZERO,
        nonce,
        max_fee: 9,
        priority_fee: 1,
        outcome: "live".into(),
        sends: 2,
        sent_at: NOW - 1_000,
        created_at: NOW - 9_000,
    }
}

fn work(stage: Stage, change: impl FnOnce(&mut Work)) -> Facts {
    let mut work = Work { item: item(stage), lease: None, before: None, newest: None };
    change(&mut work);
    Facts { work: Some(work), ..header(105) }
}

fn with(mut facts: Facts, change: impl FnOnce(&mut Facts)) -> Facts {
    change(&mut facts);
    facts
}

fn follow(change: impl FnOnce(&mut Follow)) -> Facts {
    with(header(96), |facts| change(facts.follow.as_mut().unwrap()))
}

fn silent(facts: Facts) -> Facts {
    with(facts, |facts| {
        facts.main = MainStatus { error: Some("refused".into()), ..MainStatus::default() };
    })
}

fn failing(work: &mut Work) {
    work.item.attempt = 3;
    work.item.reason = Some("out of gas".into());
}

fn pause(facts: &mut Facts) {
    let pause = Pause { since: NOW - 120_000, by: "ann".into(), reason: Some("upgrade".into()) };
    facts.follow.as_mut().unwrap().pause = Some(pause);
}

fn holder(here: bool) -> Holder {
    let signer = Some(Address::repeat_byte(0xaa));
    Holder { relayer: "relayer-b".into(), signer, here, until: NOW + 9_000 }
}

/// Facts, where that stands, whether the operator has to act, and words of the sentence.
type Case = (Facts, Place, bool, &'static [&'static str]);

/// What the chains decide.
fn on_the_chains() -> Vec<Case> {
    let unknown = Facts { now: NOW, asked: "0x77".into(), ..Facts::default() };
    let filler = Facts { transaction: Some(carried(4)), ..unknown.clone() };
    let asked = |facts: Facts, hash: B256| Facts { hash: Some(hash), ..facts };
    vec![
        (unknown, Place::Unknown, false, &["0x77", "ask by chain and height"]),
        (filler, Place::Filler, false, &["nonce 4", "fills a gap"]),
        (
            header(9),
            Place::BelowIndex,
            false,
            &["start of the index, height 10", "can't be proven"],
        ),
        (header(90), Place::Indexed, false, &["in the index", "grid prove eth-tx"]),
        (
            with(header(50), |facts| facts.indexed_in = Some(321)),
            Place::Indexed,
            false,
            &["since Grid block 321"],
        ),
        (
            with(asked(header(50), at(51).hash), |facts| facts.indexed = Some(at(50).hash)),
            Place::OffBranch,
            false,
            &["off the confirmed branch"],
        ),
        (
            header(93),
            Place::Confirming,
            false,
            &["3 confirmation(s)", "6 blocks deep", "takes 3 more block(s)"],
        ),
        (
            with(header(93), |facts| facts.info.as_mut().unwrap().confirmed = None),
            Place::Confirming,
            false,
            &["confirmed nothing of this chain yet"],
        ),
        (
            with(asked(header(93), at(1).hash), |facts| {
                facts.follow.as_mut().unwrap().active = Some(at(93).hash);
            }),
            Place::OffBranch,
            false,
            &["off the branch that the sources follow"],
        ),
        (header(96), Place::Due, false, &["not planned yet", "next round"]),
        (
            with(header(110), |facts| facts.follow.as_mut().unwrap().open = 4),
            Place::Due,
            false,
            &["14 header(s) below it go first", "4 item(s)"],
        ),
        (header(121), Place::NotYet, false, &["does not exist yet", "tip is 120"]),
        (follow(|follow| follow.tip = None), Place::Due, false, &["source was not seen yet"]),
    ]
}

/// What keeps a chain from being planned.
fn obstacles() -> Vec<Case> {
    vec![
        (
            with(header(96), |facts| facts.follow = None),
            Place::NotFollowed,
            false,
            &["has no source here", "[[chain]]"],
        ),
        (
            with(header(96), |facts| (facts.follow, facts.info) = (None, None)),
            Place::NotFollowed,
            true,
            &["neither configured here nor known"],
        ),
        (
            with(header(96), |facts| facts.info = None),
            Place::NotRegistered,
            true,
            &["not registered on the main chain"],
        ),
        (
            with(header(96), |facts| facts.info.as_mut().unwrap().status = "suspended".into()),
            Place::Stopped,
            true,
            &["suspended on the main chain", "governor"],
        ),
        (silent(header(96)), Place::MainSilent, true, &["does not answer: refused"]),
        (
            with(header(96), pause),
            Place::Paused,
            true,
            &["ann paused eip155:1 2 min ago (upgrade)", "grid relayer resume eip155:1"],
        ),
        (
            follow(|follow| {
                follow.state = ChainState::Halted;
                follow.reason = Some("wrong network".into());
                follow.next_at = NOW + 30_000;
            }),
            Place::Halted,
            true,
            &["halted: wrong network", "looks again in 30 s"],
        ),
        (
            follow(|follow| {
                follow.state = ChainState::Waiting;
                follow.reason = Some("no answer".into());
                follow.next_at = NOW + 4_000;
            }),
            Place::Waiting,
            false,
            &["has trouble: no answer", "looks again in 4 s"],
        ),
        (
            follow(|follow| follow.held_from = Some(96)),
            Place::Held,
            true,
            &["disagree from height 96"],
        ),
        (
            follow(|follow| follow.held_from = Some(97)),
            Place::Due,
            false,
            &["next round of its lane plans it"],
        ),
        (
            follow(|follow| follow.holder = Some(holder(false))),
            Place::Elsewhere,
            false,
            &["relayer-b with the key 0xaA", "holds eip155:1", "takes over in 9 s"],
        ),
        (
            follow(|follow| follow.holder = Some(holder(true))),
            Place::Due,
            false,
            &["next round of its lane plans it"],
        ),
    ]
}

/// Items that wait to be sent.
fn planned() -> Vec<Case> {
    let parked = Before { key: "eip155:1:96:99:0xaa".into(), stage: Stage::Parked };
    let open = Before { stage: Stage::Planned, ..parked.clone() };
    vec![
        (
            work(Stage::Planned, |_| {}),
            Place::Planned,
            false,
            &["header 105", "headers 100 to 110", "waits for a worker", "next round"],
        ),
        (
            work(Stage::Planned, |work| {
                failing(work);
                work.item.next_at = NOW + 12_000;
            }),
            Place::Planned,
            false,
            &["after 3 failure(s): out of gas", "tried again in 12 s"],
        ),
        (
            work(Stage::Planned, |work| {
                work.lease = Some(Lease { holder: "w1".into(), until: NOW + 20_000 });
            }),
            Place::Planned,
            false,
            &["in the hands of w1", "after 20 s another"],
        ),
        (
            work(Stage::Planned, |work| work.before = Some(open)),
            Place::Planned,
            false,
            &["builds on eip155:1:96:99", "follows as soon as"],
        ),
        (
            work(Stage::Planned, |work| work.before = Some(parked)),
            Place::Planned,
            true,
            &["which is parked", "grid relayer explain eip155:1:96:99"],
        ),
        (
            with(work(Stage::Planned, |_| {}), |facts| {
                facts.follow.as_mut().unwrap().holder = Some(holder(false));
            }),
            Place::Elsewhere,
            false,
            &["header 105", "relayer-b", "ask that one"],
        ),
        (with(work(Stage::Planned, |_| {}), pause), Place::Paused, true, &["ann paused"]),
        (silent(work(Stage::Planned, |_| {})), Place::MainSilent, true, &["does not answer"]),
    ]
}

/// Items that were sent.
fn under_way() -> Vec<Case> {
    let sent = |nonce: u64| work(Stage::Sent, |work| work.newest = Some(carried(nonce)));
    vec![
        (silent(sent(0)), Place::MainSilent, true, &["does not answer"]),
        (sent(0), Place::Sent, false, &["nonce 0, sent 2 time(s)", "next blocks"]),
        (
            with(sent(7), |facts| facts.wallet.nonce = 4),
            Place::Sent,
            false,
            &["3 transaction(s) of the same key go first"],
        ),
        (
            with(sent(7), |facts| (facts.wallet.nonce, facts.wallet.gap) = (4, 2)),
            Place::Sent,
            false,
            &["2 nonce(s) from 4 on that no transaction owns"],
        ),
        (
            with(sent(0), |facts| facts.wallet.address = Address::repeat_byte(9)),
            Place::Sent,
            false,
            &["the relayer with the key 0x0000"],
        ),
        (work(Stage::Sent, |_| {}), Place::Sent, false, &["transaction's row is missing"]),
        (work(Stage::Included, |_| {}), Place::Included, false, &["executed", "best branch"]),
        (silent(work(Stage::Included, |_| {})), Place::MainSilent, true, &["does not answer"]),
        (work(Stage::Done, |_| {}), Place::TakenBack, false, &["reorganisation", "plans it again"]),
        (
            work(Stage::Done, |work| work.item.kind = Kind::Sync),
            Place::Confirming,
            false,
            &["light-client objects up to slot 110"],
        ),
        (
            with(work(Stage::Done, |_| {}), |facts| facts.height = Some(94)),
            Place::Confirming,
            false,
            &["2 confirmation(s)"],
        ),
        (
            with(work(Stage::Done, |_| {}), |facts| facts.height = Some(80)),
            Place::Indexed,
            false,
            &["in the index"],
        ),
        (
            work(Stage::Parked, failing),
            Place::Parked,
            true,
            &[
                "after 3 failures: out of gas",
                "grid relayer retry eip155:1:100:110",
                "grid relayer drop",
            ],
        ),
        (
            work(Stage::Dropped, |work| {
                work.item.reason = Some("the source left this branch".into())
            }),
            Place::Dropped,
            false,
            &["the source left this branch", "if the sources come back"],
        ),
    ]
}

fn cases() -> impl Iterator<Item = Case> {
    [on_the_chains(), obstacles(), planned(), under_way()].into_iter().flatten()
}

#[test]
fn every_case_has_its_sentence() {
    for (facts, place, needs_operator, words) in cases() {
        let answer = judge(&facts);
        let sentence = answer.sentence();
        assert_eq!((answer.place, answer.needs_operator), (place, needs_operator), "{sentence}");
        for words in words {
            assert!(sentence.contains(words), "{words:?} is not in: {sentence}");
        }
        assert!(sentence.ends_with('.') && !sentence.contains("  "), "{sentence}");
    }
}

/// Every place of the document is one of a case, so a new one needs its sentence here.
#[test]
fn no_place_is_without_a_case() {
    let document = crate::http::openapi();
    let places = &document["components"]["schemas"]["Explanation"]["properties"]["place"]["enum"];
    let shown: HashSet<String> = cases()
        .map(|(_, place, ..)| serde_json::to_value(place).unwrap().as_str().unwrap().to_owned())
        .collect();
    let named: HashSet<String> =
        places.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    assert_eq!(shown, named);
}

/// A runbook that a sentence points to is a page.
#[test]
fn runbooks_exist() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks");
    for (facts, ..) in cases() {
        if let Some(page) = judge(&facts).runbook {
            assert!(folder.join(format!("{page}.md")).exists(), "{page}");
        }
    }
}
