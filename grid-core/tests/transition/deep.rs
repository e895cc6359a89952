//! A reorganisation over two difficulty periods of Bitcoin's length, on a network that exists only in
//! its chain record.

use alloy_primitives::U256;
use alloy_sol_types::{SolCall, SolEvent};
use grid_core::{
    bitcoin::{
        Header, NetworkParams,
        rules::{BranchContext, Parent, PeriodStart, next_work_required},
        target,
    },
    modules::{
        ChainRecord, RecordError,
        abi::{LIGHT_CLIENTS, LightClients},
    },
    state::query,
    transition::IndexEvent,
};

use crate::{chains::reference_root, depth, read, support::*};

/// Two difficulty periods of mainnet.
const DEPTH: usize = 4_032;
const FORK: usize = 108;

/// Retargets every ten blocks; some 64 tries a block.
fn network() -> NetworkParams {
    let regtest = NetworkParams::regtest();
    let mut genesis = Header { bits: 0x2003_ffff, ..Header::parse(&regtest.genesis.0) };
    while target::hash_number(&genesis.hash()) > target::decode(genesis.bits).target {
        genesis.nonce += 1;
    }
    NetworkParams {
        name: "ten blocks".into(),
        genesis: genesis.to_bytes().into(),
        pow_limit: U256::MAX >> 6,
        timespan: 10,
        spacing: 1,
        allow_min_difficulty: false,
        no_retargeting: false,
        ..regtest
    }
}

/// The end of a branch that grows.
#[derive(Clone)]
struct Miner {
    params: NetworkParams,
    height: u64,
    last: Header,
    context: BranchContext,
}

impl Miner {
    fn new(params: &NetworkParams) -> Self {
        let last = Header::parse(&params.genesis.0);
        let start = PeriodStart { time: last.time, bits: last.bits };
        let context = BranchContext::start(&[], last.time, last.bits, start);
        Self { params: params.clone(), height: 0, last, context }
    }

    /// Periods that are too fast and too slow by turns, so that the difficulty moves at each end.
    fn mine(&mut self, count: usize, salt: u8) -> Vec<[u8; 80]> {
        let mut mined = Vec::with_capacity(count);
        for _ in 0..count {
            let gap = if (self.height / 10).is_multiple_of(2) { 1 } else { 2 };
            let time = self.last.time + gap;
            let parent =
                Parent { height: self.height, bits: self.last.bits, context: &self.context };
            let bits = next_work_required(&self.params, &parent, time);
            let (prev, merkle_root) = (self.last.hash(), [salt; 32].into());
            let mut header = Header { version: 4, prev, merkle_root, time, bits, nonce: 0 };
            let target = target::decode(bits).target;
            while target::hash_number(&header.hash()) > target {
                header.nonce += 1;
            }
            self.height += 1;
            self.context = self.context.extend(&self.params, self.height, time, bits);
            self.last = header;
            mined.push(header.to_bytes());
        }
        mined
    }
}

#[test]
fn a_reorganisation_of_4032_blocks_over_many_retargets_reverts_and_regrows_the_index() {
    let params = network();
    let record = bitcoin_record(&params, depth(6), DEPTH as u64);
    let wallet = Wallet::new(1);
    let key = record.key();
    let mut chain = Chain::new(&genesis(vec![record], &[&wallet]));
    let submit = |nonce: u64, headers: &[[u8; 80]]| {
        wallet.tx(nonce, LIGHT_CLIENTS, 0, 30_000_000, submit_input(key, headers))
    };

    let mut miner = Miner::new(&params);
    let mut trunk = miner.mine(FORK, 1);
    let mut other = miner.clone();
    trunk.extend(miner.mine(DEPTH, 1));
    let branch = other.mine(DEPTH + 1, 2);
    let bits = |raw: &[u8; 80]| Header::parse(raw).bits;
    let changes = branch.windows(2).filter(|pair| bits(&pair[0]) != bits(&pair[1])).count();
    assert!(changes > 300, "the difficulty changes: {changes}");

    chain.step(vec![]);
    assert!(chain.step(vec![submit(0, &trunk)]).receipts[0].status());
    let client = query::light_client(&chain.state, key).unwrap().unwrap();
    let confirmed = (FORK + DEPTH - 5) as u64;
    assert!(client.tree().base().height() + DEPTH as u64 <= confirmed, "a whole window is kept");

    // In parts it has too little work to be stored, as a whole it wins.
    assert!(!chain.step(vec![submit(1, &branch[..2_000])]).receipts[0].status());
    let block = chain.step(vec![submit(2, &branch)]);
    assert!(block.receipts[0].status());
    let logs = block.receipts[0].logs();
    let reorged = LightClients::Reorged::decode_log(&logs[0]).unwrap();
    let found = (reorged.commonHeight, reorged.removed, reorged.added);
    assert_eq!(found, (FORK as u64, DEPTH as u64, DEPTH as u64 + 1));
    let (from, reverted) = (FORK as u64 + 1, confirmed - FORK as u64);
    let expected = IndexEvent::Reverted { chain: key, from, depth: reverted };
    assert!(block.index_events.contains(&expected));
    let mut active = vec![params.genesis.0];
    active.extend(&trunk[..FORK]);
    active.extend(&branch);
    let entry = &block.entries[0];
    assert_eq!(entry.count, confirmed + 2);
    assert_eq!(entry.accumulatorRoot, reference_root(key, &active, entry.count as usize));

    // The first branch was kept: two more headers bring it back.
    let more = miner.mine(2, 1);
    let block = chain.step(vec![submit(3, &more)]);
    let reorged = LightClients::Reorged::decode_log(&block.receipts[0].logs()[0]).unwrap();
    assert_eq!((reorged.removed, reorged.added), (DEPTH as u64 + 1, DEPTH as u64 + 2));
    let mut active = vec![params.genesis.0];
    active.extend(trunk.iter().chain(&more));
    let entry = &block.entries[0];
    assert_eq!(entry.accumulatorRoot, reference_root(key, &active, entry.count as usize));

    let view = LightClients::trackedCall { chain: key.0 }.abi_encode();
    let found = read(&chain, LIGHT_CLIENTS, view).output;
    let found = LightClients::trackedCall::abi_decode_returns(&found).unwrap();
    let client = query::light_client(&chain.state, key).unwrap().unwrap();
    assert_eq!(found.headers, client.tree().len() as u64);
    assert_eq!(found.oldestHeight, client.tree().base().height());
    assert!(found.storedBytes > found.headers * 80);
}

#[test]
fn a_record_can_hold_a_network_of_its_own_and_a_whole_window() {
    let record = bitcoin_record(&network(), depth(6), DEPTH as u64);
    let json = serde_json::to_vec(&record).unwrap();
    assert_eq!(ChainRecord::from_json(&json).unwrap(), record);
    let short = ChainRecord { window: DEPTH as u64 - 1, ..record };
    let error = short.validate().expect_err("a reorganisation over two periods must fit");
    assert!(matches!(error, RecordError::Window { least: 4_032, .. }), "{error}");
    let unusable = NetworkParams { spacing: 3, ..network() };
    let error = bitcoin_record(&unusable, depth(6), DEPTH as u64).validate().unwrap_err();
    assert!(error.to_string().contains("timespan"), "{error}");
}
