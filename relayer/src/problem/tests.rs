//! Every trouble has its problem, and every problem a fix and a page.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256};
use grid_core::{ChainId, api::BlockRef};

use super::{Look, Problem, Severity, problems};
use crate::{
    status::{
        AttestationStatus, Board, ChainStatus, DisagreementStatus, MainStatus, SourceStatus,
        WalletStatus,
    },
    store::{ChainState, Pause, Stage},
};

const NOW: u64 = 1_700_000_000_000;

fn chain() -> ChainStatus {
    let board = Board::new([&ChainId::eip155(1)]);
    let mut chain = board.chains(&[], NOW).remove(0);
    (chain.state, chain.reason) = (ChainState::Active, None);
    chain.main_status = Some("active".into());
    chain
}

fn source(healthy: bool) -> SourceStatus {
    SourceStatus {
        name: "chain[0].rpc[0]".into(),
        kind: "rpc".into(),
        healthy,
        height: Some(1),
        lag_blocks: 0,
        work: None,
        failures: u64::from(!healthy),
        error: None,
        refused: 0,
        hedges: 0,
        breaker: None,
    }
}

fn main() -> MainStatus {
    MainStatus { seen_at: NOW - 1_000, ..MainStatus::default() }
}

fn wallet() -> WalletStatus {
    WalletStatus { balance: U256::from(1), ..WalletStatus::default() }
}

fn of_chain(change: impl FnOnce(&mut ChainStatus)) -> Vec<Problem> {
    let mut chain = chain();
    change(&mut chain);
    let (main, wallet) = (main(), wallet());
    let chains = [chain];
    problems(&Look {
        now: NOW,
        database: None,
        main: &main,
        wallet: Some(&wallet),
        chains: &chains,
        late: &[],
        stuck: &[],
    })
}

fn of(main: &MainStatus, wallet: Option<&WalletStatus>, late: &[&'static str]) -> Vec<Problem> {
    problems(&Look { now: NOW, database: None, main, wallet, chains: &[], late, stuck: late })
}

fn disagree(held: bool) -> Vec<Problem> {
    of_chain(|chain| {
        chain.disagreement = Some(DisagreementStatus { height: 9, held, votes: Vec::new() });
    })
}

#[test]
fn every_trouble_is_told_with_its_fix_and_its_page() {
    let silent = MainStatus { seen_at: NOW - 90_000, error: Some("refused".into()), ..main() };
    let poor = WalletStatus { address: Address::ZERO, ..WalletStatus::default() };
    let gap = WalletStatus { gap: 2, nonce: 7, ..wallet() };
    let state = |state| {
        of_chain(move |chain| {
            (chain.state, chain.reason, chain.next_at) = (state, Some("why".into()), NOW + 1);
        })
    };
    let unvisited = Board::new([&ChainId::eip155(1)]).chains(&[], NOW).remove(0);
    let status = |word: &'static str| of_chain(move |chain| chain.main_status = Some(word.into()));
    let short = AttestationStatus {
        threshold: 3,
        attesters: 4,
        block: BlockRef { height: 5, hash: B256::ZERO },
        signed: vec![Address::ZERO],
        missing: Vec::new(),
    };
    let pause = Pause { since: NOW - 60_000, by: "ann".into(), reason: Some("upgrade".into()) };
    use Severity::{Error, Notice, Warning};
    let cases: Vec<(Vec<Problem>, Severity, &str)> = vec![
        (of(&silent, None, &[]), Error, "has not answered for 1 min 30 s: refused"),
        (of(&MainStatus::default(), None, &[]), Error, "since the start: no answer yet"),
        (
            of(&MainStatus { nodes: vec![source(false), source(true)], ..main() }, None, &[]),
            Warning,
            "1 of its 2 nodes fail: chain[0].rpc[0]",
        ),
        (of(&main(), Some(&poor), &[]), Error, "has no GRID"),
        (of(&main(), Some(&gap), &[]), Warning, "2 nonce(s) from 7 on"),
        (state(ChainState::Halted), Error, "halted: why"),
        (state(ChainState::Waiting), Warning, "waiting: why"),
        (of_chain(|chain| *chain = unvisited), Notice, "no round yet"),
        (status("frozen"), Error, "frozen on the main chain"),
        (status("suspended"), Warning, "suspended on the main chain"),
        (of_chain(|chain| chain.paused = Some(pause)), Notice, "paused by ann for 1 min: upgrade"),
        (disagree(true), Error, "disagree at height 9 on 0 branches; held there"),
        (disagree(false), Warning, "disagree at height 9"),
        (of_chain(|chain| chain.sources = vec![source(false)]), Error, "none of its 1 sources"),
        (
            of_chain(|chain| chain.sources = vec![source(false), source(true)]),
            Warning,
            "1 of 2 sources fail: chain[0].rpc[0]",
        ),
        (
            of_chain(|chain| chain.items = BTreeMap::from([(Stage::Parked, 1)])),
            Warning,
            "1 item is parked",
        ),
        (of_chain(|chain| chain.warnings = vec!["an old node".into()]), Warning, "an old node"),
        (of_chain(|chain| chain.attestation = Some(short)), Warning, "2 of 3 signatures"),
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks");
    for (found, severity, words) in cases {
        let [problem] = found.as_slice() else { panic!("{words:?}: {found:?}") };
        assert_eq!(problem.severity, severity, "{problem}");
        assert!(problem.to_string().contains(words), "{words:?} is not in {problem}");
        assert!(!problem.fix.is_empty());
        assert!(folder.join(format!("{}.md", problem.runbook)).exists(), "{}", problem.runbook);
    }
    let tasks = of(&main(), None, &["lane-l0"]);
    let subjects: BTreeSet<&str> = tasks.iter().map(|problem| problem.subject.as_str()).collect();
    assert_eq!((tasks.len(), subjects), (2, BTreeSet::from(["task lane-l0"])));
}

#[test]
fn nothing_is_wrong_with_a_chain_that_works_or_is_somebody_elses() {
    assert_eq!(of_chain(|_| {}), []);
    assert_eq!(of(&main(), None, &[]), [], "a wallet that was not looked at is no problem");
    let others = of_chain(|chain| {
        (chain.configured, chain.state) = (false, ChainState::Waiting);
    });
    assert_eq!(others, []);
}

#[test]
fn the_worst_comes_first() {
    let silent = MainStatus::default();
    let mut paused = chain();
    paused.paused = Some(Pause { since: NOW, by: "ann".into(), reason: None });
    let gap = WalletStatus { gap: 1, ..wallet() };
    let chains = [paused];
    let found = problems(&Look {
        now: NOW,
        database: None,
        main: &silent,
        wallet: Some(&gap),
        chains: &chains,
        late: &["http"],
        stuck: &[],
    });
    assert!(found.is_sorted_by_key(|problem| problem.severity), "{found:?}");
    assert_eq!(found.len(), 4);
}
