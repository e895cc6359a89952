//! Another Grid chain, followed through whole blocks.

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{SolCall, SolEvent};
use grid_core::{
    ChainKey, Security,
    api::SyncStatus,
    committee::{MAX_GRID_STEP, grid_object},
    grid::light::{LightPolicy, TrustedState},
    modules::{
        ChainStatus,
        abi::{LIGHT_CLIENTS, LightClients},
    },
    state::query,
    transition::{CallContext, ExecutedBlock, IndexEvent, call},
};
use k256::ecdsa::SigningKey;

use crate::support::{
    Chain, START_MS, Wallet,
    beacon::rlp,
    genesis,
    grid::{
        FIRST, PERIOD_MS, block, header, headers, index_root, keys, object, record, set, start,
    },
};

/// A Grid chain that follows another one, whose first validators are these.
struct World {
    validators: Vec<SigningKey>,
    chain: Chain,
    wallet: Wallet,
    key: ChainKey,
    nonce: u64,
}

impl World {
    fn new() -> Self {
        let (wallet, validators) = (Wallet::new(1), keys(10));
        let record = record(&validators);
        let key = record.key();
        let chain = Chain::new(&genesis(vec![record], &[&wallet]));
        Self { validators, chain, wallet, key, nonce: 0 }
    }

    fn input(&self, data: &[Bytes], headers: &[Header]) -> Bytes {
        let (chain, data, headers) = (self.key.0, data.to_vec(), rlp(headers));
        LightClients::submitFinalityCall { chain, data, headers }.abi_encode().into()
    }

    fn run(&mut self, input: Bytes) -> ExecutedBlock {
        let tx = self.wallet.tx(self.nonce, LIGHT_CLIENTS, 0, 50_000_000, input);
        self.nonce += 1;
        self.chain.step(vec![tx])
    }

    /// A block with a submission that is taken.
    fn submit(&mut self, data: &[Bytes], headers: &[Header]) -> ExecutedBlock {
        let input = self.input(data, headers);
        assert_eq!(self.reason(&input), None);
        let block = self.run(input);
        assert!(block.receipts[0].status());
        block
    }

    /// Why a call would be reverted.
    fn reason(&self, input: &Bytes) -> Option<String> {
        let (from, to) = (self.wallet.address, Some(LIGHT_CLIENTS));
        let context = CallContext { from, to, input: input.clone(), ..CallContext::default() };
        call(&self.chain.state, &context, &self.chain.parent.header).unwrap().reverted
    }

    fn refused(&self, data: &[Bytes], headers: &[Header]) -> String {
        self.reason(&self.input(data, headers)).expect("refused")
    }

    fn status(&self) -> SyncStatus {
        let client = query::light_client(&self.chain.state, self.key).unwrap().unwrap();
        client.sync_status().unwrap()
    }

    fn record_status(&self) -> ChainStatus {
        query::chain(&self.chain.state, self.key).unwrap().unwrap().status
    }

    fn confirmed(&self) -> (u64, B256) {
        let range = query::accumulator(&self.chain.state, self.key).unwrap().unwrap();
        (range.tip_height().unwrap(), range.tip_hash)
    }

    /// The evidence of a contradiction, read from the contract.
    fn evidence(&self) -> Bytes {
        let read = LightClients::conflictCall { chain: self.key.0 }.abi_encode();
        let output = crate::read(&self.chain, LIGHT_CLIENTS, read).output;
        LightClients::conflictCall::abi_decode_returns(&output).unwrap()
    }

    fn restart(&self, header: &Header, signers: &[SigningKey]) -> Bytes {
        self.restart_with(header.hash_slow(), header, signers)
    }

    fn restart_with(&self, checkpoint: B256, header: &Header, signers: &[SigningKey]) -> Bytes {
        let chain = self.key.0;
        let bootstrap = object(header, signers);
        LightClients::restartCall { chain, checkpoint, bootstrap }.abi_encode().into()
    }
}

fn event<E: SolEvent>(block: &ExecutedBlock) -> E {
    let logs = block.receipts.iter().flat_map(|receipt| receipt.logs().iter());
    logs.filter_map(|log| E::decode_log(log).ok()).next().expect("the event").data
}

