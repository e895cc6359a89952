//! Screens as text, and that no size and no status breaks them.

use std::{collections::BTreeMap, path::Path};

use alloy_primitives::{Address, B256, U256};
use grid_core::{ChainId, Level, Security, api::BlockRef};
use grid_relayer::{
    ChainStatus, Holder, MainStatus, Problem, Severity, Status, TaskStatus, WalletStatus,
    status::SourceStatus,
    store::{ChainState, Pause, Stage},
};
use proptest::prelude::*;
use ratatui::{Terminal, backend::TestBackend, text::Line};

use super::{
    draw::{age, draw, fold},
    guarantee::{Guarantee, read},
    model::{Flow, Key, Model, Page},
};

const NOW: u64 = 1_700_000_000_000;

fn at(height: u64) -> Option<BlockRef> {
    Some(BlockRef { height, hash: B256::with_last_byte(7) })
}

fn chain(id: &str, state: ChainState) -> ChainStatus {
    ChainStatus {
        id: id.parse().unwrap(),
        configured: true,
        level: Some(Level::L1),
        security: Some(Security::ProofOfWork),
        main_status: Some("active".into()),
        state,
        reason: (state != ChainState::Active).then(|| "no answer from chain[0].rpc[0]".into()),
        next_at: NOW + 4_000,
        paused: None,
        holder: Some(Holder {
            relayer: "3f2a77c0d1e2a3b4".into(),
            signer: Some(Address::repeat_byte(0xcd)),
            here: false,
            until: NOW + 9_000,
        }),
        source: at(840_120),
        tracked: at(840_118),
        confirmed: at(840_112),
        lag_blocks: 2,
        lag_seconds: 75,
        items: BTreeMap::from([(Stage::Planned, 2), (Stage::Sent, 1), (Stage::Parked, 1)]),
        ages: BTreeMap::from([(Stage::Planned, 12), (Stage::Sent, 3), (Stage::Parked, 4_000)]),
        oldest_age_seconds: 4_000,
        reorgs: 1,
        last_reorg_depth: 2,
        sources: vec![
            source("chain[0].rpc[0]", None),
            source("chain[0].rpc[1]", Some("timed out")),
        ],
        competing_blocks: 0,
        disagreement: None,
        last_disagreement: None,
        warnings: Vec::new(),
        sync: None,
        attestation: None,
    }
}

fn source(name: &str, error: Option<&str>) -> SourceStatus {
    SourceStatus {
        name: name.into(),
        kind: "rpc".into(),
        healthy: error.is_none(),
        height: Some(840_120),
        lag_blocks: 0,
        work: None,
        failures: if error.is_some() { 4 } else { 0 },
        refused: 0,
        hedges: 0,
        breaker: None,
        error: error.map(Into::into),
    }
}

fn problem(severity: Severity, subject: &str, text: &str) -> Problem {
    Problem {
        severity,
        subject: subject.into(),
        text: text.into(),
        fix: "repair it".into(),
        runbook: "GridChainHalted".into(),
    }
}

fn status() -> Status {
    let mut paused = chain("eip155:1", ChainState::Paused);
    paused.paused = Some(Pause { since: NOW - 600_000, by: "ann".into(), reason: None });
    let halted = chain("eip155:10", ChainState::Halted);
    Status {
        version: "0.1.0".into(),
        name: "00c0ffee00c0ffee".into(),
        started_at: NOW - 7_380_000,
        now: NOW,
        ready: true,
        dry_run: false,
        problems: vec![
            problem(Severity::Error, "chain eip155:10", "halted: it is a node of another network"),
            problem(Severity::Warning, "wallet", "2 nonce(s) from 4 on belong to no transaction"),
            problem(Severity::Notice, "chain eip155:1", "paused by ann for 10 min"),
        ],
        main: MainStatus {
            chain_id: 4_700_000,
            height: 1_234,
            hash: B256::ZERO,
            time_ms: NOW - 1_500,
            seen_at: NOW - 300,
            error: None,
            nodes: vec![
                source("relayer.main_chain[0]", None),
                source("relayer.main_chain[1]", Some("timed out")),
            ],
        },
        wallet: WalletStatus {
            address: Address::repeat_byte(0xab),
            balance: U256::from(1_234_567_890_000_000_000_000_u128),
            nonce: 4,
            live: 3,
            gap: 2,
        },
        chains: vec![
            chain("bip122:000000000019d6689c085ae165831e93", ChainState::Active),
            paused,
            halted,
        ],
        tasks: ["lane-l0", "settle", "http"]
            .map(|name| TaskStatus {
                name: name.into(),
                heartbeat_age_seconds: 0,
                progress_age_seconds: 1,
                restarts: u64::from(name == "settle"),
            })
            .into(),
    }
}

