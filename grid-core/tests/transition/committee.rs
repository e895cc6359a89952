//! Chains that sync committees prove, through whole blocks.

mod conflict;
mod lies;
mod runs;

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use alloy_sol_types::{SolCall, SolEvent};
use grid_core::{
    ChainKey, Security,
    api::SyncStatus,
    ethereum::sync::{Fork, Policy, SharedKeys, SyncData},
    modules::{
        ChainRecord, ChainStatus,
        abi::{LIGHT_CLIENTS, LightClients},
    },
    state::{keys, query},
    transition::{self, ExecutedBlock, TxReject},
};

use crate::support::{
    Chain, PROPOSER, Wallet,
    beacon::{Beacon, CHECKPOINT, PERIOD, Warm, bytes, execution, rlp},
    genesis,
};

/// A beacon chain, and a Grid chain that follows it.
struct World {
    beacon: Beacon,
    chain: Chain,
    wallet: Wallet,
    key: ChainKey,
    nonce: u64,
}

impl World {
    fn new(beacon: Beacon) -> Self {
        Self::under(beacon, Policy::default())
    }

    fn under(beacon: Beacon, policy: Policy) -> Self {
        let record = beacon.record(policy);
        Self::beside(beacon, vec![record])
    }

    /// With several chains, of which the first is the beacon chain's.
    fn beside(beacon: Beacon, records: Vec<ChainRecord>) -> Self {
        let wallet = Wallet::new(1);
        let key = records[0].key();
        let chain = Chain::new(&genesis(records, &[&wallet]));
        Self { beacon, chain, wallet, key, nonce: 0 }
    }

    fn input(&self, data: &[SyncData], headers: &[Header]) -> Bytes {
        LightClients::submitFinalityCall {
            chain: self.key.0,
            data: bytes(data),
            headers: rlp(headers),
        }
        .abi_encode()
        .into()
    }

    /// A block with one call.
    fn call(&mut self, input: Bytes) -> ExecutedBlock {
        let tx = self.wallet.tx(self.nonce, LIGHT_CLIENTS, 0, 50_000_000, input);
        self.nonce += 1;
        self.chain.step(vec![tx])
    }

    /// A block with a submission that is taken.
    fn submit(&mut self, data: &[SyncData], headers: &[Header]) -> ExecutedBlock {
        let input = self.input(data, headers);
        let reason = self.reason(&input);
        assert_eq!(reason, None);
        let block = self.call(input);
        assert!(block.receipts[0].status());
        block
    }

    /// Why a call would be reverted.
    fn reason(&self, input: &Bytes) -> Option<String> {
        let context = transition::CallContext {
            from: self.wallet.address,
            to: Some(LIGHT_CLIENTS),
            input: input.clone(),
            ..Default::default()
        };
        transition::call(&self.chain.state, &context, &self.chain.parent.header).unwrap().reverted
    }

    /// The reason of a refusal; nothing of the state changes but the fee.
    fn refused(&mut self, data: &[SyncData], headers: &[Header]) -> String {
        let input = self.input(data, headers);
        let reason = self.reason(&input).expect("refused");
        let before = self.own_values();
        let root = query::index_root(&self.chain.state).unwrap();
        let tx = self.wallet.tx(self.nonce, LIGHT_CLIENTS, 0, 50_000_000, input);
        let proposal = self.chain.propose(vec![tx]);
        if proposal.dropped.is_empty() {
            assert!(!proposal.executed.receipts[0].status());
            self.nonce += 1;
        }
        self.chain.commit(&proposal.executed);
        assert!(self.own_values() == before, "a refused submission changes nothing");
        assert_eq!(query::index_root(&self.chain.state).unwrap(), root);
        reason
    }

