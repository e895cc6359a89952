//! Speed levels that follow the headers, through whole blocks.

use alloy_consensus::Header;
use alloy_primitives::B256;
use alloy_sol_types::{SolCall, SolEvent};
use grid_core::{
    ChainId, ChainKey, Family, Level, Security,
    confirm::ConfirmationRule,
    modules::{
        ChainRecord, ChainStatus, ClientParams, RecordError,
        abi::{LIGHT_CLIENTS, REGISTRY, Registry},
    },
    state::{StateRead, keys, query},
    transition::{ExecutedBlock, IndexEvent},
};
use proptest::prelude::*;

use crate::{chains::attest, read, support::*};

const WINDOW: u64 = 256;

fn start() -> Header {
    Header { base_fee_per_gas: Some(7), ..Default::default() }
}

/// A chain whose headers one key attests, with a rule that confirms at once.
fn record(level: Level, measured: bool) -> ChainRecord {
    ChainRecord {
        id: ChainId::eip155(31_337),
        family: Family::Ethereum,
        security: Security::Attested,
        level,
        measured,
        rule: ConfirmationRule::Instant,
        status: ChainStatus::Active,
        client: ClientParams::Attested {
            threshold: 1,
            attesters: vec![Wallet::new(11).address],
            start: alloy_rlp::encode(start()).into(),
        },
        window: WINDOW,
    }
}

struct World {
    chain: Chain,
    key: ChainKey,
    sender: Wallet,
    nonce: u64,
}

impl World {
    fn new(record: ChainRecord) -> Self {
        let (key, sender) = (record.key(), Wallet::new(1));
        Self { chain: Chain::new(&genesis(vec![record], &[&sender])), key, sender, nonce: 0 }
    }

    fn submit(&mut self, headers: &[Header]) -> ExecutedBlock {
        let input = attest(&[Wallet::new(11)], self.key, headers);
        let tx = self.sender.tx(self.nonce, LIGHT_CLIENTS, 0, 20_000_000, input);
        self.nonce += 1;
        let block = self.chain.step(vec![tx]);
        assert!(block.receipts[0].status());
        block
    }

    fn level(&self) -> Level {
        let record = query::chain(&self.chain.state, self.key).unwrap().unwrap();
        let entry = &query::entries(&self.chain.state).unwrap()[0];
        assert_eq!(entry.level, record.level.code(), "the index says what the record says");
        record.level
    }

    fn pace(&self) -> Option<Vec<u8>> {
        self.chain.state.read(&keys::chain_pace(self.key)).unwrap()
    }
}

/// Headers after `parent`, with these intervals.
fn headers(parent: &Header, intervals: &[u64]) -> Vec<Header> {
    branch(parent, intervals, 1)
}

/// As [`headers`]; `salt` makes branches differ.
fn branch(parent: &Header, intervals: &[u64], salt: u8) -> Vec<Header> {
    let mut below = parent.clone();
    intervals
        .iter()
        .map(|interval| {
            below = Header {
                parent_hash: below.hash_slow(),
                number: below.number + 1,
                timestamp: below.timestamp + interval,
                state_root: B256::repeat_byte(salt),
                base_fee_per_gas: Some(7),
                ..Default::default()
            };
            below.clone()
        })
        .collect()
}

fn changes(block: &ExecutedBlock) -> Vec<(Level, u64, u64)> {
    let of = |event: &IndexEvent| match event {
        IndexEvent::LevelChanged { level, height, median, .. } => Some((*level, *height, *median)),
        _ => None,
    };
    block.index_events.iter().filter_map(of).collect()
}

#[test]
fn a_measured_level_changes_after_two_hundred_headers_and_everybody_sees_it() {
    let mut world = World::new(record(Level::L3, true));
    let all = headers(&start(), &[12; 250]);
    let first = world.submit(&all[..199]);
    assert_eq!((world.level(), changes(&first)), (Level::L3, vec![]));
    let block = world.submit(&all[199..]);
    assert_eq!((world.level(), changes(&block)), (Level::L1, vec![(Level::L1, 200, 12)]));
    let event =
        Registry::LevelChanged { chain: world.key.0, level: 1, height: 200, medianInterval: 12 };
    let logs = block.receipts[0].logs().iter().filter(|log| log.address == REGISTRY);
    assert_eq!(logs.map(|log| &log.data).collect::<Vec<_>>(), [&event.encode_log_data()]);
    let view =
        read(&world.chain, REGISTRY, Registry::levelCall { chain: world.key.0 }.abi_encode());
    let view = Registry::levelCall::abi_decode_returns(&view.output).unwrap();
    assert_eq!((view.code, view.measured, view.height, view.medianInterval), (1, true, 200, 12));
    let last = query::measured(&world.chain.state, world.key).unwrap().unwrap();
    assert_eq!((last.height, last.median, last.level), (200, 12, Level::L1));
}