fn model() -> Model {
    let mut model = Model::new("http://127.0.0.1:9640", false, NOW);
    model.answered(Ok(status()), NOW);
    model.guarantee = Guarantee::None;
    model
}

/// The screen as text, each line without the blanks at its end.
fn shown(model: &Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(model, frame.area(), frame.buffer_mut())).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |row: u16| {
        let cells = (0..width).filter_map(|column| buffer.cell((column, row)));
        cells.map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned() + "\n"
    };
    (0..height).map(line).collect()
}

/// `GRID_WRITE_DOCS=1` writes the snapshots instead.
fn compare(name: &str, screen: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/screen/snapshots");
    let file = folder.join(format!("{name}.txt"));
    if std::env::var_os("GRID_WRITE_DOCS").is_some() {
        std::fs::write(&file, screen).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written == screen, "{name} has changed:\n{screen}\nwas:\n{written}");
}

#[test]
fn screens_look_as_they_were_drawn() {
    let mut model = model();
    compare("overview-80x24", &shown(&model, 80, 24));
    compare("overview-120x30", &shown(&model, 120, 30));
    let grid = |amount: u64| U256::from(amount) * U256::from(10_u64.pow(18));
    let pool = Guarantee::Pool { free: grid(900), locked: grid(125), cover: grid(120) };
    model.guarantee = pool;
    assert!(shown(&model, 80, 24).contains("free 900.00 GRID  locked 125.00  covers 120.00"));
    model.guarantee = Guarantee::None;
    model.press(Key::Problems);
    compare("problems-80x24", &shown(&model, 80, 24));
    model.press(Key::Back);
    model.press(Key::Down);
    model.press(Key::Open);
    compare("chain-80x24", &shown(&model, 80, 24));
    model.answered(Err("connection refused".into()), NOW + 1_000);
    model.now = NOW + 61_000;
    model.press(Key::Back);
    compare("away-80x24", &shown(&model, 80, 24));
    let empty = Model::new("http://127.0.0.1:9640", false, NOW);
    assert!(shown(&empty, 80, 24).contains("asking http://127.0.0.1:9640"));
}

#[test]
fn keys_move_between_pages_and_the_choice_stays_with_its_chain() {
    let mut model = model();
    for key in [Key::Up, Key::Down, Key::Down, Key::Down] {
        assert_eq!(model.press(key), Flow::Go);
    }
    assert_eq!(model.chosen, 2, "the last chain is the end");
    let mut fewer = status();
    fewer.chains.remove(0);
    model.answered(Ok(fewer), NOW);
    assert_eq!(model.chain().unwrap().id, ChainId::eip155(10));
    model.press(Key::Next);
    assert_eq!(model.page, Page::Chain);
    model.press(Key::Next);
    assert_eq!(model.chosen, 0, "after the last comes the first");
    model.press(Key::Problems);
    assert_eq!(model.page, Page::Problems);
    model.press(Key::Problems);
    assert_eq!(model.page, Page::Overview);
    let mut none = status();
    none.chains.clear();
    model.answered(Ok(none), NOW);
    assert_eq!((model.chosen, model.chain()), (0, None));
    assert_eq!(model.press(Key::Quit), Flow::Quit);
}