#[test]
fn certified_headers_enter_the_index_with_their_index_roots() {
    let mut world = World::new();
    let first = start(&world.validators);
    world.chain.step(vec![]);
    assert_eq!(world.confirmed(), (FIRST, first.hash_slow()), "the start needs no proof");
    let entries = query::entries(&world.chain.state).unwrap();
    assert_eq!(entries[0].security, Security::BftCertificate.code());

    let run = headers(&first, &world.validators, 100, 1);
    let data = object(&run[99], &world.validators);
    // The certified block alone makes its hash wanted; headers go under it from above.
    world.submit(std::slice::from_ref(&data), &[]);
    assert_eq!(world.status().wanted, [run[99].hash_slow()]);
    assert!(world.refused(&[], &run[..50]).contains("is not proven final"));
    world.submit(&[], &run[40..]);
    assert_eq!(world.confirmed().0, FIRST);
    let block = world.submit(&[], &run[..40]);
    assert_eq!(world.confirmed(), (FIRST + 100, run[99].hash_slow()));
    let mut indexed = 0;
    for event in &block.index_events {
        if let IndexEvent::Appended { header, .. } = event {
            assert_eq!(header.indexRoot, index_root(header.height), "{}", header.height);
            assert_eq!(header.stateRoot, B256::repeat_byte(1));
            indexed += 1;
        }
    }
    assert_eq!(indexed, 100);
    let input = world.input(&[data], &run[99..]);
    assert!(world.reason(&input).expect("known").contains("known"));

    // Object and headers in one submission.
    let more = headers(&run[99], &world.validators, 3, 1);
    let block = world.submit(&[object(&more[2], &world.validators)], &more);
    assert_eq!(world.confirmed(), (FIRST + 103, more[2].hash_slow()));
    let advanced: LightClients::FinalityAdvanced = event(&block);
    assert_eq!((advanced.slot, advanced.blockHash), (FIRST + 103, more[2].hash_slow()));
    let status = world.status();
    assert_eq!((status.finalized_slot, status.started), (FIRST + 103, true));
    assert_eq!(status.finalized_time, more[2].timestamp);
}

#[test]
fn validators_hand_over_and_strangers_do_not() {
    let mut world = World::new();
    let first = start(&world.validators);
    let (old, new) = (world.validators.clone(), keys(40));
    let last = header(&first, &set(&old), &set(&new), 1);
    let run = headers(&last, &new, 20, 1);
    let far = object(&run[19], &new);
    assert!(world.refused(std::slice::from_ref(&far), &[]).contains("more than a third is needed"));
    let hidden = object(&last, &old);
    assert!(world.refused(&[hidden], &[]).contains("the next set is missing"));
    let few = object(&headers(&first, &old, 1, 1)[0], &old[..2]);
    assert!(world.refused(&[few], &[]).contains("validator set"));

    let handed: Bytes = grid_object(&block(&last, &old, Some(&new))).into();
    let way: Vec<Header> = std::iter::once(last).chain(run.clone()).collect();
    world.submit(&[handed, far], &way);
    assert_eq!(world.confirmed(), (FIRST + 21, run[19].hash_slow()));
    // Between the two, what is held already is known free of charge, certified or not.
    let late = object(&run[9], &new);
    assert!(world.refused(&[late], &[]).contains("known"));
    // The old ones are done.
    let fork = headers(&run[19], &old, 1, 2);
    assert!(world.refused(&[object(&fork[0], &old)], &[]).contains("promised"));
}

#[test]
fn a_block_whose_headers_would_have_no_room_is_refused() {
    let mut world = World::new();
    world.chain.time_ms += MAX_GRID_STEP * 1_000;
    world.chain.step(vec![]);
    let far = |above: u64| {
        let parent = Header { number: FIRST + above - 1, ..Header::default() };
        object(&headers(&parent, &world.validators, 1, 1)[0], &world.validators)
    };
    let most = FIRST + MAX_GRID_STEP;
    let reason = world.refused(&[far(MAX_GRID_STEP + 1)], &[]);
    assert!(reason.contains(&format!("show one of height {most} at most")), "{reason}");
    assert_eq!(world.reason(&world.input(&[far(MAX_GRID_STEP)], &[])), None);
}

#[test]
fn malformed_objects_are_refused() {
    let world = World::new();
    let run = headers(&start(&world.validators), &world.validators, 1, 1);
    let good = object(&run[0], &world.validators);
    for bad in [vec![], vec![3], vec![0; 40], good[1..].to_vec(), [&good[..], &[0]].concat()] {
        let reason = world.refused(&[bad.into()], &[]);
        assert!(reason.contains("malformed light block"), "{reason}");
    }
    let mut flipped = good.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    world.refused(&[flipped.into()], &[]);
}