#[test]
fn a_fixed_level_stays_and_costs_no_state() {
    let mut world = World::new(record(Level::L3, false));
    world.submit(&headers(&start(), &[1; 500]));
    assert_eq!((world.level(), world.pace()), (Level::L3, None));
    let view =
        read(&world.chain, REGISTRY, Registry::levelCall { chain: world.key.0 }.abi_encode());
    let view = Registry::levelCall::abi_decode_returns(&view.output).unwrap();
    assert_eq!((view.code, view.measured, view.height, view.medianInterval), (3, false, 0, 0));
}

#[test]
fn a_reorganisation_undoes_a_change_and_the_new_branch_is_measured_anew() {
    let mut world = World::new(record(Level::L3, true));
    let slow = headers(&start(), &[600; 150]);
    world.submit(&slow);
    let fast = headers(slow.last().unwrap(), &[1; 160]);
    world.submit(&fast);
    assert_eq!(
        world.level(),
        Level::L0,
        "half of the second hundred and all of the third are fast"
    );
    // A longer branch, from below the measurement at 300.
    let other = headers(&fast[80], &[600; 85]);
    let block = world.submit(&other);
    assert_eq!(changes(&block).last().map(|change| change.0), Some(Level::L3), "{block:?}");
    assert_eq!(world.level(), Level::L3);
    let mut straight = World::new(record(Level::L3, true));
    straight.submit(&[slow, fast[..=80].to_vec(), other].concat());
    assert_eq!(world.pace(), straight.pace(), "nothing of the lost branch is left");
}

#[test]
fn the_state_of_a_pace_is_bounded_by_the_window() {
    let mut world = World::new(record(Level::L3, true));
    let (mut parent, mut longest) = (start(), 0);
    for _ in 0..6 {
        let next = headers(&parent, &[12; 800]);
        world.submit(&next);
        parent = next.last().unwrap().clone();
        longest = longest.max(world.pace().unwrap().len());
    }
    // A block measures its eight hundred headers before the window moves.
    assert!(longest <= 1 + 17 * ((800 + 256 + 64) / 100 + 2), "{longest}");
    world.submit(&headers(&parent, &[12; 100]));
    assert!(world.pace().unwrap().len() <= 1 + 17 * ((256 + 64 + 100) / 100 + 2));
}

#[test]
fn a_window_that_cannot_be_measured_is_refused() {
    let short = ChainRecord { window: 99, ..record(Level::L0, true) };
    assert!(matches!(short.validate(), Err(RecordError::Window { window: 99, least: 100, .. })));
    assert_eq!(ChainRecord { measured: false, ..short }.validate(), Ok(()));
}

#[test]
fn a_record_without_the_field_is_fixed_and_keeps_its_form() {
    let fixed = record(Level::L1, false);
    let json = serde_json::to_string(&fixed).unwrap();
    assert!(!json.contains("measured"), "{json}");
    assert_eq!(ChainRecord::from_json(json.as_bytes()), Ok(fixed));
    let measured = record(Level::L1, true);
    let json = serde_json::to_vec(&measured).unwrap();
    assert_eq!(ChainRecord::from_json(&json), Ok(measured));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// Levels are a function of the confirmed headers: portions, and a branch that was lost meanwhile, make no difference.
    #[test]
    fn the_same_headers_give_the_same_pace_in_whatever_portions(
        paces in prop::collection::vec((prop::sample::select(vec![1u64, 4, 7, 40, 80, 200, 400]), 30usize..140), 3..7),
        portions in prop::collection::vec(1usize..180, 4..9),
        lost in prop::option::of((1usize..40, 1u64..900)),
    ) {
        let intervals: Vec<u64> =
            paces.iter().flat_map(|(interval, count)| vec![*interval; *count]).collect();
        let all = headers(&start(), &intervals);
        let mut whole = World::new(record(Level::L2, true));
        whole.submit(&all);
        let mut world = World::new(record(Level::L2, true));
        let (mut at, mut portions) = (0, portions.into_iter().cycle());
        while at < all.len() {
            let next = all.len().min(at + portions.next().unwrap());
            world.submit(&all[at..next]);
            // A branch that the next portions outgrow: one header longer here.
            if let Some((count, interval)) = lost.filter(|(count, _)| at > 60 && next + count < all.len()) {
                let fork = all[next - count].clone();
                world.submit(&branch(&fork, &vec![interval; count], 2));
            }
            at = next;
        }
        prop_assert_eq!(world.level(), whole.level());
        let last = |world: &World| query::measured(&world.chain.state, world.key).unwrap();
        prop_assert_eq!(last(&world), last(&whole));
    }
}