#[test]
fn a_daemon_that_is_away_shows_since_when_until_it_is_back() {
    let mut model = model();
    model.answered(Err("refused".into()), NOW + 1_000);
    model.answered(Err("refused".into()), NOW + 5_000);
    assert_eq!(model.away.as_ref().unwrap().since, NOW + 1_000);
    model.answered(Ok(status()), NOW + 9_000);
    assert_eq!(model.away, None);
}

#[test]
fn colours_are_used_only_where_they_are_wanted() {
    for colours in [false, true] {
        let mut model = model();
        model.colours = colours;
        for key in [Key::Problems, Key::Back, Key::Open] {
            model.press(key);
            let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
            terminal.draw(|frame| draw(&model, frame.area(), frame.buffer_mut())).unwrap();
            let plain = |cell: &ratatui::buffer::Cell| cell.fg == ratatui::style::Color::Reset;
            let all = terminal.backend().buffer().content.iter().all(plain);
            assert_eq!(all, !colours, "{key:?}");
        }
    }
}

#[test]
fn a_main_chain_without_a_guarantee_answers_nothing() {
    assert_eq!(read(&[]), Guarantee::None);
    let word = |n: u8| [[0; 31].as_slice(), &[n]].concat();
    let answer = [word(3), word(2), word(1), word(9)].concat();
    let [free, locked, cover] = [3, 2, 1].map(U256::from);
    assert_eq!(read(&answer), Guarantee::Pool { free, locked, cover });
}

#[test]
fn long_lines_are_folded_between_words_and_nothing_is_lost() {
    for text in ["a few words more than a line", "0123456789012345678901234567890", "   ", ""] {
        let folded = fold(&Line::raw(text), 12);
        assert!(folded.iter().all(|line| line.to_string().chars().count() <= 12), "{folded:?}");
        let joined: String = folded.iter().map(|line| line.to_string().replace(' ', "")).collect();
        assert_eq!(joined, text.replace(' ', ""));
    }
    let blanks = format!("x{}y", " ".repeat(500));
    assert!(fold(&Line::raw(blanks), 12).len() > 40);
}

#[test]
fn ages_fit_into_five_characters() {
    for seconds in [0, 59, 60, 3_599, 3_600, 172_799, 172_800, 863_999_999, u64::MAX] {
        assert!(age(seconds).len() <= 5, "{}", age(seconds));
    }
}

fn key() -> impl Strategy<Value = Key> {
    use Key::{Back, Down, Next, Open, Problems, Up};
    prop::sample::select(vec![Up, Down, Open, Next, Back, Problems])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_size_no_status_and_no_key_breaks_the_screen(
        width in 0_u16..200, height in 0_u16..70,
        keys in prop::collection::vec(key(), 0..12),
        chains in 0_usize..40, problems in 0_usize..30,
        text in "\\PC{0,120}", number: u64, away: bool,
    ) {
        let mut status = status();
        let id = |n: usize| ChainId::eip155(n as u64);
        let other = |n: usize| ChainStatus {
            id: id(n), reason: Some(text.clone()), lag_seconds: number, lag_blocks: number,
            source: at(number), oldest_age_seconds: number, next_at: number, warnings: vec![text.clone()],
            ..status.chains[n % 3].clone()
        };
        let all: Vec<ChainStatus> = (0..chains).map(other).collect();
        status.chains = all;
        status.problems = (0..problems).map(|_| problem(Severity::Warning, "x", &text)).collect();
        (status.main.seen_at, status.main.time_ms, status.wallet.nonce) = (number, number, number);
        status.main.error = Some(text.clone());
        let mut model = Model::new(&text, true, number);
        model.answered(Ok(status), number);
        if away {
            model.answered(Err(text.clone()), number);
        }
        for key in keys {
            model.press(key);
            let _screen = shown(&model, width, height);
        }
        let _screen = shown(&model, width, height);
    }
}