/// A followed chain of ten headers beyond the start, each certified block shown.
fn ten() -> (World, Vec<Header>) {
    let mut world = World::new();
    let run = headers(&start(&world.validators), &world.validators, 10, 1);
    let data: Vec<Bytes> =
        [3, 6, 9].iter().map(|at| object(&run[*at], &world.validators)).collect();
    world.submit(&data, &run);
    assert_eq!(world.confirmed(), (FIRST + 10, run[9].hash_slow()));
    (world, run)
}

#[test]
fn two_certified_blocks_of_one_height_freeze_the_chain_with_the_evidence() {
    let (mut world, run) = ten();
    let rival = headers(&run[6], &world.validators, 1, 2).remove(0);
    let frozen = world.submit(&[object(&rival, &world.validators)], &[]);
    let told: LightClients::ConflictingFinality = event(&frozen);
    assert_eq!((told.known, told.other), (run[7].hash_slow(), rival.hash_slow()));
    assert_eq!(world.record_status(), ChainStatus::Frozen);
    assert_eq!(query::entries(&world.chain.state).unwrap(), []);
    assert_eq!(world.evidence()[0], 2, "only one certificate is at hand: the other is its child's");

    // At a height whose certificate is kept both blocks are the evidence, and anybody can check it.
    let (mut world, run) = ten();
    let rival = headers(&run[8], &world.validators, 1, 2).remove(0);
    world.submit(&[object(&rival, &world.validators)], &[]);
    let evidence = world.evidence();
    let (kind, blocks) = (evidence[0], &evidence[65..]);
    assert_eq!((kind, &evidence[1..33]), (3, run[9].hash_slow().as_slice()));
    let first = alloy_rlp::encode(start(&world.validators));
    let trusted = TrustedState::new(8_000, &first, set(&world.validators)).unwrap();
    let policy = LightPolicy { trusting_period_ms: PERIOD_MS, ..LightPolicy::default() };
    let conflict = trusted.read_conflict(blocks, &policy, START_MS).unwrap();
    assert_eq!((conflict.height(), conflict.signers_of_both().len()), (FIRST + 10, 4));
    assert!(world.refused(&[object(&run[9], &world.validators)], &[]).contains("is frozen"));
}

#[test]
fn a_certified_block_that_leaves_the_chain_freezes_it() {
    let (mut world, run) = ten();
    let branch = headers(&run[4], &world.validators, 9, 2);
    world.submit(&[object(&branch[8], &world.validators)], &[]);
    assert_eq!(world.record_status(), ChainStatus::Active);
    let frozen = world.submit(&[], &branch);
    let told: LightClients::ConflictingFinality = event(&frozen);
    assert_eq!((told.known, told.other), (run[9].hash_slow(), branch[8].hash_slow()));
    assert_eq!(world.record_status(), ChainStatus::Frozen);
    assert_eq!(world.confirmed(), (FIRST + 10, run[9].hash_slow()), "what is confirmed stays");
}

#[test]
fn a_client_that_is_too_old_waits_for_the_governor() {
    let (mut world, run) = ten();
    let late = headers(&run[9], &world.validators, 30, 1);
    world.chain.time_ms = START_MS + PERIOD_MS;
    world.chain.step(vec![]);
    let data = object(&late[29], &world.validators);
    assert!(world.refused(std::slice::from_ref(&data), &[]).contains("trusting period"));
    // The governor vouches for a block, however old, and its headers enter. What follows must be young enough again.
    world.run(world.restart(&late[9], &world.validators));
    assert!(world.refused(&[data], &[]).contains("trusting period"));
    world.submit(&[], &late[..10]);
    assert_eq!(world.confirmed(), (FIRST + 20, late[9].hash_slow()));
    let other = world.restart_with(late[12].hash_slow(), &late[11], &world.validators);
    assert!(world.reason(&other).expect("refused").contains("the checkpoint is"));

    let (mut world, run) = ten();
    let strangers = keys(40);
    let joint = header(&run[9], &set(&world.validators), &set(&strangers), 1);
    let far = headers(&joint, &strangers, 20, 1);
    assert!(world.refused(&[object(&far[19], &strangers)], &[]).contains("a third"));
    let restart = world.restart(&far[19], &strangers);
    assert_eq!(world.reason(&restart), None);
    world.run(restart);
    assert_eq!(world.status().wanted, [far[19].hash_slow()]);
    let way: Vec<Header> = std::iter::once(joint).chain(far.clone()).collect();
    world.submit(&[], &way);
    assert_eq!(world.confirmed(), (FIRST + 31, far[19].hash_slow()));
    let back = world.restart(&run[2], &world.validators);
    assert!(world.reason(&back).expect("refused").contains("already"));
}