    /// What the light clients have in state, without the table of when to look again.
    fn own_values(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let own = |(key, _): &(&Vec<u8>, &Vec<u8>)| key[0] == keys::LIGHT_CLIENTS && key[1] != 5;
        let values = self.chain.state.values().iter().filter(own);
        values.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn status(&self) -> SyncStatus {
        let client = query::light_client(&self.chain.state, self.key).unwrap().unwrap();
        client.sync_status().unwrap()
    }

    fn record_status(&self) -> ChainStatus {
        query::chain(&self.chain.state, self.key).unwrap().unwrap().status
    }

    /// Height and hash of the last confirmed header.
    fn confirmed(&self) -> Option<(u64, B256)> {
        let range = query::accumulator(&self.chain.state, self.key).unwrap().unwrap();
        Some((range.tip_height()?, range.tip_hash))
    }

    /// Bootstrapped, with the start confirmed.
    fn started(mut self) -> Self {
        self.submit(&[self.beacon.first()], &[]);
        assert_eq!(self.confirmed(), Some((1_000, self.beacon.start.hash_slow())));
        self
    }

    fn restart(&self, slot: u64, execution: B256) -> Bytes {
        let bootstrap = self.beacon.bootstrap(slot, execution);
        let checkpoint = bootstrap.header.beacon.root();
        let bootstrap = SyncData::from(bootstrap).encode().into();
        LightClients::restartCall { chain: self.key.0, checkpoint, bootstrap }.abi_encode().into()
    }
}

/// The first event of a kind in a block's first receipt.
fn event<T: SolEvent>(block: &ExecutedBlock) -> T {
    let logs = block.receipts[0].logs();
    logs.iter().find_map(|log| T::decode_log(log).ok()).expect("an event").data
}

fn hash(header: &Header) -> B256 {
    header.hash_slow()
}

/// `(height, hash)` of a header.
fn place(header: &Header) -> Option<(u64, B256)> {
    Some((header.number, hash(header)))
}

#[test]
fn nothing_is_confirmed_before_the_trusted_block_is_seen_to_hold_the_start() {
    let mut world = World::new(Beacon::new(Fork::Electra));
    world.chain.step(vec![]);
    assert_eq!(world.confirmed(), None);
    let status = world.status();
    assert!(!status.started);
    assert_eq!(status.wanted, Vec::<B256>::new());
    assert_eq!(status.missing_above.height, 1_000);

    let headers = execution(&world.beacon.start, 3, 1);
    let update = world.beacon.teaches(CHECKPOINT + 3, hash(&headers[2]));
    assert!(world.refused(&[update], &headers).contains("waits for the bootstrap"));
    assert!(world.refused(&[], &headers).contains("not proven final"));
    let other = world.beacon.bootstrap(CHECKPOINT + 1, hash(&world.beacon.start));
    assert!(world.refused(&[other.into()], &[]).contains("trusted is"));
    world.started();
}

#[test]
fn a_checkpoint_with_another_execution_block_starts_nothing() {
    let mut beacon = Beacon::new(Fork::Electra);
    let mut other = Beacon::new(Fork::Electra);
    other.start.state_root = B256::repeat_byte(9);
    // The record names the trusted block of the other chain, with this chain's header.
    let wallet = Wallet::new(1);
    let mut record = other.record(Policy::default());
    let own = alloy_rlp::encode(&beacon.start).into();
    if let grid_core::modules::ClientParams::SyncCommittee { start, .. } = &mut record.client {
        *start = own;
    }
    let key = record.key();
    let chain = Chain::new(&genesis(vec![record], &[&wallet]));
    core::mem::swap(&mut beacon, &mut other);
    let mut world = World { beacon, chain, wallet, key, nonce: 0 };
    let first = world.beacon.first();
    assert!(world.refused(&[first], &[]).contains("registered as start"));
}

#[test]
fn one_call_starts_the_client_and_indexes_what_is_final() {
    for fork in [Fork::Capella, Fork::Deneb, Fork::Electra, Fork::Fulu, Fork::Gloas] {
        let mut world = World::new(Beacon::new(fork));
        let headers = execution(&world.beacon.start, 20, 1);
        let data = [
            world.beacon.first(),
            world.beacon.teaches(CHECKPOINT + 10, hash(&headers[9])),
            world.beacon.finalizes(CHECKPOINT + 20, hash(&headers[19])),
        ];
        world.submit(&data, &headers);
        assert_eq!(world.confirmed(), place(&headers[19]), "{fork:?}");
        let status = world.status();
        assert_eq!((status.finalized_slot, status.period), (CHECKPOINT + 20, 1_500));
        assert_eq!((status.pending, status.wanted), (0, vec![]));
        assert!(status.next_committee_known);
        let entries = query::entries(&world.chain.state).unwrap();
        assert_eq!(entries[0].security, Security::SyncCommittee.code());
        assert_eq!((entries[0].count, entries[0].tipHash), (21, hash(&headers[19])));
    }
}

#[test]
fn committees_follow_each_other_over_many_periods_in_one_call() {
    let mut world = World::new(Beacon::new(Fork::Electra)).started();
    let headers = execution(&world.beacon.start, 12, 1);
    let data: Vec<SyncData> = (0..12u64)
        .map(|n| world.beacon.teaches(CHECKPOINT + n * PERIOD + 9, hash(&headers[n as usize])))
        .collect();
    let block = world.submit(&data, &headers);
    assert_eq!(world.confirmed(), place(&headers[11]));
    assert_eq!(world.status().period, 1_511);
    // A finality update writes neither of the committees.
    assert!(changed(&block, &[4, 5, 6]).iter().all(|there| *there));
    let more = execution(&headers[11], 1, 1);
    let update = world.beacon.finalizes(CHECKPOINT + 11 * PERIOD + 17, hash(&more[0]));
    let block = world.submit(&[update], &more);
    assert_eq!(changed(&block, &[4, 5, 6]), [false; 3]);
    let bytes: usize = block
        .diff
        .iter()
        .filter(|(key, _)| key.starts_with(&[keys::LIGHT_CLIENTS, 0x07]))
        .filter_map(|(_, value)| value.as_ref().map(Vec::len))
        .sum();
    assert!(bytes < 6_000, "{bytes} bytes for one finality update");
}

/// Whether a block has written the client's values of these kinds.
fn changed(block: &ExecutedBlock, kinds: &[u8]) -> Vec<bool> {
    let written = |kind: &u8| {
        block
            .diff
            .keys()
            .any(|key| key.starts_with(&[keys::LIGHT_CLIENTS, 0x07]) && key.get(34) == Some(kind))
    };
    kinds.iter().map(written).collect()
}

#[test]
fn a_submission_without_news_is_free_and_known_parts_of_one_are_skipped() {
    let mut world = World::new(Beacon::new(Fork::Electra)).started();
    let headers = execution(&world.beacon.start, 4, 1);
    let update = world.beacon.teaches(CHECKPOINT + 4, hash(&headers[3]));
    world.submit(core::slice::from_ref(&update), &headers);
    let again = world.input(&[world.beacon.first(), update.clone()], &headers);
    let tx = world.wallet.tx(world.nonce, LIGHT_CLIENTS, 0, 50_000_000, again);
    let base_fee = transition::next_base_fee(&world.chain.parent.header);
    let checked = transition::check(&world.chain.state, &tx, base_fee);
    assert_eq!(checked, Err(TxReject::AlreadyKnown));
    let dropped = world.chain.propose(vec![tx]).dropped;
    assert_eq!(dropped.len(), 1);
    assert!(world.refused(&[world.beacon.first(), update.clone()], &headers).contains("known"));

    // An older block's proof is as little news as the newest one's.
    let older = world.beacon.finalizes(CHECKPOINT + 2, hash(&headers[1]));
    assert!(world.refused(&[older], &[]).contains("known"));
    let more = execution(&headers[3], 2, 1);
    let newer = world.beacon.finalizes(CHECKPOINT + 6, hash(&more[1]));
    let all: Vec<Header> = headers.into_iter().chain(more.clone()).collect();
    world.submit(&[update, newer], &all);
    assert_eq!(world.confirmed(), place(&more[1]));
}

#[test]
fn views_and_events_tell_what_is_final() {
    let mut world = World::new(Beacon::new(Fork::Electra)).started();
    let headers = execution(&world.beacon.start, 4, 1);
    let update = world.beacon.teaches(CHECKPOINT + 4, hash(&headers[3]));
    let block = world.submit(&[update], &headers[..0]);
    let event = event::<LightClients::FinalityAdvanced>(&block);
    assert_eq!((event.slot, event.blockHash), (CHECKPOINT + 4, hash(&headers[3])));
    let read = |input: Vec<u8>| crate::read(&world.chain, LIGHT_CLIENTS, input).output;
    let wanted = read(LightClients::wantedCall { chain: world.key.0 }.abi_encode());
    let wanted = LightClients::wantedCall::abi_decode_returns(&wanted).unwrap();
    assert_eq!(wanted, [hash(&headers[3])]);
    let finality = read(LightClients::finalityCall { chain: world.key.0 }.abi_encode());
    let finality = LightClients::finalityCall::abi_decode_returns(&finality).unwrap();
    assert_eq!((finality.slot, finality.period), (CHECKPOINT + 4, 1_500));
    assert_eq!(finality.blockRoot, event.blockRoot);
    assert!(finality.nextCommitteeKnown);
    let conflict = read(LightClients::conflictCall { chain: world.key.0 }.abi_encode());
    assert!(LightClients::conflictCall::abi_decode_returns(&conflict).unwrap().is_empty());
}

#[test]
fn points_that_are_kept_change_no_block() {
    let keys = SharedKeys::default();
    let mut world = World::new(Beacon::new(Fork::Electra));
    let headers = execution(&world.beacon.start, 3, 1);
    let steps = [
        (world.beacon.first(), 0),
        (world.beacon.teaches(CHECKPOINT + 1, hash(&headers[0])), 1),
        (world.beacon.finalizes(CHECKPOINT + 2, hash(&headers[1])), 2),
        (world.beacon.teaches(CHECKPOINT + PERIOD, hash(&headers[2])), 3),
    ];
    for (data, count) in steps {
        let input = world.input(&[data], &headers[..count]);
        let tx = world.wallet.tx(world.nonce, LIGHT_CLIENTS, 0, 50_000_000, input);
        world.nonce += 1;
        let warm = Warm(&world.chain.state, &keys);
        let (parent, time) = (&world.chain.parent, world.chain.time_ms + 1_000);
        let made = transition::propose(parent, &warm, vec![tx], time, PROPOSER).unwrap().executed;
        assert!(made.receipts[0].status());
        let cold = transition::validate(parent, &world.chain.state, &made.block).unwrap();
        assert_eq!(cold, made);
        world.chain.commit(&made);
    }
    assert_eq!(world.confirmed(), place(&headers[2]));
}
